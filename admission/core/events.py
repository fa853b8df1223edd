"""Facts: what can happen (events), what is to be done (effects), what is written down (records).

All of them are frozen values, so a run of the daemon can be kept, replayed and compared. Instants
(`*_at`) are seconds on the clock of the events, which never goes back; durations end in `_s`.
"""

from dataclasses import dataclass, field

from admission.core.governor import Throttle
from admission.core.leases import Caller, Claim, Holder, Lease, Reason, Waiter
from admission.core.levels import PoolSpec
from admission.core.sample import Sample

# --- events -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Acquire:
    """A request for a lease. `wait_s`: None for ever, 0 now or not at all.

    `parent` is a lease that the asking process says it runs under; it shares the lease of this
    pool whose holder stands among `ancestors`, itself and those above it, nearest first.
    """

    caller: Caller
    claim: Claim
    wait_s: float | None = None
    parent: int | None = None
    ancestors: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancel:
    """A client no longer wants what it asked for: by its request id, or by its message's id."""

    caller: Caller
    request: bytes | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A lease is given back. By anyone but its holder, or what runs below it, it is revoked."""

    caller: Caller
    lease: int
    ancestors: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class Renew:
    caller: Caller
    lease: int


@dataclass(frozen=True, slots=True)
class Yield:
    caller: Caller
    lease: int


@dataclass(frozen=True, slots=True)
class Regain:
    caller: Caller
    lease: int
    wait_s: float | None = None


@dataclass(frozen=True, slots=True)
class Resume:
    """A connection-bound lease is taken up again by the one who knows its secret."""

    caller: Caller
    lease: int
    secret: bytes


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    connection: int


@dataclass(frozen=True, slots=True)
class HolderExited:
    holder: Holder


@dataclass(frozen=True, slots=True)
class TimePassed:
    """`Admission.wakeup()` has come."""


@dataclass(frozen=True, slots=True)
class Sampled:
    sample: Sample


@dataclass(frozen=True, slots=True)
class SetLevel:
    """The level is set by hand; None gives it back to the governor. `for_s`: None until changed.

    `is_off`: nothing throttles any more, the memory budget neither.
    """

    caller: Caller
    level: int | None
    for_s: float | None = None
    is_off: bool = False


@dataclass(frozen=True, slots=True)
class Configured:
    """Other settings hold from now on. A pool that is not among `specs` stays as it is."""

    throttle: Throttle
    specs: tuple[PoolSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class JournalFailed:
    """These records could not be written; what they promised has not been told to anybody."""

    records: "tuple[Record, ...]"


@dataclass(frozen=True, slots=True)
class JournalWorks:
    pass


@dataclass(frozen=True, slots=True)
class Restarted:
    """The first event after a start: what an earlier daemon wrote, and who of it still lives."""

    records: "tuple[Record, ...]"
    living: frozenset[Holder]


Event = (
    Restarted
    | Acquire
    | Cancel
    | Release
    | Renew
    | Yield
    | Regain
    | Resume
    | ConnectionClosed
    | HolderExited
    | TimePassed
    | Sampled
    | SetLevel
    | Configured
    | JournalFailed
    | JournalWorks
)


# --- records: what is written down, and what watchers are told ----------------------------------


@dataclass(frozen=True, slots=True)
class Queued:
    waiter: Waiter


@dataclass(frozen=True, slots=True)
class Left:
    """A waiter left the queue without a grant: the code of the answer it got says why."""

    ticket: int
    why: str


@dataclass(frozen=True, slots=True)
class Granted:
    """`waiter` is who it was before, so that a grant that can't be written can be taken back.

    A record that was read back has none, and needs none.
    """

    lease: Lease
    waiter: Waiter | None = None


@dataclass(frozen=True, slots=True)
class Regained:
    lease: int
    ticket: int
    waiter: Waiter | None = None


@dataclass(frozen=True, slots=True)
class Yielded:
    lease: int


@dataclass(frozen=True, slots=True)
class Renewed:
    lease: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class Ended:
    """`before` is the lease as it was, for those who watch; the journal needs only its id."""

    lease: int
    reason: Reason
    before: Lease | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class LevelChanged:
    """`by_hand_until`: None where the governor decided, inf where a hand did without an end."""

    level: int
    reasons: tuple[str, ...]
    by_hand_until: float | None = None
    is_off: bool = False


@dataclass(frozen=True, slots=True)
class Numbered:
    """The highest numbers given out so far; they stand at the head of a compacted journal."""

    lease: int
    ticket: int


Record = Numbered | Queued | Left | Granted | Regained | Yielded | Renewed | Ended | LevelChanged

# Records that promise units: if one can't be written, the promise is taken back. The others only
# lag behind the truth, which the next compaction writes anew.
Promise = (Granted, Regained)


# --- effects ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Watch:
    """Learn of this process's end. Comes before anything that depends on it."""

    holder: Holder


@dataclass(frozen=True, slots=True)
class Unwatch:
    holder: Holder


@dataclass(frozen=True, slots=True)
class Persist:
    record: Record


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a request that changed or found a lease; `shared`: it was held already."""

    caller: Caller
    lease: Lease
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """The answer to a request that needs no more than a yes, or says whether there was one."""

    caller: Caller
    found: bool | None = None


@dataclass(frozen=True, slots=True)
class ToldLevel:
    """The answer to a level set by hand: the level in force."""

    caller: Caller


@dataclass(frozen=True, slots=True)
class Refused:
    caller: Caller
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class LeaseEnded:
    """Tells the one who asked for a lease that it ended other than by its own wish."""

    caller: Caller
    lease: int
    reason: Reason


Answer = Told | ToldLevel | Done | Refused | LeaseEnded

Effect = Watch | Unwatch | Persist | Answer
