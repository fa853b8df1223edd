"""The days that a rule is tried on: an ordinary one, and one for each way to be hard on it."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from admission.simulation.day import (
    DESKTOP_CORES,
    DESKTOP_GIB,
    HEAVY,
    HOUR_S,
    LIGHT,
    TASKS_PER_HOUR,
    Cycle,
    Day,
    Leak,
    Shape,
    Task,
    desktop,
    fan_outs,
    swell,
    task_of,
    trickle,
)

MIX, EVENING, URGENT = "mix", "evening", "urgent"
# On such a day, tasks an hour of its first half; heavy are only those that can wait.
OFFICE_PER_HOUR, CAN_WAIT_PER_HOUR = 24.0, 2.0
URGENT_PER_HOUR, URGENT_CYCLES = 4.0, 2
GIB_PER_S_SLOW, GIB_PER_S_FAST = 26 / 2400, 0.25


def day_of(plant: str, shape: Shape, seconds: int, seed: int) -> Day:
    """The day of this name; the same for the same arguments, whatever else was drawn before."""
    random = Random(f"{plant} {shape.total_gib:g}/{shape.cores} {seed}")
    gib, cores = desktop(random, seconds)
    day = Day(shape, seconds, gib, cores, [])
    day = PLANTS[plant](random, day)
    day.tasks.sort(key=lambda task: task.arrives_at)
    return day


def _mix(random: Random, day: Day) -> Day:
    """More tasks than can be done at once, of all kinds."""
    day.tasks.extend(trickle(random, day.seconds, TASKS_PER_HOUR, day.shape))
    return day


def _trickle(random: Random, day: Day) -> Day:
    """(a) So few tasks that there is hardly a queue."""
    day.tasks.extend(trickle(random, day.seconds, TASKS_PER_HOUR / 2, day.shape))
    return day


def _fan_out(random: Random, day: Day) -> Day:
    """(b) Nothing for a while, then four to nine at once."""
    day.tasks.extend(fan_outs(random, day.seconds, day.shape))
    return day


def _herd(random: Random, day: Day) -> Day:
    """(c) Twelve heavy tasks into an idle machine, every other hour."""
    for at in range(0, day.seconds, 2 * HOUR_S):
        day.tasks.extend(task_of(random, at + 60, HEAVY, day.shape) for _ in range(12))
    return day


def _step(random: Random, day: Day) -> Day:
    """(d) Every hour the desktop takes a third of the machine for ten minutes."""
    day = _mix(random, day)
    steps = tuple(range(HOUR_S // 2, day.seconds, HOUR_S))
    for at in steps:
        swell(day.desktop_gib, at, 600, 0.34 * day.shape.total_gib)
    return replace(day, steps=steps)


def _leak(random: Random, day: Day) -> Day:
    """(e) A slow leak and a fast one, by turns, an hour apart."""
    leaks = [
        Leak(at, GIB_PER_S_FAST, 120) if number % 2 else Leak(at, GIB_PER_S_SLOW, 2400)
        for number, at in enumerate(range(HOUR_S // 3, day.seconds, HOUR_S))
    ]
    return replace(_mix(random, day), leaks=tuple(leaks))


def _evening(random: Random, day: Day) -> Day:
    """(i) A day at the office, and a quiet evening as long. Heavy tasks come all day long that can
    wait: they must have started an hour before the evening is over.
    """
    noon, by = day.seconds // 2, day.seconds - HOUR_S
    office = trickle(random, noon, OFFICE_PER_HOUR, day.shape)
    day.tasks.extend(task for task in office if task.kind != HEAVY.name)
    for second in range(noon, day.seconds):  # nobody starts anything then
        day.desktop_gib[second] = min(day.desktop_gib[second], DESKTOP_GIB)
        day.desktop_cores[second] = min(day.desktop_cores[second], DESKTOP_CORES)
    at = random.expovariate(CAN_WAIT_PER_HOUR / HOUR_S)
    while at < noon:
        day.tasks.append(replace(task_of(random, int(at), HEAVY, day.shape), starts_by=by))
        at += random.expovariate(CAN_WAIT_PER_HOUR / HOUR_S)
    return day


def _urgent(random: Random, day: Day) -> Day:
    """(j) An ordinary day, and now and then a short and light task that is not to wait."""
    day = _mix(random, day)
    at = random.expovariate(URGENT_PER_HOUR / HOUR_S)
    while at < day.seconds:
        task = task_of(random, int(at), LIGHT, day.shape)
        day.tasks.append(replace(task, cycles=task.cycles[:URGENT_CYCLES], is_urgent=True))
        at += random.expovariate(URGENT_PER_HOUR / HOUR_S)
    return day


def _impossible(random: Random, day: Day) -> Day:
    """(f) Every half hour a task that needs more than the whole machine."""
    day = _mix(random, day)
    burst_gib = 1.2 * day.shape.total_gib
    for at in range(HOUR_S // 4, day.seconds, HOUR_S // 2):
        cycles = (Cycle(20.0, burst_gib, 1.0, 60.0),) * 4
        day.tasks.append(Task(at, "impossible", 0.8, cycles))
    return day


def _faults(random: Random, day: Day) -> Day:
    """(g) Sensors that hang or fail for minutes, a clock that stands, a machine that sleeps."""
    day = _mix(random, day)
    marks: list[frozenset[int]] = []
    for lasts_s in (60, 120, 900):
        starts = [int(random.uniform(0, day.seconds)) for _ in range(day.seconds // HOUR_S)]
        marks.append(frozenset(s for at in starts for s in range(at, at + lasts_s)))
    sleeps = {int(random.uniform(0.2, 0.8) * day.seconds): 2.0 * HOUR_S}
    stale, memory_missing, stalls_missing = marks
    return replace(
        day,
        sleeps=sleeps,
        stale=stale,
        memory_missing=memory_missing,
        stalls_missing=stalls_missing,
    )


def _macos(random: Random, day: Day) -> Day:
    """(h) A sensor that says 70 % at rest, no word of stalls, and memory that is compressed."""
    compressor_gib = day.shape.total_gib / 4
    return replace(_mix(random, day), compressor_gib=compressor_gib, is_like_macos=True)


PLANTS: dict[str, Callable[[Random, Day], Day]] = {
    MIX: _mix,
    "trickle": _trickle,
    "fan-out": _fan_out,
    "herd": _herd,
    "step": _step,
    "leak": _leak,
    "impossible": _impossible,
    "faults": _faults,
    "macos": _macos,
    EVENING: _evening,
    URGENT: _urgent,
}
