"""Copies of worlds, and what tells two of them apart: for walks through every small world."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from enum import Enum
from math import inf
from typing import Any, TypeVar

from admission.core import events as ev
from admission.core.deferral import Defer
from admission.core.leases import Lease, Waiter
from admission.core.pool import Pool
from admission.core.reserving import Reservation
from tests.core.books import survivors
from tests.core.books_of_hand import standing
from tests.core.worlds import World

T = TypeVar("T")

# Types that can't change, filled in as they are met: whatever has neither items nor attributes.
_FROZEN: set[type] = set()


def copy_of(thing: T) -> T:
    """A copy that shares nothing that can change: containers and objects, but no frozen value."""
    kind = type(thing)
    if kind in _FROZEN:
        return thing
    if (copier := _COPIERS.get(kind)) is None:
        copier = _COPIERS[kind] = _copier(kind, thing)
        return copy_of(thing)
    twin: T = copier(thing)
    return twin


def _copier(kind: type, example: object) -> Callable[[Any], Any]:
    """How things of this type are copied."""
    for container, copier in _CONTAINERS.items():
        if issubclass(kind, container):
            assert kind is container, f"how is a {kind} copied?"
            return copier
    if issubclass(kind, Enum) or not hasattr(example, "__dict__"):
        _FROZEN.add(kind)
    return _object_copy


# Most of what there is has no items or frozen ones, and is copied at once; the rest one by one.


def _dict_copy(thing: dict[Any, Any]) -> dict[Any, Any]:
    twin = thing.copy()
    for key, value in thing.items():
        if type(value) not in _FROZEN:
            twin[key] = copy_of(value)
    return twin


def _list_copy(thing: list[Any]) -> list[Any]:
    twin = thing.copy()
    for index, value in enumerate(thing):
        if type(value) not in _FROZEN:
            twin[index] = copy_of(value)
    return twin


def _deque_copy(thing: deque[Any]) -> deque[Any]:
    return deque([copy_of(value) for value in thing], thing.maxlen) if thing else thing.copy()


def _object_copy(thing: Any) -> Any:
    twin = object.__new__(type(thing))
    twin.__dict__ = _dict_copy(vars(thing))
    return twin


_CONTAINERS: dict[type, Callable[[Any], Any]] = {
    dict: _dict_copy,
    list: _list_copy,
    deque: _deque_copy,
    set: set.copy,  # what can be in a set can't change
}
_COPIERS = dict(_CONTAINERS)


def fingerprint(world: World) -> object:
    """Equal for two worlds that can't be told apart by anything that happens from now on.

    Numbers that only grow are told by their order, instants by how far off they are. What only
    words are made of (how long somebody waited, how long leases were held) is left out; the index
    is, too, as the witness has just compared it with the tables.
    """
    core, books = world.core, world.witness.books
    names = {lease: index for index, lease in enumerate(sorted(books.leases))}
    places = {ticket: index for index, ticket in enumerate(sorted(books.waiters))}
    numbers = {"lease": names, "ticket": places}
    aheads = _ranks(one.ahead for one in books.waiters.values())
    alarms = {
        (at - world.now, kind, numbers[kind][number])
        for at, (kind, number) in core.ledger._alarms
        if number in numbers[kind]
    }
    rung = {
        (at - world.now, kind, numbers[kind][number])
        for at, (kind, number) in (
            *core.alarms._due,
            *((world.now, key) for key in core.alarms.lasting),
        )
        if number in numbers[kind]
    }
    told = {(names[one], is_out) for one, is_out in world.witness.told.items() if one in names}
    return (
        tuple(_lease(world, books.leases[lease]) for lease in names),
        tuple(_waiter(world, books.waiters[ticket], aheads) for ticket in places),
        frozenset(alarms),
        frozenset(rung),
        _hand(world, books.hand.reservations, books.hand.paused),
        (core.level.level, _until(world, core.governor.by_hand_until or inf)),
        tuple(_since(world, pool.last_grant_at) for pool in core.pools.values()),
        (core.journal_works, world.disk_room),
        _reading(world),
        # A line on which nothing hangs might as well be closed.
        frozenset(one.caller.connection for one in books.all() if one.caller) & world.lines,
        frozenset(told),
        _journal(world),
        tuple(_turns(world, name) for name in core.pools),
        _families(world, names),
        _shedding(world, names) if world.throttle.shed.policy else None,
        # Nobody is put off in a world that left the settings alone.
        _rest(world) if world.throttle.defer != Defer() else None,
        tuple(_permits(world, pool) for pool in core.pools.values() if pool.spec.is_fleet),
    )


def _rest(world: World) -> object:
    """Until when the machine must stay idle for whoever is put off."""
    calm, idle_s = world.core.calm, world.throttle.defer.idle_s
    since_at = max(calm.since_at, calm.let_go_at)
    return None if since_at == inf else _until(world, since_at + idle_s), _until(
        world, calm.let_go_at + idle_s
    )


def _permits(world: World, pool: Pool) -> object:
    return (pool.permits, _until(world, pool.permitted_until)) if pool.permits else None


def _shedding(world: World, names: dict[int, int]) -> object:
    """Who stands still, was asked to end, or has to rest; and when the next may be asked."""
    core, shed = world.core, world.throttle.shed
    leases = world.witness.books.leases
    written, _ = survivors(tuple(world.journal))
    return (
        core.ladder.advice is not None,
        _until(world, core.ladder._asked_at + shed.park_every_s),
        frozenset(names[number] for number in world.stops.since),
        *(
            tuple(
                (
                    *(one.claim.task, one.is_frozen, one.is_parking),
                    _until(world, one.frozen_at + shed.freeze_max_s),
                    _until(world, one.frozen_at + shed.freeze_rest_s),
                )
                for one in those
            )
            for those in ([leases[number] for number in names], written)
        ),
    )


def _lease(world: World, lease: Lease) -> object:
    return (
        lease.claim.task,
        lease.state,
        lease.caller and (lease.caller.connection, lease.caller.id),
        _until(world, lease.expires_at),
        _until(world, lease.detached_until),
        _until(world, lease.over_at),
        _since(world, lease.granted_at),
        (lease.is_left, lease.tree),
    )


def _ranks(numbers: Iterable[int]) -> dict[int, int]:
    """Of what a hand has moved: the order, and on which side of those whom it has not."""
    ordered = sorted({0, *numbers})
    return {number: index - ordered.index(0) for index, number in enumerate(ordered)}


def _hand(
    world: World, reservations: dict[int, Reservation], paused: dict[str, float]
) -> tuple[object, ...]:
    return (
        tuple(
            (
                replace(one, id=0, from_at=0.0, until_at=0.0),
                _until(world, one.from_at),
                _until(world, one.until_at),
            )
            for _, one in sorted(reservations.items())
        ),
        frozenset((pool, _until(world, at)) for pool, at in paused.items()),
    )


def _waiter(world: World, waiter: Waiter, aheads: dict[int, int]) -> object:
    return (
        waiter.claim.task,
        waiter.lease is None,
        waiter.caller and (waiter.caller.connection, waiter.caller.id),
        _until(world, waiter.deadline_at),
        _until(world, waiter.away_until),
        waiter.keeps_place,
        _climbs_in(world, waiter),
        max(0.0, waiter.queued_at + world.ageing.fill_in_s - world.now),
        aheads[waiter.ahead],
        *_put_off(world, waiter),
    )


def _put_off(world: World, waiter: Waiter) -> tuple[object, ...]:
    """Until when, and from when on it is an alarm that it waits."""
    alarm_s = world.limits.alarm_s[waiter.claim.rank]
    alarm_at = max(waiter.queued_at, waiter.deferred_until) + alarm_s
    until = _until(world, waiter.deferred_until) if waiter.is_deferred else None
    return waiter.is_deferred, until, _until(world, alarm_at)


def _journal(world: World) -> object:
    """What the next daemon would find."""
    leases, waiters = survivors(tuple(world.journal))
    aheads = _ranks(one.ahead for one in waiters)
    levels = [one for one in world.journal if isinstance(one, ev.LevelChanged)]
    return (
        tuple(
            (
                one.claim.task,
                one.state,
                _until(world, one.expires_at),
                _until(world, one.over_at),
                one.is_left,
                one.tree,
            )
            for one in leases
        ),
        tuple(
            (
                *(one.claim.task, one.lease is None, _until(world, one.deadline_at)),
                _climbs_in(world, one),
                aheads[one.ahead],
                _put_off(world, one),
            )
            for one in waiters
        ),
        _hand(world, *standing(world.journal)),
        (levels[-1].level, _until(world, levels[-1].by_hand_until or inf)) if levels else None,
    )


def _turns(world: World, name: str) -> object:
    """How far groups are ahead of the last grant; of those that are not, only in which order."""
    if not world.has_groups:
        return None
    queue = world.core.pools[name].order
    tags = queue._tags | queue._idle_tags
    behind = sorted({tag for tag in tags.values() if tag < queue._started})
    return frozenset(
        (group, tag - queue._started if tag >= queue._started else behind.index(tag) - len(behind))
        for group, tag in tags.items()
    )


def _climbs_in(world: World, waiter: Waiter) -> tuple[float, ...]:
    """How far off it is that this one climbs, each time."""
    return tuple(_until(world, at) for at in world.witness.books.turns.climbs(waiter))


def _families(world: World, names: dict[int, int]) -> object:
    """Who is whose child, who is dead, and what the daemon looks for."""
    return (
        frozenset(world.started.items()),
        frozenset(world.dead),
        frozenset(names[number] for number in world.wanted if number in names),
        frozenset((names.get(number), left) for number, left in world.seen.items()),
    )


def _reading(world: World) -> object:
    """What the memory budget goes by: the last sample, and how much of each lease is in it.

    When it was taken matters no more, as these worlds never sleep for long.
    """
    sample = world.core.governor.sample
    if sample is None:
        return None
    ramp_s = world.throttle.budget.ramp_s
    leases = world.witness.books.leases
    shown_s = (sample.at - leases[lease].granted_at for lease in sorted(leases))
    return sample.memory_used_pct, tuple(min(max(one, 0.0), ramp_s) for one in shown_s)


def _until(world: World, at: float) -> float:
    """How far off it is; what is past is past, as in a journal that nobody needed since."""
    return max(at - world.now, 0.0)


def _since(world: World, at: float) -> float:
    """How long ago, as far as it matters: not longer than grants are kept apart.

    Where samples come, a lease also owes memory until it is old enough.
    """
    ramp_s = world.throttle.budget.ramp_s if world.core.governor.memory else 0.0
    return min(world.now - at, max(ramp_s, *(row.delay_s for row in world.levels)))
