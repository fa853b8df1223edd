"""Rules to compare with: those that people use, and one that knows what nobody can know.

All of them serve first who came first, and all start one if nothing runs.
"""

from collections import deque
from math import sqrt

from admission.core.legs import judge
from admission.core.levels import LEVELS, Levels
from admission.core.sample import Sample
from admission.simulation.day import Task


class Fixed:
    """At most so many at once. The others are this one with a word more to say."""

    def __init__(self, agents_max: int) -> None:
        self.agents_max = agents_max
        self.starts: list[int] = []
        self.changes = 0
        self.sample_s = 1
        self.sees_instant = False
        self.yields = False
        self.resumes: list[int] = []
        self.parks: list[int] = []
        self.measures = False
        self.waiting: deque[tuple[int, Task]] = deque()
        self.running: dict[int, Task] = {}
        self.sample = Sample(0.0)

    def arrive(self, now: float, number: int, task: Task) -> None:
        self.waiting.append((number, task))

    def leave(self, now: float, number: int) -> None:
        del self.running[number]

    def rest(self, now: float, number: int) -> None:
        """None of these rules knows of yielding, parking or measuring. Likewise below."""

    def want(self, now: float, number: int) -> None: ...

    def come_back(self, now: float, number: int, task: Task, parked: int) -> None: ...

    def kill(self, now: float, number: int) -> None: ...

    def measure(self, now: float, memory_gib: dict[int, float]) -> None: ...

    def sense(self, now: float, sample: Sample) -> None:
        self.sample = sample

    def pass_time(self, now: float) -> None:
        waiting, running = self.waiting, self.running
        while waiting and (not running or len(running) < self.agents_max):
            number, task = waiting[0]
            if running and not self.may_start(task):
                break
            waiting.popleft()
            running[number] = task
            self.starts.append(number)

    def may_start(self, task: Task) -> bool:
        """Whether the machine can bear one more, as this rule sees it."""
        return True


class Memoryless(Fixed):
    """The user's document as it is written: every so often the table is read, and that is it."""

    def __init__(self, sample_s: int = 30, levels: Levels = LEVELS) -> None:
        super().__init__(levels[0].max_agents)
        self.sample_s = sample_s
        self.sees_instant = True
        self.levels = levels

    def sense(self, now: float, sample: Sample) -> None:
        level = judge(sample.memory_used_pct, sample.cpu_used_pct, self.levels).level
        agents_max = self.levels[level].max_agents
        self.changes += agents_max != self.agents_max
        self.agents_max = agents_max


class LoadAverage(Fixed):
    """`make -l`: one more while the load average, and a guess at what it lags, is below the cores.

    The guess is that of GNU make: a quarter for each that started within the last second, and a
    quarter of that for the second before.
    """

    def __init__(self, agents_max: int = 10) -> None:
        super().__init__(agents_max)
        self._recent = [0, 0]

    def pass_time(self, now: float) -> None:
        self._recent = [0, self._recent[0]]
        super().pass_time(now)

    def may_start(self, task: Task) -> bool:
        load, cpus = self.sample.load_1min, self.sample.cpus
        if load is None or cpus is None:
            return True
        guess = load + 0.25 * (self._recent[0] + 0.25 * self._recent[1])
        if guess >= cpus:
            return False
        self._recent[0] += 1
        return True


class StallGate(Fixed):
    """One more unless tasks stall: for CPUs more than half of the time, or for memory a tenth."""

    def __init__(
        self, agents_max: int = 10, cpu_pct: float = 50.0, memory_pct: float = 10.0
    ) -> None:
        super().__init__(agents_max)
        self.cpu_pct, self.memory_pct = cpu_pct, memory_pct

    def may_start(self, task: Task) -> bool:
        cpu, memory = self.sample.cpu_stall_pct, self.sample.memory_stall_pct
        return (cpu or 0.0) <= self.cpu_pct and (memory or 0.0) <= self.memory_pct


class Oracle(Fixed):
    """Knows what each task will take, its mean and its peak, and leaves room for their bursts."""

    CEILING = 0.88
    DESKTOP_GIB = 5.2

    def __init__(self, agents_max: int, total_gib: float) -> None:
        super().__init__(agents_max)
        self.total_gib = total_gib

    def may_start(self, task: Task) -> bool:
        tasks = [*self.running.values(), task]
        means_gib = sum(one.mean_gib for one in tasks)
        bursts_gib = sqrt(sum((one.peak_gib - one.mean_gib) ** 2 for one in tasks))
        return self.DESKTOP_GIB + means_gib + bursts_gib <= self.CEILING * self.total_gib
