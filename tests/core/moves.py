"""What can happen next in a small world, a function a verb: each gives all moves of its kind."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from admission.core import by_hand
from admission.core import events as ev
from admission.core.leases import Bound, Caller, Claim, Class, Holder, Lease, Waiter
from admission.core.sample import Sample
from tests.core.books import depends_on, survivors
from tests.core.worlds import KIDS, World

TICK_S = 1.0

# The ids of messages, by what they ask: few, so that the same states come again.
ACQUIRE, AGAIN, REGAIN, RESUME, OTHER = range(1, 6)


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that can be made whenever nothing of it is there; its task is its name."""

    claim: Claim
    connection: int
    wait_s: float | None = None
    parent: int | None = None
    above: tuple[Holder, ...] = ()
    is_new: bool = False
    defer_s: float | None = None

    def event(self, id: int) -> ev.Acquire:
        caller = Caller(self.connection, id)
        parent, above = self.parent, self.above
        asked = ev.Acquire(caller, self.claim, self.wait_s, parent, above, self.is_new)
        return asked if self.defer_s is None else replace(asked, by_s=self.defer_s, defer=True)


@dataclass(frozen=True, slots=True)
class Move:
    """Something that can happen: `make` on a world, with these arguments."""

    label: str
    make: Callable[..., object]
    args: tuple[object, ...] = ()


Moves = Iterable[Move]
Asks = tuple[Ask, ...]


def say(world: World, event: ev.Event, connection: int) -> None:
    """A client says something, on a connection that it opens if it is not."""
    world.lines.add(connection)
    world.feed(world.now, event)


def wake_for(world: World, for_s: float) -> None:
    """Time passes, and the daemon wakes whenever something is due."""
    until = world.now + for_s
    while (due_at := world.core.wakeup()) <= until:
        world.pass_time(max(due_at, world.now))
    world.now = until


def _lease(world: World, ask: Ask) -> Lease | None:
    leases = world.witness.books.leases.values()
    return next((one for one in leases if one.claim.task == ask.claim.task), None)


def _waiters(world: World, ask: Ask) -> list[Waiter]:
    waiters = world.witness.books.waiters.values()
    return [one for one in waiters if one.claim.task == ask.claim.task]


def acquire(world: World, asks: Asks) -> Moves:
    for ask in asks:
        if not _lease(world, ask) and not _waiters(world, ask) and _may_ask(world, ask):
            args = (ask.event(ACQUIRE), ask.connection)
            yield Move(f"{ask.claim.task} asks", say, args)


def _may_ask(world: World, ask: Ask) -> bool:
    """Not if it is dead; and a child, not before it was started."""
    holder = ask.claim.holder
    return holder not in world.dead and (holder not in KIDS or holder in world.started)


def again(world: World, asks: Asks) -> Moves:
    for ask in asks:
        if ask.claim.request and (_lease(world, ask) or _waiters(world, ask)):
            args = (ask.event(AGAIN), ask.connection)
            yield Move(f"{ask.claim.task} asks again", say, args)


def cancel(world: World, asks: Asks) -> Moves:
    for one in world.witness.books.all():
        if one.caller and one.caller.connection in world.lines:
            line = one.caller.connection
            event = ev.Cancel(Caller(line, OTHER), id=one.caller.id)
            yield Move(f"{one.claim.task} cancels its {one.caller.id}", say, (event, line))


def release(world: World, asks: Asks) -> Moves:
    for ask in asks:
        if lease := _lease(world, ask):
            event = ev.Release(Caller(ask.connection, OTHER), lease.id)
            yield Move(f"{ask.claim.task} releases", say, (event, ask.connection))


def renew(world: World, asks: Asks) -> Moves:
    for ask in asks:
        if lease := _lease(world, ask):
            event = ev.Renew(Caller(ask.connection, OTHER), lease.id)
            yield Move(f"{ask.claim.task} renews", say, (event, ask.connection))


def give_back(world: World, asks: Asks) -> Moves:
    for ask in asks:
        if lease := _lease(world, ask):
            event = ev.Yield(Caller(ask.connection, OTHER), lease.id)
            yield Move(f"{ask.claim.task} yields", say, (event, ask.connection))


def regain(world: World, asks: Asks) -> Moves:
    for ask in asks:
        if lease := _lease(world, ask):
            event = ev.Regain(Caller(ask.connection, REGAIN), lease.id, ask.wait_s)
            yield Move(f"{ask.claim.task} regains", say, (event, ask.connection))


def resume(world: World, asks: Asks) -> Moves:
    for ask in asks:
        lease = _lease(world, ask)
        if lease is not None and lease.caller is None:
            event = ev.Resume(Caller(ask.connection, RESUME), lease.id, lease.claim.secret)
            yield Move(f"{ask.claim.task} resumes", say, (event, ask.connection))


def close(world: World, asks: Asks) -> Moves:
    for line in sorted(world.lines):
        yield Move(f"connection {line} closes", World.close, (world.now, line))


def end_process(world: World, asks: Asks) -> Moves:
    holders = {one.claim.holder: None for one in world.witness.books.all()} | world.started
    for holder in holders:
        if holder not in world.dead:
            yield Move(f"{holder} exits", World.exit, (world.now, holder))


def forget(world: World) -> None:
    """Others take the names of the dead, so that there are always as many; but not while anybody
    could take one of them for the first of that name. Children of whom nobody speaks are gone.
    """
    named = _named(world)
    world.dead &= named
    for one in world.witness.books.all():
        named |= depends_on(one)
    world.started = {one: by for one, by in world.started.items() if one in named}


def _named(world: World) -> set[Holder]:
    """Of whom leases, looks and the journal speak that have to do with a tree."""
    leases = [*world.witness.books.leases.values(), *survivors(tuple(world.journal))[0]]
    named = {one for left in world.seen.values() for one in left}
    named |= {one for lease in leases for one in lease.tree}
    holders = {lease.claim.holder for lease in leases if lease.claim.bound is Bound.TREE}
    return named | holders | {one for holder in holders for one in _family(world, holder)}


def _family(world: World, holder: Holder) -> set[Holder]:
    """All that descend from this process, alive or dead."""
    children = {one for one, by in world.started.items() if by == holder}
    return children | {one for child in children for one in _family(world, child)}


def fork_once(world: World, asks: Asks) -> Moves:
    """As `fork`, but of children there is only one at a time."""
    return () if world.started else fork(world, asks)


def fork(world: World, asks: Asks) -> Moves:
    """Whoever a tree-bound lease is for, and whoever it has started, starts another."""
    leases = world.witness.books.leases.values()
    holders = {one.claim.holder: None for one in leases if one.claim.bound is Bound.TREE}
    kid = next((one for one in KIDS if one not in world.started and one not in world.dead), None)
    for parent in [*holders, *world.started]:
        if parent not in world.dead and kid is not None:
            yield Move(f"{parent} starts {kid}", World.start, (kid, parent))


def look(world: World, asks: Asks) -> Moves:
    """Looks begin. For leases that have ended none does."""
    for number in sorted(world.wanted - world.seen.keys()):
        if number in world.witness.books.leases:
            yield Move(f"the tree of lease {number} is looked for", World.look, (number,))


def tell_seen(world: World, asks: Asks) -> Moves:
    for number, left in sorted(world.seen.items()):
        label = f"of lease {number} were seen {left}"
        yield Move(label, World.tell_seen, (world.now, number))


def release_below(world: World, asks: Asks) -> Moves:
    """A child gives back what its parent was granted."""
    for lease in world.witness.books.leases.values():
        for kid in world.started:
            if kid not in world.dead:
                event = ev.Release(Caller(9, OTHER), lease.id, (kid,))
                yield Move(f"{kid} releases {lease.claim.task}", say, (event, 9))


def tick(world: World, asks: Asks) -> Moves:
    yield Move("time passes", World.pass_time, (world.now + TICK_S,))


def be_late(world: World, asks: Asks) -> Moves:
    """Time passes, and the next event comes before the daemon has looked at its clock."""
    if world.core.wakeup() > world.now:
        yield Move("time passes unseen", setattr, ("now", world.now + TICK_S))


def sample(world: World, asks: Asks) -> Moves:
    """A reading with little memory in use, or with more; CPUs idle."""
    for used_pct in (10.0, 45.0):
        event = ev.Sampled(Sample(world.now, used_pct, 0.0, memory_total_bytes=100))
        yield Move(f"memory reads {used_pct} %", World.feed, (world.now, event))


def press(world: World, asks: Asks) -> Moves:
    """Memory is short, tasks wait for a CPU, or neither."""
    readings = [(10.0, 97.0), (10.0, 0.0)]
    if "park" in world.throttle.shed.policy:
        readings.append((45.0, 0.0))
    for used_pct, stall_pct in readings:
        event = ev.Sampled(Sample(world.now, used_pct, 0.0, cpu_stall_pct=stall_pct))
        yield Move(f"memory {used_pct} %, stalls {stall_pct} %", World.feed, (world.now, event))


def set_level(world: World, asks: Asks) -> Moves:
    for level in (0, 3):
        yield Move(f"level {level}", World.set_level, (world.now, level))


def set_level_for_a_while(world: World, asks: Asks) -> Moves:
    yield Move("level 3 for a while", World.set_level, (world.now, 3, 2 * TICK_S))


def reserve(world: World, asks: Asks) -> Moves:
    """One unit for whatever is critical: now, or from the next tick on."""
    if world.witness.books.hand.reservations:
        return
    for from_in_s in (0.0, TICK_S):
        event = by_hand.Reserve(
            Caller(9, OTHER), "agents", 1, 2 * TICK_S, Class.CRITICAL, from_in_s=from_in_s
        )
        yield Move(f"one is reserved in {from_in_s} s", say, (event, 9))


def reserve_for_group(world: World, asks: Asks) -> Moves:
    """Another unit for a group, whatever its class; sometimes the last one."""
    if not any(one.group for one in world.witness.books.hand.reservations.values()):
        for is_whole in (False, True):
            event = by_hand.Reserve(
                Caller(9, OTHER), "agents", 1, 2 * TICK_S, group="g", is_whole=is_whole
            )
            yield Move(f"one is reserved for g, whole: {is_whole}", say, (event, 9))


def unreserve(world: World, asks: Asks) -> Moves:
    for number in list(world.witness.books.hand.reservations):
        event = by_hand.Unreserve(Caller(9, OTHER), number)
        yield Move(f"reservation {number} is taken back", say, (event, 9))


def pause(world: World, asks: Asks) -> Moves:
    """For a tick, for ever, or no longer."""
    if world.witness.books.hand.paused:
        yield Move("goes on", say, (by_hand.Unpause(Caller(9, OTHER)), 9))
        return
    for for_s in (TICK_S, None):
        event = by_hand.Pause(Caller(9, OTHER), "agents", for_s)
        yield Move(f"paused for {for_s}", say, (event, 9))


def put_ahead(world: World, asks: Asks) -> Moves:
    for waiter in list(world.witness.books.waiters.values()):
        event = by_hand.Move(Caller(9, OTHER), waiter.ticket)
        yield Move(f"{waiter.claim.task} is put ahead", say, (event, 9))


def put_back(world: World, asks: Asks) -> Moves:
    for waiter in list(world.witness.books.waiters.values()):
        event = by_hand.Move(Caller(9, OTHER), waiter.ticket, is_back=True)
        yield Move(f"{waiter.claim.task} is put back", say, (event, 9))


def cancel_ticket(world: World, asks: Asks) -> Moves:
    for waiter in list(world.witness.books.waiters.values()):
        event = ev.Cancel(Caller(9, OTHER), ticket=waiter.ticket)
        yield Move(f"{waiter.claim.task} is cancelled by hand", say, (event, 9))


def break_disk(world: World, asks: Asks) -> Moves:
    if not world.disk_room:
        yield Move("the disk has room", World.mend_journal, (world.now,))
    else:
        yield Move("the disk is full", setattr, ("disk_room", 0))


def kill(world: World, asks: Asks) -> Moves:
    yield Move("the daemon is killed", World.restart, (world.now,))
