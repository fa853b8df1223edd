"""Filling in: what is free and too little for the front waiter is others' for a while."""

from dataclasses import replace
from math import inf

from admission.core import by_hand
from admission.core import events as ev
from admission.core.budget import GIB, Budget
from admission.core.filling import PASSED_MAX
from admission.core.leases import Bound, Caller, Claim, Class
from admission.core.order import Ageing
from admission.core.places import reason_of
from admission.core.sample import Sample
from tests.core import hand
from tests.core.worlds import ANN, BEN, CAT, World, agents

FOR_10_S = Ageing(inf, inf, fill_in_s=10.0)


def crowded(capacity: int = 3, ageing: Ageing = FOR_10_S) -> tuple[World, Caller, Caller]:
    """One of the units is out, and another one waits for all of them since 0.0."""
    world = World(agents(capacity), ageing=ageing)
    held = world.acquire(0.0, Claim(ANN))
    return world, held, world.acquire(0.0, Claim(BEN, weight=capacity))


def reason(world: World, caller: Caller, now: float) -> str:
    pool = world.core.pools["agents"]
    (waiter,) = [one for one in pool.waiters.values() if one.caller == caller]
    return reason_of(pool, waiter, now)


def test_a_small_one_has_what_is_too_little_for_a_large_one() -> None:
    world, _, large = crowded()
    assert world.is_held(world.acquire(1.0, Claim(CAT)))
    assert world.is_held(world.acquire(9.9, Claim(CAT)))
    assert world.is_waiting(large)


def test_from_its_bound_on_all_that_is_freed_is_kept_for_the_large_one() -> None:
    world, held, large = crowded()
    filled = world.acquire(9.9, Claim(CAT))
    late = world.acquire(10.0, Claim(CAT))
    assert world.is_waiting(late)
    world.release(11.0, filled)
    assert world.is_waiting(late)
    world.release(12.0, held)
    assert world.is_held(large)


def test_without_a_bound_nobody_is_passed() -> None:
    world, _, _ = crowded(ageing=replace(FOR_10_S, fill_in_s=0.0))
    assert world.is_waiting(world.acquire(0.0, Claim(CAT)))


def test_the_bound_counts_from_when_it_came_whatever_happens_meanwhile() -> None:
    world = World(agents(3), ageing=FOR_10_S)
    world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    large = Claim(BEN, weight=3, request=b"large", bound=Bound.PROCESS)
    asked = world.acquire(0.0, large)
    world.close(3.0, asked.connection)
    world.acquire(4.0, large)
    world.restart(6.0)
    again = world.acquire(7.0, large)
    assert world.is_held(world.acquire(9.9, Claim(CAT)))
    assert world.is_waiting(world.acquire(10.0, Claim(CAT)))
    assert world.is_waiting(again)


def test_one_of_a_lower_class_passes_nobody_of_a_higher_one() -> None:
    world, _, _ = crowded()
    assert world.is_waiting(world.acquire(1.0, Claim(CAT, rank=Class.BATCH)))
    assert world.is_held(world.acquire(1.0, Claim(CAT)))


def test_who_is_passed_as_well_has_a_bound_of_its_own() -> None:
    world, _, _ = crowded()
    world.acquire(0.0, Claim(CAT, weight=3, group="other"))
    second = world.acquire(5.0, Claim(CAT, weight=3, group="third"))
    assert world.is_held(world.acquire(9.0, Claim(ANN)))
    assert world.is_waiting(world.acquire(10.0, Claim(ANN)))
    assert world.is_waiting(second)


def test_no_more_than_so_many_are_looked_past() -> None:
    world, _, _ = crowded()
    for _ in range(PASSED_MAX - 1):
        world.acquire(0.0, Claim(BEN, weight=3))
    assert world.is_held(world.acquire(1.0, Claim(CAT)))
    world.acquire(1.0, Claim(BEN, weight=3))
    assert world.is_waiting(world.acquire(1.0, Claim(CAT)))


def test_one_who_waits_for_memory_and_not_for_units_is_not_passed() -> None:
    budget = Budget(mean_bytes=2 * GIB, peak_bytes=2 * GIB, share_pct=100.0)
    world = World(agents(5), budget=budget, ageing=FOR_10_S)
    world.feed(0.0, ev.Sampled(Sample(0.0, memory_used_pct=50.0, memory_total_bytes=16 * GIB)))
    world.acquire(0.0, Claim(ANN))
    assert world.is_waiting(world.acquire(1.0, Claim(BEN, weight=3)))
    assert world.is_waiting(world.acquire(1.0, Claim(CAT)))


def test_nobody_passes_one_for_whom_units_are_reserved() -> None:
    world = World(agents(3), ageing=FOR_10_S)
    first, _ = world.acquire(0.0, Claim(ANN)), world.acquire(0.0, Claim(ANN))
    hand.reserve(world, 0.0, 2, rank=Class.CRITICAL)
    large = world.acquire(1.0, Claim(BEN, weight=2, rank=Class.CRITICAL))
    small = world.acquire(1.0, Claim(CAT, rank=Class.CRITICAL))
    assert world.is_waiting(small)
    world.release(2.0, first)
    assert world.is_held(large)
    assert world.is_waiting(small)


def test_nobody_fills_in_in_a_pause() -> None:
    world, _, _ = crowded()
    pause = by_hand.Pause(world.caller(9), None, None)
    world.feed(1.0, pause)
    small = world.acquire(1.0, Claim(CAT))
    assert world.is_waiting(small)
    world.feed(2.0, by_hand.Unpause(world.caller(9), None))
    assert world.is_held(small)


def test_each_is_told_what_is_so() -> None:
    world, _, large = crowded()
    assert reason(world, large, 4.0) == (
        "1 of 3 agents run; it asks for 3, and smaller ones may pass it for 6 s"
    )
    late = world.acquire(10.0, Claim(CAT))
    assert reason(world, large, 10.0) == (
        "1 of 3 agents run; it asks for 3, and what is freed is kept for it"
    )
    assert reason(world, late, 10.0) == "1 of 3 agents run"


def test_where_nothing_is_free_there_is_nothing_to_pass_for() -> None:
    world, _, large = crowded(capacity=1)
    assert reason(world, large, 1.0) == "1 of 1 agents run"
