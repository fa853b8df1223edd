"""One rule through one day, and what came of it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from admission.simulation.day import HOUR_S, Day, Task
from admission.simulation.plant import Plant
from admission.simulation.rule import Rule
from admission.simulation.sensor import Sensor

# A task that was killed is tried again, from its beginning, so soon and so often.
RETRY_S, ATTEMPTS = 30, 3


@dataclass(slots=True)
class Outcome:
    """What is counted of a run; `score` says what it is worth.

    Attributes:
        hours: of the day that was run.
        cycles: tool runs that were finished, less those of tasks that were killed.
        lost_cycles: those of tasks that were killed.
        kills: out of memory.
        above_90_s, above_95_s: seconds with more than that percent of the memory in use.
        changes: of the level.
        peak_pct: the most memory that was in use, of what there is.
        waits_s: from each task's arrival to its start, or to the day's end.
        stalled_s: seconds in which a task waited for a CPU.
        reactions_s: from each step of the desktop to the last start while it lasted.
    """

    hours: float
    cycles: int = 0
    lost_cycles: int = 0
    kills: int = 0
    above_90_s: int = 0
    above_95_s: int = 0
    changes: int = 0
    peak_pct: float = 0.0
    stalled_s: float = 0.0
    waits_s: list[float] = field(default_factory=list)
    reactions_s: list[float] = field(default_factory=list)


class Arrivals:
    """The tasks in the order in which they come; one that is tried again has a new number."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = list(tasks)
        self._next = 0
        self._first = len(tasks)
        self._attempts: dict[int, int] = {}
        self._retries: deque[tuple[int, int]] = deque()

    def due(self, second: int) -> Iterator[tuple[int, Task]]:
        while self._next < self._first and self.tasks[self._next].arrives_at <= second:
            yield self._next, self.tasks[self._next]
            self._next += 1
        while self._retries and self._retries[0][0] <= second:
            _, number = self._retries.popleft()
            yield number, self.tasks[number]

    def retry(self, second: int, number: int) -> None:
        """This one was killed."""
        attempts = self._attempts.pop(number, 1)
        if attempts < ATTEMPTS:
            again = len(self.tasks)
            self.tasks.append(self.tasks[number])
            self._attempts[again] = attempts + 1
            self._retries.append((second + RETRY_S, again))


def run(day: Day, rule: Rule, *, has_endless_memory: bool = False) -> Outcome:
    """The whole day, second by second.

    Args:
        day: what happens in it, whatever the rule.
        rule: decides what starts.
        has_endless_memory: nothing is ever killed for want of it, nor slowed: the most that could
            be done with so many agents.
    """
    plant = Plant(day, has_endless_memory=has_endless_memory, yields=rule.yields)
    sensor = Sensor(plant)
    arrivals = Arrivals(day.tasks)
    started_at: dict[int, int] = {}
    slept_s = 0.0
    for second in range(day.seconds):
        slept_s += day.sleeps.get(second, 0.0)
        now = second + slept_s
        for number, task in arrivals.due(second):
            rule.arrive(now, number, task)
        for number, is_killed in plant.step():
            rule.leave(now, number)
            if is_killed:
                arrivals.retry(second, number)
        if rule.yields:
            _pass_on(now, plant, rule)
        if second % rule.sample_s == 0:
            rule.sense(now, sensor.read(now, is_instant=rule.sees_instant))
        rule.pass_time(now)
        if rule.starts:
            for number in rule.starts:
                plant.start(number, arrivals.tasks[number])
                started_at[number] = second
            rule.starts.clear()
        for number in rule.resumes:
            plant.go_on(number)
        rule.resumes.clear()
    return _outcome(day, plant, rule, started_at)


def _pass_on(now: float, plant: Plant, rule: Rule) -> None:
    """Who waits for an answer since, and who has got one."""
    for number in plant.asking:
        rule.rest(now, number)
    for number in plant.answered:
        rule.want(now, number)
    plant.asking.clear()
    plant.answered.clear()


def _outcome(day: Day, plant: Plant, rule: Rule, started_at: dict[int, int]) -> Outcome:
    return Outcome(
        hours=day.seconds / HOUR_S,
        cycles=plant.cycles,
        lost_cycles=plant.lost_cycles,
        kills=plant.kills,
        above_90_s=plant.above_90_s,
        above_95_s=plant.above_95_s,
        changes=rule.changes,
        peak_pct=100 * plant.peak_gib / day.shape.total_gib,
        stalled_s=plant.waiting_sum,
        waits_s=[
            float(started_at.get(number, day.seconds) - task.arrives_at)
            for number, task in enumerate(day.tasks)
        ],
        reactions_s=[_reaction_s(at, started_at) for at in day.steps],
    )


def _reaction_s(step_at: int, started_at: dict[int, int]) -> float:
    """How long after the step the last task started, while it lasted."""
    return max((at - step_at for at in started_at.values() if 0 <= at - step_at < 600), default=0)
