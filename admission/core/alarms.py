"""Who waits, or holds, for longer than it should, and why; each is told of once.

A waiter has its class's bound, a lease its own (`max_hold_s`), which counts only while its units
are out. An alarm lasts until its waiter leaves or its lease ends or is yielded. After a restart
those that last are told of again: nothing of them is in the journal.
"""

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from math import inf
from typing import Any

from admission.core import events as ev
from admission.core.alarm import Alarm
from admission.core.durations import said
from admission.core.governor import Governor
from admission.core.leases import Lease, Waiter
from admission.core.ledger import Key, Ledger, lease_key, waiter_key
from admission.core.places import reason_of
from admission.core.pool import Pool
from admission.core.queueing import why_not

# After these, what is out and who waits need not be what earlier steps have said.
UPHEAVALS = (ev.Restarted, ev.JournalFailed, ev.Configured)
# A holder is named where it takes so many times as long as holders do as a rule.
MUCH_LONGER = 2


class Alarms:
    """See the module. It keeps what was told; of all else it asks the ledger."""

    def __init__(self) -> None:
        self._bounds_s: tuple[float, ...] = ()
        # Hints, never removed early: the object itself says whether it is so.
        self._due: list[tuple[float, Key]] = []
        # Those that were told of and last; a dict, as they are to stay in order.
        self._rung: dict[Key, None] = {}

    @property
    def lasting(self) -> tuple[Key, ...]:
        """Of whom was told, and who still wait or hold."""
        return tuple(self._rung)

    @property
    def soonest_at(self) -> float:
        """No alarm is to be told of before; to ask for this costs nothing."""
        return self._due[0][0] if self._due else inf

    def next_at(self, ledger: Ledger) -> float:
        """When the next alarm is to be told of; inf where none is."""
        while self._due:
            at, key = self._due[0]
            if self._is_so(ledger, at, key):
                return at
            heappop(self._due)
        return inf

    def all(self, ledger: Ledger, governor: Governor, now: float) -> Iterator[Alarm]:
        """Those that last, the oldest first, with their reasons as of now."""
        for key in self._rung:
            if (found := _find(ledger, key)) is not None:  # pragma: no branch -- the others left
                yield _alarm(found, ledger, governor, now)

    def keep_up(self, ledger: Ledger, event: ev.Event, bounds_s: tuple[float, ...]) -> None:
        """Notes what a step has changed.

        Args:
            ledger: as it is after the step; whatever began or ended to wait or to hold is among
                its records.
            event: the step's.
            bounds_s: how long a waiter may wait, by class.
        """
        self._bounds_s = bounds_s
        if isinstance(event, UPHEAVALS):
            self._look_again(ledger)
        else:
            for record in ledger.records:
                if note := NOTES.get(type(record)):
                    note(self, ledger, record)

    def ring(self, ledger: Ledger, governor: Governor, now: float) -> list[ev.Effect]:
        """What is to be told now."""
        told: list[ev.Effect] = []
        while self.next_at(ledger) <= now:
            _, key = heappop(self._due)
            self._rung[key] = None
            found = _find(ledger, key)
            assert found is not None
            told.append(ev.Alarmed(_alarm(found, ledger, governor, now)))
            if isinstance(found, Lease) and found.claim.end_after_max:
                told.append(ev.EndGently(found))
        return told

    # --- what is due, and when --------------------------------------------------------------------

    def _granted(self, ledger: Ledger, record: ev.Granted) -> None:
        self._rung.pop(("ticket", record.lease.ticket), None)
        self._expect(ledger, record.lease.over_at, lease_key(record.lease))

    def _regained(self, ledger: Ledger, record: ev.Regained) -> None:
        self._rung.pop(("ticket", record.ticket), None)
        if regained := ledger.lease(record.lease):  # pragma: no branch -- it ends in no such step
            self._expect(ledger, regained.over_at, lease_key(regained))

    def _queued(self, ledger: Ledger, record: ev.Queued) -> None:
        self._expect(ledger, self._due_at(record.waiter), waiter_key(record.waiter))

    def _left(self, _: Ledger, record: ev.Left) -> None:
        self._rung.pop(("ticket", record.ticket), None)

    def _over(self, _: Ledger, record: ev.Ended | ev.Yielded) -> None:
        self._rung.pop(("lease", record.lease), None)

    def _expect(self, ledger: Ledger, at: float, key: Key) -> None:
        if at < inf:
            heappush(self._due, (at, key))
            if ledger.are_many(self._due):
                self._look_again(ledger)

    def _look_again(self, ledger: Ledger) -> None:
        pools = ledger.pools.values()
        all_: list[Lease | Waiter] = [one for pool in pools for one in pool.leases.values()]
        all_ += [one for pool in pools for one in pool.waiters.values()]
        here = {_key(one) for one in all_}
        self._rung = {key: None for key in self._rung if key in here}
        self._due = [(self._due_at(one), _key(one)) for one in all_ if self._due_at(one) < inf]
        heapify(self._due)

    def _due_at(self, one: Lease | Waiter) -> float:
        if isinstance(one, Lease):
            return one.over_at
        return max(one.queued_at, one.deferred_until) + self._bounds_s[one.claim.rank]

    def _is_so(self, ledger: Ledger, at: float, key: Key) -> bool:
        if key in self._rung or (found := _find(ledger, key)) is None:
            return False
        return isinstance(found, Waiter) or (found.is_out and found.over_at == at)


# What each record means for the alarms.
NOTES: dict[type[ev.Record], Callable[[Alarms, Ledger, Any], None]] = {
    ev.Granted: Alarms._granted,
    ev.Regained: Alarms._regained,
    ev.Queued: Alarms._queued,
    ev.Left: Alarms._left,
    ev.Ended: Alarms._over,
    ev.Yielded: Alarms._over,
}


def _key(one: Lease | Waiter) -> Key:
    return lease_key(one) if isinstance(one, Lease) else waiter_key(one)


def _find(ledger: Ledger, key: Key) -> Lease | Waiter | None:
    kind, number = key
    return ledger.lease(number) if kind == "lease" else ledger.waiter(number)


# --- the words ----------------------------------------------------------------------------------


def _alarm(one: Lease | Waiter, ledger: Ledger, governor: Governor, now: float) -> Alarm:
    if isinstance(one, Waiter):
        reason = _why_it_waits(one, ledger, governor, now)
        return Alarm(False, one.ticket, one.claim, now - one.queued_at, reason)
    most_s = one.claim.max_hold_s or 0.0
    held_s = max(now - one.over_at, 0.0) + most_s
    reason = f"held for {said(held_s)}, longer than the {said(most_s)} it was meant for"
    if one.claim.end_after_max:
        reason += "; its holder was asked to end"
    return Alarm(True, one.id, one.claim, held_s, reason)


def _why_it_waits(waiter: Waiter, ledger: Ledger, governor: Governor, now: float) -> str:
    """The reason that it is told as well, and what is behind that."""
    pool = ledger.pools[waiter.claim.pool]
    reasons = [why_not(ledger, pool, waiter, now)]
    front, level = pool.front(), governor.row
    if front is not None and front is not waiter and reasons[0].endswith(" in the queue"):
        reasons.append(f"of the first of them: {reason_of(pool, front, now)}")
    if pool.capacity < pool.spec.capacity[0] and level.level:
        why = ", ".join(governor.reasons) or "all calm"
        reasons.append(f"the level is {level.level} ({level.name}): {why}")
    if pool.in_use + waiter.claim.weight > pool.capacity and (hung := _hung(pool, now)):
        reasons.append(hung)
    return "; ".join(reasons)


def _hung(pool: Pool, now: float) -> str | None:
    """Which lease is held for too long: over its own bound, or much longer than others are."""
    out = [lease for lease in pool.leases.values() if lease.is_out]
    if not out:
        return None
    oldest = min(out, key=lambda lease: (min(lease.over_at, now), lease.granted_at))
    held = f"lease {oldest.id} has been held for {said(now - oldest.granted_at)}"
    if oldest.over_at <= now and oldest.claim.max_hold_s is not None:
        return f"{held}, longer than the {said(oldest.claim.max_hold_s)} it was meant for"
    typical_s = pool.typical_hold_s(now)
    if typical_s is not None and now - oldest.granted_at > MUCH_LONGER * typical_s:
        return f"{held}, where {said(typical_s)} is usual"
    return None
