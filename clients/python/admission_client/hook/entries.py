"""What stands in each agent's settings so that it calls `admission hook`: a table.

Each agent waits for a hook only so long, and then goes on without its answer; ours comes before.
"""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from admission_client.files import own_program

# How long before the agent's own time-out the hook answers.
EARLIER_S = 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One event: for which of its matches, and for how long the hook may wait for a slot; 0 where
    it never does.
    """

    event: str
    matcher: str = ""
    wait_s: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """One agent: where its hooks stand, below home or in a project, and what they are."""

    file: str
    project_file: str
    entries: tuple[Entry, ...]
    timeout_per_s: int = 1
    note: str = ""


CLAUDE = (
    Entry("SessionStart", "startup|resume|fork", 580),
    Entry("UserPromptSubmit", wait_s=580),
    Entry("PreToolUse", "Agent|Task|Bash", 100),
    Entry("PostToolUse", "Agent|Task|Bash"),
    Entry("PostToolUseFailure", "Agent|Task|Bash"),
    Entry("SubagentStart"),
    Entry("SubagentStop"),
    Entry("Notification", "idle_prompt"),
    Entry("Stop"),
    Entry("SessionEnd"),
)
CODEX = (
    Entry("SessionStart", wait_s=580),
    Entry("UserPromptSubmit", wait_s=580),
    Entry("PreToolUse", "Bash", 100),
    Entry("PostToolUse", "Bash"),
    Entry("SubagentStart", wait_s=100),
    Entry("SubagentStop"),
    Entry("Stop"),
)
GEMINI = (
    Entry("SessionStart", wait_s=580),
    Entry("BeforeAgent", wait_s=580),
    Entry("BeforeTool", "run_shell_command", 100),
    Entry("AfterTool", "run_shell_command"),
    Entry("AfterAgent"),
    Entry("SessionEnd"),
)
KINDS = {
    "claude": Kind(".claude/settings.json", ".claude/settings.json", CLAUDE),
    "codex": Kind(
        ".codex/hooks.json",
        ".codex/hooks.json",
        CODEX,
        note="Codex runs new hooks only once you have looked at them: start it and enter /hooks.",
    ),
    "gemini": Kind(".gemini/settings.json", ".gemini/settings.json", GEMINI, timeout_per_s=1000),
}


def path_of(agent: str, *, is_project: bool) -> Path:
    """The file in which this agent's hooks stand; the real one, where it is a link to it."""
    kind = KINDS[agent]
    if is_project:
        return Path.cwd() / kind.project_file
    moved = {"claude": "CLAUDE_CONFIG_DIR", "codex": "CODEX_HOME"}.get(agent, "")
    if home := os.environ.get(moved):
        return Path(home) / Path(kind.file).name
    return Path.home() / kind.file


def program(*, is_project: bool) -> str:
    """By what the agent calls us. A project's settings are shared, and other machines have it
    elsewhere; a person's are not, and an agent that was started from a desktop has another PATH.
    """
    if is_project:
        return "admission"
    return own_program()


Groups = list[tuple[str, object]]


def groups(agent: str, program: str, more: list[str]) -> Groups:
    """What is to stand below each event, in order.

    Args:
        agent: one of `options.AGENTS`.
        program: by what it calls us.
        more: options that hold for every event.
    """
    return [(one.event, _group(agent, one, program, more)) for one in KINDS[agent].entries]


def _group(agent: str, entry: Entry, program: str, more: list[str]) -> dict[str, object]:
    wait = ["--wait", f"{entry.wait_s}s"] if entry.wait_s else []
    timeout_s = entry.wait_s + EARLIER_S if entry.wait_s else EARLIER_S // 2
    hook: dict[str, object] = {
        "type": "command",
        "command": shlex.join([program, "hook", "--agent", agent, *wait, *more]),
        "timeout": timeout_s * KINDS[agent].timeout_per_s,
    }
    if entry.wait_s and agent != "gemini":
        hook["statusMessage"] = "waiting for a slot"
    return ({"matcher": entry.matcher} if entry.matcher else {}) | {"hooks": [hook]}


def is_ours(command: object) -> bool:
    """Whether this command calls `admission hook`."""
    try:
        words = shlex.split(command) if isinstance(command, str) else []
    except ValueError:
        return False
    return len(words) > 1 and os.path.basename(words[0]) == "admission" and words[1] == "hook"
