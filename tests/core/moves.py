"""What can happen next in a small world, a function a verb: each gives all moves of its kind."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from admission.core import events as ev
from admission.core.leases import Caller, Claim, Holder, Lease, Waiter
from admission.core.sample import Sample
from tests.core.worlds import World

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

    def event(self, id: int) -> ev.Acquire:
        caller = Caller(self.connection, id)
        parent, above = self.parent, self.above
        return ev.Acquire(caller, self.claim, self.wait_s, parent, above, self.is_new)


@dataclass(frozen=True, slots=True)
class Move:
    """Something that can happen: `make` on a world, with these arguments."""

    label: str
    make: Callable[..., object]
    args: tuple[object, ...] = ()


Moves = Iterator[Move]
Asks = tuple[Ask, ...]


def say(world: World, event: ev.Event, connection: int) -> None:
    """A client says something, on a connection that it opens if it is not."""
    world.lines.add(connection)
    world.feed(world.now, event)


def _lease(world: World, ask: Ask) -> Lease | None:
    leases = world.witness.books.leases.values()
    return next((one for one in leases if one.claim.task == ask.claim.task), None)


def _waiters(world: World, ask: Ask) -> list[Waiter]:
    waiters = world.witness.books.waiters.values()
    return [one for one in waiters if one.claim.task == ask.claim.task]


def acquire(world: World, asks: Asks) -> Moves:
    for ask in asks:
        if not _lease(world, ask) and not _waiters(world, ask):
            args = (ask.event(ACQUIRE), ask.connection)
            yield Move(f"{ask.claim.task} asks", say, args)


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
    for holder in {one.claim.holder: None for one in world.witness.books.all()}:
        yield Move(f"{holder} exits", _exit, (holder,))


def _exit(world: World, holder: Holder) -> None:
    """The process ends. Another takes its name, so that there are always as many."""
    world.exit(world.now, holder)
    world.dead.clear()


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


def set_level(world: World, asks: Asks) -> Moves:
    for level in (0, 3):
        yield Move(f"level {level}", World.set_level, (world.now, level))


def set_level_for_a_while(world: World, asks: Asks) -> Moves:
    yield Move("level 3 for a while", World.set_level, (world.now, 3, 2 * TICK_S))


def break_disk(world: World, asks: Asks) -> Moves:
    if not world.disk_room:
        yield Move("the disk has room", World.mend_journal, (world.now,))
    else:
        yield Move("the disk is full", setattr, ("disk_room", 0))


def kill(world: World, asks: Asks) -> Moves:
    yield Move("the daemon is killed", World.restart, (world.now,))
