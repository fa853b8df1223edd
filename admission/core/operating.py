"""What a hand does with the queue: reservations, pauses, and who is put ahead.

Each is a step of `core.admission`. What was wished for a while ends by itself at its time.
"""

from dataclasses import replace
from math import inf

from admission.core import by_hand
from admission.core import events as ev
from admission.core.ledger import Ledger
from admission.core.pool import Pool
from admission.core.reserving import RESERVATIONS_MAX, Reservation


def do(ledger: Ledger, now: float, event: by_hand.ByHand) -> None:
    """Does what is wished, and answers."""
    match event:
        case by_hand.Reserve():
            _reserve(ledger, now, event)
        case by_hand.Unreserve():
            found = _unreserve(ledger, now, event.reservation, "taken back by hand")
            ledger.effects.append(ev.Done(event.caller, found=found))
        case by_hand.Pause() | by_hand.Unpause():
            _pause(ledger, now, event)
        case by_hand.Move():  # pragma: no branch -- no others
            _move(ledger, event)
    look_ahead(ledger)


def expire(ledger: Ledger, now: float) -> None:
    """Ends what was wished until now, and begins what was wished from now on."""
    for pool in ledger.pools.values():
        if pool.reservations.all:
            for one in pool.reservations.look(now):
                _unreserve(ledger, now, one.id, "its time is over")
        if pool.paused_until is not None and pool.paused_until <= now:
            _unpause(ledger, pool)
    look_ahead(ledger)


def look_ahead(ledger: Ledger) -> None:
    """Notes when `expire` is next to be called."""
    pools = ledger.pools.values()
    pauses = [pool.paused_until for pool in pools if pool.paused_until is not None]
    begins_and_ends = [pool.reservations.next_at() for pool in pools]
    ledger.next_by_hand_at = min([*pauses, *begins_and_ends], default=inf)


def _reserve(ledger: Ledger, now: float, event: by_hand.Reserve) -> None:
    pool = ledger.pools.get(event.pool)
    if pool is None:
        ledger.refuse_unknown_pool(event.caller, event.pool)
        return
    if sum(len(one.reservations.all) for one in ledger.pools.values()) >= RESERVATIONS_MAX:
        message = f"there are {RESERVATIONS_MAX} reservations, and that is the limit; end one first"
        ledger.refuse(event.caller, "queue_full", message)
        return
    begins_at = now + event.from_in_s
    new = Reservation(
        id=ledger.last_reservation + 1,
        pool=event.pool,
        units=event.units,
        from_at=begins_at,
        until_at=begins_at + event.for_s,
        rank=event.rank,
        group=event.group,
        is_whole=event.is_whole,
        uid=event.uid,
    )
    if why := pool.reservations.why_not(new, pool.spec):
        ledger.refuse(event.caller, "impossible", why)
        return
    ledger.last_reservation = new.id
    pool.reservations.put(new, now)
    ledger.persist(by_hand.Reserved(new))
    ledger.effects.append(ev.ToldReservation(event.caller, new))


def _unreserve(ledger: Ledger, now: float, number: int, why: str) -> bool:
    """Ends the reservation of this number. False where there is none."""
    for pool in ledger.pools.values():
        if number in pool.reservations.all:
            pool.reservations.drop(number, now)
            ledger.persist(by_hand.Unreserved(number, why))
            return True
    return False


def _pause(ledger: Ledger, now: float, event: by_hand.Pause | by_hand.Unpause) -> None:
    """In one pool or, where none is named, in all that there are."""
    if event.pool is not None and event.pool not in ledger.pools:
        ledger.refuse_unknown_pool(event.caller, event.pool)
        return
    found = None
    for pool in [one for one in ledger.pools.values() if event.pool in (None, one.spec.name)]:
        if isinstance(event, by_hand.Pause):
            pool.paused_until = inf if event.for_s is None else now + event.for_s
            ledger.persist(by_hand.Paused(pool.spec.name, pool.paused_until))
        else:
            found = _unpause(ledger, pool) or bool(found)
    ledger.effects.append(ev.Done(event.caller, found=found))


def _unpause(ledger: Ledger, pool: Pool) -> bool:
    if pool.paused_until is None:
        return False
    pool.paused_until = None
    ledger.persist(by_hand.Unpaused(pool.spec.name))
    return True


def _move(ledger: Ledger, event: by_hand.Move) -> None:
    """Who is at that end already stays as it is; 0 is where nobody was moved to."""
    waiter = ledger.waiter(event.ticket)
    if waiter is not None:
        others = [one.ahead for one in ledger.pools[waiter.claim.pool].waiters.values()]
        others.remove(waiter.ahead)
        ahead = waiter.ahead
        if event.is_back:
            ahead = min(ahead, min([0, *others]) - 1)
        else:
            ahead = max(ahead, max([0, *others]) + 1)
        if ahead != waiter.ahead:
            ledger.replace_waiter(waiter, replace(waiter, ahead=ahead))
            ledger.persist(by_hand.Moved(event.ticket, ahead))
    ledger.effects.append(ev.Done(event.caller, found=waiter is not None))
