"""What the rules get to see of the machine: a sample, with the faults that sensors have."""

from admission.core.sample import Sample
from admission.simulation.plant import Plant

GIB = 1 << 30
# The share of memory in use at which a Mac's figure reads 70 %: at rest.
MACOS_REST_PCT, MACOS_REST = 70.0, 0.325
# Where its kernel warns, and where it calls memory pressure critical.
MACOS_WARNING, MACOS_CRITICAL = 0.95, 1.1


class Sensor:
    """Takes a sample when it is asked; percents of an interval are means since the last one."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._second = 0
        self._sums = (0.0, 0.0, 0.0)
        self._last: Sample | None = None

    def read(self, now: float, *, is_instant: bool = False) -> Sample:
        """The machine as it seems.

        Args:
            now: seconds on the clock of the events.
            is_instant: the CPU percent of the last second, not of all since the last sample.
        """
        plant, day = self._plant, self._plant.day
        if self._last is not None and plant.second in day.stale:
            return self._last
        busy, waiting, thrashing = self._means()
        used = plant.memory_gib / day.shape.total_gib
        is_deaf = day.is_like_macos or plant.second in day.stalls_missing
        self._last = Sample(
            now,
            None if plant.second in day.memory_missing else self._memory_pct(used),
            100 * (plant.busy_now if is_instant else busy),
            memory_total_bytes=int(day.shape.total_gib * GIB),
            load_1min=plant.load,
            cpus=day.shape.cores,
            cpu_stall_pct=None if is_deaf else 100 * waiting,
            memory_stall_pct=None if is_deaf else 100 * thrashing,
            memory_pressure=_macos_pressure(used) if day.is_like_macos else None,
        )
        return self._last

    def _means(self) -> tuple[float, float, float]:
        plant = self._plant
        sums = (plant.busy_sum, plant.waiting_sum, plant.thrashing_sum)
        seconds = plant.second - self._second
        if seconds == 0:
            return plant.busy_now, 0.0, 0.0
        busy, waiting, thrashing = (
            (new - old) / seconds for new, old in zip(sums, self._sums, strict=True)
        )
        self._second, self._sums = plant.second, sums
        return busy, waiting, thrashing

    def _memory_pct(self, used: float) -> float:
        if not self._plant.day.is_like_macos:
            return min(100 * used, 100.0)
        room = 1 + self._plant.day.compressor_gib / self._plant.day.shape.total_gib
        over_rest = (used - MACOS_REST) / (room - MACOS_REST)
        return min(max(MACOS_REST_PCT + (100 - MACOS_REST_PCT) * over_rest, 0.0), 100.0)


def _macos_pressure(used: float) -> int:
    if used >= MACOS_CRITICAL:
        return 4
    return 2 if used >= MACOS_WARNING else 1
