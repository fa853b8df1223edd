"""The nouns: holder, claim, lease, waiter. Frozen values, replaced and never changed.

Instants (`*_at`, `*_until`) are seconds on the clock of the events, which never goes back;
durations end in `_s`.
"""

from enum import IntEnum, StrEnum
from math import inf

from admission.core.values import value


class Class(IntEnum):
    """Who goes first; smaller goes before larger."""

    CRITICAL = 0
    NORMAL = 1
    BATCH = 2


class Bound(StrEnum):
    """What ends a lease by itself, besides its ttl."""

    PROCESS = "process"
    CONNECTION = "connection"
    TREE = "tree"


class State(StrEnum):
    """What a lease can be in; `core.pool.LIVES` says how it moves between them."""

    HELD = "held"
    YIELDED = "yielded"
    DETACHED = "detached"
    ENDED = "ended"


class Reason(StrEnum):
    """Why a lease ended."""

    RELEASED = "released"
    HOLDER_EXITED = "holder exited"
    CONNECTION_CLOSED = "connection closed"
    TTL_PASSED = "ttl passed"
    REVOKED = "revoked"
    PARKED = "parked"


@value
class Holder:
    """The process a lease belongs to.

    A PID alone is reused within seconds; with the start time in kernel ticks since boot it names
    one process for as long as the machine is up.
    """

    pid: int
    start_ticks: int


# Whoever can't be seen from here, as in another PID namespace: nobody's PID, and all of them alike.
# Nothing waits for its end, and it may hold connection-bound leases only.
UNSEEN = Holder(0, 0)


@value
class Caller:
    """Where an answer goes: the connection, and the id that the client gave its request."""

    connection: int
    id: int


@value
class Claim:
    """What is asked for, the same from the request through the queue to the lease's end.

    `uid`: the user it belongs to; a request id is known to that user alone. `max_hold_s`: whoever
    holds it for longer is told of; with `end_after_max` its holder is asked to end as well.
    `agent` and `workspace` are labels, as `task` is: who works, and where.
    `parkable`: its holder can be asked to end under pressure, as whoever started it will start it
    again, by `park_signal` (empty: by word alone). `interactive`: a person works with it.
    """

    holder: Holder
    pool: str = "agents"
    weight: int = 1
    task: str = ""
    rank: Class = Class.NORMAL
    group: str = ""
    bound: Bound = Bound.CONNECTION
    ttl_s: float | None = None
    request: bytes | None = None
    secret: bytes = b""
    uid: int = 0
    max_hold_s: float | None = None
    end_after_max: bool = False
    parkable: bool = False
    park_signal: str = ""
    interactive: bool = False
    agent: str = ""
    workspace: str = ""


@value
class Lease:
    """The right to hold `claim.weight` units until it ends.

    `id` is the fencing token as well: it only ever grows. `caller` asked for it, and a
    connection-bound lease ends with that caller's connection. `ticket` is the place it had in the
    queue. `expires_at` is the ttl's end, `detached_until` the end of its chance to be taken up
    again by a holder whose daemon went away. `is_left`: its holder has exited, and it follows
    `tree`, those of the processes which that one started of whom no end was heard since. At
    `over_at` its units will have been out for as long as they were meant to, since they were last
    taken; while it is yielded, that means nothing. `is_frozen`: its holder stands still, since
    `frozen_at`, which is when it last did. `is_parking`: its holder was asked to end.
    """

    id: int
    claim: Claim
    ticket: int
    granted_at: float
    waited_s: float = 0.0
    state: State = State.HELD
    caller: Caller | None = None
    expires_at: float = inf
    detached_until: float = inf
    is_left: bool = False
    tree: tuple[Holder, ...] = ()
    over_at: float = inf
    is_frozen: bool = False
    frozen_at: float = -inf
    is_parking: bool = False

    @property
    def holders(self) -> tuple[Holder, ...]:
        """On whose lives it depends; none while it is being found out what its holder left."""
        return self.tree if self.is_left else (self.claim.holder,)

    @property
    def is_out(self) -> bool:
        """Whether its units are out: a detached holder may still be at work."""
        return self.state is State.HELD or self.state is State.DETACHED

    @property
    def due_at(self) -> float:
        """When it ends by itself if nothing happens."""
        return min(self.expires_at, self.detached_until)


@value
class Waiter:
    """A request in the queue; `ticket` is its place, and survives a reconnect.

    While its connection is away there is no `caller`, and at `away_until` it is dropped.
    `keeps_place`: others wait for its return, as it was the daemon that went away and not the
    client. `lease`: it asks for the units of a yielded lease again. `ahead`: a hand has put it
    ahead of its class, or below 0 behind it, or it comes back after it was parked; the larger goes
    earlier. `is_deferred`: it is put off until the load is low, and blocks nobody; that ends at
    `deferred_until` at the latest.
    """

    ticket: int
    claim: Claim
    caller: Caller | None
    queued_at: float
    deadline_at: float = inf
    away_until: float = inf
    keeps_place: bool = False
    lease: int | None = None
    ahead: int = 0
    is_deferred: bool = False
    deferred_until: float = -inf

    @property
    def is_away(self) -> bool:
        return self.caller is None

    @property
    def due_at(self) -> float:
        """When it leaves the queue by itself if nothing happens."""
        return min(self.deadline_at, self.away_until)
