"""What the machine said over the last minutes, as columns to draw."""

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from admission.protocol import Frame

WINDOW_S = 600.0
# The daemon looks at least this often where nothing happens; longer than that, nobody knows.
SEEN_FOR_S = 90.0
STALLS = ("cpu_stall_pct", "memory_stall_pct", "io_stall_pct")
FIGURES = ("memory_used_pct", "cpu_used_pct", "stall_pct")


class Reading:
    """One of them. `at` is on the clock of whoever draws; percents, None where not known."""

    __slots__ = ("at", "cpu_used_pct", "memory_used_pct", "stall_pct")

    def __init__(
        self, at: float, memory_used_pct: float | None, cpu_used_pct: float | None, *stalls: object
    ) -> None:
        self.at = at
        self.memory_used_pct = memory_used_pct
        self.cpu_used_pct = cpu_used_pct
        # Whichever is scarce: waiting for it is what is felt.
        self.stall_pct = max((one for one in stalls if isinstance(one, (int, float))), default=None)

    @classmethod
    def of(cls, sample: "Frame", now: float) -> "Reading":
        """From a sample as the daemon tells it."""
        age_s = as_number(sample.get("age_s")) or 0.0
        memory, cpu = (as_number(sample.get(name)) for name in FIGURES[:2])
        return cls(now - age_s, memory, cpu, *map(sample.get, STALLS))


class Readings:
    """The last `WINDOW_S` seconds of them, in order."""

    def __init__(self) -> None:
        self._all: deque[Reading] = deque()

    def __len__(self) -> int:
        return len(self._all)

    def begin(self, earlier: "Iterable[Reading]") -> None:
        """What was seen before this began; what came meanwhile stays."""
        begins_at = self._all[0].at if self._all else float("inf")
        self._all.extendleft(reversed([one for one in earlier if one.at < begins_at]))

    def add(self, reading: Reading) -> None:
        """One more; a sample that was told twice counts once."""
        if self._all and reading.at <= self._all[-1].at + 0.05:
            return
        self._all.append(reading)
        while self._all[0].at < reading.at - 2 * WINDOW_S:
            self._all.popleft()

    def latest(self, name: str) -> float | None:
        """What was seen last."""
        return getattr(self._all[-1], name) if self._all else None

    def columns(self, name: str, now: float, count: int) -> list[float | None]:
        """The highest of each interval, the newest last; None where nothing was seen.

        The intervals begin at multiples of their length, so that a column stays what it is while
        it moves to the left.
        """
        step_s = WINDOW_S / count
        first = int(now // step_s) - count + 1
        highest: dict[int, float] = {}
        for one in self._all:
            value: float | None = getattr(one, name)
            if value is not None:
                column = int(one.at // step_s) - first
                highest[column] = max(highest.get(column, 0.0), value)
        return list(_filled(highest, count, int(SEEN_FOR_S / step_s)))


def _filled(highest: "dict[int, float]", count: int, reach: int) -> "Iterator[float | None]":
    """Each column, or what was seen before it."""
    seen_at, seen = -count, None
    for column in range(-reach, count):
        if column in highest:
            seen_at, seen = column, highest[column]
        if column >= 0:
            yield seen if column - seen_at <= reach else None


def as_number(value: object) -> float | None:
    """A number of the daemon's, or nothing."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
