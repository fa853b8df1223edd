"""Who is put off until the load is low, and who no longer is, in other words than the core's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from admission.core import events as ev
from admission.core.deferral import Undeferred
from admission.core.leases import Waiter

if TYPE_CHECKING:
    from tests.core.books import Books


class Rest:
    """For how long the machine has been idle, by the samples that counted."""

    def __init__(self) -> None:
        self.last: float | None = None
        self.began: float | None = None
        # When one was let go.
        self.broken: float | None = None


def bound_s(books: Books, event: ev.Acquire) -> float:
    """For how long it is put off; of no task it is known how long it lasts."""
    return books.governor.throttle.defer.max_s if event.by_s is None else event.by_s


def put_off(waiter: Waiter, for_s: float) -> Waiter:
    return replace(waiter, is_deferred=True, deferred_until=waiter.queued_at + for_s)


def put_off_no_longer(books: Books, waiter: Waiter) -> None:
    books.waiters[waiter.ticket] = replace(waiter, is_deferred=False)
    books.chains.append([ev.Persist(Undeferred(waiter.ticket))])


def deferred(books: Books) -> list[Waiter]:
    return [one for _, one in sorted(books.waiters.items()) if one.is_deferred]


def due_next(books: Books) -> float:
    return min([one.deferred_until for one in deferred(books)], default=inf)


def pass_time(books: Books, now: float) -> None:
    for waiter in deferred(books):
        if waiter.deferred_until <= now:
            put_off_no_longer(books, waiter)


def follow(books: Books, now: float, event: ev.Event) -> None:
    """What a sample that counts, or a sleep, says of the load."""
    rest = books.rest
    if isinstance(event, ev.Woke):
        rest.began = None
    if not isinstance(event, ev.Sampled) or event.sample is not books.governor.sample:
        return
    at, cpu_pct = event.sample.at, event.sample.cpu_used_pct
    gap_s = books.governor.throttle.patience.gap_s
    has_seen_all = rest.last is not None and at - rest.last <= gap_s
    is_idle = cpu_pct is not None and cpu_pct <= books.governor.throttle.defer.idle_cpu_pct
    if not is_idle:
        rest.began = None
    elif rest.began is None or not has_seen_all:
        rest.began = at
    rest.last = at
    for pool in books.specs:
        _let_one_go(books, now, pool)


def _let_one_go(books: Books, now: float, pool: str) -> None:
    line = sorted(books.line(now, pool), key=lambda one: not books.is_first(one))
    if pool in books.hand.paused or any(not books.is_passed_over(one) for one in line):
        return
    for waiter in line:
        if waiter.is_deferred and waiter.caller is not None and _is_low(books, waiter):
            put_off_no_longer(books, waiter)
            assert books.governor.sample is not None
            books.rest.broken = books.governor.sample.at
            return


def _is_low(books: Books, waiter: Waiter) -> bool:
    reading, throttle, budget = (
        books.governor.sample,
        books.governor.throttle,
        books.governor.throttle.budget,
    )
    assert reading is not None
    pool, weight = waiter.claim.pool, waiter.claim.weight
    kept = (
        0 if books.is_first(waiter) else books.hand.kept_from(waiter.claim, books.leases.values())
    )
    if books.out(pool) + weight > books.capacity(pool) - kept:
        return False
    total_bytes = reading.memory_total_bytes
    if reading.memory_used_pct is None or not total_bytes or books.rest.began is None:
        return False
    scale = min(1.0, budget.share_pct / 100 * total_bytes / budget.peak_bytes)
    spoken_for = weight * budget.peak_bytes * scale
    for lease in books.leases.values():
        if lease.claim.pool == pool:
            shown = (reading.at - lease.granted_at) / budget.ramp_s
            owed = 1 - min(max(shown, 0), 1)
            spoken_for += owed * lease.claim.weight * budget.mean_bytes * scale
    in_use = reading.memory_used_pct * total_bytes
    if in_use + 100 * spoken_for > budget.ceiling_pct * total_bytes:
        return False
    began = max(books.rest.began, -inf if books.rest.broken is None else books.rest.broken)
    return reading.at - began >= throttle.defer.idle_s


def marked(records: Iterable[ev.Record], waiter: Waiter) -> Waiter:
    """The waiter as a journal has it, put off or no longer."""
    is_over = any(isinstance(one, Undeferred) and one.ticket == waiter.ticket for one in records)
    return replace(waiter, is_deferred=False) if is_over else waiter
