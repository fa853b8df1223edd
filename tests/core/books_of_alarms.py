"""Who must be told of as waiting or holding for too long: checked as the alarms come, as the core
knows only after its grants who waits on.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from admission.core import events as ev
from admission.core.leases import Lease, State, Waiter

if TYPE_CHECKING:
    from tests.core.books import Books

# Whether it is a lease, and its number.
Who = tuple[bool, int]


class Rung:
    """Those of whom was told, and who are still there."""

    def __init__(self) -> None:
        self.told: set[Who] = set()
        # Leases of whom was told in this step whose holders are still to be asked to end.
        self.to_end: list[Lease] = []

    def hear(self, books: Books, now: float, effect: ev.Alarmed | ev.EndGently) -> None:
        if isinstance(effect, ev.EndGently):
            assert self.to_end == [effect.lease], f"nobody is to be ended by this: {effect}"
            self.to_end.clear()
            return
        alarm = effect.alarm
        assert not self.to_end, f"not asked to end: {self.to_end}"
        assert alarm.reason == " ".join(alarm.reason.split()), "not one plain line"
        one = (books.leases if alarm.is_held else books.waiters).get(alarm.number)
        assert one is not None, f"an alarm about nothing: {alarm}"
        assert one.claim == alarm.claim
        assert self.due_at(books, one) <= now, f"too early, or once more: {alarm}"
        self.told.add((alarm.is_held, alarm.number))
        if isinstance(one, Lease) and one.claim.end_after_max:
            self.to_end.append(one)

    def forget(self, books: Books) -> None:
        """What is no longer waiting or held is no alarm any more."""
        here = {(False, ticket) for ticket in books.waiters}
        here |= {(True, one.id) for one in books.leases.values() if one.state != State.YIELDED}
        self.told &= here

    def due_at(self, books: Books, one: Lease | Waiter) -> float:
        """When it is to be told of; inf where it is not, or was."""
        if isinstance(one, Lease):
            is_due = one.state != State.YIELDED and (True, one.id) not in self.told
            return one.over_at if is_due else inf
        if (False, one.ticket) in self.told:
            return inf
        return max(one.queued_at, one.deferred_until) + books.limits.alarm_s[one.claim.rank]

    def due_next(self, books: Books) -> float:
        return min([self.due_at(books, one) for one in books.all()], default=inf)
