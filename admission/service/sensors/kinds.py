"""What a process is, judged by what it runs: executable, then first word, then script.

Never by a part of the command line: an editor on `~/.claude`, a `grep claude` and this daemon
itself would all be agents. Nor by the name alone: Node's main thread is called `MainThread` since
version 24, and Claude's the number of its version.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

AGENTS = ("claude", "codex", "gemini", "opencode", "aider")

# npm links to `claude.exe` and `opencode.exe` on every system; Codex is also found by the name of
# its target.
_BY_NAME = {name: name for name in AGENTS} | {"claude.exe": "claude", "opencode.exe": "opencode"}
_CODEX = re.compile(r"codex-(x86_64|aarch64)-[a-z0-9-]+")
# The native installer names the file by its version.
_CLAUDE_VERSION = re.compile(r"/claude/versions/[^/]+$")
_NODE = re.compile(r"node(js)?[\d.]*")
_PYTHON = re.compile(r"[Pp]ython[\d.]*")
_SCRIPTS = {
    "/@anthropic-ai/claude-code/cli.js": "claude",
    "/@openai/codex/bin/codex.js": "codex",
    "/bundle/gemini.js": "gemini",
}
# Options of an interpreter whose value is the next word.
_WITH_VALUE = {
    "node": {"-r", "--require", "--import", "--loader", "--experimental-loader", "-C"},
    "python": {"-X", "-W"},
}
# With these there is no script at all.
_WITHOUT_SCRIPT = {"node": {"-e", "--eval", "-p", "--print", "-pe", "-i"}, "python": {"-c", "-"}}
# Claude's own background service, the terminals it holds open, and spare sessions that idle.
_INFRASTRUCTURE = {"bg-pty-host", "bg-spare"}


@dataclass(frozen=True, slots=True)
class Kind:
    """`agent`: one of `AGENTS`, or none. `is_infrastructure`: it serves agents and is none."""

    agent: str | None = None
    is_node: bool = False
    is_infrastructure: bool = False


OTHER = Kind()


def kind_of(executable: str, words: Sequence[str]) -> Kind:
    """The kind of a process.

    Args:
        executable: the path of the file that runs; empty where it can't be seen.
        words: its command line; empty for a thread of the kernel.
    """
    executable = executable.removesuffix(" (deleted)")  # updated while it runs
    program = _base(executable) or _base(_first_word(words))
    is_node = _NODE.fullmatch(program) is not None
    agent = _agent_by_file(executable) or _agent_by_name(_base(_first_word(words)))
    if agent is None and is_node:
        agent = _agent_by_script(_script(words, "node"))
    if agent is None and _PYTHON.fullmatch(program):
        agent = _agent_by_script(_script(words, "python"))
    return Kind(agent, is_node, agent == "claude" and _is_infrastructure(words))


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _first_word(words: Sequence[str]) -> str:
    """A process that gives itself a title has it all in the first word, as `npm exec @a/b`."""
    return words[0].partition(" ")[0] if words else ""


def _agent_by_file(executable: str) -> str | None:
    if _CLAUDE_VERSION.search(executable):
        return "claude"
    return _agent_by_name(_base(executable))


def _agent_by_name(name: str) -> str | None:
    return "codex" if _CODEX.fullmatch(name) else _BY_NAME.get(name)


def _agent_by_script(script: str) -> str | None:
    """By the end of its path; a link to it, as npm and pip install them, has the agent's name."""
    for ending, agent in _SCRIPTS.items():
        if f"/{script}".endswith(ending):
            return agent
    return _agent_by_name(_base(script))


def _script(words: Sequence[str], interpreter: str) -> str:
    """The script, or the module of Python's `-m`, that an interpreter was told to run."""
    rest = iter(words[1:])
    for word in rest:
        if word in _WITHOUT_SCRIPT[interpreter]:
            return ""
        if word in _WITH_VALUE[interpreter]:
            next(rest, "")
        elif word == "-m" and interpreter == "python":
            return next(rest, "")
        elif not word.startswith("-"):
            return word
    return ""


def _is_infrastructure(words: Sequence[str]) -> bool:
    told = [word.lstrip("-") for word in words[1:3]]
    return told[:1] != [] and (told[0] in _INFRASTRUCTURE or told == ["daemon", "run"])
