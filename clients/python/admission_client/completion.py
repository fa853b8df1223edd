"""The command `completion`: what bash, zsh and fish complete command lines by.

It is made of the commands' own tables of options, so that there is no second list of them. What
only a daemon knows, the pools and the leases, is asked for when it is needed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

from admission.protocol import AdmissionError
from admission_client.blocking import Client
from admission_client.cli import COMMANDS
from admission_client.granted import mapping, rows, text, whole
from admission_client.options import SHOW, SOCKET, OneOf, Option, Shown, WrongUsage, parse

SHELLS = ("bash", "zsh", "fish")
ABOUT = (
    "Prints what a shell completes `admission` by.\n\n"
    "  bash:  echo 'eval \"$(admission completion bash)\"' >> ~/.bashrc\n"
    "  zsh:   echo 'eval \"$(admission completion zsh)\"' >> ~/.zshrc   (after compinit)\n"
    "  fish:  admission completion fish > ~/.config/fish/completions/admission.fish"
)
# What is asked for when it is needed, by the option or by what the usage names.
ASKED = {"--pool": "pools", "POOL": "pools", "LEASE": "leases", "TICKET": "tickets"}
FILES = ("PATH", "FILE", "FOLDER", "DIR", "TASKS")


@dataclass(frozen=True, slots=True)
class Given:
    """What may stand after a command: `words` of its own, options, and what else its usage names.

    `name` may be two words, as in `hook install`; `usage` is the command's, as `--help` has it.
    """

    name: str
    about: str
    usage: str
    options: tuple[Option, ...]
    words: tuple[str, ...]
    named: tuple[str, ...]

    @property
    def takes_command(self) -> bool:
        return "COMMAND" in self.named

    @property
    def takes_files(self) -> bool:
        return any(name in FILES for name in self.named)

    @property
    def asks(self) -> str:
        """What of the daemon's can stand here; nothing mostly."""
        return next((ASKED[name] for name in self.named if name in ASKED), "")


def completion(words: list[str]) -> int:
    """Prints the script for a shell; or the pools or leases that there are, for that script."""
    usage = f"completion [options] {'|'.join(SHELLS)}"
    options = parse(words, (SOCKET,), usage, ABOUT)
    scripts = {"bash": bash, "zsh": zsh, "fish": fish}
    match options.words:
        case [shell] if shell in scripts:
            print(scripts[shell](list(commands())), end="")
        case ["pools" | "leases" | "tickets" as what]:
            for word, about in _ask(what, options.socket):
                print(f"{word}\t{about}")
        case _:
            given = " ".join(options.words) or "nothing"
            raise WrongUsage(f'completion: "{given}" is none of {", ".join(SHELLS)}')
    return 0


def commands() -> Iterator[Given]:
    """Every command, by what it says of itself."""
    for name, module, function, about in COMMANDS:
        command = getattr(import_module(f"admission_client.{module}"), function)
        found = _shown(command, [], name, about)
        yield found
        for word in found.words:
            below = _shown(command, [word], f"{name} {word}", about)
            if below.options != found.options:
                yield below


def _shown(command: object, words: list[str], name: str, about: str) -> Given:
    assert callable(command)
    try:
        command([*words, SHOW])
    except Shown as shown:
        rest = shown.usage.partition("[options]")[2]
        alternatives = [one for one in re.split(r"[\s\[\]]+", rest) if "|" in one]
        own = [word for one in alternatives for word in one.split("|") if not word.isupper()]
        named = re.findall(r"\b[A-Z]{2,}\b", rest)
        return Given(name, about, shown.usage, shown.table, tuple(own), tuple(named))
    raise AssertionError(f"admission {name} reads no options")


def _ask(what: str, socket: str | None) -> list[tuple[str, str]]:
    """The pools, leases or tickets that there are, each with a word about it; none where no daemon
    runs.
    """
    try:
        with Client(socket) as client:
            if what == "leases":
                held = rows(client.ask("leases"), "leases")
                return [(str(whole(one, "lease")), text(one, "task")) for one in held]
            if what == "tickets":
                waiting = rows(client.ask("leases"), "waiting")
                return [(str(whole(one, "ticket")), text(one, "task")) for one in waiting]
            status = client.ask("status")
            capacity, in_use = mapping(status, "capacity"), mapping(status, "in_use")
            return [(name, f"{in_use.get(name)} of {capacity[name]}") for name in capacity]
    except AdmissionError:
        return []


def _choices(option: Option) -> str:
    return " ".join(option.convert.words) if isinstance(option.convert, OneOf) else ""


# --- bash -----------------------------------------------------------------------------------------

BASH = """\
_admission() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} at words=() command
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        [[ ${{COMP_WORDS[at]}} == -- ]] && {{ _admission_command "$at"; return; }}
        [[ ${{COMP_WORDS[at]}} == -* ]] || words+=("${{COMP_WORDS[at]}}")
    done
    if ((COMP_CWORD == 1)); then
        COMPREPLY=($(compgen -W "{names}" -- "$cur"))
        return
    fi
    command=${{words[0]}}
    case "$command ${{words[1]}}" in
{below}    esac
    case "$command" in
{cases}    esac
}}
_admission_command() {{
    local first=$(($1 + 1))
    if ((COMP_CWORD == first)); then
        COMPREPLY=($(compgen -c -- "$cur"))
    else
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}}
_admission_asked() {{
    COMPREPLY=($(compgen -W "$(admission completion "$1" 2>/dev/null | cut -f1)" -- "$cur"))
}}
complete -F _admission admission
"""


def bash(given: list[Given]) -> str:
    """The script for bash."""
    top = [one for one in given if " " not in one.name]
    names = " ".join(one.name for one in top)
    below = "".join(_bash_case(one, f'"{one.name}"') for one in given if " " in one.name)
    return BASH.format(names=names, below=below, cases="".join(_bash_case(o, o.name) for o in top))


def _bash_case(given: Given, label: str) -> str:
    lines = [f"        {label})"]
    lines.append('            case "$prev" in')
    for option in given.options:
        if option.metavar:
            lines.append(
                f"                {'|'.join(option.names)}) {_bash_value(option)} return ;;"
            )
    lines.append("            esac")
    words = " ".join(
        [*given.words, *(name for one in given.options for name in one.names), "--help"]
    )
    if given.takes_command:
        words += " --"
    lines.append("            if [[ $cur == -* ]]; then")
    lines.append(f'                COMPREPLY=($(compgen -W "{words}" -- "$cur"))')
    lines.append("            else")
    lines.append(f"                {_bash_rest(given)}")
    lines.append("            fi")
    lines.append("            return ;;")
    return "\n".join(lines) + "\n"


def _bash_value(option: Option) -> str:
    if choices := _choices(option):
        return f'COMPREPLY=($(compgen -W "{choices}" -- "$cur"));'
    if asked := ASKED.get(option.names[0]):
        return f"_admission_asked {asked};"
    return 'COMPREPLY=($(compgen -f -- "$cur"));' if option.metavar in FILES else ""


def _bash_rest(given: Given) -> str:
    if given.asks:
        return f"_admission_asked {given.asks}"
    if given.takes_command:
        return 'COMPREPLY=($(compgen -c -- "$cur"))'
    if given.words:
        return f'COMPREPLY=($(compgen -W "{" ".join(given.words)}" -- "$cur"))'
    return 'COMPREPLY=($(compgen -f -- "$cur"))' if given.takes_files else ":"


# --- zsh ------------------------------------------------------------------------------------------

ZSH = """\
#compdef admission
_admission() {{
    local -a commands=(
{names}    )
    if ((CURRENT == 2)); then
        _describe command commands
        return
    fi
    local line="$words[2]"
    [[ "$words[2] $words[3]" == ({below}) ]] && line="$words[2] $words[3]"
    case "$line" in
{cases}    esac
}}
_admission_asked() {{
    local -a found=("${{(@f)$(admission completion $1 2>/dev/null | tr '\\t' ':')}}")
    _describe $1 found
}}
compdef _admission admission
"""


def zsh(given: list[Given]) -> str:
    """The script for zsh."""
    top = [one for one in given if " " not in one.name]
    names = "".join(f"        {_quoted(f'{one.name}:{one.about}')}\n" for one in top)
    below = "|".join(f'"{one.name}"' for one in given if " " in one.name)
    return ZSH.format(names=names, below=below, cases="".join(map(_zsh_case, given)))


def _zsh_case(given: Given) -> str:
    specs = [_zsh_spec(option, name) for option in given.options for name in option.names]
    if given.asks:
        specs.append(_quoted(f"*:{given.asks}:_admission_asked {given.asks}"))
    elif given.takes_command:
        specs += [_quoted("(-)1:command:_command_names -e"), _quoted("*::arguments:_normal")]
    elif given.words:
        specs.append(_quoted(f"1:what:({' '.join(given.words)})"))
    elif given.takes_files:
        specs.append(_quoted("*:file:_files"))
    depth = given.name.count(" ") + 1
    lines = " \\\n            ".join(
        [
            f"        {_quoted(given.name)}) shift {depth} words;"
            f" ((CURRENT -= {depth})); _arguments -S",
            *specs,
        ]
    )
    return f"{lines} ;;\n"


def _zsh_spec(option: Option, name: str) -> str:
    about = option.help.replace("[", "(").replace("]", ")").replace(":", ",")
    if not option.metavar:
        return _quoted(f"{name}[{about}]")
    if choices := _choices(option):
        action = f"({choices})"
    elif asked := ASKED.get(option.names[0]):
        action = f"_admission_asked {asked}"
    else:
        action = "_files" if option.metavar in FILES else " "
    return _quoted(f"{name}[{about}]:{option.metavar.lower()}:{action}")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- fish -----------------------------------------------------------------------------------------


def fish(given: list[Given]) -> str:
    """The script for fish."""
    lines = ["complete -c admission -f"]
    for one in given:
        words = one.name.split()
        if len(words) == 1:
            lines.append(_fish("__fish_use_subcommand", f"-a {one.name}", one.about))
        when = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in words)
        lines += [_fish_option(when, option) for option in one.options]
        if one.words:
            lines.append(_fish(when, f"-a {_quoted(' '.join(one.words))}"))
        if one.asks:
            lines.append(_fish(when, f"-a '(admission completion {one.asks} 2>/dev/null)'"))
        if one.takes_command:
            lines.append(_fish(when, "-xa '(__fish_complete_subcommand --fcs-skip=2)'"))
        elif one.takes_files:
            lines.append(_fish(when, "-F"))
    return "\n".join(lines) + "\n"


def _fish_option(when: str, option: Option) -> str:
    parts = [f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in option.names]
    if option.metavar:
        parts.append("-r" if option.metavar in FILES else "-x")
        if choices := _choices(option):
            parts.append(f"-a {_quoted(choices)}")
        elif asked := ASKED.get(option.names[0]):
            parts.append(f"-a '(admission completion {asked} 2>/dev/null)'")
        elif option.metavar in FILES:
            parts.append("-F")
    return _fish(when, " ".join(parts), option.help)


def _fish(when: str, what: str, about: str = "") -> str:
    said = f" -d {_quoted(about)}" if about else ""
    return f"complete -c admission -n {_quoted(when)} {what}{said}"
