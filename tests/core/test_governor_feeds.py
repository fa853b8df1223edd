"""The governor again: what it is fed, odd clocks, and settings that change."""

from dataclasses import replace

import pytest

from admission.core import events as ev
from admission.core.governor import Governor, Patience, Throttle
from admission.core.growth import Growth
from admission.core.leases import Claim
from admission.core.levels import LEVELS
from admission.core.places import places_of
from admission.core.sample import Sample
from tests.core.test_governor import calm, governor_at, levels_of
from tests.core.worlds import ANN, BEN, World, agents

# --- what the CPU leg believes --------------------------------------------------------------------


def busy(at: float, cpu_used_pct: float, cpu_stall_pct: float | None = None) -> Sample:
    return Sample(at, 10.0, cpu_used_pct, cpu_stall_pct=cpu_stall_pct)


def test_the_documents_example_is_level_2_with_its_parameters() -> None:
    governor = Governor()
    governor.take(Sample(0.0, memory_used_pct=85.0, cpu_used_pct=72.0))
    row = governor.row
    assert (row.level, row.name, row.max_agents, row.max_concurrent) == (2, "medium", 2, 1)
    assert (row.batch_size, row.delay_ms, row.reasoning_effort) == (25, 1000, "medium")


def test_the_first_reading_of_the_cpu_counts_at_once_and_a_later_one_in_its_time() -> None:
    first = Governor()
    first.take(busy(0.0, 72.0))
    assert first.row.level == 1
    later = Governor()
    later.take(busy(0.0, 5.0))
    levels = levels_of(later, *(busy(5.0 * index, 72.0) for index in range(1, 61)))
    assert levels[5] == 0
    assert levels[-1] == 1


@pytest.mark.parametrize(
    ("stall_pct", "level"), [(0.0, 0), (39.0, 0), (41.0, 1), (60.0, 2), (90.0, 3)]
)
def test_a_busy_cpu_counts_as_far_as_somebody_waits_for_it(stall_pct: float, level: int) -> None:
    governor = Governor()
    governor.take(busy(0.0, 100.0, stall_pct))
    assert governor.row.level == level


def test_waiting_for_an_idle_cpu_is_no_pressure() -> None:
    governor = Governor()
    governor.take(busy(0.0, 30.0, 90.0))
    assert governor.cpu_smoothed_pct == 30.0


def test_where_the_stalls_go_missing_the_percent_counts_by_itself() -> None:
    governor = Governor()
    assert levels_of(governor, busy(0.0, 95.0, 0.0), busy(1.0, 95.0)) == [0, 3]


# --- reasons, vetoes and odd clocks ---------------------------------------------------------------


def test_a_reason_says_for_how_long_it_has_held() -> None:
    governor = Governor()
    governor.take(calm(0.0, memory_used_pct=85.0))
    governor.take(calm(40.0, memory_used_pct=88.0))
    assert governor.reasons == ("memory 88 % is at or above 80 %, for 40 s",)
    governor.take(calm(50.0, memory_used_pct=95.0))
    assert governor.reasons == ("memory 95 % is at or above 90 %",)


def test_while_the_kernel_warns_the_level_does_not_fall() -> None:
    governor = governor_at(1)
    warned = [replace(calm(float(at)), memory_pressure=2) for at in range(10, 500, 10)]
    assert set(levels_of(governor, *warned)) == {1}
    assert governor.reasons == ("the kernel warns of memory pressure, so the level stays",)


def test_a_sample_older_than_the_last_says_nothing_new() -> None:
    governor = governor_at(0, at=100.0)
    assert levels_of(governor, calm(90.0, memory_used_pct=95.0)) == [0]


def test_a_clock_that_went_far_back_starts_afresh() -> None:
    governor = governor_at(0, at=10_000.0)
    assert levels_of(governor, calm(10.0, memory_used_pct=95.0)) == [3]


def test_a_sample_of_the_same_instant_counts() -> None:
    assert levels_of(governor_at(0), calm(0.0, memory_used_pct=95.0)) == [3]


def test_after_a_sleep_nothing_is_added_for_a_while() -> None:
    world = World(agents(5, 3, 2, 1), patience=Patience(gap_s=120.0, settle_s=30.0))
    world.feed(0.0, ev.Sampled(calm(0.0)))
    first = world.acquire(1.0, Claim(ANN))
    world.feed(1000.0, ev.Sampled(calm(1000.0)))
    second = world.acquire(1001.0, Claim(BEN))
    assert world.is_held(first)
    assert world.is_waiting(second)
    place = next(places_of(world.core.pools["agents"], 1001.0))
    assert place.reason == "the machine has to settle; 29 s to go"
    world.pass_time(1030.0)
    assert world.is_held(second)


def test_after_a_sleep_with_nothing_out_one_is_granted() -> None:
    world = World(agents(5, 3, 2, 1))
    world.feed(0.0, ev.Sampled(calm(0.0)))
    world.feed(1000.0, ev.Sampled(calm(1000.0)))
    assert world.is_held(world.acquire(1001.0, Claim(ANN)))


# --- settings -------------------------------------------------------------------------------------


def test_with_throttling_disabled_the_level_is_0_and_the_reason_says_so() -> None:
    governor = Governor(throttle=Throttle(is_on=False))
    governor.take(Sample(0.0, 99.0, 99.0, memory_total_bytes=1))
    assert governor.row.level == 0
    assert governor.memory is None
    assert governor.reasons == ("throttling is disabled",)


def test_other_settings_keep_what_was_seen() -> None:
    governor = governor_at(2)
    governor.set_by_hand(1, 60.0)
    first, *rest = LEVELS
    stricter = (replace(first, memory_below_pct=40.0), *rest)
    governor.adopt(Throttle(levels=stricter))  # type: ignore[arg-type]
    assert governor.row.level == 1
    governor.set_auto()
    assert governor.row.level == 2
    governor.take(calm(300.0, memory_used_pct=45.0))
    assert governor.reasons[0] == "memory 45 % is at or above 40 %"


def test_policy_budget_sets_the_capacity_and_leaves_the_rest_to_the_level() -> None:
    governor = Governor(throttle=Throttle(policy="budget", growth=Growth(agents_max=10)))
    governor.take(calm(0.0, memory_used_pct=75.0), agents_out=10)
    assert (governor.limit, governor.row.level) == (10, 1)
    governor.take(calm(10.0, memory_used_pct=93.0), agents_out=10)
    assert (governor.limit, governor.row.level) == (7, 3)
    assert governor.hold_until == 70.0
    governor.set_by_hand(0, 60.0)
    assert governor.limit is None


def test_after_a_sleep_the_past_counts_for_nothing_and_a_level_must_be_calm_anew() -> None:
    patience = Patience(dwell_s=10.0, settle_s=30.0)
    governor = Governor(throttle=Throttle(patience=patience))
    governor.take(Sample(0.0, 85.0, 10.0))
    governor.take(Sample(1.0, 20.0, 10.0))
    governor.wake(9.0)
    governor.take(Sample(12.0, 20.0, 10.0))
    assert governor.row.level == 2, "the calm from before the sleep does not count"
    governor.take(Sample(19.0, 20.0, 10.0))
    assert governor.row.level == 1
    assert governor.hold_until == 39.0
