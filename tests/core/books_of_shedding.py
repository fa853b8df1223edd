"""What must be done about pressure that remains, in other words than the core's: who is told to
take it easy, who stands still and for how long, and who is asked to end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from admission.core import events as ev
from admission.core import shedding
from admission.core.leases import Class, Lease, Reason, State

if TYPE_CHECKING:
    from tests.core.books import Books


def without_words(effect: ev.Effect) -> ev.Effect:
    """The effect less its reason, which must be there and be one line."""
    if isinstance(effect, shedding.Freeze | shedding.Park):
        assert effect.reason == " ".join(effect.reason.split()) != "", "not one plain line"
        return replace(effect, reason="")
    if isinstance(effect, shedding.Advised):
        assert bool(effect.reason) == bool(effect.level), "advice has a reason, its end has none"
        return replace(effect, reason="")
    return effect


def follow(books: Books, now: float, event: ev.Event | None) -> None:
    """What the step must have done, once its event has done what it does."""
    if isinstance(event, ev.Restarted):
        books.parked_at = now
        _continue(books, _stopped(books))
    sample = event.sample if isinstance(event, ev.Sampled) else None
    if sample is not books.governor.sample:
        sample = None  # an old one
    _continue(books, [one for one in _stopped(books) if _must_go_on(books, now, one, event)])
    if sample is None:
        return
    _advise(books, sample.memory_used_pct)
    if books.journal_works and "agents" in books.specs:
        _park(books, now, sample.memory_used_pct)
        _freeze(books, now, sample.cpu_stall_pct)


def _policy(books: Books) -> tuple[str, ...]:
    throttle = books.governor.throttle
    return throttle.shed.policy if throttle.is_on and not books.is_off_by_hand else ()


def _stopped(books: Books) -> list[Lease]:
    return [one for _, one in sorted(books.leases.items()) if one.is_frozen]


def _run_beside(books: Books, lease: Lease) -> list[Lease]:
    """Who runs in this pool but this one, and was not asked to end."""
    return [
        one
        for one in books.leases.values()
        if one.claim.pool == lease.claim.pool and one.id != lease.id
        if one.state != State.YIELDED and not (one.is_frozen or one.is_parking)
    ]


def _must_go_on(books: Books, now: float, lease: Lease, event: ev.Event | None) -> bool:
    shed, sample = books.governor.throttle.shed, books.governor.sample
    if isinstance(event, ev.Sampled) and event.sample is sample:
        stall_pct = -inf if sample.cpu_stall_pct is None else sample.cpu_stall_pct
        if stall_pct + shed.freeze_margin_pct < shed.freeze_cpu_stall_pct:
            return True
    is_too_long = now - lease.frozen_at >= shed.freeze_max_s
    return is_too_long or "freeze" not in _policy(books) or not _run_beside(books, lease)


def _continue(books: Books, leases: list[Lease]) -> None:
    for lease in leases:
        books.leases[lease.id] = replace(lease, is_frozen=False)
        books.chains.append([shedding.Thaw(lease), ev.Persist(shedding.Thawed(lease.id))])


def _advise(books: Books, used_pct: float | None) -> None:
    shed = books.governor.throttle.shed
    wanted = books.is_advised
    if "advise" not in _policy(books):
        wanted = False
    elif used_pct is not None and used_pct >= shed.advise_pct:
        wanted = True
    elif used_pct is not None and used_pct + shed.advise_margin_pct < shed.advise_pct:
        wanted = False
    if wanted != books.is_advised:
        books.is_advised = wanted
        books.chains.append([shedding.Advised(int(wanted), "")])


def _of_whom(books: Books) -> list[Lease]:
    """Of whom one may be chosen at all: the one to be chosen comes last."""
    found = [
        one
        for one in books.leases.values()
        if one.claim.pool == "agents" and one.state != State.YIELDED
        if not (one.claim.interactive or one.is_parking) and _run_beside(books, one)
    ]
    return sorted(found, key=lambda one: (one.claim.rank, one.id))


def _park(books: Books, now: float, used_pct: float | None) -> None:
    shed = books.governor.throttle.shed
    if "park" not in _policy(books) or used_pct is None or used_pct < shed.park_pct:
        return
    candidates = [one for one in _of_whom(books) if one.claim.parkable]
    if not candidates or now - books.parked_at < shed.park_every_s:
        return
    lease = candidates[-1]
    books.parked_at = now
    chain: list[ev.Effect] = []
    if lease.is_frozen:
        chain = [shedding.Thaw(lease), ev.Persist(shedding.Thawed(lease.id))]
    lease = replace(lease, is_frozen=False, is_parking=True)
    books.leases[lease.id] = lease
    written = ev.Persist(shedding.Parking(lease.id))
    books.chains.append([*chain, written, shedding.Park(lease, "")])


def _freeze(books: Books, now: float, stall_pct: float | None) -> None:
    shed = books.governor.throttle.shed
    if "freeze" not in _policy(books) or _stopped(books):
        return
    if stall_pct is None or stall_pct < shed.freeze_cpu_stall_pct:
        return
    rested = [one for one in _of_whom(books) if now - one.frozen_at >= shed.freeze_rest_s]
    rested = [one for one in rested if one.claim.rank is not Class.CRITICAL]
    until = now + shed.freeze_max_s
    rested = [one for one in rested if one.expires_at > until and one.detached_until > until]
    if rested:
        lease = replace(rested[-1], is_frozen=True, frozen_at=now)
        books.leases[lease.id] = lease
        written = ev.Persist(shedding.Frozen(lease.id, now))
        books.chains.append([written, shedding.Freeze(lease, "")])


def due_next(books: Books) -> float:
    most_s = books.governor.throttle.shed.freeze_max_s
    return min([one.frozen_at + most_s for one in _stopped(books)], default=inf)


# --- a restart ----------------------------------------------------------------------------------


def marked(records: Iterable[ev.Record]) -> dict[int, Lease]:
    """The leases that were granted, with what was done to each."""
    leases: dict[int, Lease] = {}
    for record in records:
        match record:
            case ev.Granted(lease):
                leases[lease.id] = lease
            case shedding.Frozen(number, at):
                leases[number] = replace(leases[number], is_frozen=True, frozen_at=at)
            case shedding.Thawed(number):
                leases[number] = replace(leases[number], is_frozen=False)
            case shedding.Parking(number):
                leases[number] = replace(leases[number], is_parking=True)
            case _:
                pass
    return leases


def adopt(books: Books, now: float, records: tuple[ev.Record, ...]) -> None:
    """Which leases were parked so far."""
    users = {one.lease.id: one.lease.claim.uid for one in records if isinstance(one, ev.Granted)}
    for record in records:
        if isinstance(record, shedding.Parked):
            books.parked.append((record.lease, record.uid))
        elif isinstance(record, ev.Ended) and record.reason is Reason.PARKED:
            books.parked.append((record.lease, users[record.lease]))


# --- who stands still, for real -----------------------------------------------------------------


class Stops:
    """What the machine knows, whatever becomes of the daemon."""

    def __init__(self) -> None:
        # Leases whose holders were stopped and not continued, and since when.
        self.since: dict[int, float] = {}

    def note(
        self, effect: shedding.Freeze | shedding.Thaw, now: float, journal: Iterable[ev.Record]
    ) -> None:
        number = effect.lease.id
        if isinstance(effect, shedding.Thaw):
            self.since.pop(number, None)
            return
        is_written = any(
            isinstance(one, shedding.Frozen) and one.lease == number for one in journal
        )
        assert is_written, "stopped, and a daemon that dies now would not know of it"
        self.since[number] = now

    def check(self, books: Books, now: float, most_s: float) -> None:
        """Nobody stands still for too long, or where nothing will be done about it."""
        for number, since in self.since.items():
            assert number in books.leases, f"stopped for ever: what lease {number} left"
            assert books.leases[number].is_frozen, f"stopped for ever: lease {number}"
            assert now < since + most_s, f"stopped for too long: lease {number}"
