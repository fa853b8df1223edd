"""Which process the agent is that called this hook, and whether a person sits in front of it."""

import os
import sys

ABOVE_MAX = 64
SHELLS = ("sh", "bash", "dash", "zsh", "fish", "ksh", "busybox")
# The words by which each is started to do one thing and end.
HEADLESS = {
    "claude": ("-p", "--print"),
    "codex": ("exec", "e", "review"),
    "gemini": ("-p", "--prompt"),
}
# The first words by which each is started for what is no work of an agent's.
NO_AGENT = {
    "claude": (
        *("-v", "agents", "auth", "config", "daemon", "doctor", "install", "login", "logout"),
        *("mcp", "plugin", "plugins", "setup-token", "update", "upgrade"),
    ),
    "codex": (
        *("-V", "app-server", "apply", "a", "cloud", "completion", "debug", "doctor", "features"),
        *("help", "login", "logout", "mcp", "mcp-server", "plugin", "sandbox", "update"),
    ),
    "gemini": ("-v", "extensions", "hooks", "mcp", "skills"),
}
NO_AGENT_OF_ANY = ("-h", "--help", "--version")


class Process:
    """One process above us. `started` tells it from a later one with the same number."""

    __slots__ = ("name", "parent", "pid", "started")

    def __init__(self, pid: int, parent: int, name: str, started: str) -> None:
        self.pid = pid
        self.parent = parent
        self.name = name
        self.started = started


def caller(pid_variable: str = "") -> Process | None:
    """The agent: the process that the variable names, if it stands above us, else the nearest
    above that is no shell. None where there is none left.

    Args:
        pid_variable: what the environment says, `CLAUDE_PID`. It is not believed: a session that
            was started from within another has the outer one's.
    """
    above = list(_above(os.getppid()))
    named = [one for one in above if str(one.pid) == pid_variable]
    agents = named or [one for one in above if one.name not in SHELLS and one.pid > 1]
    return agents[0] if agents else None


def is_headless(agent: str, pid: int) -> bool:
    """Whether this agent was started to do one thing and end, by its command line."""
    return is_headless_line(agent, _words(pid))


def is_headless_line(agent: str, words: list[str]) -> bool:
    """Whether these words start such a run. What stands behind `--` is the prompt's own."""
    options = words[1 : words.index("--")] if "--" in words else words[1:]
    marks = HEADLESS.get(agent, ())
    return any(word in marks or word.partition("=")[0] in marks for word in options)


def _above(pid: int) -> "list[Process]":
    found: list[Process] = []
    while pid > 0 and len(found) < ABOVE_MAX:
        process = _look(pid)
        if process is None:
            break
        found.append(process)
        pid = process.parent
    return found


if sys.platform == "linux":

    def _look(pid: int) -> Process | None:
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                return parse_stat(pid, file.read())
        except OSError:
            return None

    def _words(pid: int) -> list[str]:
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                return file.read().split("\0")[:-1]
        except OSError:
            return []

else:

    def _look(pid: int) -> Process | None:
        import psutil  # late: only a hook that takes or gives back comes here

        try:
            one = psutil.Process(pid)
            return Process(pid, one.ppid(), one.name(), str(one.create_time()))
        except psutil.Error:
            return None

    def _words(pid: int) -> list[str]:
        import psutil  # late, as above

        try:
            return psutil.Process(pid).cmdline()
        except psutil.Error:
            return []


def parse_stat(pid: int, text: str) -> Process:
    """Reads /proc/PID/stat. The name stands in brackets and may hold brackets itself."""
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return Process(pid, int(fields[1]), name, fields[19])
