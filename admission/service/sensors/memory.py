"""Memory: the machine's, and the smallest limit that the daemon lives under."""

from dataclasses import dataclass
from typing import Protocol

import psutil

from admission.service.sensors.cgroup import UNIFIED, Groups, setting
from admission.service.sensors.source import (
    Nonsense,
    count_in,
    field_of,
    fields_in,
    percent,
    text_of,
)


@dataclass(frozen=True, slots=True)
class Room:
    """What there is within one bound, and how much of it can be had without swapping.

    One whose figures can't be true is not made: that raises `Nonsense`.
    """

    total_bytes: int
    available_bytes: int

    def __post_init__(self) -> None:
        if not self.total_bytes > 0:
            raise Nonsense(f"a total of {self.total_bytes} bytes")
        _used_pct(self)

    @property
    def used_pct(self) -> float:
        return _used_pct(self)


def _used_pct(room: Room) -> float:
    return percent(100 * (1 - room.available_bytes / room.total_bytes))


class Memory(Protocol):
    """What each platform answers. Whatever can't be read raises."""

    def machine(self) -> Room:
        """The whole machine."""

    def limits(self, machine: Room) -> list[Room]:
        """Bounds of the daemon's own that are lower than the machine."""

    def swap_used_pct(self) -> float | None:
        """None where there is no swap space."""

    def pressure(self) -> int | None:
        """The kernel's own word, as in `Sample.memory_pressure`; None where it has none."""


def parse_meminfo(text: str) -> dict[str, int]:
    """The fields of /proc/meminfo, in bytes; those that count pages are left out."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            found[words[0].rstrip(":")] = 1024 * count_in(words[1])
    return found


class LinuxMemory:
    """By /proc/meminfo and by the control groups, of either version."""

    def __init__(self, proc: str, groups: Groups) -> None:
        self._meminfo = f"{proc}/meminfo"
        self._groups = groups

    def machine(self) -> Room:
        fields = parse_meminfo(text_of(self._meminfo))
        return Room(field_of(fields, "MemTotal"), field_of(fields, "MemAvailable"))

    def swap_used_pct(self) -> float | None:
        fields = parse_meminfo(text_of(self._meminfo))
        total = field_of(fields, "SwapTotal")
        return percent(100 * (1 - field_of(fields, "SwapFree") / total)) if total else None

    def limits(self, machine: Room) -> list[Room]:
        """Every ancestor's as well: any of them may be the tightest.

        In use is what the group holds less its inactive file cache, as the kubelet reckons.
        """
        found: list[Room] = []
        for folder in self._groups.folders(UNIFIED):
            limit = setting(f"{folder}/memory.max")
            if limit is None or limit == "max" or count_in(limit) >= machine.total_bytes:
                continue
            held = count_in(text_of(f"{folder}/memory.current").strip())
            cache = field_of(fields_in(text_of(f"{folder}/memory.stat")), "inactive_file")
            found.append(_room(count_in(limit), held, cache))
        for folder in self._groups.folders("memory"):
            limit = setting(f"{folder}/memory.limit_in_bytes")
            if limit is None or count_in(limit) >= machine.total_bytes:
                continue  # "no limit" is 2**63 less a page
            held = count_in(text_of(f"{folder}/memory.usage_in_bytes").strip())
            cache = field_of(fields_in(text_of(f"{folder}/memory.stat")), "total_inactive_file")
            found.append(_room(count_in(limit), held, cache))
        return found

    def pressure(self) -> int | None:
        return None


def _room(limit_bytes: int, held_bytes: int, cache_bytes: int) -> Room:
    """A group that holds more than its limit, lowered since, has nothing left."""
    return Room(limit_bytes, max(limit_bytes - max(held_bytes - cache_bytes, 0), 0))


class PsutilMemory:
    """Where there is neither /proc/meminfo nor macOS."""

    def machine(self) -> Room:
        memory = psutil.virtual_memory()
        return Room(memory.total, memory.available)

    def swap_used_pct(self) -> float | None:
        swap = psutil.swap_memory()
        return percent(100 * swap.used / swap.total) if swap.total else None

    def limits(self, machine: Room) -> list[Room]:
        return []

    def pressure(self) -> int | None:
        return None
