"""Why the level is what it is, and what would have to change."""

from math import inf

from admission.core.explanation import sources, to_fall
from admission.core.governor import Governor, Patience, Throttle
from admission.core.legs import Legs
from admission.core.sample import Sample

PATIENT = Throttle(patience=Patience(margin_pct=5.0, dwell_s=60.0))


def governor(*samples: Sample, throttle: Throttle = PATIENT) -> Governor:
    made = Governor(throttle=throttle)
    for sample in samples:
        made.take(sample)
    return made


def test_before_the_first_sample_there_is_nothing_to_explain() -> None:
    assert sources(governor(), 0.0) == []
    assert to_fall(governor(), 0.0) == []


def test_each_source_is_shown_with_what_it_reads_its_bounds_and_since_when() -> None:
    memory, cpu = sources(governor(Sample(0.0, 85.0, 10.0), Sample(5.0, 86.0, 10.0)), 30.0)
    assert (memory.what, memory.level, memory.value_pct, memory.for_s) == ("memory", 2, 86.0, 30.0)
    assert memory.below_pct == (70.0, 80.0, 90.0)
    assert (cpu.what, cpu.level, cpu.value_pct, cpu.for_s) == ("CPU", 0, 10.0, 0.0)


def test_a_reading_that_is_too_high_is_named_with_its_bound_and_for_how_long() -> None:
    assert to_fall(governor(Sample(0.0, 85.0, 10.0)), 1.0) == [
        "memory must stay below 75 % for 60 s; it is 85 %"
    ]


def test_where_both_are_too_high_both_are_named() -> None:
    assert len(to_fall(governor(Sample(0.0, 85.0, 80.0)), 1.0)) == 2


def test_where_all_is_calm_only_time_is_missing() -> None:
    made = governor(Sample(0.0, 85.0, 10.0), Sample(10.0, 20.0, 10.0))
    assert to_fall(made, 30.0) == ["it must stay as calm as it is for another 40 s"]


def test_a_source_beside_the_table_must_end() -> None:
    throttle = Throttle(legs=Legs(foreign_agents=(1, 2, 3)))
    made = governor(Sample(0.0, 20.0, 10.0, foreign_agents=3), throttle=throttle)
    assert made.row.level == 3
    assert to_fall(made, 1.0) == ["this must end: 3 foreign agents are at least 3"]


def test_a_reading_that_is_missing_is_named_as_what_keeps_the_level() -> None:
    made = governor(Sample(0.0, 85.0, 10.0), Sample(5.0, None, 10.0))
    assert to_fall(made, 6.0) == ["no reading of memory, so the level stays"]


def test_a_level_set_by_hand_is_given_back_by_hand() -> None:
    made = governor(Sample(0.0, 20.0, 10.0))
    made.set_by_hand(3, inf)
    assert to_fall(made, 1.0) == ['it was set by hand; "admission level auto" gives it back']


def test_throttling_that_is_off_says_so() -> None:
    made = governor(Sample(0.0, 95.0, 10.0), throttle=Throttle(is_on=False))
    assert to_fall(made, 1.0) == ["throttling is disabled"]


def test_a_level_that_takes_no_longer_than_its_dwell_falls_as_was_said() -> None:
    throttle = Throttle(patience=Patience(dwell_s=10.0))
    made = governor(Sample(0.0, 75.0, 10.0), Sample(1.0, 20.0, 10.0), throttle=throttle)
    assert to_fall(made, 4.0) == ["it must stay as calm as it is for another 7 s"]
    made.take(Sample(11.0, 20.0, 10.0))
    assert made.row.level == 0
