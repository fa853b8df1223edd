"""What the daemon granted, and what to ask it: the values that both clients share.

Plain classes, since `dataclasses` and `typing` cost a third of an interpreter's start, and
`admission run` comes through here on its way to an exec.
"""

import os

from admission.protocol import LABEL_CHARS_MAX, Frame, Unreachable

# What a command that runs under a lease finds in its environment.
LEASE_VARIABLE = "ADMISSION_LEASE"
# Says that there is one, whichever it is.
ANY_LEASE = 2**63 - 1
# Agents set these for what they run.
AGENT_VARIABLES = ("CLAUDECODE", "CLAUDE_PID", "CODEX_SANDBOX", "GEMINI_CLI", "GEMINI_SESSION_ID")


class Params:
    """What the throttle level in force asks of its agents; named as in the table of levels.

    `level` is 0 to 3; `max_agents` and `max_concurrent` count units; `batch_size` counts tasks;
    `delay_ms` is the pause between two of them; `reasoning_effort` is a word.
    """

    __slots__ = (
        "batch_size",
        "delay_ms",
        "level",
        "max_agents",
        "max_concurrent",
        "name",
        "reasoning_effort",
    )

    def __init__(self, params: Frame) -> None:
        self.level = whole(params, "level")
        self.name = text(params, "name")
        self.max_agents = whole(params, "max_agents")
        self.max_concurrent = whole(params, "max_concurrent")
        self.batch_size = whole(params, "batch_size")
        self.delay_ms = whole(params, "delay_ms")
        self.reasoning_effort = text(params, "reasoning_effort")

    def __repr__(self) -> str:
        return f"<Params of level {self.level} ({self.name})>"


class Lease:
    """The right to hold `weight` units of `pool` until it ends.

    `fence` only ever grows, across restarts of the daemon too: whoever guards a resource can
    refuse an older one. `is_shared`: it is the lease that this process runs under already, and not
    this one's to release. `reply` is all that the daemon answered.
    """

    __slots__ = (
        "fence",
        "id",
        "is_shared",
        "level",
        "params",
        "pool",
        "reply",
        "waited_s",
        "weight",
    )

    def __init__(self, reply: Frame) -> None:
        self.id = whole(reply, "lease")
        self.fence = whole(reply, "fence")
        self.pool = text(reply, "pool")
        self.weight = whole(reply, "weight")
        self.level = whole(reply, "level")
        self.waited_s = whole(reply, "waited_ms") / 1000
        self.is_shared = bool(reply.get("shared"))
        self.params = Params(mapping(reply, "params"))
        self.reply = reply

    def __repr__(self) -> str:
        return f"<Lease {self.id}: {self.weight} of {self.pool}>"

    def follow(self, later: "Lease") -> None:
        """Goes by what the daemon said of the same lease later: the level may be another one."""
        self.level, self.params, self.reply = later.level, later.params, later.reply

    def environment(self) -> dict[str, str]:
        """The variables by which a command learns what it was granted."""
        params = self.params
        return {
            LEASE_VARIABLE: str(self.id),
            "ADMISSION_FENCE": str(self.fence),
            "ADMISSION_LEVEL": str(self.level),
            "ADMISSION_BATCH_SIZE": str(params.batch_size),
            "ADMISSION_DELAY_MS": str(params.delay_ms),
            "ADMISSION_MAX_CONCURRENT": str(params.max_concurrent),
            "ADMISSION_REASONING_EFFORT": params.reasoning_effort,
        }


def enclosing_lease() -> int | None:
    """The lease that this process runs under, as its environment says."""
    written = os.environ.get(LEASE_VARIABLE, "")
    is_number = written.isascii() and written.isdigit() and len(written) < 19
    return int(written) or None if is_number else None


def parent_lease() -> int | None:
    """What to ask with, so that a process shares the lease that it runs under; None where it runs
    under none. Below an agent that was admitted by its hooks, the environment has no lease, but
    names the agent; the daemon goes by ancestry in any case.
    """
    is_below_agent = any(name in os.environ for name in AGENT_VARIABLES)
    return enclosing_lease() or (ANY_LEASE if is_below_agent else None)


def claim_fields(
    *,
    pool: str = "agents",
    weight: int = 1,
    task: str = "",
    class_: str = "normal",
    group: str = "",
    ttl_s: float | None = None,
    bound: str = "process",
    pid: int | None = None,
    parent: int | None = None,
    nested: str = "share",
    by_s: float | None = None,
    max_hold_s: float | None = None,
    end_after_max: bool = False,
    park_signal: str | None = None,
    resumes: int | None = None,
    is_interactive: bool | None = None,
    agent: str = "",
    workspace: str = "",
    defer: bool = False,
) -> Frame:
    """The fields of an `acquire`; docs/design.md, "On the socket", says what they mean.

    `park_signal`: None where it can't be parked, "" where by word alone. `is_interactive`: None
    for whoever has a terminal and can't be parked.
    """
    fields: Frame = {"pool": pool, "weight": weight, "task": task, "class": class_}
    fields |= {"group": group, "bound": bound, "ttl_s": ttl_s, "pid": pid, "parent": parent}
    fields |= {"by_s": by_s, "max_hold_s": max_hold_s, "end_after_max": end_after_max or None}
    if nested != "share":
        fields["nested"] = nested
    if park_signal is not None:
        fields |= {"parkable": True, "park_signal": park_signal or None}
    elif os.isatty(0) if is_interactive is None else is_interactive:
        fields["interactive"] = True
    fields |= {"resumes": resumes, "agent": agent or None, "workspace": workspace or None}
    fields["defer"] = defer or None
    return {name: value for name, value in fields.items() if value is not None}


def workspace_here() -> str:
    """Where this process works, as a label: the root of the repository, or else its folder."""
    try:
        folder = os.getcwd()
    except OSError:  # it was removed
        return ""
    above = folder
    while not os.path.exists(f"{above}/.git"):
        if above == (above := os.path.dirname(above)):
            return as_label(folder)
    return as_label(above)


def as_label(name: str) -> str:
    """A file's name as text: it may have any bytes for one."""
    return name.encode(errors="replace").decode()[:LABEL_CHARS_MAX]


def whole(frame: Frame, name: str) -> int:
    """The whole number of this name in an answer.

    Raises:
        Unreachable: there is none; what answers is no daemon that we understand. Likewise below.
    """
    value = frame.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _nonsense(name)


def number(frame: Frame, name: str) -> float:
    """The number of this name in an answer."""
    value = frame.get(name)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise _nonsense(name)


def text(frame: Frame, name: str) -> str:
    """The text of this name in an answer; it may stand in an environment, so it has no NUL."""
    value = frame.get(name)
    if isinstance(value, str) and "\0" not in value:
        return value
    raise _nonsense(name)


def mapping(frame: Frame, name: str) -> Frame:
    """The map of this name in an answer."""
    value = frame.get(name)
    if isinstance(value, dict):
        return value
    raise _nonsense(name)


def rows(frame: Frame, name: str) -> list[Frame]:
    """The list of maps of this name in an answer."""
    value = frame.get(name)
    if isinstance(value, list) and all(isinstance(row, dict) for row in value):
        return value
    raise _nonsense(name)


def words_of(frame: Frame, name: str) -> list[str]:
    """The list of texts of this name in an answer."""
    value = frame.get(name)
    if isinstance(value, list):
        return [str(one) for one in value]
    raise _nonsense(name)


def _nonsense(name: str) -> Unreachable:
    return Unreachable(
        f'what answers has no usable "{name}" in its answer: it is no admission daemon, or one of '
        'another version; restart it with "admission serve"'
    )
