"""When each waiter is expected to start, by what the tasks before it are expected to last; and how
such words have done.

The leases that are out end one after the other, each when its task is expected to be over. One that
is older than that is expected for half of its age more: whoever has lasted so long is known to be
of the long ones, and of how long those are nothing better is known. Whoever waits takes its units
in its turn, and is one of those that end. The level's delay lies between two grants; what a
reservation keeps, and a pause, hold up whom they hold up. Left aside is what nobody can foresee:
the memory budget, another level, who comes later and goes before, who fills in, who gives up.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import inf

from admission.core.averages import median
from admission.core.budget import Budget
from admission.core.estimates import Estimate
from admission.core.governor import Governor
from admission.core.learning import Estimates
from admission.core.leases import Claim, Lease, Waiter
from admission.core.pool import Pool
from admission.core.reserving import Kept

# Of its age, for how long a lease goes on that is older than its task lasts.
OVERDUE_SHARE = 0.5
# So many that were granted are remembered beside what they were told, so many who wait at most.
SCORED_MAX, TOLD_MAX = 200, 20_000
# Waits shorter than this are as good as none: being off by a second is no error.
SHORT_S = 1.0

# What a lease of this claim is expected to take; None where nothing is known.
Expects = Callable[[Claim], Estimate | None]


def left_s(lasts_s: float, age_s: float) -> float:
    """For how long one of this age goes on, whose like last so long."""
    return lasts_s - age_s if age_s < lasts_s else OVERDUE_SHARE * age_s


def expecting(estimates: Estimates, budget: Callable[[], Budget]) -> Expects:
    """What leases take by these estimates, now and later; None of what is not like any that ran."""

    def expects(claim: Claim) -> Estimate | None:
        prior = Estimate(budget().mean_bytes, budget().peak_bytes, 1.0)
        found = estimates.of(claim, prior)
        return None if found.lasts_s is None else found

    return expects


def expect(pool: Pool | None, estimates: Estimates, governor: Governor) -> None:
    """Lets the pool go by what was learnt, once anything was."""
    if pool is not None and pool.expects is None and estimates.knows_any:
        pool.expects = expecting(estimates, lambda: governor.throttle.budget)


class Course:
    """How a pool is expected to go on from a moment; ask for its waiters in their order.

    `typical_s`: what one lasts of which nothing is known; None: that is not known either.
    """

    def __init__(
        self, pool: Pool, expects: Expects, kept: Kept, now: float, typical_s: float | None
    ) -> None:
        self._pool = pool
        self._expects = expects
        self._kept = kept
        self._typical_s = typical_s
        self._busy = pool.in_use
        # Of those who are alike, what they last.
        self._known: dict[tuple[int, str, str, str], float | None] = {}
        # When units come back, and how many; `inf`: nobody knows.
        self._ends = [
            (now + self._left_s(lease, now), lease.claim.weight)
            for lease in pool.leases.values()
            if lease.is_out
        ]
        heapify(self._ends)
        paused_until = now if pool.paused_until is None else pool.paused_until
        self._next_at = max(now, paused_until, pool.ready_at())
        self._spacing_s = pool.level.delay_s if pool.spec.is_spaced else 0.0
        self._is_passed_over = pool.passes_over(kept)

    def _left_s(self, lease: Lease, now: float) -> float:
        lasts_s = self._lasts_s(lease.claim)
        return inf if lasts_s is None else left_s(lasts_s, now - lease.granted_at)

    def _lasts_s(self, claim: Claim) -> float | None:
        likes = (claim.uid, claim.task, claim.agent, claim.workspace)
        if likes not in self._known:
            estimate = self._expects(claim)
            lasts_s = None if estimate is None else estimate.lasts_s
            self._known[likes] = self._typical_s if lasts_s is None else lasts_s
        return self._known[likes]

    def start_at(self, waiter: Waiter) -> float:
        """When this one starts, who is next of those not asked about; inf where nobody knows."""
        weight = waiter.claim.weight
        reach = self._pool.capacity - self._kept.barred(waiter.claim)
        if weight > reach:
            return inf
        while self._ends and self._busy + weight > reach:
            ends_at, units = heappop(self._ends)
            self._busy -= units
            self._next_at = max(self._next_at, ends_at)
        starts_at = self._next_at
        if not self._is_passed_over(waiter):
            lasts_s = self._lasts_s(waiter.claim)
            self._busy += weight
            heappush(self._ends, (inf if lasts_s is None else starts_at + lasts_s, weight))
            self._next_at += self._spacing_s
        return starts_at


@dataclass(frozen=True, slots=True)
class Score:
    """How waits compared with what was foretold of them.

    Attributes:
        waits: of so many, the last ones.
        error: the median of how far each was off, as a share of the wait that it was.
        within_two: the share that waited at least half as long, and at most twice.
    """

    waits: int
    error: float
    within_two: float


class Foretold:
    """What each waiter was first told, until it starts; and how that has done."""

    def __init__(self) -> None:
        self._told: dict[int, tuple[float, float]] = {}
        self._waits: deque[tuple[float, float]] = deque(maxlen=SCORED_MAX)

    def note(self, ticket: int, eta_s: float | None, now: float) -> None:
        """This one was told so; only the first word counts."""
        if eta_s is not None and ticket not in self._told and len(self._told) < TOLD_MAX:
            self._told[ticket] = (eta_s, now)

    def start(self, ticket: int, at: float) -> None:
        """It has what it asked for."""
        if told := self._told.pop(ticket, None):
            eta_s, told_at = told
            self._waits.append((max(eta_s, SHORT_S), max(at - told_at, SHORT_S)))

    def leave(self, ticket: int) -> None:
        """It waits no more, and what it was told can't be judged."""
        self._told.pop(ticket, None)

    def score(self) -> Score | None:
        """None where nobody who was told anything has started."""
        if not self._waits:
            return None
        errors = [abs(eta_s - wait_s) / wait_s for eta_s, wait_s in self._waits]
        near = [wait_s / 2 <= eta_s <= 2 * wait_s for eta_s, wait_s in self._waits]
        return Score(len(errors), median(errors), sum(near) / len(near))
