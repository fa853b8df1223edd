"""Who waits or holds for too long: told once, with the true reason, for as long as it lasts."""

from dataclasses import replace
from math import inf

from admission.core import events as ev
from admission.core.alarm import Alarm
from admission.core.budget import GIB, Budget
from admission.core.leases import Bound, Claim, Class
from admission.core.limits import Limits
from admission.core.sample import Sample
from tests.core import hand
from tests.core.worlds import ANN, BEN, CAT, World, agents

LIMITS = Limits(alarm_s=(30.0, 600.0, 3600.0))
HELD = Claim(ANN, max_hold_s=60.0, bound=Bound.PROCESS)


def alarms(effects: list[ev.Effect]) -> list[Alarm]:
    return [one.alarm for one in effects if isinstance(one, ev.Alarmed)]


def lasting(world: World, now: float) -> list[Alarm]:
    core = world.core
    return list(core.alarms.all(core.ledger, core.governor, now))


def test_each_class_has_its_own_bound_and_each_waiter_is_told_of_once() -> None:
    world = World(agents(1), limits=LIMITS)
    world.acquire(0.0, Claim(ANN))
    for rank in Class:
        world.acquire(0.0, Claim(BEN, rank=rank))
    for at, rank in ((30.0, Class.CRITICAL), (600.0, Class.NORMAL), (3600.0, Class.BATCH)):
        assert world.core.wakeup() == at
        (alarm,) = alarms(world.pass_time(at))
        assert (alarm.claim.rank, alarm.for_s, alarm.is_held) == (rank, at, False)
    assert world.core.wakeup() == inf
    assert [one.for_s for one in lasting(world, 4000.0)] == [4000.0] * 3


def test_it_is_gone_when_the_waiter_is() -> None:
    world = World(agents(1), limits=LIMITS)
    held = world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN))
    other = world.acquire(0.0, Claim(CAT))
    world.pass_time(600.0)
    assert len(lasting(world, 600.0)) == 2
    world.release(700.0, held)
    assert world.is_held(asked)
    world.cancel(701.0, other)
    assert lasting(world, 701.0) == []


def test_who_is_granted_in_that_very_step_is_not_told_of() -> None:
    world = World(agents(1), limits=LIMITS)
    held = world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN))
    caller = world.caller(held.connection)
    assert not alarms(world.feed(600.0, ev.Release(caller, world.lease(held).id)))


def why(world: World, now: float) -> str:
    """The reason of the one alarm that there is."""
    (alarm,) = lasting(world, now)
    return alarm.reason


def waiting(world: World, *, weight: int = 1, until: float = 30.0) -> None:
    world.acquire(0.0, Claim(BEN, rank=Class.CRITICAL, weight=weight))
    world.pass_time(until)


def test_a_raised_level_is_named_with_its_reasons() -> None:
    world = World(agents(2, 2, 1, 1), limits=LIMITS)
    world.acquire(0.0, Claim(ANN))
    world.feed(0.0, ev.Sampled(Sample(0.0, 95.0, 1.0)))
    waiting(world)
    assert why(world, 30.0) == (
        "1 of 1 agents run; the level is 3 (heavy): memory 95 % is at or above 90 %"
    )


def test_the_budget_is_named_in_numbers() -> None:
    budget = Budget(ceiling_pct=90.0, mean_bytes=GIB, peak_bytes=GIB, share_pct=100.0)
    world = World(agents(5), limits=LIMITS, budget=budget)
    world.acquire(0.0, Claim(ANN))
    world.feed(0.0, ev.Sampled(Sample(0.0, 60.0, 1.0, memory_total_bytes=4 * GIB)))
    waiting(world)
    assert why(world, 30.0).startswith("memory: 2.4 GiB used, 1 GiB promised but not shown")


def test_the_lease_that_is_held_longest_past_its_bound_is_named() -> None:
    world = World(agents(2), limits=LIMITS)
    world.acquire(0.0, Claim(CAT, max_hold_s=500.0))
    world.acquire(0.0, replace(HELD, max_hold_s=10.0))
    waiting(world)
    alarm = next(one for one in lasting(world, 30.0) if not one.is_held)
    assert alarm.reason == (
        "2 of 2 agents run; lease 2 has been held for 30 s, longer than the 10 s it was meant for"
    )


def test_and_so_is_one_that_takes_much_longer_than_is_usual() -> None:
    world = World(agents(1), limits=LIMITS)
    for now in (-40.0, -30.0, -20.0):
        world.release(now + 5, world.acquire(now, Claim(ANN)))
    world.acquire(0.0, Claim(ANN))
    waiting(world)
    assert (
        why(world, 30.0) == "1 of 1 agents run; lease 4 has been held for 30 s, where 5 s is usual"
    )


def test_a_reservation_a_pause_and_who_stands_before_are_named() -> None:
    world = World(agents(2), limits=LIMITS)
    hand.reserve(world, 0.0, 1, group="ci", for_s=630.0)
    world.acquire(0.0, Claim(ANN))
    waiting(world)
    assert why(world, 30.0) == "1 of agents is reserved for group ci for another 10 min"
    hand.pause(world, 30.0)
    assert why(world, 30.0) == "paused by hand"
    world.disk_room = 0
    world.acquire(31.0, Claim(CAT))
    assert why(world, 31.0) == "the journal can't be written"


def test_behind_one_that_the_budget_holds_up_that_is_the_reason() -> None:
    budget = Budget(ceiling_pct=90.0, mean_bytes=GIB, peak_bytes=GIB, share_pct=100.0)
    world = World(agents(5), limits=LIMITS, budget=budget)
    world.acquire(0.0, Claim(ANN))
    world.feed(0.0, ev.Sampled(Sample(0.0, 60.0, 1.0, memory_total_bytes=4 * GIB)))
    world.acquire(0.0, Claim(BEN, rank=Class.CRITICAL))
    waiting(world)
    assert "1 ahead in the queue; of the first of them: memory: " in lasting(world, 30.0)[1].reason


# --- leases that are held for too long -----------------------------------------------------------


def test_who_holds_for_longer_than_meant_is_told_of_and_not_ended() -> None:
    world = World(agents(1), limits=LIMITS)
    held = world.acquire(0.0, HELD)
    assert world.core.wakeup() == 60.0
    effects = world.pass_time(60.0)
    (alarm,) = alarms(effects)
    assert (alarm.is_held, alarm.number) == (True, world.lease(held).id)
    assert not [one for one in effects if isinstance(one, ev.EndGently)]
    assert why(world, 120.0) == "held for 2 min, longer than the 60 s it was meant for"
    world.release(121.0, held)
    assert lasting(world, 121.0) == []


def test_where_it_was_asked_for_the_holder_is_asked_to_end_once() -> None:
    world = World(agents(1), limits=LIMITS)
    held = world.acquire(0.0, replace(HELD, end_after_max=True))
    (asked,) = [one for one in world.pass_time(60.0) if isinstance(one, ev.EndGently)]
    assert asked.lease == world.lease(held)
    assert world.is_held(held)
    assert not [one for one in world.pass_time(61.0) if isinstance(one, ev.EndGently)]
    assert "its holder was asked to end" in why(world, 61.0)


def test_time_without_the_units_does_not_count() -> None:
    world = World(agents(1), limits=LIMITS)
    held = world.acquire(0.0, HELD)
    world.yield_(50.0, held)
    assert not alarms(world.pass_time(100.0))
    world.regain(200.0, held)
    assert world.core.wakeup() == 260.0
    assert alarms(world.pass_time(260.0))
    world.yield_(270.0, held)
    assert lasting(world, 270.0) == []


def test_a_restart_forgets_neither_the_bound_nor_who_waits_for_too_long() -> None:
    world = World(agents(1), limits=LIMITS)
    held = world.acquire(0.0, HELD)
    world.yield_(1.0, held)
    world.regain(2.0, held)
    world.acquire(0.0, Claim(BEN, rank=Class.CRITICAL, request=b"b", bound=Bound.PROCESS))
    world.pass_time(40.0)
    world.restart(41.0)
    assert [one.is_held for one in lasting(world, 41.0)] == [False]
    world.pass_time(62.0)
    assert [one.is_held for one in lasting(world, 62.0)] == [True]


def test_bounds_that_are_configured_anew_hold_for_those_who_wait_already() -> None:
    world = World(agents(1), limits=LIMITS)
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN))
    world.core.limits = world.witness.books.limits = replace(LIMITS, alarm_s=(1.0, 5.0, 9.0))
    world.feed(1.0, ev.Configured(world.throttle, world.specs))
    assert world.core.wakeup() == 5.0


def test_what_ended_early_does_not_pile_up() -> None:
    world = World(agents(1), limits=LIMITS)
    world.acquire(0.0, Claim(ANN))
    for number in range(300):
        world.cancel(float(number) / 10, world.acquire(float(number) / 10, Claim(BEN)))
    assert len(world.core.alarms._due) < 100
