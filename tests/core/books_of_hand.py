"""What a hand wished of the queue, kept a second time: reservations, pauses, who was put ahead.

In other words than the core's: nothing is sorted, indexed or remembered. Each question goes through
all reservations and all leases once more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from admission.core import by_hand
from admission.core import events as ev
from admission.core.leases import Claim, Lease, State, Waiter
from admission.core.reserving import Reservation

if TYPE_CHECKING:
    from tests.core.books import Books


class Hand:
    """What stands now. `at` is when the books were last looked at: by that, reservations begin."""

    def __init__(self) -> None:
        self.reservations: dict[int, Reservation] = {}
        self.paused: dict[str, float] = {}
        self.last = 0
        self.at = -inf

    # --- reservations -----------------------------------------------------------------------------

    def active(self, pool: str) -> list[Reservation]:
        """Those with a class and a group come before those with one of them; then the older."""
        ours = [
            one
            for number, one in sorted(self.reservations.items())
            if one.pool == pool and one.from_at <= self.at < one.until_at
        ]
        both = [one for one in ours if one.rank is not None and one.group]
        one_of = [one for one in ours if (one.rank is None) == bool(one.group)]
        neither = [one for one in ours if one.rank is None and not one.group]
        return both + one_of + neither

    def meant_for(self, claim: Claim) -> list[Reservation]:
        """The active ones that it may use."""
        return [
            one
            for one in self.active(claim.pool)
            if one.rank in (None, claim.rank) and (not one.group or one.group == claim.group)
        ]

    def left(self, pool: str, leases: Iterable[Lease]) -> dict[int, int]:
        """Of each active reservation, what is kept free for it."""
        left = {one.id: one.units for one in self.active(pool)}
        for lease in leases:
            if lease.claim.pool == pool and lease.state != State.YIELDED:
                towards = self.towards(lease.claim, left)
                if towards is not None:
                    left[towards] = max(left[towards] - lease.claim.weight, 0)
        return left

    def towards(self, claim: Claim, left: dict[int, int]) -> int | None:
        """Towards which reservation such a lease would count."""
        partly = None
        for one in self.meant_for(claim):
            if left[one.id] >= claim.weight:
                return one.id
            if left[one.id] and partly is None:
                partly = one.id
        return partly

    def is_first(self, claim: Claim, leases: Iterable[Lease]) -> bool:
        """Whether as much is kept for it as it asks for."""
        if not self.reservations:
            return False
        left = self.left(claim.pool, leases)
        towards = self.towards(claim, left)
        return towards is not None and left[towards] >= claim.weight

    def kept_from(self, claim: Claim, leases: Iterable[Lease]) -> int:
        """What must stay free although this one would like to have it."""
        if not self.reservations:
            return 0
        left = self.left(claim.pool, leases)
        towards = self.towards(claim, left)
        kept = sum(left.values())
        if towards is not None:
            kept -= min(claim.weight, left[towards])
        return kept

    def out_of_reach(self, claim: Claim, leases: Iterable[Lease]) -> int:
        """What it can't have while these reservations last."""
        if not self.reservations or self.is_first(claim, leases):
            return 0
        own = [one.units for one in self.meant_for(claim)]
        return sum(one.units for one in self.active(claim.pool)) - max([0, *own])

    def has_room_for(self, new: Reservation, capacity: int) -> bool:
        """Whether at no moment more is reserved than may be."""
        all_ = [one for one in self.reservations.values() if one.pool == new.pool] + [new]
        for moment in {one.from_at for one in all_}:
            now_on = [one for one in all_ if one.from_at <= moment < one.until_at]
            most = capacity if new.is_whole else capacity - 1
            if new in now_on and sum(one.units for one in now_on) > most:
                return False
        return True

    # --- time -------------------------------------------------------------------------------------

    def pass_time(self, now: float) -> list[list[ev.Effect]]:
        """Ends what is over, and gives what must be written of that."""
        self.at = now
        gone: list[by_hand.Record] = []
        for number in [one.id for one in self.reservations.values() if one.until_at <= now]:
            del self.reservations[number]
            gone.append(by_hand.Unreserved(number, ""))
        for pool in [name for name, until in self.paused.items() if until <= now]:
            del self.paused[pool]
            gone.append(by_hand.Unpaused(pool))
        return [[ev.Persist(record)] for record in gone]

    def due_next(self) -> float:
        due = [*self.paused.values()]
        for one in self.reservations.values():
            due += [one.until_at, one.from_at] if one.from_at > self.at else [one.until_at]
        return min(due, default=inf)

    # --- a restart --------------------------------------------------------------------------------

    def adopt(self, records: Iterable[ev.Record], pools: Iterable[str]) -> None:
        """What an earlier daemon wrote and did not take back."""
        self.reservations, self.paused = standing(records)
        self.reservations = {
            number: one for number, one in self.reservations.items() if one.pool in pools
        }
        self.paused = {name: until for name, until in self.paused.items() if name in pools}


def standing(records: Iterable[ev.Record]) -> tuple[dict[int, Reservation], dict[str, float]]:
    """The reservations and the pauses of which the last record says that they are there."""
    reservations: dict[int, Reservation] = {}
    paused: dict[str, float] = {}
    for record in records:
        match record:
            case by_hand.Reserved(one):
                reservations[one.id] = one
            case by_hand.Unreserved(number):
                reservations.pop(number, None)
            case by_hand.Paused(pool, until):
                paused[pool] = until
            case by_hand.Unpaused(pool):
                paused.pop(pool, None)
            case _:
                pass
    return reservations, paused


def moved(records: Iterable[ev.Record], waiter: Waiter) -> Waiter:
    """The waiter as it was put ahead last."""
    for record in records:
        if isinstance(record, by_hand.Moved) and record.ticket == waiter.ticket:
            waiter = replace(waiter, ahead=record.ahead)
    return waiter


# --- what a hand does ---------------------------------------------------------------------------


def do(books: Books, now: float, event: by_hand.ByHand) -> None:
    """The rules of it."""
    match event:
        case by_hand.Reserve():
            _reserve(books, now, event)
        case by_hand.Unreserve(caller, number):
            found = books.hand.reservations.pop(number, None) is not None
            written = [ev.Persist(by_hand.Unreserved(number, ""))] if found else []
            books.chains.append([*written, ev.Done(caller, found=found)])
        case by_hand.Pause() | by_hand.Unpause():
            _pause(books, now, event)
        case by_hand.Move():
            _move(books, event)


def _reserve(books: Books, now: float, event: by_hand.Reserve) -> None:
    hand, from_at = books.hand, now + event.from_in_s
    new = Reservation(
        hand.last + 1, event.pool, event.units, from_at, from_at + event.for_s, event.rank,
        event.group, event.is_whole, event.uid,
    )  # fmt: skip
    if event.pool not in books.specs:
        books.chains.append([ev.Refused(event.caller, "unknown_pool", "")])
    elif len(hand.reservations) >= 32:
        books.chains.append([ev.Refused(event.caller, "queue_full", "")])
    elif books.specs[event.pool].is_fleet or not hand.has_room_for(
        new, books.specs[event.pool].capacity[3]
    ):
        books.chains.append([ev.Refused(event.caller, "impossible", "")])
    else:
        hand.last += 1
        hand.reservations[new.id] = new
        told = ev.ToldReservation(event.caller, new)
        books.chains.append([ev.Persist(by_hand.Reserved(new)), told])


def _pause(books: Books, now: float, event: by_hand.Pause | by_hand.Unpause) -> None:
    hand = books.hand
    if event.pool not in (None, *books.specs):
        books.chains.append([ev.Refused(event.caller, "unknown_pool", "")])
        return
    found = None if isinstance(event, by_hand.Pause) else False
    chain: list[ev.Effect] = []
    for name in books.specs if event.pool is None else [event.pool]:
        if isinstance(event, by_hand.Pause):
            hand.paused[name] = inf if event.for_s is None else now + event.for_s
            chain.append(ev.Persist(by_hand.Paused(name, hand.paused[name])))
        elif hand.paused.pop(name, None) is not None:
            chain.append(ev.Persist(by_hand.Unpaused(name)))
            found = True
    books.chains.append([*chain, ev.Done(event.caller, found=found)])


def _move(books: Books, event: by_hand.Move) -> None:
    waiter = books.waiters.get(event.ticket)
    chain: list[ev.Effect] = []
    if waiter is not None:
        # With one that nobody has moved, though there may be none: later ones are like that.
        others = [
            one.ahead
            for one in books.waiters.values()
            if one.claim.pool == waiter.claim.pool and one is not waiter
        ] + [0]
        ahead = waiter.ahead
        if event.is_back and any(ahead >= other for other in others):
            ahead = min(others) - 1
        if not event.is_back and any(ahead <= other for other in others):
            ahead = max(others) + 1
        if ahead != waiter.ahead:
            books.waiters[waiter.ticket] = replace(waiter, ahead=ahead)
            chain.append(ev.Persist(by_hand.Moved(waiter.ticket, ahead)))
    books.chains.append([*chain, ev.Done(event.caller, found=waiter is not None)])
