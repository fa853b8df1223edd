"""How much an agent is to think: which variable or argument carries it, for each that we know.

Imported only under pressure. At level 0 an agent's own setting is left alone, and under pressure
what its user has set is never made heavier.
"""

import os
import re
import shlex
from pathlib import Path

from admission.protocol import BadConfiguration
from admission_client.granted import Lease
from admission_client.hook.caller import HEADLESS, SHELLS, is_headless_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    Environ = os._Environ[str] | dict[str, str]

Profile = dict[str, object]

# From the lightest; what stands nowhere here is taken to be the heaviest.
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
BUILT_IN: dict[str, Profile] = {
    # The variable goes before the user's own flag, so it is set only where there is none.
    "claude": {
        "effort_env": "CLAUDE_CODE_EFFORT_LEVEL",
        "effort_own": ["--effort"],
        "model_own": ["--model"],
    },
    "codex": {
        "effort_args": ["-c", "model_reasoning_effort={effort}"],
        "effort_own": ["-cmodel_reasoning_effort", "--config=model_reasoning_effort"],
        "after": "exec",
    },
    "aider": {
        "effort_args": ["--reasoning-effort", "{effort}"],
        "effort_own": ["AIDER_REASONING_EFFORT"],
    },
    # Its effort stands in its settings; a lighter model can be named in the configuration.
    "gemini": {"model_args": ["-m", "{model}"], "model_own": ["--model", "GEMINI_MODEL"]},
}
# A command of which a shell does nothing but split it into words, and what stands between words.
_WORD = r"""(?:[A-Za-z0-9_@%+:,./=-]|'[^'\n]*'|"[^"$`\\!\n]*")+"""
_PLAIN = re.compile(rf"{_WORD}(?:[ \t]+{_WORD})*")
_BETWEEN = re.compile(r"""[\s;&|()<>`$"'{}]+""")


def adapted(
    words: list[str], lease: Lease, environ: "os._Environ[str] | dict[str, str]"
) -> list[str]:
    """The command as the level in force wants it; `environ` is changed where a variable says it.

    Raises:
        BadConfiguration: the configuration's table of this agent can't be used.
    """
    if lease.level == 0:
        return words
    configured = _configured()
    if os.path.basename(words[0]) not in SHELLS or len(words) != 3 or words[1] != "-c":
        return _told(words, lease, environ, profile_of(words[0], configured))
    command = words[2].strip()
    inner = shlex.split(command) if _PLAIN.fullmatch(command) else []
    if inner and (profile := profile_of(inner[0], configured)):
        told = _told(inner, lease, environ, profile)
        return words if told == inner else [words[0], "-c", 'exec "$@"', words[0], *told]
    _tell_within(command, lease, environ, configured)
    return words


def _tell_within(
    command: str, lease: Lease, environ: "Environ", configured: dict[str, object]
) -> None:
    """Of agents that a shell's command starts among other things, only variables are set; and
    where the command says anything on the matter itself, it is left to that.
    """
    found = _BETWEEN.split(command)
    for at, word in enumerate(found):
        profile = profile_of(word, configured)
        name = os.path.basename(word)
        if name in HEADLESS and not is_headless_line(name, found[at:]):
            continue
        for what in ("effort", "model"):
            variable = profile.get(f"{what}_env")
            own = [variable, *_list(profile, f"{what}_own")]
            if not variable or any(str(one) in command for one in own):
                profile = {key: one for key, one in profile.items() if key != f"{what}_env"}
        _told([word], lease, environ, profile)


def _told(words: list[str], lease: Lease, environ: "Environ", profile: Profile) -> list[str]:
    effort = lease.params.reasoning_effort
    efforts, models = _map(profile, "efforts"), _map(profile, "models")
    words = _adapt(words, environ, profile, "effort", efforts.get(effort, effort))
    if model := models.get(effort):
        words = _adapt(words, environ, profile, "model", model)
    return words


def profile_of(program: str, configured: dict[str, object]) -> Profile:
    """The built-in profile of this program with what the configuration says of it."""
    name = os.path.basename(program)
    found = configured.get(name, {})
    return {**BUILT_IN.get(name, {}), **(found if isinstance(found, dict) else {})}


def _configured() -> dict[str, object]:
    """The tables `[agents.NAME]`."""
    import tomllib  # late, as all of this module

    given = os.environ.get("ADMISSION_CONFIG")
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    path = Path(given) if given else Path(home) / "admission" / "config.toml"
    try:
        agents = tomllib.loads(path.read_text(encoding="utf-8")).get("agents", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise BadConfiguration(f"{path} can't be read: {problem}") from None
    return agents if isinstance(agents, dict) else {}


def _adapt(
    words: list[str],
    environ: "Environ",
    profile: Profile,
    what: str,
    value: str,
) -> list[str]:
    variable, args = profile.get(f"{what}_env"), profile.get(f"{what}_args")
    if _is_own(words, environ, _list(profile, f"{what}_own")):
        return words
    if isinstance(variable, str) and not _is_light(environ.get(variable), what, value):
        environ[variable] = value
    if not isinstance(args, list) or _says_already(words, args):
        return words
    added = [str(one).replace("{" + what + "}", value) for one in args]
    after = profile.get("after")
    at = words.index(after) + 1 if isinstance(after, str) and after in words else 1
    return [*words[:at], *added, *words[at:]]


def _is_light(own: str | None, what: str, value: str) -> bool:
    """Whether the user's own setting is as light already. A model is his own choice."""
    if not own:
        return False
    return what == "model" or _weight(own) <= _weight(value)


def _weight(effort: str) -> int:
    return EFFORTS.index(effort) if effort in EFFORTS else len(EFFORTS)


def _says_already(words: list[str], args: list[object]) -> bool:
    """Whether the command line has this already: what is written out is meant."""
    own = words[1 : words.index("--")] if "--" in words else words[1:]
    key = next((str(one).partition("{")[0] for one in args if "{" in str(one)), "")
    if key:  # as in `-c key={effort}`, where many go by the same letter
        return any(word.startswith(key) for word in own)
    flag = str(args[0]) if args else ""
    return any(word == flag or word.startswith(f"{flag}=") for word in own)


def _is_own(words: list[str], environ: "Environ", own: list[str]) -> bool:
    """Whether the user says it himself in one of these other ways: an option, or a variable."""
    options = words[1 : words.index("--")] if "--" in words else words[1:]
    return any(
        any(word == one or word.startswith(f"{one}=") for word in options)
        if one.startswith("-")
        else bool(environ.get(one))
        for one in own
    )


def _list(profile: Profile, name: str) -> list[str]:
    found = profile.get(name, [])
    return [str(one) for one in found] if isinstance(found, list) else []


def _map(profile: Profile, name: str) -> dict[str, str]:
    found = profile.get(name, {})
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
