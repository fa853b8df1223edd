"""What hardly ever happens, and is decided all the same: each branch of the core that the stories
of the other files pass by.
"""

from math import inf

import pytest

from admission.core import by_hand, shedding
from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.durations import said
from admission.core.estimates import Learnt, Measured, OutOfMemory, Reading, Recalled, Run
from admission.core.foresight import Foresight, Remembered
from admission.core.governor import Governor
from admission.core.learning import ENDED_KEPT, KEYS_KEPT
from admission.core.leases import Bound, Caller, Claim, Class, Holder
from admission.core.levels import PoolSpec
from admission.core.limits import Limits
from admission.core.order import Ageing
from admission.core.permits import Permitted
from admission.core.profile import HOURS, JUDGED_MIN, Hour
from admission.core.reserving import Reservation
from admission.core.sample import Sample
from admission.core.shedding import PARKED_KEPT
from tests.core import hand, test_alarms, test_deferring, test_demand, test_filling
from tests.core import test_foresight as foresight
from tests.core import test_learning as learning
from tests.core import test_order as order
from tests.core import test_profile as profiles
from tests.core import test_shedding as pressure
from tests.core.worlds import ANN, BEN, CAT, World, agents, spec

FLEET = PoolSpec("agents", (2,) * 4, is_fleet=True)
OTHER = PoolSpec("others", (2,) * 4, is_fleet=True)


def test_a_long_time_is_told_in_days() -> None:
    assert [said(hours * 3600) for hours in (35.9, 36, 96)] == ["35.9 h", "2 d", "4 d"]


# --- who goes first -------------------------------------------------------------------------------


def test_who_stands_in_the_highest_class_climbs_no_further() -> None:
    assert Ageing().climbs_at(order.waiter(1, rank=Class.CRITICAL), 1) == inf


def test_nobody_passes_one_whose_patience_is_over_though_the_front_has_some() -> None:
    """As where a hand has put the front there."""
    world, held, _ = test_filling.crowded()
    young = world.acquire(8.0, Claim(BEN, weight=3))
    hand.put_ahead(world, 8.0, hand.waiter(world, young).ticket)
    small = world.acquire(11.0, Claim(CAT))
    assert world.is_waiting(small)
    world.release(12.0, held)
    assert world.is_held(young)


def test_who_waits_for_a_quiet_hour_is_in_nobodys_way_who_fills_in() -> None:
    world, _, _ = test_filling.crowded()
    put_off = test_deferring.put_off(world, 1.0)
    small = world.acquire(2.0, Claim(CAT))
    assert world.is_waiting(put_off)
    assert world.is_held(small)


def test_the_innermost_pool_that_is_held_is_named_where_one_would_wait_for_ever() -> None:
    world = World(agents(1), spec("operations", 1), spec("disks", 1))
    world.acquire(0.0, Claim(CAT))
    disk = world.lease(world.acquire(0.0, Claim(ANN, pool="disks")))
    asked = world.acquire(1.0, Claim(BEN), parent=disk.id, above=(BEN, ANN))
    assert f"lease {disk.id} of disks" in hand.refused(world.answer(asked)).message


# --- alarms ---------------------------------------------------------------------------------------


def test_where_nobody_holds_anything_no_lease_is_blamed() -> None:
    world = World(agents(2, 2, 1, 1), limits=test_alarms.LIMITS)
    world.feed(0.0, ev.Sampled(Sample(0.0, 95.0, 1.0)))
    test_alarms.waiting(world, weight=2)
    assert "the level is 3 (heavy)" in test_alarms.why(world, 30.0)
    assert "lease" not in test_alarms.why(world, 30.0)


# --- what the fleet permits -----------------------------------------------------------------------


def test_a_pool_of_this_machine_takes_nothing_of_the_fleet() -> None:
    world = World(agents(1), limits=Limits())
    world.feed(0.0, Permitted("agents", 0, 0.0, ""))
    assert world.is_held(world.acquire(0.0, Claim(ANN)))


def test_a_permit_that_is_over_takes_no_other_along() -> None:
    world = World(FLEET, OTHER)
    world.feed(0.0, Permitted("agents", 1, 1.0, ""))
    world.feed(0.0, Permitted("others", 1, 9.0, ""))
    world.feed(2.0, ev.TimePassed())
    assert [world.core.pools[name].permits for name in ("agents", "others")] == [0, 1]
    assert world.is_waiting(world.acquire(3.0, Claim(ANN)))
    assert world.is_held(world.acquire(3.0, Claim(ANN, pool="others")))


def test_now_or_not_takes_as_long_as_the_fleet_needs_to_answer() -> None:
    world = World(FLEET)
    asked = world.acquire(0.0, Claim(ANN), wait_s=0)
    assert world.is_waiting(asked)
    world.feed(0.5, Permitted("agents", 1, 9.0, ""))
    assert world.is_held(asked)
    other = world.acquire(1.0, Claim(BEN), wait_s=0)
    world.pass_time(2.0)
    assert hand.refused(world.answer(other)).code == "timeout"


def test_units_of_the_fleet_are_not_reserved() -> None:
    refused = hand.refused(hand.reserve(World(FLEET), 0.0, 1, group="ci"))
    assert (refused.code, "are the fleet's" in refused.message) == ("impossible", True)


# --- pressure -------------------------------------------------------------------------------------


def test_one_that_ends_while_it_stands_still_leaves_nothing_that_does() -> None:
    world = pressure.world()
    pressure.held(world, 0, pressure.PARKABLE, pressure.PARKABLE)
    (number,) = pressure.frozen(pressure.feel(world, 1, stall_pct=95.0))
    assert world.core.ladder.next_at(world.core.ledger, world.core.governor) < inf
    assert pressure.thawed(world.feed(2, ev.HolderExited(BEN))) == [number]
    assert world.core.ladder.next_at(world.core.ledger, world.core.governor) == inf


def test_a_sample_that_is_older_than_the_last_one_moves_nobody() -> None:
    world = pressure.world()
    pressure.held(world, 0, pressure.PARKABLE, pressure.PARKABLE)
    pressure.feel(world, 10, 50.0)
    old = world.feed(11, ev.Sampled(Sample(5, 99.0, 10.0)))
    assert pressure.parked(old) == []
    idle = World(agents(2))
    test_deferring.rest(idle, 0.0, 240.0)
    put_off = test_deferring.put_off(idle, 241.0)
    idle.feed(400.0, ev.Sampled(Sample(100.0, 20.0, 5.0)))
    assert idle.is_waiting(put_off)


def test_of_what_could_not_be_written_and_is_gone_nothing_is_left() -> None:
    core = Admission((agents(1),), Governor())
    core.handle(0.0, ev.JournalFailed((shedding.Frozen(9, 0.0),)))
    assert not core.ledger.frozen


def test_of_the_parked_only_so_many_are_remembered() -> None:
    core = Admission((agents(1),), Governor())
    records = tuple(shedding.Parked(number, 0) for number in range(1, PARKED_KEPT + 2))
    core.handle(0.0, ev.Restarted(records, frozenset()))
    assert list(core.ledger.parked) == list(range(2, PARKED_KEPT + 2))


# --- what a journal tells of what is no more ------------------------------------------------------


@pytest.mark.parametrize(
    "record",
    [
        by_hand.Reserved(Reservation(3, "gone", 1, 0.0, 600.0, group="ci")),
        by_hand.Paused("gone", inf),
        by_hand.Unpaused("gone"),
        shedding.Frozen(9, 0.0),
        shedding.Thawed(9),
        shedding.Parking(9),
    ],
)
def test_what_is_told_of_what_is_no_more_is_passed_over(record: ev.Record) -> None:
    core = Admission((agents(1),), Governor())
    core.handle(0.0, ev.Restarted((record,), frozenset()))
    core.handle(0.0, ev.Acquire(Caller(1, 1), Claim(ANN)))
    assert (core.ledger.held, core.ledger.frozen) == (1, set())


# --- what is learnt -------------------------------------------------------------------------------


def test_of_a_task_that_was_forgotten_since_nothing_is_put_right() -> None:
    known = learning.known(learning.RUN)
    for number in range(KEYS_KEPT):
        known.learn(Run(f"task {number}", "", "", 7, 1, 1, 1, 1), 1.0)
    known.amend(learning.RUN, learning.OOM, 2.0)
    assert known.figures(learning.LABEL) is None
    assert known.paused_until(learning.LABEL) <= 2.0


def test_of_the_ended_only_so_many_can_still_turn_out_to_have_run_out_of_memory() -> None:
    core = Admission((agents(1),), Governor())
    for number in range(1, ENDED_KEPT + 2):
        core.handle(number, ev.Acquire(Caller(1, number), Claim(ANN, task=f"task {number}")))
        core.handle(number, Measured(number, (Reading(number, 5),)))
        core.handle(number, ev.Release(Caller(1, 0), number))
    late = ENDED_KEPT + 2
    assert not [one for one in core.handle(late, OutOfMemory(1)) if isinstance(one, Learnt)]
    assert [one for one in core.handle(late, OutOfMemory(2)) if isinstance(one, Learnt)]


def test_what_one_has_taken_already_counts_at_once() -> None:
    """It is expected to go as high again as it was."""
    counts = []
    for taken in ((2,), (10, 2)):
        world = test_demand.world()
        world.feed(0.0, Recalled((test_demand.RUN,) * 27))
        test_demand.sample(world, 0.0, 20.0)
        first = world.acquire(0.0, Claim(Holder(299, 1), task="build", bound=Bound.PROCESS))
        for at, bytes_ in enumerate(taken, start=1):
            number = world.lease(first).id
            world.feed(float(at), Measured(float(at), (Reading(number, bytes_),)))
        test_demand.sample(world, 5.0, 45.0)
        counts.append(test_demand.held(world, 5.0, 4))
    assert counts[0] > counts[1]


# --- what is foreseen -----------------------------------------------------------------------------


def test_what_was_foreseen_for_another_hour_than_this_one_is_foreseen_no_more() -> None:
    profile = profiles.profile_of(profiles.hours(profiles.rhythm, 2))
    assert profile.foreseen is not None
    profile.take(5.0 * HOURS, 30.0)
    profile.remember(profiles.hours(profiles.rhythm, 2))
    assert profile.foreseen is None


def test_a_machine_that_is_on_now_and_then_is_not_judged_by_the_weeks_alone() -> None:
    governor = foresight.governor_of(Foresight())
    few = [Hour(hour, 40.0, 47.0) for hour in range(0, 4 * HOURS, 12)]
    governor.forecasts.remember(Remembered(tuple(few)))
    why = foresight.of(governor, "memory", "profile").why
    assert why == f"0 hours of two weeks were foreseen, {JUDGED_MIN} are wanted"
