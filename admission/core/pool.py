"""One semaphore: its capacity, its leases and its queue.

A pool decides who is next and whether there is room. It keeps the only record of what is out, the
table `leases`; units in use, and those of each group, follow from it: `_count` notes each change
of the table, and nothing else changes them. Who goes first is `core.order`'s affair; when a lease
ends, why, and who is told is `core.admission`'s.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf

from admission.core.averages import median
from admission.core.budget import Memory
from admission.core.demand import Demand
from admission.core.estimates import Estimate
from admission.core.learning import Learner
from admission.core.leases import Claim, Lease, State, Waiter
from admission.core.levels import Level, PoolSpec
from admission.core.order import Listing, Queue
from admission.core.reserving import NOTHING, Kept, Kind, Reservations, kind_of

# What a lease can live through. Ending is always possible; nothing follows it.
LIVES: dict[State, frozenset[State]] = {
    State.HELD: frozenset({State.YIELDED, State.DETACHED, State.ENDED}),
    State.YIELDED: frozenset({State.HELD, State.DETACHED, State.ENDED}),
    State.DETACHED: frozenset({State.HELD, State.YIELDED, State.ENDED}),
    State.ENDED: frozenset(),
}

HOLD_TIMES_KEPT = 30


class Pool:
    """See the module. `level` is the one in force; the daemon's governor changes it.

    So it does `limit`, the capacity where it is not the level that sets it, `memory`, by which the
    budget judges, and `hold_until`, before which nothing is added to what is out. A hand changes
    `reservations` and `paused_until`, before which nothing is granted; None: it is not paused.
    Of a fleet pool, `permits` are the units that may be added to what is out, until
    `permitted_until`, and `why_no_more` says why there are not more.
    """

    def __init__(self, spec: PoolSpec, level: Level) -> None:
        self.spec = spec
        self.level = level
        self.leases: dict[int, Lease] = {}
        # Invariant: the units of those of `leases` that are out.
        self.in_use = 0
        self.order = Queue()
        # How many waiters there are of each kind, so that those need not be looked through of whom
        # no reservation means any. None until somebody has to know it.
        self._kinds: dict[Kind, int] | None = None
        # The places of all who wait, until anything but a leave changes one.
        self._listing: Listing | None = None
        self.limit: int | None = None
        self.limit_max = 0
        self.memory: Memory | None = None
        # What is learnt of its leases; None where that is of no account.
        self.learner: Learner | None = None
        self._is_pausing = False
        self.hold_until = -inf
        self.reservations = Reservations()
        self.paused_until: float | None = None
        self.permits = 0
        self.permitted_until = -inf
        self.why_no_more = ""
        self.last_grant_at = -inf
        # What a lease of a claim is expected to take; None while nothing was learnt.
        self.expects: Callable[[Claim], Estimate | None] | None = None
        self._hold_times_s: deque[float] = deque(maxlen=HOLD_TIMES_KEPT)

    @property
    def capacity(self) -> int:
        return self.spec.capacity[self.level.level] if self.limit is None else self.limit

    @property
    def free(self) -> int:
        """How many units could be out besides those that are."""
        # As `capacity`, which is not asked, as this is asked all the time.
        most = self.spec.capacity[self.level.level] if self.limit is None else self.limit
        free = most - self.in_use
        return min(free, self.permits) if self.spec.is_fleet else free

    @property
    def capacity_max(self) -> int:
        """The most that it can ever be, as configured."""
        return max(self.spec.capacity_max, self.limit_max)

    @property
    def waiters(self) -> dict[int, Waiter]:
        return self.order.waiters

    @property
    def overcommitted(self) -> int:
        """By how many units more are out than the capacity, since it shrank."""
        return max(0, self.in_use - self.capacity)

    # --- the queue ------------------------------------------------------------------------------

    def add(self, waiter: Waiter) -> None:
        self._listing = None
        self.order.add(waiter)
        if self._kinds is not None:
            kind = kind_of(waiter.claim)
            self._kinds[kind] = self._kinds.get(kind, 0) + 1

    def remove(self, waiter: Waiter) -> None:
        self.order.remove(waiter)
        if self._kinds is not None:
            kind = kind_of(waiter.claim)
            self._kinds[kind] -= 1
            if not self._kinds[kind]:
                del self._kinds[kind]
        if self._listing is not None:
            self._listing.remove(waiter.ticket)

    def update(self, waiter: Waiter) -> None:
        """The same ticket with another caller or deadline, or moved by a hand."""
        self._listing = None
        self.order.update(waiter)

    def age(self, waiter: Waiter, now: float) -> None:
        """It stands in the class that it has reached by now."""
        self._listing = None
        self.order.age(waiter, now)

    def queue(self) -> Iterator[Waiter]:
        """The waiters in their order, whatever is reserved for whom."""
        return self.order.in_order(self.passes_over(self.kept()))

    def turns(self, kept: Kept) -> Iterator[Waiter]:
        """The waiters as they are served: first those for whom units are kept."""
        if kept is NOTHING:
            self._kinds = None
            return self.queue()
        if self._kinds is None:
            self._kinds = dict(Counter(kind_of(one.claim) for one in self.waiters.values()))
        return kept.first(self.queue()) if kept.is_for_any(self._kinds) else self.queue()

    def kept(self) -> Kept:
        """What reservations keep free now."""
        active = self.reservations.active
        return Kept(active, self.leases.values()) if active else NOTHING

    def position(self, waiter: Waiter) -> int:
        """From 1; where many have just left, about."""
        if self.reservations.active:
            return [one.ticket for one in self.turns(self.kept())].index(waiter.ticket) + 1
        listing = self._listing
        if listing is None or listing.is_worn or listing.capacity != self.capacity:
            listing = self._listing = Listing(self.queue(), self.capacity)
        return listing.position(waiter.ticket)

    def ordinal(self, waiter: Waiter) -> str:
        """Its position as a person says it: 1st, 2nd, 11th."""
        number = self.position(waiter)
        ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
        return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"

    def front(self) -> Waiter | None:
        """Who is served next, whether or not there is room; None where nobody is to be.

        Nobody overtakes it, however small, so a large request can't starve. Three are passed over
        and keep their place: one that wants more than the whole capacity of this level, less what
        is reserved for others (waiting for it would idle the machine until the level falls), one
        whose client is away, and one that is put off or whose task pauses. If the daemon was away
        instead, all wait until its waiters have had their chance to return.
        """
        kept = self.kept()
        if kept is NOTHING:
            first = self.order.first()
            if first is None or self._is_front(first):
                return first  # as it is nearly always
        is_passed_over = self.passes_over(kept)
        for waiter in self.turns(kept):
            if not is_passed_over(waiter):
                return None if waiter.is_away else waiter
        return None

    def _is_front(self, first: Waiter) -> bool:
        """Whether the first one is not passed over, where nothing is reserved."""
        if first.is_deferred or not first.caller:
            return False
        has_room = first.claim.weight <= self.capacity
        return has_room and (not self._is_pausing or self.pauses_until(first) is None)

    def passes_over(self, kept: Kept) -> Callable[[Waiter], bool]:
        """Says of whom nobody waits for, as what they ask for can't be had as things are, or they
        are put off, or their client is away.
        """
        capacity = self.capacity

        def is_passed_over(waiter: Waiter) -> bool:
            if waiter.is_deferred or (waiter.is_away and not waiter.keeps_place):
                return True
            if self.pauses_until(waiter) is not None:
                return True
            return waiter.claim.weight > capacity - kept.barred(waiter.claim)

        return is_passed_over

    def ready_at(self) -> float:
        """When the next grant may come: grants keep the level's delay between them.

        After the machine has slept, nothing is added to what is out for a while.
        """
        if not self.spec.is_spaced:
            return -inf
        spaced_at = self.last_grant_at + self.level.delay_s
        return max(spaced_at, self.hold_until) if self.in_use else spaced_at

    def suits(self, waiter: Waiter) -> bool:
        """Whether this one could have what it asks for, were it the front one."""
        if self.paused_until is not None:
            return False
        if not self.has_room(waiter):
            return False
        return self.objection(waiter) is None

    def has_room(self, waiter: Waiter) -> bool:
        """Whether as many units are free as it asks for, less what is kept for others."""
        return waiter.claim.weight <= self.free - self.kept_from(waiter)

    def is_meant(self, waiter: Waiter) -> bool:
        """Whether a reservation keeps units for this one, as many as it asks for."""
        return bool(self.reservations.active) and self.kept().is_for(waiter.claim)

    def kept_from(self, waiter: Waiter) -> int:
        """What is kept free from this one."""
        if not self.reservations.active or self.is_meant(waiter):
            return 0
        return self.kept().from_others(waiter.claim)

    def objection(self, waiter: Waiter) -> str | None:
        """Why the memory budget is against this waiter; None where it is not."""
        if self.memory is None or self.is_meant(waiter):
            return None
        leases, kept = self.leases.values(), self.kept_from(waiter)
        return (self._demand or self.memory).objection(waiter, leases, kept)

    @property
    def _demand(self) -> Demand | None:
        """The budget by what was learnt; None where nothing was."""
        if self.memory is None or self.learner is None or not self.learner.has_a_say:
            return None
        return Demand(self.memory, self.learner)

    def waits_for_as_heavy(self, waiter: Waiter) -> bool:
        """Whether lighter ones need not wait until there is memory for this one."""
        demand = self._demand
        return demand is not None and demand.waits_for_as_heavy(waiter, self.leases.values())

    def height_bytes(self, waiter: Waiter) -> float:
        """What this one is expected to come to; 0 where that is of no account."""
        demand = self._demand
        return 0.0 if demand is None else demand.expected(waiter.claim).peak_bytes

    def pauses_until(self, waiter: Waiter) -> float | None:
        """Until when this one's task pauses, as it runs out of memory each time; None for not."""
        if self.learner is None or not self.learner.paused or waiter.lease is not None:
            return None
        return self.learner.paused_until(waiter.claim)

    def note_pauses(self) -> None:
        """Other tasks pause than did."""
        self._is_pausing = self.learner is not None and bool(self.learner.paused)
        self._listing = None

    def is_time_for(self, waiter: Waiter, now: float) -> bool:
        """Whether the level's delay is over, which holds up nobody whom a reservation means."""
        return now >= self.ready_at() or self.is_meant(waiter)

    # --- the leases -----------------------------------------------------------------------------

    def put(self, lease: Lease) -> None:
        """The lease enters the table, or takes its old self's place there."""
        self._count(self.leases.get(lease.id), lease)
        self.leases[lease.id] = lease

    def move(self, lease: Lease, state: State) -> Lease:
        """The lease in its next state, which the table `LIVES` allows."""
        assert state in LIVES[lease.state], f"lease {lease.id}: {lease.state} can't be {state}"
        moved = replace(lease, state=state)
        self.put(moved)
        return moved

    def end(self, lease: Lease) -> None:
        """The lease leaves the table, and nothing follows."""
        assert State.ENDED in LIVES[lease.state], f"lease {lease.id} has ended already"
        self._count(self.leases.pop(lease.id), None)

    def _count(self, old: Lease | None, new: Lease | None) -> None:
        """A lease changes in the table: None, where it was not or will not be there."""
        was_out = old is not None and old.is_out
        is_out = new is not None and new.is_out
        if was_out == is_out:
            return
        claim = (new or old).claim  # type: ignore[union-attr]
        units = claim.weight if is_out else -claim.weight
        self.in_use += units
        self._listing = None
        self.order.count(claim, units)

    def note_grant(self, waiter: Waiter) -> None:
        """It was granted what it asked for. What it only regains, its group got before."""
        self.permits -= waiter.claim.weight if self.spec.is_fleet else 0
        if waiter.lease is None:
            self._listing = None
            self.order.charge(waiter.claim)

    def note_taken_back(self, waiter: Waiter) -> None:
        """It was not, after all, and waits again."""
        self.permits += waiter.claim.weight if self.spec.is_fleet else 0
        if waiter.lease is None:
            self._listing = None
            self.order.forgive(waiter.claim)

    def note_hold(self, hold_s: float) -> None:
        """Remembers how long a lease was out, for the guess at how long others wait."""
        self._hold_times_s.append(hold_s)

    def typical_hold_s(self, now: float) -> float | None:
        """How long a lease is out as a rule; those still out count with what they have reached."""
        if not self._hold_times_s:
            return None
        so_far_s = [now - lease.granted_at for lease in self.leases.values() if lease.is_out]
        return median([*self._hold_times_s, *so_far_s])
