"""The machine itself: what its tasks do to it in a second, and what that does to them."""

from dataclasses import dataclass
from math import exp, inf

from admission.simulation.day import Day, Leak, Task

# An agent loads its libraries and its context in so long.
BOOT_S = 20.0
# From this share of the memory on the kernel looks for pages instead of working, ever more so.
THRASHING_FROM, SLOWEST = 0.93, 0.1
# A tool has all of its memory when half of its work is done.
GROWN_AT = 0.5
LOAD_S = 60.0


@dataclass(slots=True)
class Running:
    """A task that was started. It waits for an answer (`answer_s` > 0) or works (`work_core_s`);
    or, with `is_held_up`, it has its answer and not yet the units to work with. `done_before`: the
    cycles that it had finished when it was parked.
    """

    number: int
    task: Task
    started_at: int
    answer_s: float
    work_core_s: float = 0.0
    memory_gib: float = 0.0
    done: int = 0
    is_held_up: bool = False
    done_before: int = 0


@dataclass(slots=True)
class Leaking:
    leak: Leak
    memory_gib: float = 0.0


def waiting_share(demand: float) -> float:
    """How much of the time some task waits for a CPU, by the cores wanted over those there are.

    Fits what was measured on two cores: half of the time with 1.5 wanted for each, 78 % with 2,
    all of it with 4.
    """
    return 1 - exp(-1.5 * (demand - 1)) if demand > 1 else 0.0


class Plant:
    """See the module. Sums over seconds (`*_sum`) are for whoever takes the mean of an interval.

    Attributes:
        yields: tasks need no units while they wait for an answer, and go on when they are told to.
        asking, answered: those that began to wait in the last second, and those that have their
            answer since, where tasks yield.
    """

    def __init__(self, day: Day, *, has_endless_memory: bool = False, yields: bool = False) -> None:
        self.day = day
        self.yields = yields
        self.asking: list[int] = []
        self.answered: list[int] = []
        # From here on nothing fits any more.
        self.room_gib = inf if has_endless_memory else day.shape.total_gib + day.compressor_gib
        self.second = 0
        self.running: dict[int, Running] = {}
        self.leaking: list[Leaking] = []
        self.memory_gib = day.desktop_gib[0]
        self.demand_cores = day.desktop_cores[0]
        self.load = self.demand_cores
        self.busy_sum = self.waiting_sum = self.thrashing_sum = 0.0
        self.busy_now = 0.0
        # What is counted: seconds, kills, cycles finished, cycles lost with a killed task.
        self.above_90_s = self.above_95_s = 0
        self.kills = self.cycles = self.lost_cycles = 0
        self.peak_gib = 0.0
        self._leaks = {leak.starts_at: leak for leak in day.leaks}

    def start(self, number: int, task: Task, done_before: int = 0) -> None:
        answer_s = task.cycles[0].answer_s
        one = Running(number, task, self.second, answer_s, done_before=done_before)
        self.running[number] = one
        self._ask(number)

    def park(self, number: int) -> Running | None:
        """It ends, and loses the cycle at hand. None where it has ended already."""
        return self.running.pop(number, None)

    def go_on(self, number: int) -> None:
        """It has its units again, unless it was killed meanwhile."""
        if one := self.running.get(number):
            one.is_held_up = False
            one.work_core_s = one.task.cycles[one.done].work_core_s

    def _ask(self, number: int) -> None:
        if self.yields:
            self.asking.append(number)

    def step(self) -> list[tuple[int, bool]]:
        """One second. The numbers of the tasks that ended in it, and whether they were killed."""
        second = self.second
        pace = self._pace()
        memory_gib = self.day.desktop_gib[second]
        demand_cores = self.day.desktop_cores[second]
        ended: list[tuple[int, bool]] = []
        for one in self.running.values():
            if self._advance(one, pace):
                cycle = one.task.cycles[one.done]
                grown = min(1.0, (second - one.started_at + 1) / BOOT_S)
                one.memory_gib = one.task.base_gib * grown
                if one.answer_s <= 0 and not one.is_held_up:
                    left = one.work_core_s / cycle.work_core_s
                    one.memory_gib += cycle.burst_gib * min(1.0, (1 - left) / GROWN_AT)
                    demand_cores += cycle.cores
                memory_gib += one.memory_gib
            else:
                ended.append((one.number, False))
        for number, _ in ended:
            del self.running[number]
        if self._leaks or self.leaking:
            memory_gib += self._leak()
        self.memory_gib = memory_gib
        if memory_gib >= self.room_gib:
            self.peak_gib = max(self.peak_gib, self.room_gib)
            self._kill(ended)
        self.demand_cores = demand_cores
        self._count()
        self.second += 1
        return ended

    def _pace(self) -> float:
        """How fast tools work: the CPUs are shared, and thrashing slows all of them."""
        wanted = self.demand_cores / self.day.shape.cores
        return (1 / wanted if wanted > 1 else 1.0) * (1 - self._thrashing() * (1 - SLOWEST))

    def _thrashing(self) -> float:
        over = self.memory_gib / self.room_gib - THRASHING_FROM
        return min(over / (1 - THRASHING_FROM), 1.0) if over > 0 else 0.0

    def _advance(self, one: Running, pace: float) -> bool:
        """A second of this task; whether it has more to do."""
        cycle = one.task.cycles[one.done]
        if one.is_held_up:
            return True
        if one.answer_s > 0:
            one.answer_s -= 1
            if one.answer_s <= 0 and self.yields:
                one.is_held_up = True
                self.answered.append(one.number)
            elif one.answer_s <= 0:
                one.work_core_s = cycle.work_core_s
            return True
        one.work_core_s -= cycle.cores * pace
        if one.work_core_s <= 0:
            one.done += 1
            self.cycles += 1
            if one.done == len(one.task.cycles):
                return False
            one.answer_s = one.task.cycles[one.done].answer_s
            self._ask(one.number)
        return True

    def _leak(self) -> float:
        if leak := self._leaks.pop(self.second, None):
            self.leaking.append(Leaking(leak))
        for one in self.leaking:
            one.memory_gib += one.leak.gib_per_s
        self.leaking = [
            one for one in self.leaking if self.second < one.leak.starts_at + one.leak.lasts_s
        ]
        return sum(one.memory_gib for one in self.leaking)

    def _kill(self, ended: list[tuple[int, bool]]) -> None:
        """Out of memory: the largest process is killed, until the rest fits."""
        while self.memory_gib >= self.room_gib and (self.running or self.leaking):
            processes: list[Running | Leaking] = [*self.running.values(), *self.leaking]
            largest = max(processes, key=lambda one: one.memory_gib)
            self.kills += 1
            self.memory_gib -= largest.memory_gib
            if isinstance(largest, Leaking):
                self.leaking.remove(largest)
                continue
            lost = largest.done + largest.done_before
            self.cycles -= lost
            self.lost_cycles += lost
            del self.running[largest.number]
            ended.append((largest.number, True))

    def _count(self) -> None:
        wanted = self.demand_cores / self.day.shape.cores
        self.busy_now = wanted if wanted < 1 else 1.0
        self.busy_sum += self.busy_now
        if wanted > 1:
            self.waiting_sum += waiting_share(wanted)
        used = self.memory_gib / self.day.shape.total_gib
        if used > 0.9:
            self.above_90_s += 1
            self.above_95_s += used > 0.95
            self.thrashing_sum += self._thrashing()
        self.peak_gib = max(self.peak_gib, self.memory_gib)
        self.load += (self.demand_cores - self.load) / LOAD_S
