"""A made-up month of a machine with agents, in which everything follows from everything else: tasks
come as people work, take memory and CPU while they run, raise the level, and wait because of it.
"""

import math
import random
from dataclasses import dataclass, field

DAY_S = 86_400.0
STEP_S = 60.0
FINE_S = 10.0
# From here on in fine steps: what the shorter ranges show.
FINE_FROM_S = 6 * 3600.0
CAPACITIES = (5, 3, 2, 1)
NAMES = ("normal", "light", "medium", "heavy")
MEMORY_PCT = (70.0, 80.0, 90.0)
CPU_PCT = (60.0, 75.0, 90.0)
# The level falls when its bounds have held with this margin for so long.
MARGIN_PCT, DWELL_S = 2.0, 120.0
# Tasks: class, how long, percent of memory, percent of CPU.
TASKS = {
    "fix test_checkout": ("normal", 900.0, 6.0, 11.0),
    "review the cart": ("normal", 420.0, 4.0, 6.0),
    "port api to trio": ("normal", 2400.0, 9.0, 13.0),
    "migrate the schema": ("critical", 700.0, 7.0, 16.0),
    "write release notes": ("batch", 300.0, 3.0, 3.0),
    "nightly benchmarks": ("batch", 3000.0, 13.0, 21.0),
    "docs: tutorial": ("normal", 1200.0, 4.0, 5.0),
    "security review": ("critical", 1500.0, 6.0, 8.0),
}
ORDER = ("critical", "normal", "batch")


@dataclass(slots=True)
class Work:
    """A task: when it came, began and ended; None for what has not happened yet."""

    number: int
    task: str
    class_: str
    queued_at: float
    lasts_s: float
    memory_pct: float
    cpu_pct: float
    granted_at: float | None = None
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The machine at one moment."""

    at: float
    memory_pct: float
    cpu_pct: float
    memory_stall_pct: float
    cpu_stall_pct: float
    io_stall_pct: float
    level: int
    in_use: int
    waiting: int


@dataclass(slots=True)
class Story:
    """See the module. All instants are seconds since 1970; it ends at `until`."""

    until: float
    seen: list[Seen] = field(default_factory=list)
    changes: list[tuple[float, int, str]] = field(default_factory=list)
    ended: list[Work] = field(default_factory=list)
    running: list[Work] = field(default_factory=list)
    waiting: list[Work] = field(default_factory=list)


def story(until: float, days: float, seed: int = 3) -> Story:
    """So many days that end at `until`, the same for a seed."""
    chance = random.Random(seed)
    told = Story(until)
    at = until - days * DAY_S
    level, calm_since, number = 0, at, 0
    while at < until:
        step = FINE_S if at >= until - FINE_FROM_S else STEP_S
        at += step
        for task in _come(chance, at - until, step):
            number += 1
            told.waiting.append(_work(chance, number, task, at))
        _end(told, at)
        _grant(told, at, CAPACITIES[level])
        seen = _look(told, chance, at, level)
        told.seen.append(seen)
        wanted, why = _wanted(seen, 0.0)
        if wanted > level:
            level, calm_since = wanted, at
            told.changes.append((at, level, why))
        elif _wanted(seen, MARGIN_PCT)[0] >= level:
            calm_since = at
        elif at - calm_since > DWELL_S:
            level, calm_since = level - 1, at
            told.changes.append((at, level, why or "memory and CPU have been lower for 2 min"))
    return told


def _come(chance: random.Random, before_s: float, step_s: float) -> list[str]:
    """Which tasks come: by the hour, and more of them before the end of the story."""
    hour = (15.0 + before_s / 3600) % 24
    is_weekend = int((before_s - 15 * 3600) // DAY_S) % 7 in (1, 2)
    rate_h = 2.0 + 11.0 * math.exp(-(((hour - 14.5) / 3.6) ** 2)) * (0.25 if is_weekend else 1.0)
    if chance.random() > rate_h * step_s / 3600:
        return []
    night = hour < 6
    weights = [(4 if night else 1) if kind[0] == "batch" else 2 for kind in TASKS.values()]
    return chance.choices(list(TASKS), weights)


def _work(chance: random.Random, number: int, task: str, at: float) -> Work:
    class_, lasts_s, memory_pct, cpu_pct = TASKS[task]
    by = chance.lognormvariate(0, 0.35)
    return Work(number, task, class_, at, lasts_s * by, memory_pct * by**0.3, cpu_pct)


def _end(told: Story, at: float) -> None:
    for one in [one for one in told.running if at >= (one.granted_at or at) + one.lasts_s]:
        one.ended_at = at
        told.running.remove(one)
        told.ended.append(one)


def _grant(told: Story, at: float, capacity: int) -> None:
    told.waiting.sort(key=lambda one: (ORDER.index(one.class_), one.queued_at))
    while told.waiting and len(told.running) < capacity:
        one = told.waiting.pop(0)
        one.granted_at = at
        told.running.append(one)


def _look(told: Story, chance: random.Random, at: float, level: int) -> Seen:
    turn = at - told.until  # so that it is the same story whenever it ends
    memory = 43.0 + 3.0 * math.sin(turn / 7000) + chance.gauss(0, 0.35)
    cpu = 7.0 + 4.0 * math.sin(turn / 1300) + abs(chance.gauss(0, 3.0))
    for one in told.running:
        since = at - (one.granted_at or at)
        memory += one.memory_pct * (1 - math.exp(-since / 150)) * (0.9 + 0.1 * math.sin(turn / 97))
        # An agent waits for its model half of the time.
        cpu += one.cpu_pct * (1.35 if math.sin(turn / 75 + one.number) > 0 else 0.45)
    memory, cpu = min(memory, 97.0), min(cpu, 99.0)
    return Seen(
        at,
        memory,
        cpu,
        max(0.0, memory - 76) * 0.4 + abs(chance.gauss(0, 0.1)),
        max(0.0, cpu - 45) * 0.25 + abs(chance.gauss(0, 0.8)),
        abs(chance.gauss(0.6, 0.5)),
        level,
        len(told.running),
        len(told.waiting),
    )


def _wanted(seen: Seen, margin: float) -> tuple[int, str]:
    """The level that its worse leg calls for, and why."""
    level, why = 0, ""
    for name, value, bounds in (
        ("memory", seen.memory_pct, MEMORY_PCT),
        ("CPU", seen.cpu_pct, CPU_PCT),
    ):
        leg = sum(value >= bound - margin for bound in bounds)
        if leg > level:
            level, why = leg, f"{name} {value:.0f} % is at or above {bounds[leg - 1]:.0f} %"
    return level, why
