"""How much an agent is to think: which variable or argument carries it, for each that we know.

Imported only under pressure. At level 0 an agent's own setting is left alone, and under pressure
what its user has set is never made heavier.
"""

import os
from pathlib import Path

from admission.protocol import BadConfiguration
from admission_client.granted import Lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    Environ = os._Environ[str] | dict[str, str]

Profile = dict[str, object]

# From the lightest; what stands nowhere here is taken to be the heaviest.
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
BUILT_IN: dict[str, Profile] = {
    # It goes before the user's own flag and setting, so it is only ever lowered.
    "claude": {"effort_env": "CLAUDE_CODE_EFFORT_LEVEL"},
    "codex": {"effort_args": ["-c", "model_reasoning_effort={effort}"], "after": "exec"},
    "aider": {"effort_args": ["--reasoning-effort", "{effort}"]},
    # Its effort stands in its settings; a lighter model can be named in the configuration.
    "gemini": {"model_args": ["-m", "{model}"]},
}


def adapted(
    words: list[str], lease: Lease, environ: "os._Environ[str] | dict[str, str]"
) -> list[str]:
    """The command as the level in force wants it; `environ` is changed where a variable says it.

    Raises:
        BadConfiguration: the configuration's table of this agent can't be used.
    """
    if lease.level == 0:
        return words
    profile = profile_of(os.path.basename(words[0]))
    effort = lease.params.reasoning_effort
    efforts, models = _map(profile, "efforts"), _map(profile, "models")
    words = _adapt(words, environ, profile, "effort", efforts.get(effort, effort))
    if model := models.get(effort):
        words = _adapt(words, environ, profile, "model", model)
    return words


def profile_of(program: str) -> Profile:
    """The built-in profile of this program with what the configuration says of it."""
    return {**BUILT_IN.get(program, {}), **_configured(program)}


def _configured(program: str) -> Profile:
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
    found = agents.get(program, {}) if isinstance(agents, dict) else {}
    return found if isinstance(found, dict) else {}


def _adapt(
    words: list[str],
    environ: "Environ",
    profile: Profile,
    what: str,
    value: str,
) -> list[str]:
    variable, args = profile.get(f"{what}_env"), profile.get(f"{what}_args")
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


def _map(profile: Profile, name: str) -> dict[str, str]:
    found = profile.get(name, {})
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
