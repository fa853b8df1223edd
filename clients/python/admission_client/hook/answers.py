"""What an agent is told: each has its own way, and a refusal must not set it trying again.

A hook that fails in any other way is ignored by the agent, which then goes on.
"""

from admission_client.hook.steps import OPERATION, SUBAGENT, TURN, Step

BLOCKED = 2


class Answer:
    """What the hook prints, and its exit status."""

    __slots__ = ("status", "stderr", "stdout")

    def __init__(self, stdout: str = "", stderr: str = "", status: int = 0) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.status = status


GO_ON = Answer()


def refusal(agent: str, event: str, step: Step, why: str) -> Answer:
    """The agent may not do this now.

    Args:
        agent: one of `options.AGENTS`.
        event: the event's name.
        step: what was to be taken; it can be refused.
        why: one sentence, without its full stop.
    """
    reason = f"{why}. {_advice(step)}"
    if agent == "gemini":
        return Answer(_json({"decision": "deny", "reason": reason}))
    if event == "PreToolUse":
        decision = {
            "hookEventName": event,
            "permissionDecision": "deny",
            "permissionDecisionReason": reason,
        }
        return Answer(_json({"hookSpecificOutput": decision}))
    return Answer(stderr=f"admission: {reason}\n", status=BLOCKED)


def only_said(why: str) -> Answer:
    """The agent goes on, as it can't be kept; a person who looks can see why that was wrong."""
    return Answer(stderr=f"admission: {why}\n")


def _advice(step: Step) -> str:
    if step.kind == SUBAGENT:
        return (
            "Do not start this agent again in the next 5 minutes: do its work yourself, one step "
            "after the other, or go on with something else."
        )
    if step.kind == OPERATION:
        return (
            "Do not run this command again right away: go on with work that needs no build or "
            "test, and run it later, once."
        )
    assert step.kind == TURN
    return 'Ask again in a while; "admission leases" shows who holds the slots.'


def _json(answer: dict[str, object]) -> str:
    import json  # late: most events need no answer

    return json.dumps(answer) + "\n"
