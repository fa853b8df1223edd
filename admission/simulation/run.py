"""One rule through one day, and what came of it."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from admission.simulation.day import HOUR_S, Day, Task
from admission.simulation.plant import Plant, Running
from admission.simulation.rule import Rule
from admission.simulation.sensor import Sensor

# A task that was killed is tried again, from its beginning, so soon and so often.
RETRY_S, ATTEMPTS = 30, 3
# A task that is asked to end has done so after so long.
PARK_S = 5


@dataclass(slots=True)
class Outcome:
    """What is counted of a run; `score` says what it is worth.

    Attributes:
        hours: of the day that was run.
        cycles: tool runs that were finished, less those of tasks that were killed.
        lost_cycles: those of tasks that were killed.
        kills: out of memory.
        parks: tasks that were asked to end, and came back.
        above_90_s, above_95_s: seconds with more than that percent of the memory in use.
        changes: of the level.
        peak_pct: the most memory that was in use, of what there is.
        waits_s: from each task's arrival to its start, or to the day's end.
        urgent_waits_s: likewise, of those that are urgent.
        stalled_s: seconds in which a task waited for a CPU.
        reactions_s: from each step of the desktop to the last start while it lasted.
    """

    hours: float
    cycles: int = 0
    lost_cycles: int = 0
    kills: int = 0
    parks: int = 0
    above_90_s: int = 0
    above_95_s: int = 0
    changes: int = 0
    peak_pct: float = 0.0
    stalled_s: float = 0.0
    waits_s: list[float] = field(default_factory=list)
    urgent_waits_s: list[float] = field(default_factory=list)
    reactions_s: list[float] = field(default_factory=list)


class Arrivals:
    """The tasks in the order in which they come; one that is tried again has a new number."""

    def __init__(self, tasks: list[Task]) -> None:
        self.tasks = list(tasks)
        self._next = 0
        self._first = len(tasks)
        self._attempts: dict[int, int] = {}
        self._retries: deque[tuple[int, int]] = deque()
        # Of what is left of a task that was parked: the task, and how much of it was done.
        self.done_before: dict[int, int] = {}
        self._whole: dict[int, Task] = {}

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
            self.tasks.append(self._whole.get(number, self.tasks[number]))
            self._attempts[again] = attempts + 1
            self._retries.append((second + RETRY_S, again))

    def part(self, one: Running) -> int:
        """The number of what is left of this one, which was parked."""
        task, again = one.task, len(self.tasks)
        self.tasks.append(replace(task, cycles=task.cycles[one.done :]))
        self._whole[again] = self._whole.get(one.number, task)
        self.done_before[again] = one.done_before + one.done
        if one.number in self._attempts:
            self._attempts[again] = self._attempts.pop(one.number)
        return again


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
    parks = 0
    parking: deque[tuple[int, int]] = deque()
    slept_s = 0.0
    for second in range(day.seconds):
        slept_s += day.sleeps.get(second, 0.0)
        now = second + slept_s
        for number, task in arrivals.due(second):
            rule.arrive(now, number, task)
        for number, is_killed in plant.step():
            _end(now, number, rule, is_killed=is_killed)
            if is_killed:
                arrivals.retry(second, number)
        if rule.yields:
            _pass_on(now, plant, rule)
        while parking and parking[0][0] <= second:
            _park(now, parking.popleft()[1], plant, rule, arrivals)
        if second % rule.sample_s == 0:
            _look(now, plant, rule)
            rule.sense(now, sensor.read(now, is_instant=rule.sees_instant))
        rule.pass_time(now)
        for number in rule.starts:
            done_before = arrivals.done_before.get(number, 0)
            plant.start(number, arrivals.tasks[number], done_before)
            started_at[number] = second
        rule.starts.clear()
        for number in rule.resumes:
            plant.go_on(number)
        rule.resumes.clear()
        parking.extend((second + PARK_S, number) for number in rule.parks)
        parks += len(rule.parks)
        rule.parks.clear()
    return replace(_outcome(day, plant, rule, started_at), parks=parks)


def _end(now: float, number: int, rule: Rule, *, is_killed: bool) -> None:
    if is_killed:
        rule.kill(now, number)
    rule.leave(now, number)


def _look(now: float, plant: Plant, rule: Rule) -> None:
    if rule.measures:
        rule.measure(now, {one.number: one.memory_gib for one in plant.running.values()})


def _park(now: float, number: int, plant: Plant, rule: Rule, arrivals: Arrivals) -> None:
    """One that was asked to end has ended, unless it had already; what is left of it waits."""
    if one := plant.park(number):
        rule.leave(now, number)
        again = arrivals.part(one)
        rule.come_back(now, again, arrivals.tasks[again], number)


def _pass_on(now: float, plant: Plant, rule: Rule) -> None:
    """Who waits for an answer since, and who has got one."""
    for number in plant.asking:
        rule.rest(now, number)
    for number in plant.answered:
        rule.want(now, number)
    plant.asking.clear()
    plant.answered.clear()


def _outcome(day: Day, plant: Plant, rule: Rule, started_at: dict[int, int]) -> Outcome:
    waits_s = [
        float(started_at.get(number, day.seconds) - task.arrives_at)
        for number, task in enumerate(day.tasks)
    ]
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
        waits_s=waits_s,
        urgent_waits_s=[
            wait_s for wait_s, task in zip(waits_s, day.tasks, strict=True) if task.is_urgent
        ],
        reactions_s=[_reaction_s(at, started_at) for at in day.steps],
    )


def _reaction_s(step_at: int, started_at: dict[int, int]) -> float:
    """How long after the step the last task started, while it lasted."""
    return max((at - step_at for at in started_at.values() if 0 <= at - step_at < 600), default=0)
