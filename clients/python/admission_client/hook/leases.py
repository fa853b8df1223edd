"""Takes and gives back the leases that an agent's events call for.

The lease is the agent's: it ends with the agent's process, whatever becomes of its events. By
whom it is known is a request id made of the agent, its session and what it is for; so the same
event twice is the same lease, and to give it back is to cancel that request.
"""

import os
import time
from hashlib import sha256

from admission.protocol import LABEL_CHARS_MAX, REQUEST_BYTES, AdmissionError, Frame, NoSlot
from admission_client.blocking import Client
from admission_client.granted import ANY_LEASE, claim_fields, enclosing_lease, workspace_here
from admission_client.hook.answers import GO_ON, Answer, only_said, refusal
from admission_client.hook.caller import Process, caller, is_headless
from admission_client.hook.payload import Payload
from admission_client.hook.steps import OPERATION, SESSION, SUBAGENT, TURN, Step
from admission_client.hook.subagents import Subagents, change
from admission_client.options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Less than the agents' own limits, which are 30 s for a prompt, 60 s and more for the rest.
WAIT_S = {"UserPromptSubmit": 25.0}
WAIT_ELSE_S = 50.0
PROCESS = "process"
STATE_KEPT_S = 7 * 86_400.0


class Call:
    """One call of the hook: who called, and what about."""

    def __init__(self, agent: str, payload: Payload, options: Options, process: Process) -> None:
        self.agent = agent
        self.payload = payload
        self.options = options
        self.process = process

    def request(self, key: str) -> bytes:
        """The request id of the lease that is known by this key."""
        # NUL stands in none of them; a process is in it, as a resumed session keeps its name.
        parts = (self.agent, self.payload.session, str(self.process.pid), self.process.started, key)
        return sha256("\0".join(parts).encode(errors="replace")).digest()[:REQUEST_BYTES]

    def change(self, act: "Callable[[Subagents], str | None]") -> str:
        """A step of what is known of this session's subagents."""
        return change(os.path.join(_state_folder(), self.request("state").hex()), act)


def carry_out(agent: str, payload: Payload, step: Step, options: Options) -> Answer:
    """Does it, and says what the agent is to be told."""
    process = caller(os.environ.get("CLAUDE_PID", "") if agent == "claude" else "")
    if process is None:
        return only_said("no agent stands above this hook: no lease was taken")
    call = Call(agent, payload, options, process)
    try:
        if step.does == "take":
            return _take(call, step)
        if step.does == "give":
            _give(call, step)
        else:
            call.change(lambda known: known.began(step.agent, step.use))
    except (AdmissionError, OSError) as problem:
        return only_said(str(problem))
    return GO_ON


# --- taking ---------------------------------------------------------------------------------------


def _take(call: Call, step: Step) -> Answer:
    if step.kind == SESSION:
        forget_old(_state_folder(), time.time())
    key = _key(call, step)
    if key is None:
        return GO_ON
    if step.kind == SUBAGENT and not step.agent:
        call.change(lambda known: known.take(step.use))
    try:
        _acquire(call, step, key)
    except AdmissionError as problem:
        if not isinstance(problem, NoSlot) and os.environ.get("ADMISSION_FAIL") == "open":
            return only_said(f"going on without a lease: {problem}")
        if not step.can_refuse:
            return only_said(str(problem))
        if step.kind == SUBAGENT:
            call.change(lambda known: known.drop(step.use))
        return refusal(call.agent, call.payload.event, step, _why(problem))
    return GO_ON


def _key(call: Call, step: Step) -> str | None:
    """By what the lease is known; None where the event needs none.

    A session that a person sits in front of holds a slot for as long as a turn; one that was
    started to do one thing holds it to its end.
    """
    if step.kind in (SESSION, TURN):
        if is_headless(call.agent, call.process.pid):
            return PROCESS
        return TURN if step.kind == TURN else None
    return f"{step.kind} {step.use or step.agent}"


def _acquire(call: Call, step: Step, key: str) -> None:
    wait_s = call.options.wait_s
    if wait_s is None:
        wait_s = WAIT_S.get(call.payload.event, WAIT_ELSE_S)
    fields = claim_fields(
        pool="operations" if step.kind == OPERATION else "agents",
        task=_label(f"{call.agent} {step.kind}{': ' * bool(step.task)}{step.task}"),
        group=_label(call.payload.session),
        pid=call.process.pid,
        is_interactive=not is_headless(call.agent, call.process.pid),
        agent=call.agent,
        workspace=workspace_here(),
    )
    if step.kind in (SESSION, TURN):
        fields |= _enclosing()
    request: Frame = {"request": call.request(key)}
    with Client(call.options.socket, autostart=True) as client:
        client.acquire(fields | request, wait_s)


def _enclosing() -> Frame:
    """An agent shares the lease that it was started under, and below another agent, that one's;
    but of its own leases, none stands for another.
    """
    lease = enclosing_lease()
    return {"parent": ANY_LEASE, "nested": "above"} if lease is None else {"parent": lease}


def _label(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text)[:LABEL_CHARS_MAX]


def _why(problem: AdmissionError) -> str:
    if isinstance(problem, NoSlot):
        what = str(problem).partition("; see")[0]
        return f"This machine has {what}"
    return f"Admission can't be asked ({problem}), and without it nothing is started"


# --- giving back ----------------------------------------------------------------------------------


def _give(call: Call, step: Step) -> None:
    if step.kind == SUBAGENT and call.agent == "claude":
        mine = call.change(lambda known: known.over(step.agent, step.use))
        keys = [f"{SUBAGENT} {mine}"] if mine else []
    elif step.kind == SESSION:
        keys = [TURN, PROCESS, *_forget(call)]
    else:
        keys = [TURN if step.kind == TURN else f"{step.kind} {step.use or step.agent}"]
    with Client(call.options.socket) as client:
        for key in keys:
            client.ask("cancel", {"request": call.request(key)})


def _forget(call: Call) -> list[str]:
    """The keys of the session's subagents, of which nothing is known from now on."""
    held: list[str] = []

    def act(known: Subagents) -> str:
        held.extend(known.held)
        known.held.clear()
        return ""

    call.change(act)
    return [f"{SUBAGENT} {use}" for use in held]


# --- what is known between two calls --------------------------------------------------------------


def _state_folder() -> str:
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    folder = os.path.join(home, "admission", "hooks")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return folder


def forget_old(folder: str, now: float) -> None:
    """Removes what sessions left behind that nobody has heard of for a week."""
    for entry in os.scandir(folder):
        if now - entry.stat(follow_symlinks=False).st_mtime > STATE_KEPT_S:
            os.unlink(entry.path)
