"""Whether a forecast is better than none: what it said beside what came.

A forecast is never believed for its own sake. Each is kept until its time has come, and is then
compared with the reading, and with what no forecast at all would have said: that all stays as it
is (persistence). A warning that a bound will be reached is right if it was reached in time, and
early enough for somebody to act on it.
"""

from collections import deque
from dataclasses import dataclass
from math import inf

from admission.core.averages import mean

ERRORS_MAX = 200
# Warnings that are remembered.
WARNINGS_MAX = 20
# Less than the time between two looks helps nobody.
LEAD_MIN_S = 5.0


class Errors:
    """How far the last forecasts were off, in points, beside persistence."""

    def __init__(self, most: int = ERRORS_MAX) -> None:
        # What came less what was foreseen, and less what it had been before.
        self._errors: deque[float] = deque(maxlen=most)
        self._steps: deque[float] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._errors)

    def note(self, foreseen_pct: float, was_pct: float, came_pct: float) -> None:
        """One forecast whose time has come; `was_pct`: the reading when it was made."""
        self._errors.append(came_pct - foreseen_pct)
        self._steps.append(came_pct - was_pct)

    @property
    def mae(self) -> float | None:
        """The mean absolute error; None before the first."""
        return mean(map(abs, self._errors)) if self._errors else None

    @property
    def persistence_mae(self) -> float | None:
        """Likewise of a forecast that all stays as it is."""
        return mean(map(abs, self._steps)) if self._steps else None

    def quantile(self, share: float) -> float:
        """So large a share of the errors was below this; 0 before the first.

        What came was above `forecast + quantile(0.2)` in four of five cases.
        """
        if not self._errors:
            return 0.0
        ordered = sorted(self._errors)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


@dataclass(frozen=True, slots=True)
class Record:
    """What became of the last warnings.

    Attributes:
        hits: those that were right, and came `LEAD_MIN_S` before the bound was reached.
        false_alarms: the others: it was not reached in time, or the warning came with it.
        misses: of the last times that a bound was reached, those that nobody had warned of.
        reached: how many times that is out of.
        lead_s: the median time from a warning that was right to what it warned of.
    """

    hits: int
    false_alarms: int
    misses: int
    reached: int
    lead_s: float | None

    @property
    def judged(self) -> int:
        return self.hits + self.false_alarms

    def is_proven(self, judged_min: int, right_min: float) -> bool:
        """Whether a warning may be acted on: enough were judged, and this share of them right."""
        return self.judged >= judged_min and self.hits >= right_min * self.judged


class Warnings:
    """Warnings that a bound will be reached, and what became of them.

    A bound that was reached is up until the readings have kept away from it for the dwell: while
    it is, the level is up anyway, and neither a warning of it nor reaching it again counts.
    """

    def __init__(self, most: int = WARNINGS_MAX) -> None:
        # By bound: when it was warned of, and by when it was to be reached.
        self._open: dict[float, tuple[float, float]] = {}
        # By bound: when a reading was last not calmly below it.
        self._up: dict[float, float] = {}
        # The lead of each, -inf where it was a false alarm.
        self._leads_s: deque[float] = deque(maxlen=most)
        self._was_warned: deque[bool] = deque(maxlen=most)
        self._is_first = True

    @property
    def record(self) -> Record:
        leads_s = [lead_s for lead_s in self._leads_s if lead_s >= LEAD_MIN_S]
        return Record(
            hits=len(leads_s),
            false_alarms=len(self._leads_s) - len(leads_s),
            misses=sum(not warned for warned in self._was_warned),
            reached=len(self._was_warned),
            lead_s=sorted(leads_s)[len(leads_s) // 2] if leads_s else None,
        )

    def forget(self) -> None:
        """What is under way can't be judged any more; what was judged stays."""
        self._open.clear()
        self._up.clear()
        self._is_first = True

    def judge(
        self,
        at: float,
        pct: float,
        bounds_pct: tuple[float, ...],
        margin_pct: float,
        dwell_s: float,
    ) -> None:
        """A reading came: which warnings were right, which were not."""
        self._up = {bound: at for bound, at in self._up.items() if bound in bounds_pct}
        for bound in bounds_pct:
            if pct >= bound and bound not in self._up and not self._is_first:
                self._reach(at, bound)
            if pct >= bound or (bound in self._up and pct >= bound - margin_pct):
                self._up[bound] = at
            elif at - self._up.get(bound, inf) >= dwell_s:
                del self._up[bound]
        for bound, (_, due_at) in list(self._open.items()):
            if at >= due_at or bound not in bounds_pct:
                del self._open[bound]
                self._leads_s.append(-inf)
        self._is_first = False

    def _reach(self, at: float, bound: float) -> None:
        opened_at, due_at = self._open.pop(bound, (inf, -inf))
        is_right = at <= due_at
        if opened_at < inf:
            self._leads_s.append(at - opened_at if is_right else -inf)
        self._was_warned.append(is_right and at - opened_at >= LEAD_MIN_S)

    def warn(self, at: float, bound: float, within_s: float) -> bool:
        """Warns that this bound will be reached; False where the level is up for it anyway."""
        if bound in self._up:
            return False
        self._open.setdefault(bound, (at, at + within_s))
        return True
