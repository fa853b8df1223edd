"""What waiters are told: where each stands, why it is not granted, and in how long it may be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf

from admission.core.durations import said
from admission.core.filling import fitting, lets_pass, passed_until
from admission.core.foretelling import Course
from admission.core.leases import Waiter
from admission.core.pool import Pool
from admission.core.reserving import Kept


@dataclass(frozen=True, slots=True)
class Place:
    """Where a waiter stands: position from 1, why it is not granted, and a guess at how long.

    `eta_s` goes by what those before it are expected to last (`core.foretelling`), where anything
    was learnt of that, and else by how long a lease is out as a rule. It is None where no lease has
    ended yet, so that there is nothing to guess from. Who is put off may start earlier.
    """

    waiter: Waiter
    position: int
    reason: str
    eta_s: float | None


def places_of(pool: Pool, now: float) -> Iterator[Place]:
    """Every waiter with its place, in order; one pass over the queue."""
    reasons, kept = _Reasons(pool, now), pool.kept()
    eta_of = _foretold(pool, kept, now) if pool.expects else _guessed(pool, kept, now)
    for index, waiter in enumerate(pool.turns(kept)):
        yield Place(waiter, index + 1, reasons.of(waiter, index), eta_of(waiter, index))


def _foretold(pool: Pool, kept: Kept, now: float) -> Callable[[Waiter, int], float | None]:
    """In how long each starts, asked in their order, by what tasks last."""
    assert pool.expects is not None, "nothing was learnt"
    course = Course(pool, pool.expects, kept, now, pool.typical_hold_s(now))

    def eta_s(waiter: Waiter, index: int) -> float | None:
        starts_at = course.start_at(waiter)
        if waiter.is_deferred:
            starts_at = max(starts_at, waiter.deferred_until)
        return None if starts_at == inf else starts_at - now

    return eta_s


def _guessed(pool: Pool, kept: Kept, now: float) -> Callable[[Waiter, int], float | None]:
    """In how long each starts, asked in their order, by how long a lease is out as a rule."""
    capacity = pool.capacity
    typical_s = pool.typical_hold_s(now)
    units_ahead = pool.in_use - capacity
    paused_s = 0.0 if pool.paused_until is None else pool.paused_until - now

    def eta_of(waiter: Waiter, index: int) -> float | None:
        nonlocal units_ahead
        units_ahead += waiter.claim.weight
        reach = capacity - kept.barred(waiter.claim)
        if pool.spec.is_fleet:
            return None  # who waits on other machines, and for how long, is not known here
        if typical_s is None or waiter.claim.weight > reach or paused_s == inf:
            return None
        turns = max(units_ahead, 1) / reach
        spacing_s = index * pool.level.delay_s if pool.spec.is_spaced else 0.0
        eta_s = max(turns * typical_s, spacing_s) + paused_s
        return max(eta_s, waiter.deferred_until - now) if waiter.is_deferred else eta_s

    return eta_of


def reason_of(pool: Pool, waiter: Waiter, now: float) -> str:
    """Why this waiter is not granted, in words and numbers."""
    return _Reasons(pool, now).of(waiter)


def obstacle(pool: Pool, newcomer: Waiter, now: float) -> str:
    """Why this one would not be granted at once. It does not join."""
    pool.add(newcomer)
    why = reason_of(pool, newcomer, now)
    pool.remove(newcomer)
    return why


def estimate_s(pool: Pool, newcomer: Waiter, now: float) -> float | None:
    """In how long this one could start, by a guess; None without one. It does not join."""
    pool.add(newcomer)
    found = next(place for place in places_of(pool, now) if place.waiter is newcomer)
    pool.remove(newcomer)
    return found.eta_s


class _Reasons:
    """Those of all who wait for a pool at a moment; what they share is looked up once."""

    def __init__(self, pool: Pool, now: float) -> None:
        self._pool = pool
        self._now = now
        self._front = pool.front()
        self._next = fitting(pool, now)

    def of(self, waiter: Waiter, ahead: int | None = None) -> str:
        """Why this one is not granted; `ahead`: how many stand before it, where that is known."""
        pool, front = self._pool, self._front
        weight = waiter.claim.weight
        if waiter.is_away:
            return "its client is away"
        if waiter.is_deferred:
            left_s = waiter.deferred_until - self._now
            return f"deferred until the load is low, at the latest in {said(left_s)}"
        if (until := pool.pauses_until(waiter)) is not None:
            return (
                f"{waiter.claim.task} has run out of memory again and again, and pauses for "
                f"{said(until - self._now)} more"
            )
        if weight > pool.capacity:
            return (
                f"weight {weight} is more than the {pool.capacity} of {pool.spec.name} "
                f"at level {pool.level.level} ({pool.level.name})"
            )
        if why := self._withheld(waiter):
            return why
        if front is None:
            return "holders from before a restart have their chance to come back first"
        if waiter is self._next:
            return self._spacing()
        if front.claim.weight > pool.free:
            return self._full() + (self._passed() if waiter is front else "")
        if waiter is not front:
            ahead = pool.position(waiter) - 1 if ahead is None else ahead
            return f"{ahead} ahead in the queue"
        return self._too_little_memory(front) or self._spacing()

    def _too_little_memory(self, front: Waiter) -> str | None:
        """Of one for whom there are units; None where there is memory as well."""
        why = self._pool.objection(front)
        if why is None or not lets_pass(self._pool, front, self._now):
            return why
        return why + "; lighter tasks may pass it until one that is as heavy has ended"

    def _spacing(self) -> str:
        """Of one for whom there is room."""
        pool, now = self._pool, self._now
        if now < pool.hold_until and pool.in_use:
            return f"the machine has to settle; {pool.hold_until - now:.0f} s to go"
        if now < pool.ready_at():
            return (
                f"grants keep {pool.level.delay_s:g} s apart at level "
                f"{pool.level.level} ({pool.level.name})"
            )
        return "its turn has come"

    def _withheld(self, waiter: Waiter) -> str | None:
        """Why a hand's word keeps this one from what is free; None where none does."""
        pool, now, front = self._pool, self._now, self._front
        if pool.paused_until is not None:
            left_s = pool.paused_until - now
            return "paused by hand" + (f"; {said(left_s)} to go" if left_s < inf else "")
        if not pool.reservations.active:
            return None
        kept = pool.kept()
        if waiter.claim.weight > pool.capacity - kept.barred(waiter.claim):
            return kept.reason(waiter.claim, now)
        room = pool.capacity - pool.in_use - (front.claim.weight if front else 0)
        if front is not None and 0 <= room < pool.kept_from(front):
            return kept.reason(front.claim, now)
        return None

    def _full(self) -> str:
        pool = self._pool
        if pool.spec.name == "agents":
            return f"{pool.in_use} of {pool.capacity} agents run"
        if pool.spec.is_fleet:
            return pool.why_no_more or "the fleet is being asked"
        return f"{pool.in_use} of {pool.capacity} units of {pool.spec.name} are out"

    def _passed(self) -> str:
        """That smaller ones may have what is too little for the front waiter, and for how long."""
        pool, now, front = self._pool, self._now, self._front
        if front is None or pool.free <= 0:
            return ""
        asks = f"; it asks for {front.claim.weight}"
        if not lets_pass(pool, front, now):
            return f"{asks}, and what is freed is kept for it"
        return f"{asks}, and smaller ones may pass it for {said(passed_until(pool, front) - now)}"
