"""Where a figure is going: a straight line through the last minute of readings.

The line says what the figure will be at the horizon, and when it reaches the next bound. How far
that is to be believed is learnt from how far such forecasts were off: a bound counts as foreseen
only where the forecast reaches it even less what the height that was reached by the horizon fell
short of it in one of five cases.
"""

from collections import deque
from dataclasses import dataclass

from admission.core.skill import Errors, Warnings

# Points of the line; readings that come faster are left out between.
POINTS_MAX, POINTS_MIN = 30, 3
# Forecasts that wait for their time.
DUE_MAX = 16
# The line must be as long as this share of its window.
SPAN_MIN = 0.25
# Of the errors, the share that lies below what is counted on, and above what is counted with.
LOW, HIGH = 0.2, 0.8
# A forecast without a rise warns of nothing, and its errors say nothing of those that do.
RISE_MIN_PCT = 1.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a figure will be, in percent.

    Attributes:
        value_pct: at the horizon.
        low_pct, high_pct: it will be above the one, and below the other, in four of five cases.
        per_s: points a second that it rises.
        horizon_s: how far ahead.
        reaches: the bounds above the reading that it is sure enough to reach, each with the
            seconds until then.
    """

    value_pct: float
    low_pct: float
    high_pct: float
    per_s: float
    horizon_s: float
    reaches: tuple[tuple[float, float], ...] = ()


@dataclass(slots=True)
class _Due:
    """A forecast that waits for its time, and the most that was read until then."""

    at: float
    foreseen_pct: float
    was_pct: float
    most_pct: float


class Trend:
    """The forecasts of one figure, and how they have done."""

    def __init__(self, horizon_s: float, window_s: float) -> None:
        self.horizon_s = horizon_s
        self.window_s = window_s
        self.errors = Errors()
        self.warnings = Warnings()
        self.forecast: Forecast | None = None
        # Of those that foresaw a rise, beside the most that was read until they were due.
        self._heights = Errors()
        self._points: deque[tuple[float, float]] = deque(maxlen=POINTS_MAX)
        self._due: deque[_Due] = deque(maxlen=DUE_MAX)

    def forget(self) -> None:
        """What was seen says nothing of what comes. How the forecasts have done stays."""
        self.forecast = None
        self._points.clear()
        self._due.clear()
        self.warnings.forget()

    def take(
        self,
        at: float,
        pct: float | None,
        bounds_pct: tuple[float, ...],
        margin_pct: float,
        dwell_s: float,
    ) -> None:
        """One reading: judges what was foreseen for now, and looks ahead.

        Args:
            at: seconds on the clock of the events, never before the last.
            pct: None where it is not known, which ends the line.
            bounds_pct: what is warned of.
            margin_pct, dwell_s: when the level is no longer up for a bound that was reached.
        """
        if pct is None:
            self.forget()
            return
        self._judge(at, pct)
        self.warnings.judge(at, pct, bounds_pct, margin_pct, dwell_s)
        per_s = self._slope(at, pct)
        self._add(at, pct)
        self.forecast = None if per_s is None else self._ahead(at, pct, per_s, bounds_pct)

    def _judge(self, at: float, pct: float) -> None:
        for one in self._due:
            if at <= one.at:
                one.most_pct = max(one.most_pct, pct)
        while self._due and self._due[0].at <= at:
            one = self._due.popleft()
            if at - one.at > self.horizon_s / 2:
                continue  # nobody looked when it was due
            self.errors.note(one.foreseen_pct, one.was_pct, pct)
            if one.foreseen_pct >= one.was_pct + RISE_MIN_PCT:
                self._heights.note(one.foreseen_pct, one.was_pct, one.most_pct)

    def _add(self, at: float, pct: float) -> None:
        if not self._points or at - self._points[-1][0] >= self.window_s / POINTS_MAX:
            self._points.append((at, pct))

    def _slope(self, at: float, pct: float) -> float | None:
        """Of the line through the readings of the window, by least squares; None of too few."""
        points = self._points
        while points and points[0][0] < at - self.window_s:
            points.popleft()
        count = len(points) + 1
        if count < POINTS_MIN or at - points[0][0] < SPAN_MIN * self.window_s:
            return None
        mean_at = (sum(when for when, _ in points) + at) / count
        mean_pct = (sum(value for _, value in points) + pct) / count
        pairs = [*points, (at, pct)]
        spread = sum((when - mean_at) ** 2 for when, _ in pairs)
        return sum((when - mean_at) * (value - mean_pct) for when, value in pairs) / spread

    def _ahead(
        self, at: float, pct: float, per_s: float, bounds_pct: tuple[float, ...]
    ) -> Forecast:
        value_pct = min(max(pct + per_s * self.horizon_s, 0.0), 100.0)
        horizon_s, errors = self.horizon_s, self.errors
        if not self._due or at - (self._due[-1].at - horizon_s) >= horizon_s / DUE_MAX:
            self._due.append(_Due(at + horizon_s, value_pct, pct, pct))
        low_pct, high_pct = value_pct + errors.quantile(LOW), value_pct + errors.quantile(HIGH)
        height_pct = value_pct + min(self._heights.quantile(LOW), 0.0)
        ahead = [
            (bound, (bound - pct) / per_s)
            for bound in bounds_pct
            if pct < bound <= height_pct and per_s > 0
        ]
        reaches = [one for one in ahead if self.warnings.warn(at, one[0], self.horizon_s)]
        return Forecast(value_pct, low_pct, high_pct, per_s, self.horizon_s, tuple(reaches))
