"""Taking over from an earlier daemon: what it wrote, less those who are gone since.

Nobody's connection survives a daemon. Whoever has a connection-bound lease or a place in the queue
gets a while to come back; until then its units stay out and its place is kept, so a newcomer can
never take a living holder's slot.
"""

from collections.abc import Iterator, Set
from dataclasses import replace

from admission.core import by_hand, operating, shedding
from admission.core import events as ev
from admission.core.deferral import Undeferred
from admission.core.governor import Governor
from admission.core.leases import Bound, Holder, Lease, Reason, State, Waiter
from admission.core.ledger import Ledger


def snapshot(ledger: Ledger, governor: Governor) -> Iterator[ev.Record]:
    """The records that lead to this state, as few as there can be."""
    yield ev.Numbered(ledger.last_lease, ledger.last_ticket, ledger.last_reservation)
    yield level_record(governor)
    for pool in ledger.pools.values():
        yield from (ev.Granted(lease) for lease in pool.leases.values())
        yield from (ev.Queued(pool.waiters[ticket]) for ticket in sorted(pool.waiters))
        yield from (by_hand.Reserved(one) for one in pool.reservations.all.values())
        if pool.paused_until is not None:
            yield by_hand.Paused(pool.spec.name, pool.paused_until)
    yield from (shedding.Parked(*each) for each in ledger.parked.items())


def level_record(governor: Governor) -> ev.LevelChanged:
    return ev.LevelChanged(
        governor.row.level, governor.reasons, governor.by_hand_until, governor.is_off_by_hand
    )


def take_over(
    now: float, event: ev.Restarted, ledger: Ledger, governor: Governor, grace_s: float
) -> None:
    """Fills an empty ledger from the records, and ends what belonged to the dead."""
    assert not ledger.last_ticket, "only the first event can be Restarted"
    leases, waiters = _replay(event.records, ledger, governor)
    for lease in leases.values():
        if lease.claim.pool in ledger.pools:
            _adopt_lease(ledger, lease, event.living, now + grace_s)
    for waiter in waiters.values():
        if waiter.claim.pool in ledger.pools:
            away = replace(waiter, caller=None, away_until=now + grace_s, keeps_place=True)
            ledger.enqueue(away)
            ledger.age(now, away)
    for holder in ledger.holders():
        if holder not in event.living:
            for one in ledger.of(holder):
                _bury(now, ledger, one)
    for pool in ledger.pools.values():
        pool.reservations.look(now)  # the next step ends those that are over
    operating.look_ahead(ledger)


def _adopt_lease(ledger: Ledger, lease: Lease, living: Set[Holder], back_by: float) -> None:
    lease = replace(lease, caller=None)
    has_lost = lease.is_left or lease.claim.holder not in living
    if lease.claim.bound is Bound.TREE and has_lost:
        # Not buried, but looked for: the holder may have left some of whom no record tells.
        left = tuple(one for one in lease.tree if one in living)
        lease = replace(lease, is_left=True, tree=left)
    ledger.watch(*lease.holders)
    if lease.claim.bound is Bound.CONNECTION:
        state = State.YIELDED if lease.state is State.YIELDED else State.DETACHED
        lease = replace(lease, state=state, detached_until=back_by)
    pool = ledger.pools[lease.claim.pool]
    pool.last_grant_at = max(pool.last_grant_at, lease.granted_at)
    ledger.granted += 1
    ledger.put_lease(lease)
    if lease.is_frozen:
        ledger.frozen.add(lease.id)
    if lease.is_left:
        ledger.effects.append(ev.FindTree(lease))


def _bury(now: float, ledger: Ledger, one: Lease | Waiter) -> None:
    if isinstance(one, Lease):
        ledger.end(now, one, Reason.HOLDER_EXITED)
    elif ledger.waiter(one.ticket):  # it may have left with the lease that it wanted to regain
        ledger.leave(one, "holder_gone", "its process is gone")


def _replay(
    records: tuple[ev.Record, ...], ledger: Ledger, governor: Governor
) -> tuple[dict[int, Lease], dict[int, Waiter]]:
    """What was out and who waited when the last record was written."""
    leases: dict[int, Lease] = {}
    waiters: dict[int, Waiter] = {}
    for record in records:
        match record:
            case ev.Numbered():
                ledger.last_lease, ledger.last_ticket = record.lease, record.ticket
                ledger.last_reservation = record.reservation
            case ev.LevelChanged():
                _replay_level(record, governor)
            case ev.Queued(waiter):
                ledger.last_ticket = max(ledger.last_ticket, waiter.ticket)
                waiters[waiter.ticket] = waiter
            case ev.Left() | Undeferred():
                _replay_wait(record, waiters)
            case ev.Granted(lease):
                ledger.last_lease = max(ledger.last_lease, lease.id)
                ledger.last_ticket = max(ledger.last_ticket, lease.ticket)
                waiters.pop(lease.ticket, None)
                leases[lease.id] = lease
            case ev.Ended() | shedding.Parked():
                _replay_end(record, leases, ledger)
            case ev.Yielded() | ev.Regained() | ev.Renewed() | ev.Followed():
                _replay_change(record, leases, waiters)
            case shedding.Frozen() | shedding.Thawed() | shedding.Parking():
                _replay_shedding(record, leases)
            case _:
                _replay_by_hand(record, ledger, waiters)
    return leases, waiters


def _replay_wait(record: ev.Left | Undeferred, waiters: dict[int, Waiter]) -> None:
    if isinstance(record, ev.Left):
        waiters.pop(record.ticket, None)
    elif waiter := waiters.get(record.ticket):
        waiters[waiter.ticket] = replace(waiter, is_deferred=False)


def _replay_level(record: ev.LevelChanged, governor: Governor) -> None:
    # Another version's journal may know of more levels.
    level = max(0, min(record.level, len(governor.levels) - 1))
    if record.by_hand_until is None:
        governor.set_auto()
        governor.resume_at(level)
    else:
        governor.set_by_hand(level, record.by_hand_until, is_off=record.is_off)


def _replay_by_hand(record: by_hand.Record, ledger: Ledger, waiters: dict[int, Waiter]) -> None:
    """What a hand wished of a pool stands in the pool: it needs nobody to come back."""
    match record:
        case by_hand.Moved(ticket, ahead):
            if ticket in waiters:
                waiters[ticket] = replace(waiters[ticket], ahead=ahead)
        case by_hand.Reserved(one):
            ledger.last_reservation = max(ledger.last_reservation, one.id)
            if pool := ledger.pools.get(one.pool):
                pool.reservations.all[one.id] = one
        case by_hand.Unreserved(number):
            for pool in ledger.pools.values():
                pool.reservations.all.pop(number, None)
        case by_hand.Paused(name) | by_hand.Unpaused(name):  # pragma: no branch -- no others
            if pool := ledger.pools.get(name):
                pool.paused_until = record.until_at if isinstance(record, by_hand.Paused) else None


def _replay_end(
    record: ev.Ended | shedding.Parked, leases: dict[int, Lease], ledger: Ledger
) -> None:
    if isinstance(record, shedding.Parked):
        ledger.note_parked(record.lease, record.uid)
        return
    lease = leases.pop(record.lease, None)
    if lease is not None and record.reason is Reason.PARKED:
        ledger.note_parked(lease.id, lease.claim.uid)


def _replay_shedding(
    record: shedding.Frozen | shedding.Thawed | shedding.Parking, leases: dict[int, Lease]
) -> None:
    if (lease := leases.get(record.lease)) is None:
        return
    match record:
        case shedding.Frozen(at=at):
            lease = replace(lease, is_frozen=True, frozen_at=at)
        case shedding.Thawed():
            lease = replace(lease, is_frozen=False)
        case shedding.Parking():  # pragma: no branch -- no others
            lease = replace(lease, is_parking=True)
    leases[lease.id] = lease


def _replay_change(
    record: ev.Yielded | ev.Regained | ev.Renewed | ev.Followed,
    leases: dict[int, Lease],
    waiters: dict[int, Waiter],
) -> None:
    lease = leases.get(record.lease)
    if lease is None:
        return
    match record:
        case ev.Yielded():
            leases[lease.id] = replace(lease, state=State.YIELDED)
        case ev.Regained():
            leases[lease.id] = replace(lease, state=State.HELD, over_at=record.over_at)
            waiters.pop(record.ticket, None)
        case ev.Renewed():
            leases[lease.id] = replace(lease, expires_at=record.expires_at)
        case ev.Followed(left=left):  # pragma: no branch -- no others
            leases[lease.id] = replace(lease, is_left=True, tree=left)
