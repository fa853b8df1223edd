"""Facts: what can happen (events), what is to be done (effects), what is written down (records).

All of them are frozen values, so a run of the daemon can be kept, replayed and compared. Instants
(`*_at`) are seconds on the clock of the events, which never goes back; durations end in `_s`.
"""

from dataclasses import field
from math import inf

from admission.core import shedding
from admission.core.alarm import Alarm
from admission.core.answers import Answer as Answer
from admission.core.answers import Done as Done
from admission.core.answers import LeaseEnded as LeaseEnded
from admission.core.answers import Refused as Refused
from admission.core.answers import Told as Told
from admission.core.answers import ToldLevel as ToldLevel
from admission.core.answers import ToldReservation as ToldReservation
from admission.core.by_hand import ByHand, Moved, Paused, Reserved, Unpaused, Unreserved
from admission.core.deferral import Undeferred
from admission.core.estimates import Experience, Learnt
from admission.core.foresight import Remembered
from admission.core.governor import Throttle
from admission.core.leases import Caller, Claim, Holder, Lease, Reason, Waiter
from admission.core.levels import PoolSpec
from admission.core.order import Ageing
from admission.core.permits import Permitted
from admission.core.sample import Sample
from admission.core.values import value

# --- events -------------------------------------------------------------------------------------


@value
class Acquire:
    """A request for a lease. `wait_s`: None for ever, 0 now or not at all. `by_s`: it must have
    started within that; it is refused at once where the estimate says that it won't have.

    `parent` is a lease that the asking process says it runs under; it shares the lease of this
    pool whose holder stands among `ancestors`, itself and those above it, nearest first; unless
    it `is_new`, a lease of its own. Under which it stands is looked at all the same, as it may
    wait for its own end. It can `defer`: wait until the load is low, at the latest until `by_s`,
    which then refuses nobody.
    """

    caller: Caller
    claim: Claim
    wait_s: float | None = None
    parent: int | None = None
    ancestors: tuple[Holder, ...] = ()
    is_new: bool = False
    by_s: float | None = None
    resumes: int | None = None
    defer: bool = False


@value
class Cancel:
    """A client no longer wants what it asked for: by its request id, by its message's id, or by
    its ticket, which finds it only while it waits.

    `uid`: only what is this user's; None: whoever's it is.
    """

    caller: Caller
    request: bytes | None = None
    id: int | None = None
    uid: int | None = None
    ticket: int | None = None


@value
class Release:
    """A lease is given back. By anyone but its holder, or what runs below it, it is revoked."""

    caller: Caller
    lease: int
    ancestors: tuple[Holder, ...] = ()


@value
class Renew:
    caller: Caller
    lease: int


@value
class Yield:
    caller: Caller
    lease: int


@value
class Regain:
    caller: Caller
    lease: int
    wait_s: float | None = None


@value
class Resume:
    """A connection-bound lease is taken up again by the one who knows its secret."""

    caller: Caller
    lease: int
    secret: bytes


@value
class ConnectionClosed:
    connection: int


@value
class HolderExited:
    holder: Holder


@value
class TreeFound:
    """What is alive of all that a lease's holder started; nothing ends the lease.

    It may be late: of those in it, some may have exited since, and others been started. Only that
    nobody was left must be true, as then nobody can have been started.
    """

    lease: int
    left: tuple[Holder, ...]


@value
class TimePassed:
    """`Admission.wakeup()` has come."""


@value
class Sampled:
    sample: Sample
    local_h: float | None = None


@value
class SetLevel:
    """The level is set by hand; None gives it back to the governor. `for_s`: None until changed.

    `is_off`: nothing throttles any more, the memory budget neither.
    """

    caller: Caller
    level: int | None
    for_s: float | None = None
    is_off: bool = False


@value
class Woke:
    """The machine was asleep, which no clock of the events has noticed."""


@value
class Configured:
    """Other settings hold from now on. A pool that is not among `specs` stays as it is."""

    throttle: Throttle
    specs: tuple[PoolSpec, ...] = ()
    ageing: Ageing = Ageing()


@value
class JournalFailed:
    """These records could not be written; what they promised has not been told to anybody."""

    records: "tuple[Record, ...]"


@value
class JournalWorks:
    pass


@value
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
    | TreeFound
    | TimePassed
    | Sampled
    | Remembered
    | Experience
    | SetLevel
    | ByHand
    | Permitted
    | Woke
    | Configured
    | JournalFailed
    | JournalWorks
)


# --- records: what is written down, and what watchers are told ----------------------------------


@value
class Queued:
    waiter: Waiter


@value
class Left:
    """A waiter left the queue without a grant: the code of the answer it got says why."""

    ticket: int
    why: str


@value
class Granted:
    """`waiter` is who it was before, so that a grant that can't be written can be taken back.

    A record that was read back has none, and needs none.
    """

    lease: Lease
    waiter: Waiter | None = None


@value
class Regained:
    lease: int
    ticket: int
    waiter: Waiter | None = None
    over_at: float = inf


@value
class Yielded:
    lease: int


@value
class Renewed:
    lease: int
    expires_at: float


@value
class Followed:
    """The holder has exited; the lease goes on with those that it left."""

    lease: int
    left: tuple[Holder, ...]


@value
class Ended:
    """`before` is the lease as it was, for those who watch; the journal needs only its id."""

    lease: int
    reason: Reason
    before: Lease | None = field(default=None, compare=False, repr=False)


@value
class LevelChanged:
    """`by_hand_until`: None where the governor decided, inf where a hand did without an end."""

    level: int
    reasons: tuple[str, ...]
    by_hand_until: float | None = None
    is_off: bool = False


@value
class Numbered:
    """The highest numbers given out so far; they stand at the head of a compacted journal."""

    lease: int
    ticket: int
    reservation: int = 0


Record = (
    Numbered
    | Queued
    | Left
    | Granted
    | Regained
    | Yielded
    | Renewed
    | Followed
    | Ended
    | LevelChanged
    | Reserved
    | Unreserved
    | Paused
    | Unpaused
    | Moved
    | Undeferred
    | shedding.Record
)

# Records that promise units: if one can't be written, the promise is taken back. The others only
# lag behind the truth, which the next compaction writes anew.
Promise = (Granted, Regained, shedding.Frozen)


# --- effects ------------------------------------------------------------------------------------


@value
class Watch:
    """Learn of this process's end. Comes before anything that depends on it."""

    holder: Holder


@value
class Unwatch:
    holder: Holder


@value
class FindTree:
    """Find out what is alive of all that this lease's holder started, and feed `TreeFound`.

    One answer may do for all that were asked for before the look began. There must be one, however
    long it takes: until then nothing but its ttl, or somebody's wish, ends the lease.
    """

    lease: Lease


@value
class EndGently:
    """Ask the holder of this lease to end, as it was to be asked for; nothing else ends it."""

    lease: Lease


@value
class Alarmed:
    """Something waits or is held for too long; told once. `alarm` says what, and why."""

    alarm: Alarm


@value
class Persist:
    record: Record


Effect = (
    Watch | Unwatch | FindTree | EndGently | Alarmed | Persist | Learnt | Answer | shedding.Effect
)
