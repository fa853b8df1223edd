from dataclasses import replace

import pytest

from admission.simulation.day import HEAVY, SHAPES, Cycle, Day, Leak, Shape, Task
from admission.simulation.plant import Plant, waiting_share

SHAPE = Shape(total_gib=16.0, cores=8)


def still_day(*tasks: Task, seconds: int = 600, **more: object) -> Day:
    """A day without any use of the machine but by these tasks."""
    day = Day(SHAPE, seconds, [4.0] * seconds, [0.0] * seconds, list(tasks))
    return replace(day, **more)  # type: ignore[arg-type]


def task(burst_gib: float, cores: float = 1.0, cycles: int = 2) -> Task:
    one = Cycle(answer_s=30.0, burst_gib=burst_gib, cores=cores, work_core_s=20.0 * cores)
    return Task(0, "any", base_gib=1.0, cycles=(one,) * cycles)


def steps(plant: Plant, seconds: int) -> list[tuple[int, bool]]:
    return [end for _ in range(seconds) for end in plant.step()]


def test_a_task_grows_to_its_base_waits_works_and_ends() -> None:
    plant = Plant(still_day(task(burst_gib=2.0)))
    plant.start(7, task(burst_gib=2.0))
    assert steps(plant, 25) == []
    assert plant.memory_gib == pytest.approx(5.0)
    steps(plant, 20)
    assert plant.memory_gib == pytest.approx(7.0)
    assert steps(plant, 60) == [(7, False)]
    assert plant.cycles == 2
    assert plant.step() == []
    assert plant.memory_gib == 4.0


def test_tools_that_want_more_cores_than_there_are_take_longer() -> None:
    plant = Plant(still_day())
    for number in range(2):
        plant.start(number, task(burst_gib=0.0, cores=8.0, cycles=1))
    ended = steps(plant, 30 + 20 + 15)
    assert ended == []
    assert sorted(steps(plant, 10)) == [(0, False), (1, False)]
    assert plant.waiting_sum > 0


def test_a_task_that_yields_works_only_once_it_is_told_to_go_on() -> None:
    plant = Plant(still_day(), yields=True)
    plant.start(7, task(burst_gib=2.0))
    assert plant.asking == [7]
    assert steps(plant, 200) == []
    assert plant.answered == [7]
    assert plant.memory_gib == pytest.approx(5.0), "it takes what it takes at rest"
    plant.go_on(7)
    steps(plant, 21)
    assert plant.cycles == 1
    assert plant.asking == [7, 7], "it asks its model again"
    plant.go_on(99)  # of a task that was killed meanwhile


def test_out_of_memory_the_largest_is_killed_and_its_work_is_lost() -> None:
    plant = Plant(still_day())
    small, large = task(burst_gib=0.5), task(burst_gib=13.0)
    plant.start(1, small)
    plant.start(2, large)
    assert (2, True) in steps(plant, 60)
    assert plant.kills == 1
    assert plant.above_95_s > 0
    assert list(plant.running) == [1]


def test_with_endless_memory_nobody_is_killed() -> None:
    plant = Plant(still_day(), has_endless_memory=True)
    plant.start(2, task(burst_gib=40.0))
    assert steps(plant, 200) == [(2, False)]
    assert plant.kills == 0


def test_a_leak_grows_until_it_is_the_largest_and_killed() -> None:
    plant = Plant(still_day(leaks=(Leak(10, gib_per_s=0.25, lasts_s=120),)))
    plant.start(1, task(burst_gib=0.0))
    assert (1, True) not in steps(plant, 100)
    assert plant.kills == 1
    assert plant.leaking == []


@pytest.mark.parametrize(("wanted", "measured_pct"), [(1.0, 0), (1.5, 50), (2.0, 78), (4.0, 100)])
def test_tasks_wait_for_cpus_as_they_were_measured_to(wanted: float, measured_pct: float) -> None:
    assert 100 * waiting_share(wanted) == pytest.approx(measured_pct, abs=4)


def test_an_oracle_is_told_a_mean_below_the_peak() -> None:
    assert task(burst_gib=2.0).peak_gib == 3.0
    assert 1.0 < task(burst_gib=2.0).mean_gib < 2.0


def test_shapes_hold_a_heavy_task_but_for_the_smallest() -> None:
    peak_gib = HEAVY.base_gib + HEAVY.burst_gib
    assert [name for name, one in SHAPES.items() if one.total_gib - 5.2 < peak_gib] == ["8/4"]
