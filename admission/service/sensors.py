"""What the machine says: one reading at a time, each source failing for itself alone."""

import math
from collections.abc import Callable

import psutil

from admission.core.events import Sample


def busy_pct(before: tuple[float, float], after: tuple[float, float]) -> float | None:
    """Percent of all CPU time that was spent working, from two readings of (busy, total) seconds.

    None where no time passed between them.
    """
    busy_s, total_s = after[0] - before[0], after[1] - before[1]
    return 100 * busy_s / total_s if total_s > 0 else None


class Sensors:
    """Reads memory and CPU by psutil.

    CPU is the difference to the last reading, kept here: psutil's own baseline belongs to the
    thread that asked, and a thread of a pool would compare with another one's past.
    """

    def __init__(self) -> None:
        self._cpu_times: tuple[float, float] | None = None

    def read(self, now: float) -> Sample:
        """One reading, in well below a millisecond. `now`: seconds on the clock of the events."""
        failed: list[str] = []
        memory_pct = _checked("memory", self._memory_used_pct, failed)
        cpu_pct = _checked("CPU", self._cpu_used_pct, failed)
        return Sample(now, memory_pct, cpu_pct, tuple(failed))

    def _memory_used_pct(self) -> float:
        memory = psutil.virtual_memory()
        return 100 * (1 - memory.available / memory.total)

    def _cpu_used_pct(self) -> float | None:
        times = psutil.cpu_times()
        total_s = sum(times[:8])  # guest time, behind these, is in user time already
        idle_s = times.idle + getattr(times, "iowait", 0.0)
        before, self._cpu_times = self._cpu_times, (total_s - idle_s, total_s)
        return None if before is None else busy_pct(before, self._cpu_times)


def _checked(name: str, read: Callable[[], float | None], failed: list[str]) -> float | None:
    """The percentage, or None and a note where the source fails or says what can't be."""
    try:
        value_pct = read()
    except (OSError, psutil.Error, ValueError, ZeroDivisionError, AttributeError) as problem:
        failed.append(f"{name}: {problem}")
        return None
    if value_pct is not None and not (math.isfinite(value_pct) and -0.5 <= value_pct <= 100.5):
        failed.append(f"{name}: {value_pct} is no percentage")
        return None
    return None if value_pct is None else min(max(value_pct, 0.0), 100.0)
