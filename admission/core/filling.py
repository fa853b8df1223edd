"""Who is granted next: the front waiter, or one that fills in where that asks for too much.

What is free and too little for it would idle until enough is there. So smaller ones may have it, in
their order, and only of the class in which it stands; but only while it has waited for no longer
than `Ageing.fill_in_s`. That counts from when it came, so that nothing makes it begin anew: not a
place that changes, a client that comes back, nor another daemon. Once it is over, all that is freed
is kept for it. So what it can be held up by is what was granted to others in that time.

Where units are there and memory is not, a heavy task is passed by lighter ones, so that its height
does not meet that of another one: as long as one is out that is as heavy and came before it. Those
that pass are never as heavy, so that it waits for what was there, and no longer. `core.demand` says
who is heavy; of whom nothing is known is not passed.

Nobody passes one for whom units are reserved, nor one that waits for something else: the time
between two grants, its client.
"""

from math import inf

from admission.core.demand import NEARLY
from admission.core.leases import Waiter
from admission.core.pool import Pool

# So many who ask for too much are passed by one that does not; looking further would take a while.
PASSED_MAX = 32


def fitting(pool: Pool, now: float) -> Waiter | None:
    """Who could be granted but for the time between two grants; None where nobody could."""
    if pool.free <= 0 or not pool.order.waiters:
        return None
    front = pool.front()
    if front is None or pool.suits(front):
        return front
    return _filler(pool, front, now)


def grantable(pool: Pool, now: float) -> Waiter | None:
    """The waiter that is to be granted now, if any."""
    waiter = fitting(pool, now)
    return waiter if waiter is not None and pool.is_time_for(waiter, now) else None


def is_next(pool: Pool, newcomer: Waiter, now: float) -> bool:
    """Whether this one would be granted at once. It does not join."""
    if newcomer.claim.weight > pool.free:
        return False
    if not pool.order.waiters:
        is_reachable = not pool.passes_over(pool.kept())(newcomer)
        return is_reachable and pool.suits(newcomer) and pool.is_time_for(newcomer, now)
    if not pool.is_time_for(newcomer, now):
        return False
    pool.add(newcomer)
    found = fitting(pool, now) is newcomer
    pool.remove(newcomer)
    return found


def _filler(pool: Pool, front: Waiter, now: float) -> Waiter | None:
    """Who fills in before this front waiter, for whom there is no room; None where nobody may."""
    if len(pool.order.waiters) == 1 or not lets_pass(pool, front, now):
        return None  # as nearly always
    kept = pool.kept()
    is_passed_over = pool.passes_over(kept)
    rank = pool.order.rank_of(front)
    passed = 0
    below_bytes = inf
    for waiter in pool.turns(kept):
        if is_passed_over(waiter):
            continue
        if waiter.is_away or pool.order.rank_of(waiter) != rank or passed > PASSED_MAX:
            return None
        if pool.height_bytes(waiter) < below_bytes and pool.suits(waiter):
            return waiter
        if not lets_pass(pool, waiter, now):
            return None
        if pool.has_room(waiter):  # so it waits for the memory
            below_bytes = min(below_bytes, NEARLY * pool.height_bytes(waiter))
        passed += 1
    return None


def lets_pass(pool: Pool, waiter: Waiter, now: float) -> bool:
    """Whether this one may be passed, as there is too little for it."""
    if pool.paused_until is not None or pool.is_meant(waiter):
        return False
    if pool.has_room(waiter):
        return pool.waits_for_as_heavy(waiter)
    return max(now, pool.ready_at()) < passed_until(pool, waiter)


def passed_until(pool: Pool, waiter: Waiter) -> float:
    """From then on nobody passes this one any more."""
    return waiter.queued_at + pool.order.ageing.fill_in_s
