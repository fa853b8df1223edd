"""Gathers what recommendations are made from: what the core knows, which is looked up at once, and
what takes a while to see.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TypeVar, cast

from admission.core.admission import Admission
from admission.core.advice import ByHand, Disk, Facts, Group, Habit, Heavy, Minute
from admission.core.explanation import sources
from admission.core.leases import Holder
from admission.protocol import AdmissionError, Frame
from admission.service.history.reading import Bucket, series
from admission.service.history.recorder import History
from admission.service.history.tasks import Wanted, habits
from admission.service.sensors.belonging import top
from admission.service.sensors.kinds import AGENTS
from admission.service.sensors.processes import Look

T = TypeVar("T")

# So far back as the commands that are recommended look by themselves.
DAY_S, WEEK_S = 86_400.0, 7 * 86_400.0
MINUTES = 1440
HEAVIEST = 10


def facts_of(core: Admission, now: float) -> Facts:
    """What the core knows. `now`: seconds on the clock of the events."""
    governor, pools = core.governor, core.pools
    sample, agents = governor.sample, pools["agents"]
    return Facts(
        level=core.level.level,
        capacity=agents.capacity,
        capacity_at_rest=agents.spec.capacity[0],
        below_pct=(governor.levels[0].memory_below_pct, governor.levels[0].cpu_below_pct),
        groups=_groups(core),
        alarms=tuple(core.alarms.all(core.ledger, governor, now)),
        by_hand=_by_hand(core, now),
        paused=tuple(
            (name, len(pool.waiters)) for name, pool in pools.items() if pool.paused_until == inf
        ),
        memory_total_bytes=None if sample is None else sample.memory_total_bytes,
        cpus=None if sample is None else sample.cpus,
    )


def _groups(core: Admission) -> tuple[Group, ...]:
    agents = core.pools["agents"]
    held: dict[tuple[int, str], int] = {}
    waiting: dict[tuple[int, str], int] = {}
    for lease in agents.leases.values():
        if lease.is_out:
            group = (lease.claim.uid, lease.claim.group)
            held[group] = held.get(group, 0) + lease.claim.weight
    for waiter in agents.waiters.values():
        group = (waiter.claim.uid, waiter.claim.group)
        waiting[group] = waiting.get(group, 0) + waiter.claim.weight
    return tuple(
        Group(group[1], held.get(group, 0), waiting.get(group, 0)) for group in held | waiting
    )


def _by_hand(core: Admission, now: float) -> ByHand | None:
    governor = core.governor
    if governor.by_hand_until != inf or governor.sample is None:
        return None
    worst = max(sources(governor, now), key=lambda one: one.level, default=None)
    if worst is None:
        return None
    return ByHand(governor.level_by_hand, worst.level, worst.reason)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is to be looked at closer, as it stood on the event loop.

    Attributes:
        surveyed: the answer about orphans.
        looks: the processes as of the last pass, and of the one before.
        leases: the number of each holder's lease.
    """

    surveyed: Frame | AdmissionError
    looks: tuple[Look | None, Look | None]
    leases: dict[Holder, int]


def seen_in(scene: Scene) -> Facts:
    """What takes a while to see, and nothing else. For a thread, as is `past_of`. What can't be had
    is left out: the rules say nothing about it then.
    """
    surveyed = {} if isinstance(scene.surveyed, AdmissionError) else scene.surveyed
    return Facts(
        survivors=_heavy_rows(surveyed, "survivors"),
        agents=_heavy_rows(surveyed, "agents"),
        foreign=_foreign(scene),
    )


def past_of(history: History | None) -> Facts:
    """What the history says, and how much room there is for it; nothing where none is kept."""
    if history is None:
        return Facts()
    return Facts(
        habits=tuple(_had(lambda: _habits(history), [])),
        minutes=tuple(_had(lambda: _minutes(history), [])),
        disk=_had(lambda: _disk(history), None),
    )


def _had(read: Callable[[], T], else_: T) -> T:
    try:
        return read()
    except (AdmissionError, OSError):  # there is none yet, or it can't be read now
        return else_


def _heavy_rows(surveyed: Frame, name: str) -> tuple[Heavy, ...]:
    return tuple(
        Heavy(
            str(row["name"]),
            cast(int, row["pid"]),
            cast(int, row["processes"]),
            cast(int, row["memory_bytes"]),
        )
        for row in cast(list[Frame], surveyed.get(name, []))
    )


def _foreign(scene: Scene) -> tuple[Heavy, ...]:
    now, before = scene.looks
    if now is None:
        return ()
    found = top(now, before, scene.leases, HEAVIEST)
    own = {one.pid for one in now.processes.values() if os.getpid() in (one.pid, one.parent)}
    heavy = {
        one.pid: one
        for one in (*found.by_cpu, *found.by_memory)
        if one.lease is None and one.name not in AGENTS and one.pid not in own
    }
    return tuple(
        Heavy(one.name, one.pid, one.processes, one.rss_bytes, one.cpus) for one in heavy.values()
    )


def _habits(history: History) -> list[Habit]:
    return [
        Habit(one.task, one.runs, one.memory_p95_bytes, one.failures)
        for one in habits(history.path, Wanted(since=time.time() - WEEK_S))
    ]


def _minutes(history: History) -> list[Minute]:
    now = time.time()
    buckets = series(history.path, now - DAY_S, now, MINUTES)
    return [minute for one in buckets if (minute := _minute(one)) is not None]


def _minute(one: Bucket) -> Minute | None:
    """None where some of it is not known."""
    found = (one.level, one.memory_used_pct_max, one.cpu_used_pct, one.in_use_max, one.waiting)
    if any(not isinstance(value, int | float) for value in found):
        return None
    return Minute(*cast(tuple[int, float, float, int, int], found))


def _disk(history: History) -> Disk:
    folder = history.path.parent
    found = os.statvfs(folder)
    return Disk(str(folder), found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
