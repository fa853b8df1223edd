"""What a day brings, whatever the rule: a machine, its other users, and the tasks that arrive.

All figures are guesses, made once and written down: no public trace of agents on a developer's
machine is known. So trust the order of the rules that are compared, and not their figures. Memory
is in GiB, CPU in cores, time in seconds since the day began.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import exp
from random import Random

HOUR_S = 3600
# Tasks an hour that arrive on an ordinary day. Ten cycles each make 470 cycles, some more than
# five agents at once can do, so there is a queue as a rule.
TASKS_PER_HOUR = 47.0
# What the desktop takes: its mean, how far it strays, and how long it remembers that.
DESKTOP_GIB, DESKTOP_SPREAD_GIB, DESKTOP_CORES, DESKTOP_MEMORY_S = 5.2, 0.4, 0.4, 600.0
# Now and then its user starts something: so often an hour, so much, for so long.
BURSTS_PER_HOUR, BURST_GIB, BURST_CORES, BURST_S = 2.0, (1.5, 3.5), 1.0, (60.0, 540.0)
BURST_RAMP_S = 15


@dataclass(frozen=True, slots=True)
class Shape:
    """A machine: its memory and its cores."""

    total_gib: float
    cores: int


SHAPES = {
    "16/8": Shape(16.0, 8),
    "8/4": Shape(8.0, 4),
    "24/2": Shape(24.0, 2),
    "32/12": Shape(32.0, 12),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of tasks: its share, what an agent of it takes at rest, and what its tools take."""

    name: str
    share: float
    base_gib: float
    burst_gib: float
    cores: float


LIGHT = Kind("light", 0.60, 0.55, 0.3, 0.9)
MEDIUM = Kind("medium", 0.28, 0.70, 1.0, 2.0)
HEAVY = Kind("heavy", 0.12, 0.80, 3.5, 6.0)
KINDS = (LIGHT, MEDIUM, HEAVY)
CYCLES = (4, 16)
# A cycle is a wait for the model's answer and a tool that runs: exponential and log-normal.
ANSWER_S, TOOL_S, TOOL_SIGMA = 27.0, 13.5, 0.6
BASE_SIGMA, BURST_SIGMA = 0.15, 0.3


@dataclass(frozen=True, slots=True)
class Cycle:
    """One answer of the model, and the tool run that follows from it.

    `work_core_s`: CPU time that the tool needs; it uses up to `cores` of it at once.
    """

    answer_s: float
    burst_gib: float
    cores: float
    work_core_s: float


@dataclass(frozen=True, slots=True)
class Task:
    """One agent's work, all of it known beforehand: to the oracle, and to nobody else.

    `starts_by`: it can wait until the load is low, at the latest until then; None: it can't.
    `is_urgent`: somebody sits there and waits for it, and it is of class critical.
    """

    arrives_at: int
    kind: str
    base_gib: float
    cycles: tuple[Cycle, ...]
    starts_by: int | None = None
    is_urgent: bool = False

    @property
    def peak_gib(self) -> float:
        return self.base_gib + max(cycle.burst_gib for cycle in self.cycles)

    @property
    def mean_gib(self) -> float:
        """Over its time, if nothing holds it up."""
        tools_s = [cycle.work_core_s / cycle.cores for cycle in self.cycles]
        bursts = [cycle.burst_gib for cycle in self.cycles]
        whole_s = sum(tools_s) + sum(cycle.answer_s for cycle in self.cycles)
        grown = sum(0.75 * gib * s for gib, s in zip(bursts, tools_s, strict=True))
        return self.base_gib + grown / whole_s


@dataclass(frozen=True, slots=True)
class Leak:
    """A process of nobody's lease that grows until it has run for `lasts_s`, or is killed."""

    starts_at: int
    gib_per_s: float
    lasts_s: int


@dataclass(frozen=True, slots=True)
class Day:
    """See the module. The lists have one entry a second.

    Attributes:
        steps: when the desktop took a step up for ten minutes, for the reaction to be measured.
        sleeps: when the machine was suspended, and for how long; nothing runs meanwhile.
        deaf: seconds in which the sensors say nothing new, nothing of memory, nothing of stalls.
        compressor_gib: how much more fits than there is, as idle pages are compressed.
        is_like_macos: the sensor has the scale of macOS, and there is no word of stalls.
    """

    shape: Shape
    seconds: int
    desktop_gib: list[float]
    desktop_cores: list[float]
    tasks: list[Task]
    leaks: tuple[Leak, ...] = ()
    steps: tuple[int, ...] = ()
    sleeps: dict[int, float] = field(default_factory=dict)
    stale: frozenset[int] = frozenset()
    memory_missing: frozenset[int] = frozenset()
    stalls_missing: frozenset[int] = frozenset()
    compressor_gib: float = 0.0
    is_like_macos: bool = False


# --- what arrives -------------------------------------------------------------------------------


def task_of(random: Random, arrives_at: int, kind: Kind, shape: Shape) -> Task:
    """A task of this kind; no tool uses more cores than there are."""
    base_gib = kind.base_gib * random.lognormvariate(0, BASE_SIGMA)
    cores = min(kind.cores, shape.cores)
    cycles = tuple(
        Cycle(
            answer_s=min(max(random.expovariate(1 / ANSWER_S), 2.0), 180.0),
            burst_gib=kind.burst_gib * random.lognormvariate(0, BURST_SIGMA),
            cores=cores,
            work_core_s=kind.cores * TOOL_S * random.lognormvariate(0, TOOL_SIGMA),
        )
        for _ in range(random.randint(*CYCLES))
    )
    return Task(arrives_at, kind.name, base_gib, cycles)


def any_task(random: Random, arrives_at: int, shape: Shape) -> Task:
    kind = random.choices(KINDS, [one.share for one in KINDS])[0]
    return task_of(random, arrives_at, kind, shape)


def trickle(random: Random, seconds: int, per_hour: float, shape: Shape) -> Iterator[Task]:
    """Tasks that know nothing of each other."""
    at = random.expovariate(per_hour / HOUR_S)
    while at < seconds:
        yield any_task(random, int(at), shape)
        at += random.expovariate(per_hour / HOUR_S)


def fan_outs(random: Random, seconds: int, shape: Shape) -> Iterator[Task]:
    """Four to nine at once, each 20 to 40 minutes."""
    at = random.uniform(0, 1200)
    while at < seconds:
        for _ in range(random.randint(4, 9)):
            yield any_task(random, int(at), shape)
        at += random.uniform(1200, 2400)


# --- what else runs -----------------------------------------------------------------------------


def desktop(random: Random, seconds: int) -> tuple[list[float], list[float]]:
    """Memory and cores of everything that is no agent, a value a second."""
    gib, cores = [], []
    keep = exp(-1 / DESKTOP_MEMORY_S)
    push = DESKTOP_SPREAD_GIB * (1 - keep * keep) ** 0.5
    stray = random.gauss(0, DESKTOP_SPREAD_GIB)
    for _ in range(seconds):
        stray = keep * stray + push * random.gauss(0, 1)
        gib.append(max(DESKTOP_GIB + stray, 1.0))
        cores.append(DESKTOP_CORES * random.uniform(0.5, 1.5))
    at = random.expovariate(BURSTS_PER_HOUR / HOUR_S)
    while at < seconds:
        lasts_s = random.uniform(*BURST_S)
        swell(gib, int(at), int(lasts_s), random.uniform(*BURST_GIB))
        swell(cores, int(at), int(lasts_s), BURST_CORES)
        at += lasts_s + random.expovariate(BURSTS_PER_HOUR / HOUR_S)
    return gib, cores


def swell(values: list[float], starts_at: int, lasts_s: int, by: float) -> None:
    """Adds so much for a while, with a short ramp at its beginning."""
    for second in range(starts_at, min(starts_at + lasts_s, len(values))):
        values[second] += by * min(1.0, (second - starts_at + 1) / BURST_RAMP_S)
