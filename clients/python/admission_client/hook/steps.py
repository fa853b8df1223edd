"""What an agent's event means for leases. Nothing here reads or asks anything.

Claude Code, Codex and Gemini CLI name their events alike or differently; what becomes of them are
a few steps that all of them share.
"""

from admission_client.hook.operations import is_operation
from admission_client.hook.payload import Payload

TURN = "turn"
SUBAGENT = "subagent"
OPERATION = "operation"
SESSION = "session"

# What the agents call the tools that matter. "Task" is an older name of "Agent".
SUBAGENT_TOOLS = ("Agent", "Task")
SHELL_TOOLS = ("Bash", "shell", "local_shell", "run_shell_command")
IDLE = "idle_prompt"


class Step:
    """One thing to do: `take` or `give` a lease of this kind, or note that a subagent `began`.

    `use` names the call of a tool, and `agent` the subagent that it led to, where the event says
    so. `can_refuse`: the agent heeds a refusal; else it is only kept waiting.
    """

    __slots__ = ("agent", "can_refuse", "does", "kind", "task", "use")

    def __init__(
        self,
        does: str,
        kind: str,
        *,
        use: str = "",
        agent: str = "",
        task: str = "",
        can_refuse: bool = False,
    ) -> None:
        self.does = does
        self.kind = kind
        self.use = use
        self.agent = agent
        self.task = task
        self.can_refuse = can_refuse

    def __repr__(self) -> str:
        return f"<{self.does} {self.kind} {self.use or self.agent}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]


def step_for(agent: str, payload: Payload, operations: list[list[str]]) -> Step | None:
    """What this event calls for; None where it calls for nothing.

    Args:
        agent: one of `options.AGENTS`.
        payload: the event.
        operations: the commands that count as heavy; see `hook.operations`.
    """
    if agent == "gemini":
        return _gemini(payload, operations)
    event = payload.event
    if event == "PreToolUse":
        return _before_tool(payload, operations)
    if event in ("PostToolUse", "PostToolUseFailure", "PermissionDenied"):
        return _after_tool(payload, operations)
    if event in ("SubagentStart", "SubagentStop"):
        return _subagent(agent, payload)
    return _session(agent, payload)


def _session(agent: str, payload: Payload) -> Step | None:
    match payload.event:
        case "SessionStart":
            # Claude Code only waits for it. Codex heeds it, but a session is no turn yet.
            return Step("take", SESSION)
        case "UserPromptSubmit":
            return Step("take", TURN, can_refuse=True)
        case "Stop" | "StopFailure" | "Interrupt":
            # What still works in the background works under this turn's lease.
            return None if payload.items("background_tasks") else Step("give", TURN)
        case "Notification":
            return Step("give", TURN) if payload.text("notification_type") == IDLE else None
        case "SessionEnd":
            return Step("give", SESSION)
        case _:
            return None


def _before_tool(payload: Payload, operations: list[list[str]]) -> Step | None:
    tool, use = payload.text("tool_name"), payload.text("tool_use_id")
    asked = payload.part("tool_input")
    if tool in SUBAGENT_TOOLS:
        task = asked.text("description") or asked.text("subagent_type")
        return Step("take", SUBAGENT, use=use, task=task, can_refuse=True)
    command = asked.text("command")
    if tool in SHELL_TOOLS and is_operation(command, operations):
        return Step("take", OPERATION, use=use or command, task=command, can_refuse=True)
    return None


def _after_tool(payload: Payload, operations: list[list[str]]) -> Step | None:
    tool, use = payload.text("tool_name"), payload.text("tool_use_id")
    command = payload.part("tool_input").text("command")
    if tool in SHELL_TOOLS and (not command or is_operation(command, operations)):
        return Step("give", OPERATION, use=use or command)
    if tool not in SUBAGENT_TOOLS:
        return None
    answer = payload.part("tool_response")
    # One in the background has only just begun.
    is_launched = answer.text("status") == "async_launched"
    return Step("began" if is_launched else "give", SUBAGENT, use=use, agent=answer.text("agentId"))


def _subagent(agent: str, payload: Payload) -> Step:
    name = payload.text("agent_id")
    if payload.event == "SubagentStop":
        return Step("give", SUBAGENT, agent=name)
    if agent == "codex":  # nothing came before it that could have been refused
        return Step("take", SUBAGENT, agent=name, task=payload.text("agent_type"))
    return Step("began", SUBAGENT, agent=name)


def _gemini(payload: Payload, operations: list[list[str]]) -> Step | None:
    command = payload.part("tool_input").text("command")
    match payload.event:
        case "SessionStart":
            return Step("take", SESSION)
        case "BeforeAgent":
            return Step("take", TURN, can_refuse=True)
        case "AfterAgent":
            return Step("give", TURN)
        case "BeforeTool" if is_operation(command, operations):
            # Its calls have no names: two at once of the same command share a lease.
            return Step("take", OPERATION, use=command, task=command, can_refuse=True)
        case "AfterTool" if is_operation(command, operations):
            return Step("give", OPERATION, use=command)
        case "SessionEnd":
            return Step("give", SESSION)
        case _:
            return None
