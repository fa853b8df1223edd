"""Agents of a test's own, which tell their hooks what happens to them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.system.stage import COMMAND, Stage

SCRIPT = Path(__file__).parent / "agent.py"


class Answer(NamedTuple):
    """How a hook ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def is_refused(self) -> bool:
        """As Claude Code sees it."""
        return self.status == 2 or '"deny"' in self.out


class Agent:
    """One process that calls hooks; `words` are its own command line's."""

    def __init__(self, stage: Stage, *words: str, kind: str = "claude", under: str = "") -> None:
        self.kind = kind
        self.session = f"session-{os.urandom(4).hex()}"
        command = [sys.executable, str(SCRIPT), *words]
        if under:
            command = [*COMMAND, "run", "--", *command]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=stage.env,
            cwd=stage.folder,
            start_new_session=True,
        )
        self._told = 0
        self._answers: dict[int, Answer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def tell(self, event: str, *hook: str, says_pid: bool = True, **fields: Any) -> int:
        """Something happens; its hook runs beside whatever else does."""
        words = [*COMMAND, "hook", "--agent", self.kind, *hook]
        about = {"hook_event_name": event, "session_id": self.session, "cwd": "/", **fields}
        return self._write({**about, "hook": words, "says_pid": says_pid})

    def start(self, *command: str) -> None:
        """A command that runs below the agent."""
        self._write(list(command))

    def _write(self, asked: object) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.process.stdin.flush()
        self._told += 1
        return self._told - 1

    def answer(self, number: int) -> Answer:
        """How the hook of this event ended, when it has."""
        assert self.process.stdout is not None
        while number not in self._answers:
            said = json.loads(self.process.stdout.readline())
            self._answers[said["number"]] = Answer(said["status"], said["out"], said["err"])
        return self._answers[number]

    def ask(self, event: str, *hook: str, **fields: Any) -> Answer:
        return self.answer(self.tell(event, *hook, **fields))


# --- a session as Claude Code has it --------------------------------------------------------------


Fields = dict[str, Any]


def before_subagent(number: int) -> Fields:
    asked = {"description": f"part {number}", "prompt": "…", "subagent_type": "general-purpose"}
    return {"tool_name": "Agent", "tool_use_id": f"toolu_{number}", "tool_input": asked}


def after_subagent(number: int, status: str = "completed") -> Fields:
    answer = {"status": status, "agentId": f"agent-{number}"}
    return {**before_subagent(number), "tool_response": answer}


def story() -> list[tuple[str, Fields]]:
    """A turn with two subagents, one of them in the background, and a heavy command."""
    make: Fields = {
        "tool_name": "Bash",
        "tool_use_id": "toolu_9",
        "tool_input": {"command": "make all"},
    }
    return [
        ("SessionStart", {"source": "startup"}),
        ("UserPromptSubmit", {"prompt": "do it"}),
        ("PreToolUse", before_subagent(1)),
        ("SubagentStart", {"agent_id": "agent-1", "agent_type": "general-purpose"}),
        ("PostToolUse", after_subagent(1, "async_launched")),
        ("PreToolUse", before_subagent(2)),
        ("SubagentStart", {"agent_id": "agent-2", "agent_type": "general-purpose"}),
        ("SubagentStop", {"agent_id": "agent-2", "stop_hook_active": False}),
        ("PostToolUse", after_subagent(2)),
        ("PreToolUse", make),
        ("PostToolUse", {**make, "tool_response": {"stdout": ""}}),
        ("Stop", {"stop_hook_active": False, "background_tasks": [{"id": "agent-1"}]}),
        ("SubagentStop", {"agent_id": "agent-1", "stop_hook_active": False}),
        ("UserPromptSubmit", {"prompt": "<task-notification>"}),
        ("Stop", {"stop_hook_active": False, "background_tasks": []}),
        ("SessionEnd", {"reason": "prompt_input_exit"}),
    ]
