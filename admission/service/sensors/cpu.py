"""CPU: how much of the time was spent working, on how many CPUs, and within which quota."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import psutil

from admission.service.sensors.cgroup import UNIFIED, Groups, setting
from admission.service.sensors.source import (
    Nonsense,
    Share,
    count_in,
    field_of,
    fields_in,
    text_of,
)

# A group may run on beyond its quota for a moment, and is then held back; more than twice the
# quota since the last reading is no measurement.
QUOTA_AT_MOST_PCT = 200.0


@dataclass(frozen=True, slots=True)
class Quota:
    """The CPUs' worth of time that the daemon's groups may use at most.

    `used_pct`: of the fullest one, since the last reading; None where that is not known.
    """

    cpus: float
    used_pct: float | None


class Cpu(Protocol):
    """What each platform answers. Whatever can't be read raises."""

    def used_pct(self) -> float | None:
        """Of all CPU time since the last reading; None at the first one."""

    def quota(self) -> Quota | None:
        """None where there is none."""

    def count(self) -> int:
        """The CPUs that this process may run on."""

    def load_1min(self) -> float:
        """The load average."""


def parse_cpu_times(text: str) -> tuple[int, int]:
    """Busy and total ticks since boot, from /proc/stat.

    Waiting for a disk is not working. A guest's time, behind the eighth, is in user time already.
    """
    first, *times = text.partition("\n")[0].split()
    if first != "cpu" or len(times) < 4:
        raise Nonsense("there is no line of CPU times")
    ticks = [count_in(one) for one in times[:8]]
    total = sum(ticks)
    return total - sum(ticks[3:5]), total


def parse_load(text: str) -> float:
    """The average over a minute, from /proc/loadavg."""
    load = float(text.split()[0])
    if not 0 <= load < 1e6:
        raise Nonsense(f"a load of {load:g}")
    return load


class LinuxCpu:
    """By /proc/stat, and by the quotas of the control groups, of either version."""

    def __init__(self, proc: str, groups: Groups, clock: Callable[[], float]) -> None:
        self._proc = proc
        self._groups = groups
        self._clock = clock
        self._busy = Share()
        self._quotas: dict[str, Share] = {}

    def used_pct(self) -> float | None:
        busy, total = parse_cpu_times(text_of(f"{self._proc}/stat"))
        return self._busy.pct(busy, total)

    def load_1min(self) -> float:
        return parse_load(text_of(f"{self._proc}/loadavg"))

    def count(self) -> int:
        return available_cpus()

    def quota(self) -> Quota | None:
        """Every ancestor's as well: any of them may be the tightest."""
        found = [*self._quotas_v2(), *self._quotas_v1()]
        if not found:
            self._quotas = {}
            return None
        used_pct = [one.used_pct for one in found if one.used_pct is not None]
        return Quota(min(one.cpus for one in found), max(used_pct, default=None))

    def _quotas_v2(self) -> list[Quota]:
        found: list[Quota] = []
        for folder in self._groups.folders(UNIFIED):
            words = (setting(f"{folder}/cpu.max") or "max").split()
            if words[0] != "max":
                cpus = _cpus(words[0], words[1])
                used_us = field_of(fields_in(text_of(f"{folder}/cpu.stat")), "usage_usec")
                found.append(self._quota(folder, cpus, used_us / 1e6))
        return found

    def _quotas_v1(self) -> list[Quota]:
        """The controller `cpuacct` counts; mounted apart, it has the same groups as `cpu`."""
        found: list[Quota] = []
        limiting, counting = self._groups.folders("cpu"), self._groups.folders("cpuacct")
        for index, folder in enumerate(limiting):
            quota = setting(f"{folder}/cpu.cfs_quota_us")
            if quota is None or quota == "-1":
                continue
            cpus = _cpus(quota, text_of(f"{folder}/cpu.cfs_period_us").strip())
            if len(counting) != len(limiting):
                found.append(Quota(cpus, None))
                continue
            used_ns = count_in(text_of(f"{counting[index]}/cpuacct.usage").strip())
            found.append(self._quota(folder, cpus, used_ns / 1e9))
        return found

    def _quota(self, folder: str, cpus: float, used_s: float) -> Quota:
        share = self._quotas.setdefault(folder, Share(QUOTA_AT_MOST_PCT))
        return Quota(cpus, share.pct(used_s, self._clock() * cpus))


def _cpus(quota_us: str, period_us: str) -> float:
    quota, period = count_in(quota_us), count_in(period_us)
    if not (quota and period):
        raise Nonsense(f"a quota of {quota} in {period} us")
    return quota / period


class PsutilCpu:
    """Where there is no /proc/stat.

    From psutil's counters: its own percentage compares with the last reading of the same thread,
    and a thread of a pool would compare with another one's past.
    """

    def __init__(self) -> None:
        self._busy = Share()

    def used_pct(self) -> float | None:
        times = psutil.cpu_times()
        total_s = sum(times[:8])
        idle_s = times.idle + getattr(times, "iowait", 0.0)
        return self._busy.pct(total_s - idle_s, total_s)

    def quota(self) -> Quota | None:
        return None

    def count(self) -> int:
        return available_cpus()

    def load_1min(self) -> float:
        return os.getloadavg()[0]


def available_cpus() -> int:
    """The CPUs that this process may run on, or all there are where the system does not tell."""
    if sys.platform == "linux":
        # By PID: in a thread, 0 would be that thread's own.
        return len(os.sched_getaffinity(os.getpid()))
    return os.cpu_count() or 1
