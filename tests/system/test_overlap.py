"""Many at once, from different processes: never more than the level allows. They say when."""

import sys

import pytest

from tests.system.stage import RECORDER, Stage, intervals, most_at_once


def _run_at_once(stage: Stage, count: int, work_s: float) -> int:
    """Starts them side by side, waits for all, and says how many overlapped at the most."""
    started = [
        stage.spawn(
            *("run", "--", sys.executable, "-c", RECORDER),
            *(str(stage.folder / f"{number}.ran"), str(work_s)),
        )
        for number in range(count)
    ]
    assert [process.wait() for process in started] == [0] * count
    found = list(intervals(stage.folder))
    assert len(found) == count
    return most_at_once(found)


def test_twelve_at_once_under_level_0_are_never_more_than_five(stage: Stage) -> None:
    assert _run_at_once(stage, 12, 0.5) == 5


@pytest.mark.parametrize(("level", "most"), [(1, 3), (2, 2), (3, 1)])
def test_twelve_at_once_under_a_higher_level_are_fewer(stage: Stage, level: int, most: int) -> None:
    stage.set_level(level)
    assert _run_at_once(stage, 12, 0.2) == most


def test_the_level_falls_and_rises_under_load_and_the_larger_bound_holds(stage: Stage) -> None:
    started = [
        stage.spawn(
            *("run", "--", sys.executable, "-c", RECORDER),
            *(str(stage.folder / f"{number}.ran"), "0.2"),
        )
        for number in range(16)
    ]
    for level in ("3", "1", "2", "0", "3", "0"):
        stage.set_level(int(level))
    assert [process.wait() for process in started] == [0] * 16
    assert most_at_once(list(intervals(stage.folder))) <= 5


def test_five_first_commands_start_one_daemon(empty_stage: Stage) -> None:
    started = [empty_stage.spawn("run", "--", "true") for _ in range(5)]
    assert [process.wait() for process in started] == [0] * 5
    assert empty_stage.log.read_text().count("serving") == 1
