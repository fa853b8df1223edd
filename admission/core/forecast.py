"""Where a figure is going: a straight line through the last minute of readings.

The line says what the figure will be at the horizon, and when it reaches the next bound. How far
that is to be believed is learnt from how far such forecasts were off: a bound counts as foreseen
only where the forecast reaches it even less what four of five errors were better than.
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


class Trend:
    """The forecasts of one figure, and how they have done."""

    def __init__(self, horizon_s: float, window_s: float) -> None:
        self.horizon_s = horizon_s
        self.window_s = window_s
        self.errors = Errors()
        self.warnings = Warnings()
        self.forecast: Forecast | None = None
        self._rising = Errors()
        self._points: deque[tuple[float, float]] = deque(maxlen=POINTS_MAX)
        # When it is due, what it says, and what the reading was.
        self._due: deque[tuple[float, float, float]] = deque(maxlen=DUE_MAX)

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
        while self._due and self._due[0][0] <= at:
            due_at, foreseen_pct, was_pct = self._due.popleft()
            if at - due_at > self.horizon_s / 2:
                continue  # nobody looked when it was due
            self.errors.note(foreseen_pct, was_pct, pct)
            if foreseen_pct >= was_pct + RISE_MIN_PCT:
                self._rising.note(foreseen_pct, was_pct, pct)

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
        if not self._due or at - (self._due[-1][0] - self.horizon_s) >= self.horizon_s / DUE_MAX:
            self._due.append((at + self.horizon_s, value_pct, pct))
        errors = self._rising if value_pct >= pct + RISE_MIN_PCT else self.errors
        low_pct, high_pct = value_pct + errors.quantile(LOW), value_pct + errors.quantile(HIGH)
        ahead = [
            (bound, (bound - pct) / per_s)
            for bound in bounds_pct
            if pct < bound <= low_pct and per_s > 0
        ]
        reaches = [one for one in ahead if self.warnings.warn(at, one[0], self.horizon_s)]
        return Forecast(value_pct, low_pct, high_pct, per_s, self.horizon_s, tuple(reaches))
