from itertools import pairwise
from math import nextafter

import pytest

from admission.core.governor import Governor, Patience
from admission.core.legs import judge
from admission.core.levels import LEVELS
from admission.core.sample import Sample

# CPU readings count at once, so that a test says what it means.
PROMPT = Patience(margin_pct=5.0, dwell_s=30.0, step_s=15.0, cpu_smoothing_s=1e-9, gap_s=120.0)
BOUNDS = [(row.level, row.memory_below_pct, row.cpu_below_pct) for row in LEVELS[:-1]]


def governor_at(level: int, *, at: float = 0.0) -> Governor:
    """A governor that a sample brought to this level."""
    memory_used_pct = (50.0, 75.0, 85.0, 95.0)[level]
    governor = Governor(LEVELS, PROMPT)
    governor.take(Sample(at, memory_used_pct, 10.0))
    assert governor.row.level == level
    return governor


def levels_of(governor: Governor, *samples: Sample) -> list[int]:
    levels = []
    for sample in samples:
        governor.take(sample)
        levels.append(governor.row.level)
    return levels


def calm(
    at: float, memory_used_pct: float | None = 10.0, cpu_used_pct: float | None = 10.0
) -> Sample:
    return Sample(at, memory_used_pct, cpu_used_pct)


# --- one sample -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "memory_below_pct", "cpu_below_pct"), BOUNDS)
def test_a_level_holds_below_its_bounds_and_not_at_them(
    level: int, memory_below_pct: float, cpu_below_pct: float
) -> None:
    just_below, just_above = nextafter(memory_below_pct, 0.0), nextafter(memory_below_pct, 100.0)
    assert judge(just_below, 0.0, LEVELS).level == level
    assert judge(memory_below_pct, 0.0, LEVELS).level == level + 1
    assert judge(just_above, 0.0, LEVELS).level == level + 1
    just_below, just_above = nextafter(cpu_below_pct, 0.0), nextafter(cpu_below_pct, 100.0)
    assert judge(0.0, just_below, LEVELS).level == level
    assert judge(0.0, cpu_below_pct, LEVELS).level == level + 1
    assert judge(0.0, just_above, LEVELS).level == level + 1


def test_the_last_level_holds_whatever_the_readings_are() -> None:
    assert judge(100.0, 100.0, LEVELS).level == 3
    assert judge(250.0, 0.0, LEVELS).level == 3


@pytest.mark.parametrize(
    ("memory_used_pct", "cpu_used_pct", "level", "reasons"),
    [
        (50.0, 20.0, 0, ()),
        (85.0, 72.0, 2, ("memory 85 % is at or above 80 %", "CPU 72 % is at or above 60 %")),
        (72.0, 95.0, 3, ("CPU 95 % is at or above 90 %", "memory 72 % is at or above 70 %")),
        (None, 80.0, 2, ("CPU 80 % is at or above 75 %",)),
        (92.0, None, 3, ("memory 92 % is at or above 90 %",)),
        (None, None, 0, ()),
    ],
)
def test_the_worse_leg_gives_the_level_and_is_named_first(
    memory_used_pct: float | None,
    cpu_used_pct: float | None,
    level: int,
    reasons: tuple[str, ...],
) -> None:
    judgement = judge(memory_used_pct, cpu_used_pct, LEVELS)
    assert (judgement.level, judgement.reasons) == (level, reasons)


def test_with_a_margin_a_reading_must_stay_further_below() -> None:
    judgement = judge(67.0, 10.0, LEVELS, margin_pct=5.0)
    assert judgement.level == 1
    assert judgement.reasons == ("memory 67 % is not far enough below 70 %",)
    assert judge(64.9, 54.9, LEVELS, margin_pct=5.0).level == 0


# --- up at once, down with patience ---------------------------------------------------------------


def test_the_level_rises_at_once_however_far() -> None:
    governor = governor_at(0)
    assert levels_of(governor, calm(1.0, memory_used_pct=95.0)) == [3]
    assert governor.reasons == ("memory 95 % is at or above 90 %",)


def test_the_level_falls_one_step_at_a_time_and_rests_on_each() -> None:
    governor = governor_at(3)
    samples = [calm(at) for at in (10.0, 39.9, 40.0, 54.9, 55.0, 69.9, 70.0, 200.0)]
    assert levels_of(governor, *samples) == [3, 3, 2, 2, 1, 1, 0, 0]
    assert governor.reasons == ()


def test_a_calm_that_is_broken_starts_anew() -> None:
    governor = governor_at(1)
    samples = [calm(10.0), calm(35.0), calm(36.0, memory_used_pct=75.0), calm(37.0), calm(66.0)]
    assert levels_of(governor, *samples, calm(67.0)) == [1, 1, 1, 1, 1, 0]


def test_a_reading_within_the_margin_is_no_calm() -> None:
    governor = governor_at(1)
    samples = [calm(float(at), memory_used_pct=66.0) for at in range(10, 100, 10)]
    assert set(levels_of(governor, *samples)) == {1}
    assert governor.reasons == ("memory 66 % is not far enough below 70 %",)


def test_it_falls_no_further_than_the_readings_allow() -> None:
    governor = governor_at(3)
    samples = [calm(float(at), memory_used_pct=72.0) for at in range(10, 300, 10)]
    assert levels_of(governor, *samples)[-1] == 1


def test_while_it_is_calm_the_reasons_say_when_the_level_falls() -> None:
    governor = governor_at(2)
    governor.take(calm(10.0))
    assert list(governor.reasons) == ["calm; level 1 in 30 s if it stays so"]
    governor.take(calm(22.0, memory_used_pct=72.0))
    assert list(governor.reasons) == [
        "memory 72 % is at or above 70 %",
        "calm; level 1 in 18 s if it stays so",
    ]


# --- sources that fail ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("memory_used_pct", "cpu_used_pct"), [(None, 10.0), (10.0, None), (None, None)]
)
def test_a_missing_source_never_lets_the_level_fall(
    memory_used_pct: float | None, cpu_used_pct: float | None
) -> None:
    governor = governor_at(3)
    blind = [calm(float(at), memory_used_pct, cpu_used_pct) for at in range(10, 500, 10)]
    assert set(levels_of(governor, *blind)) == {3}
    missing = "memory" if memory_used_pct is None else "CPU"
    assert governor.reasons == (f"no reading of {missing}, so the level stays",)


def test_after_a_missing_source_the_calm_starts_anew() -> None:
    governor = governor_at(1)
    samples = [calm(10.0), calm(30.0), calm(39.0, memory_used_pct=None), calm(40.0), calm(69.0)]
    assert levels_of(governor, *samples, calm(70.0)) == [1, 1, 1, 1, 1, 0]


def test_the_level_rises_on_the_source_that_is_left() -> None:
    assert levels_of(governor_at(0), Sample(1.0, memory_used_pct=85.0)) == [2]
    assert levels_of(governor_at(0), Sample(1.0, cpu_used_pct=80.0)) == [2]


# --- the CPU leg is smoothed ----------------------------------------------------------------------


def test_a_compiler_run_of_a_second_is_no_pressure_and_one_of_a_minute_is() -> None:
    governor = Governor(LEVELS, Patience(cpu_smoothing_s=10.0))
    governor.take(calm(0.0))
    assert levels_of(governor, calm(1.0, cpu_used_pct=100.0)) == [0]
    assert governor.cpu_smoothed_pct == pytest.approx(18.56, abs=0.01)
    busy = [calm(float(at), cpu_used_pct=100.0) for at in range(2, 60)]
    levels = levels_of(governor, *busy)
    assert levels == sorted(levels)
    assert levels[-1] == 3


def test_how_often_one_looks_does_not_change_what_one_sees() -> None:
    seldom, often = (Governor(LEVELS, Patience(cpu_smoothing_s=10.0)) for _ in range(2))
    seldom.take(calm(0.0))
    often.take(calm(0.0))
    seldom.take(calm(8.0, cpu_used_pct=90.0))
    for at in (1.0, 2.0, 4.0, 8.0):
        often.take(calm(at, cpu_used_pct=90.0))
    assert seldom.cpu_smoothed_pct == pytest.approx(often.cpu_smoothed_pct)


def test_a_cpu_reading_that_is_missing_for_once_leaves_its_past_in_force() -> None:
    governor = Governor(LEVELS, Patience(cpu_smoothing_s=10.0))
    samples = [calm(0.0, cpu_used_pct=80.0), calm(1.0, cpu_used_pct=None)]
    assert levels_of(governor, *samples) == [2, 2]
    assert governor.cpu_smoothed_pct == 80.0


# --- a machine that slept -------------------------------------------------------------------------


def test_a_machine_that_slept_wakes_with_fresh_filters() -> None:
    governor = Governor(LEVELS, Patience(cpu_smoothing_s=1_000.0, gap_s=120.0))
    governor.take(calm(0.0, cpu_used_pct=95.0))
    governor.take(calm(121.0, cpu_used_pct=20.0))
    assert governor.cpu_smoothed_pct == 20.0
    assert governor.row.level == 3  # nothing is added for a while


def test_the_time_asleep_counts_for_no_calm() -> None:
    governor = governor_at(1)
    samples = [calm(10.0), calm(20.0), calm(200.0), calm(229.9), calm(230.0)]
    assert levels_of(governor, *samples) == [1, 1, 1, 1, 0]


def test_a_silence_just_short_of_the_gap_is_no_sleep() -> None:
    governor = governor_at(1)
    assert levels_of(governor, calm(10.0), calm(130.0)) == [1, 0]


def test_a_machine_that_wakes_under_pressure_has_no_calm_at_all() -> None:
    governor = governor_at(1)
    samples = [calm(10.0), calm(200.0, memory_used_pct=67.0), calm(210.0), calm(239.9)]
    assert levels_of(governor, *samples, calm(240.0)) == [1, 1, 1, 1, 0]


def test_after_a_sleep_without_a_cpu_reading_the_cpu_is_not_known() -> None:
    governor = governor_at(1)
    governor.take(calm(200.0, cpu_used_pct=None))
    assert governor.cpu_smoothed_pct is None


# --- a level set by hand --------------------------------------------------------------------------


def test_a_level_set_by_hand_is_in_force_until_it_is_given_back() -> None:
    governor = governor_at(1)
    governor.set_by_hand(3, 60.0)
    assert governor.is_by_hand
    assert governor.row.level == 3
    assert governor.reasons[0] == "set by hand"
    governor.set_auto()
    assert governor.row.level == 1
    assert not governor.is_by_hand


def test_behind_a_level_set_by_hand_the_governor_goes_on_judging() -> None:
    governor = governor_at(0)
    governor.set_by_hand(0, 60.0)
    governor.take(calm(1.0, memory_used_pct=85.0))
    assert governor.row.level == 0
    governor.set_auto()
    assert governor.row.level == 2


def test_it_goes_on_from_the_level_before_a_restart_with_the_same_patience() -> None:
    governor = Governor(LEVELS, PROMPT)
    governor.resume_at(2)
    assert governor.row.level == 2
    assert governor.reasons == ("the level before the restart",)
    assert levels_of(governor, calm(0.0), calm(29.9), calm(30.0)) == [2, 2, 1]


def test_level_0_needs_no_reason() -> None:
    governor = Governor(LEVELS, PROMPT)
    governor.resume_at(0)
    assert governor.reasons == ()


def test_the_level_never_falls_by_more_than_one_step_whatever_the_readings() -> None:
    governor = governor_at(0)
    readings = [95.0, 10.0, 10.0, 85.0, 10.0, 10.0, 10.0, 75.0, 10.0, 10.0, 10.0, 10.0]
    samples = [calm(31.0 * index, memory_used_pct=used) for index, used in enumerate(readings)]
    levels = levels_of(governor, *samples)
    assert all(later >= sooner - 1 for sooner, later in pairwise(levels))
    assert levels == [3, 3, 2, 2, 2, 1, 0, 1, 1, 0, 0, 0]
