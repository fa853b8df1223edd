"""The budget by what tasks take; `tests.core.books_of_demand` has all of it, and here are the
stories that one would tell. A machine of 20 bytes, of which 18 may be spoken for.
"""

from dataclasses import replace

from admission.core import events as ev
from admission.core.budget import Budget
from admission.core.estimates import Ended, Learning, Measured, OutOfMemory, Reading, Recalled, Run
from admission.core.leases import Bound, Claim, Class, Holder
from admission.core.levels import LEVELS
from admission.core.places import places_of
from admission.core.sample import Sample
from tests.core.worlds import ANN, BEN, CAT, World, agents

BUDGET = Budget(ceiling_pct=90.0, mean_bytes=4, peak_bytes=4, share_pct=100.0, ramp_s=60.0)
CALM = tuple(replace(row, memory_below_pct=1000.0, delay_ms=0) for row in LEVELS)
BUILD = Claim(ANN, task="build", bound=Bound.PROCESS)
RUN = Run("build", "", "", 0, mean_bytes=2, peak_bytes=2, cpu_s=1.0, lasted_s=60.0)


def world() -> World:
    world = World(agents(5), levels=CALM, budget=BUDGET)  # type: ignore[arg-type]
    world.throttle = replace(world.throttle, learning=Learning(is_on=True))
    world.feed(0.0, ev.Configured(world.throttle, world.specs, world.ageing))
    return world


def sample(world: World, at: float, used_pct: float) -> None:
    world.feed(at, ev.Sampled(Sample(at, used_pct, 0.0, memory_total_bytes=20)))


def held(world: World, now: float, count: int, claim: Claim = BUILD) -> int:
    """How many of so many are granted at once."""
    asked = [
        world.acquire(now, replace(claim, holder=Holder(300 + number, 1)))
        for number in range(count)
    ]
    return sum(map(world.is_held, asked))


def test_more_are_let_in_of_a_task_that_takes_little() -> None:
    new, known = world(), world()
    known.feed(0.0, Recalled((RUN,) * 27))
    for one in (new, known):
        sample(one, 1.0, 30.0)
    assert (held(new, 2.0, 5), held(known, 2.0, 5)) == (3, 5)


def test_what_a_young_lease_takes_already_is_not_owed() -> None:
    for taken, count in ((4, 2), (None, 1)):
        one = world()
        sample(one, 0.0, 20.0)
        first = one.acquire(0.0, BUILD)
        assert one.is_held(first)
        if taken is not None:
            one.feed(5.0, Measured(5.0, (Reading(1, taken),)))
        sample(one, 5.0, 45.0)
        assert held(one, 5.0, 3) == count


def test_what_an_old_lease_has_not_taken_is_half_owed() -> None:
    one = world()
    sample(one, 0.0, 20.0)
    one.acquire(0.0, BUILD)
    one.feed(100.0, Measured(100.0, (Reading(1, 0),)))
    sample(one, 100.0, 61.0)  # 12.2 and 2 and 4 are more than 18
    assert held(one, 100.0, 1) == 0
    sample(one, 101.0, 59.0)
    assert one.core.pools["agents"].in_use == 2


def test_a_task_that_never_fits_is_refused_with_the_numbers() -> None:
    one = world()
    sample(one, 0.0, 25.0)
    large = replace(RUN, peak_bytes=16)
    one.feed(1.0, Recalled((large, large)))
    assert held(one, 1.0, 1) == 1  # with nothing out one is granted
    one.feed(2.0, Recalled((large,)))
    asked = one.acquire(2.0, replace(BUILD, holder=BEN))
    assert one.refusal(asked) == "impossible"
    other = one.acquire(2.0, replace(BUILD, holder=CAT, task="other"))
    assert one.is_held(other) or one.is_waiting(other)


def test_a_task_that_runs_out_of_memory_again_and_again_waits_and_others_pass_it() -> None:
    one = world()
    for at in (0.0, 10.0):
        asked = one.acquire(at, BUILD)
        lease = one.lease(asked).id
        one.feed(at + 1, Measured(at + 1, (Reading(lease, 3),)))
        one.feed(at + 2, OutOfMemory(lease))
        one.feed(at + 3, ev.Release(one.caller(1), lease, (ANN,)))
    asked = one.acquire(20.0, BUILD)
    assert one.is_waiting(asked)
    (place,) = places_of(one.core.pools["agents"], 20.0)
    assert place.reason == "build has run out of memory again and again, and pauses for 53 s more"
    assert one.is_held(one.acquire(21.0, Claim(BEN, task="other")))
    assert one.core.wakeup() == 73.0
    one.pass_time(73.0)
    assert one.is_held(asked)


def test_one_that_is_parked_does_not_pause() -> None:
    one = world()
    one.feed(0.0, Recalled((replace(RUN, ended=Ended.PARKED),) * 5))
    assert held(one, 1.0, 1) == 1


# --- heavy and light ones mixed ---


HEAVY, LIGHT = (Claim(ANN, task=task, bound=Bound.PROCESS) for task in ("heavy", "light"))


def mixed(used_pct: float = 30.0, learning: Learning | None = None, first: Claim = HEAVY) -> World:
    """Heavy ones come to 8 bytes and light ones to 2, by their runs; a first one is out."""
    one = world()
    if learning is not None:
        one.throttle = replace(one.throttle, learning=learning)
        one.feed(0.0, ev.Configured(one.throttle, one.specs, one.ageing))
    heavy, light = replace(RUN, task="heavy", peak_bytes=8), replace(RUN, task="light")
    one.feed(0.0, Recalled((heavy, light) * 30))
    sample(one, 1.0, used_pct)
    assert held(one, 1.0, 1, first) == 1
    return one


def test_a_heavy_one_that_waits_for_another_is_passed_by_light_ones_and_told_so() -> None:
    one = mixed()
    waits = one.acquire(2.0, replace(HEAVY, holder=BEN))
    assert one.is_waiting(waits)
    (place,) = places_of(one.core.pools["agents"], 2.0)
    assert place.reason.endswith("lighter tasks may pass it until one that is as heavy has ended")
    assert one.is_held(one.acquire(2.0, replace(LIGHT, holder=CAT)))
    one.exit(3.0, Holder(300, 1))
    sample(one, 4.0, 20.0)
    assert one.is_held(waits)


def test_one_that_waits_for_light_ones_alone_is_not_passed() -> None:
    one = mixed(first=LIGHT)
    sample(one, 2.0, 50.0)
    assert one.is_waiting(one.acquire(2.0, replace(HEAVY, holder=BEN)))
    assert one.is_waiting(one.acquire(2.0, replace(LIGHT, holder=CAT)))


def test_one_that_came_later_keeps_a_heavy_one_waiting_and_lets_nobody_pass_it() -> None:
    one = mixed(first=LIGHT)
    sample(one, 2.0, 50.0)
    waits = one.acquire(2.0, replace(HEAVY, holder=BEN))
    urgent = one.acquire(2.0, replace(HEAVY, holder=CAT, rank=Class.CRITICAL))
    sample(one, 3.0, 20.0)
    assert one.is_held(urgent)
    assert one.is_waiting(waits)
    assert one.is_waiting(one.acquire(3.0, replace(LIGHT, holder=Holder(400, 1))))


def test_one_that_is_nearly_as_heavy_passes_nobody() -> None:
    one = mixed()
    one.feed(1.0, Recalled((replace(RUN, task="nearly", peak_bytes=7),) * 30))
    sample(one, 2.0, 26.0)
    waits = one.acquire(2.0, replace(HEAVY, holder=BEN))
    assert one.is_waiting(waits)
    nearly = one.acquire(2.0, Claim(CAT, task="nearly", bound=Bound.PROCESS))
    assert one.is_waiting(nearly)
    one.close(3.0, waits.connection)
    one.exit(3.0, BEN)
    assert one.is_held(nearly)


def test_one_of_which_nothing_is_known_is_not_passed() -> None:
    one = mixed(35.0)
    assert one.is_waiting(one.acquire(2.0, Claim(BEN, task="new")))
    assert one.is_waiting(one.acquire(2.0, replace(LIGHT, holder=CAT)))


def test_one_that_regains_its_units_is_not_passed() -> None:
    one = mixed(20.0)
    rests = one.acquire(1.0, replace(HEAVY, holder=BEN))
    assert one.is_held(rests)
    one.yield_(2.0, rests)
    sample(one, 100.0, 47.0)
    again = one.regain(100.0, rests)
    assert one.is_waiting(again)
    assert one.is_waiting(one.acquire(100.0, replace(LIGHT, holder=CAT)))


def test_where_tasks_are_not_to_be_mixed_nobody_passes() -> None:
    one = mixed(learning=Learning(is_on=True, mixes=False))
    one.acquire(2.0, replace(HEAVY, holder=BEN))
    assert one.is_waiting(one.acquire(2.0, replace(LIGHT, holder=CAT)))
