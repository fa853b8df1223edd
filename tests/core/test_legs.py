from dataclasses import replace

import pytest

from admission.core.legs import Leg, Legs, other_legs, veto, worst
from admission.core.sample import Sample

CALM = Sample(0.0, 10.0, 10.0)


def others(legs: Legs = Legs(), **readings: float) -> list[Leg]:  # noqa: B008 -- it is frozen
    return list(other_legs(Sample(0.0, 10.0, 10.0, **readings), legs))  # type: ignore[arg-type]


def test_where_nothing_else_is_known_there_are_no_other_legs() -> None:
    assert others() == []
    assert worst(()).level == 0


def test_tasks_that_all_wait_for_memory_are_the_highest_level() -> None:
    assert others(memory_stall_pct=19.9) == []
    assert worst(tuple(others(memory_stall_pct=20.0))).reasons == (
        "all tasks wait for memory 20 % of the time, 20 % is much",
    )
    assert others(memory_stall_pct=20.0)[0].level == 3
    assert others(Legs(memory_stall_pct=None), memory_stall_pct=100.0) == []


@pytest.mark.parametrize(
    ("pressure", "level", "is_vetoed"), [(1, 0, False), (2, 0, True), (4, 3, True)]
)
def test_the_word_of_the_macos_kernel_is_a_veto_and_then_a_level(
    pressure: int, level: int, is_vetoed: bool
) -> None:
    assert worst(tuple(others(memory_pressure=pressure))).level == level
    assert (veto(Sample(0.0, memory_pressure=pressure)) is not None) == is_vetoed


@pytest.mark.parametrize("what", ["foreign_agents", "claude_processes", "node_processes"])
@pytest.mark.parametrize(("count", "level"), [(3, 0), (4, 1), (8, 2), (99, 3)])
def test_processes_count_where_the_configuration_says_from_how_many_on(
    what: str, count: int, level: int
) -> None:
    legs = replace(Legs(), **{what: (4, 8, 12)})  # type: ignore[arg-type]
    sample = replace(CALM, **{what: count})  # type: ignore[arg-type]
    assert worst(tuple(other_legs(sample, legs))).level == level
    assert list(other_legs(sample, Legs())) == []  # by default they don't


def test_a_count_says_how_many_of_what() -> None:
    leg = others(Legs(foreign_agents=(4, 8, 12)), foreign_agents=9)[0]
    assert leg.reason == "9 foreign agents are at least 8"


def test_the_worst_leg_is_named_first() -> None:
    legs = (Leg("memory", 1, "first"), Leg("CPU", 2, "second"), Leg("kernel", 0))
    assert worst(legs).level == 2
    assert worst(legs).reasons == ("second", "first")
