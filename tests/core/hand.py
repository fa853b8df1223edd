"""What an operator does in a world of `tests.core.worlds`; each gives the answer."""

from typing import Any

from admission.core import by_hand
from admission.core import events as ev
from admission.core.leases import Caller, Waiter
from admission.core.places import places_of
from admission.core.reserving import Reservation
from tests.core.worlds import World


def reserve(world: World, now: float, units: int, for_s: float = 600.0, **more: Any) -> ev.Answer:
    caller, pool = world.caller(0), more.pop("pool", "agents")
    world.feed(now, by_hand.Reserve(caller, pool, units, for_s, **more))
    return world.answer(caller)


def reservation(answer: ev.Answer) -> Reservation:
    assert isinstance(answer, ev.ToldReservation), answer
    return answer.reservation


def refused(answer: ev.Answer) -> ev.Refused:
    assert isinstance(answer, ev.Refused), answer
    return answer


def unreserve(world: World, now: float, number: int) -> ev.Answer:
    caller = world.caller(0)
    world.feed(now, by_hand.Unreserve(caller, number))
    return world.answer(caller)


def pause(
    world: World, now: float, pool: str | None = None, for_s: float | None = None
) -> ev.Answer:
    caller = world.caller(0)
    world.feed(now, by_hand.Pause(caller, pool, for_s))
    return world.answer(caller)


def unpause(world: World, now: float, pool: str | None = None) -> ev.Answer:
    caller = world.caller(0)
    world.feed(now, by_hand.Unpause(caller, pool))
    return world.answer(caller)


def put_ahead(world: World, now: float, ticket: int, *, is_back: bool = False) -> ev.Answer:
    caller = world.caller(0)
    world.feed(now, by_hand.Move(caller, ticket, is_back))
    return world.answer(caller)


def put_back(world: World, now: float, ticket: int) -> ev.Answer:
    return put_ahead(world, now, ticket, is_back=True)


def waiter(world: World, asked: Caller) -> Waiter:
    """The waiter of this request."""
    waiters = [one for pool in world.core.pools.values() for one in pool.queue()]
    return next(one for one in waiters if one.caller == asked)


def told(world: World, now: float, asked: Caller) -> str:
    """Why this one waits, as it is told."""
    one = waiter(world, asked)
    places = places_of(world.core.pools[one.claim.pool], now)
    return next(place.reason for place in places if place.waiter is one)
