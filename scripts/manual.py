"""Writes `share/man/man1/admission.1` by the commands' own tables of options: `make manual`.

The page is kept in the repository, so that a build needs none of the commands' imports; a test
holds it to the tables.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from admission import __version__
from admission_client.completion import Given, commands
from admission_client.options import Option

PAGE = Path(__file__).parent.parent / "share" / "man" / "man1" / "admission.1"
STATUSES = {
    "0": "done; of run, receive and hook: the command's own status",
    "1": "doctor found that something is not well, or orphans left something",
    "2": "wrong usage",
    "64": "refused, as it can never be granted",
    "69": "no daemon can be had, or it can't serve this now",
    "75": "no slot within the wait, or the lease is lost",
    "77": "not permitted",
    "78": "the configuration is wrong",
    "126, 127": "the command can't be started, or is not there, as in the shell",
}
VARIABLES = {
    "ADMISSION_SOCKET": "where the daemon listens; --socket goes before it",
    "ADMISSION_CONFIG": "the configuration file; serve's --config goes before it",
    "ADMISSION_AUTOSTART": "0: no command starts a daemon",
    "ADMISSION_FAIL": "open: where no daemon can be had, commands run without a lease",
    "ADMISSION_DISABLE_THROTTLE": "1: the level stays at 0",
    "NO_COLOR": "nothing is coloured",
}
ESCAPED = {"\\": "\\e", '"': "\\(dq", "-": "\\-", "…": "..."}
HEAD = f"""\
.\\" Written by scripts/manual.py: change the tables of options, then "make manual".
.TH ADMISSION 1 "" "admission {__version__}" "User commands"
.SH NAME
admission \\- one semaphore for the agents of a machine, sized by what it can bear
.SH SYNOPSIS
.B admission
.I COMMAND
.RI [ options ]
.SH DESCRIPTION
One small daemon grants leases to the agents of this machine. How many there are follows a throttle
level, which memory, CPU and other sensors decide; who gets none waits in an order that is shown.
The daemon starts by itself when a command needs it.
.PP
Durations are written 500ms, 30s, 10m, 2h, or as plain seconds.
.SH COMMANDS
"""


def page() -> str:
    """The whole manual page."""
    parts = [HEAD]
    parts += ["\n".join(_command(one)) + "\n" for one in commands()]
    parts.append(".SH EXIT STATUS\n" + "".join(_items(STATUSES)))
    parts.append(".SH ENVIRONMENT\n" + "".join(_items(VARIABLES)))
    parts.append(
        ".SH FILES\n" + "".join(_items({"~/.config/admission/config.toml": "the configuration"}))
    )
    return "".join(parts)


def _command(given: Given) -> Iterator[str]:
    yield f'.SS "{_text(given.name)}"'
    yield f".B admission {_text(given.usage)}"
    for number, paragraph in enumerate(given.says.split("\n\n")):
        yield ".PP"
        if any(line.startswith("  ") for line in paragraph.splitlines()):  # laid out by hand
            yield from (".nf", *(_line(line) for line in paragraph.splitlines()), ".fi")
        elif not number and " " in given.name:
            yield _line(given.about)
            yield ".PP"
            yield _line(paragraph)
        else:
            yield from map(_line, paragraph.splitlines())
    for option in given.options:
        yield ".TP"
        yield _names(option)
        yield _line(option.help)


def _names(option: Option) -> str:
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in option.names)
    return f"{names} \\fI{_text(option.metavar)}\\fR" if option.metavar else names


def _items(table: dict[str, str]) -> Iterator[str]:
    for name, about in table.items():
        yield f".TP\n.B {_text(name)}\n{_line(about)}\n"


def _line(text: str) -> str:
    """A line of text, none of which troff takes for a request."""
    return "\\&" + _text(text) if text[:1] in (".", "'") else _text(text)


def _text(text: str) -> str:
    return re.sub(r"[\\\"…-]", lambda found: ESCAPED[found[0]], text)


def main() -> None:
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
