"""A decision without a daemon: the document's table, at its bounds; and what to check first."""

import os

import pytest

from admission.core.leases import Holder
from admission.core.levels import LEVELS
from admission.core.sample import Sample
from admission.service.config import Config
from admission.service.once import (
    GIB,
    MIB,
    check_autopilot,
    check_level,
    check_memory,
    decide,
    decide_now,
    read_machine,
    said_bytes,
    suppose,
    who_takes_most,
)

NOBODY: dict[str, str] = {}


def level(memory_used_pct: float | None, cpu_used_pct: float | None) -> int:
    return decide(Sample(0.0, memory_used_pct, cpu_used_pct), Config(), NOBODY).level.level


def machine(available_bytes: int | None, total_bytes: int | None = 16 * GIB) -> Sample:
    return Sample(0.0, memory_available_bytes=available_bytes, memory_total_bytes=total_bytes)


@pytest.mark.parametrize(
    ("bound", "leg"),
    [(bound, leg) for leg in (0, 1) for bound in ((70, 80, 90), (60, 75, 90))[leg]],
)
def test_a_level_begins_at_its_bound_and_not_below(bound: int, leg: int) -> None:
    begins = 1 + ((70, 80, 90), (60, 75, 90))[leg].index(bound)
    for used_pct, expected in ((bound - 0.01, begins - 1), (bound, begins), (bound + 0.01, begins)):
        readings = (used_pct, 0.0) if leg == 0 else (0.0, used_pct)
        assert level(*readings) == expected


def test_the_worse_leg_counts_and_is_named_first() -> None:
    decision = decide(Sample(0.0, 85.0, 72.0), Config(), NOBODY)
    assert decision.level == LEVELS[2]
    assert decision.reasons[0].startswith("memory 85 %")
    assert decision.reasons[1].startswith("CPU 72 %")


def test_what_is_not_known_is_said() -> None:
    assert level(None, 95.0) == 3
    decision = decide(Sample(0.0, None, 10.0), Config(), NOBODY)
    assert decision.reasons == ("no reading of memory",)


def test_where_throttling_is_off_the_level_is_0_and_says_why() -> None:
    decision = decide(Sample(0.0, 99.0, 99.0), Config(), {"WVO_DISABLE_THROTTLE": "1"})
    assert decision.level == LEVELS[0]
    assert decision.reasons == ("WVO_DISABLE_THROTTLE is set: throttling is switched off",)


def test_the_machine_is_read_over_the_interval() -> None:
    slept: list[float] = []
    sample = read_machine(0.5, slept.append)
    assert slept == [0.5]
    assert sample.memory_used_pct is not None
    assert 0 <= sample.memory_used_pct <= 100
    assert sample.claude_processes is not None


def test_what_is_supposed_is_judged_without_what_the_machine_says_of_it() -> None:
    """A machine whose tasks wait for nothing, or for everything, changes no row of the table."""
    for stall_pct in (0.0, 100.0):
        machine = Sample(0.0, 1.0, 1.0, cpu_stall_pct=stall_pct, memory_stall_pct=stall_pct)
        supposed = suppose(machine, 85.0, 72.0)
        assert decide(supposed, Config(), NOBODY).level == LEVELS[2]
        assert suppose(machine) == machine


def test_given_readings_go_before_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMISSION_CONFIG", os.devnull)
    decision = decide_now(memory_used_pct=91.0, cpu_used_pct=1.0)
    assert decision.metrics["memory_used_pct"] == 91
    assert decision.metrics["cpu_used_pct"] == 1
    assert decision.metrics["throttle_level"] == 3


# --- before agents are started --------------------------------------------------------------------


def test_memory_has_to_be_available_and_both_figures_are_named() -> None:
    assert check_memory(machine(2 * GIB), 2 * GIB).ok
    refused = check_memory(machine(2 * GIB - 1), 2 * GIB)
    assert not refused.ok
    assert refused.said == "2.0 GiB of 16.0 GiB memory are available, and 2.0 GiB have to be"


def test_without_a_figure_it_is_1_gib_or_a_tenth_of_a_small_machine() -> None:
    assert check_memory(machine(GIB)).ok
    assert not check_memory(machine(GIB - 1)).ok
    assert check_memory(machine(200 * MIB, 2000 * MIB)).ok
    assert not check_memory(machine(199 * MIB, 2000 * MIB)).ok


def test_memory_that_is_not_known_is_never_enough() -> None:
    assert not check_memory(machine(None)).ok
    assert not check_memory(machine(GIB, None)).ok


def test_only_level_3_is_critical_and_its_reasons_are_said() -> None:
    assert [check_level(number, "", ()).ok for number in range(4)] == [True, True, True, False]
    said = check_level(3, "heavy", ("CPU 99 % is at or above 90 %", "calm")).said
    assert said == "throttle level 3 (heavy): CPU 99 % is at or above 90 %; calm"


def test_another_autopilot_is_one_too_many_but_not_the_one_that_runs_us() -> None:
    def above(_: int) -> tuple[Holder, ...]:
        return (Holder(10, 1), Holder(20, 1))

    assert check_autopilot(None, above).ok
    assert check_autopilot(20, above).ok
    assert not check_autopilot(30, above).ok
    assert not check_autopilot(0, above).ok
    assert "process 30" in check_autopilot(30, above).said


def test_somebody_takes_most_memory() -> None:
    found = who_takes_most(interval_s=0.01)
    assert found.by_memory
    sizes = [one.rss_bytes for one in found.by_memory]
    assert sizes == sorted(sizes, reverse=True)


def test_sizes_are_said_in_the_unit_that_fits() -> None:
    assert said_bytes(640 * MIB) == "640 MiB"
    assert said_bytes(GIB * 5 // 2) == "2.5 GiB"
