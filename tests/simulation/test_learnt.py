"""The core where it is shown what tasks take, and where tasks are parked."""

from admission.core.governor import Throttle
from admission.core.shedding import Shed
from admission.simulation.day import SHAPES, Cycle, Day, Task
from admission.simulation.ours import Ours, earlier_runs
from admission.simulation.plant import Plant
from admission.simulation.plants import URGENT, day_of
from admission.simulation.run import Arrivals, run
from admission.simulation.score import score

PARKING = Throttle(policy="budget", shed=Shed(("park",), park_pct=75.0))
CYCLE = Cycle(answer_s=5.0, burst_gib=1.0, cores=1.0, work_core_s=5.0)


def day() -> Day:
    return day_of("mix", SHAPES["16/8"], 1800, 2000)


def test_what_tasks_take_is_learnt_from_what_the_plant_shows() -> None:
    rule = Ours(learns=True)
    run(day(), rule)
    light, heavy = (rule.core.learner.estimates.figures((0, kind)) for kind in ("light", "heavy"))
    assert light is not None
    assert heavy is not None
    assert light.peak_bytes < 1.5 * 2**30 < heavy.peak_bytes


def test_parked_tasks_come_back_and_some_work_gets_done() -> None:
    rule = Ours(PARKING, learns=True)
    outcome = run(day(), rule)
    assert outcome.parks > 0
    assert outcome.cycles > 0
    assert run(day(), Ours(PARKING, learns=True)) == outcome


def test_what_an_earlier_day_took_is_known_from_the_first_second_on() -> None:
    runs = earlier_runs(SHAPES["16/8"])
    assert runs == earlier_runs(SHAPES["16/8"])
    rule = Ours(learns=True, recalls=runs)
    light, heavy = (rule.core.learner.estimates.figures((0, kind)) for kind in ("light", "heavy"))
    assert light is not None
    assert heavy is not None
    assert light.peak_bytes < 1.5 * 2**30 < 3 * 2**30 < heavy.peak_bytes


def test_what_is_urgent_starts_at_once_where_a_unit_is_reserved_for_it() -> None:
    urgent_day = day_of(URGENT, SHAPES["16/8"], 3600, 2004)
    budget = Throttle(policy="budget")
    kept, queued = (run(urgent_day, Ours(budget, reserves=units)) for units in (1, 0))
    assert len(kept.urgent_waits_s) == sum(task.is_urgent for task in urgent_day.tasks) > 0
    assert max(kept.urgent_waits_s) < max(queued.urgent_waits_s)
    assert score(kept, kept).urgent_p95_s <= max(kept.urgent_waits_s)


def test_with_true_estimates_nothing_is_learnt() -> None:
    rule = Ours(PARKING, knows=True)
    assert run(day(), rule).cycles > 0
    assert rule.core.learner.estimates.figures((0, "light")) is None


def test_a_parked_task_goes_on_where_it_was_and_is_tried_again_from_its_beginning() -> None:
    task = Task(0, "light", 1.0, (CYCLE,) * 3)
    arrivals, plant = Arrivals([task]), Plant(day())
    plant.start(0, task)
    while plant.running[0].done < 1:
        plant.step()
    parked = plant.park(0)
    assert parked is not None
    again = arrivals.part(parked)
    assert len(arrivals.tasks[again].cycles) == 2
    assert arrivals.done_before[again] == 1
    arrivals.retry(100, again)
    assert [task for _, task in arrivals.due(1000)][-1] == task
    assert plant.park(0) is None
