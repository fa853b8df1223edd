"""What is foreseen of memory and CPU, and which of it has a say in the level.

Two forecasts of each figure: its trend (the next minute, `core.forecast`) and its profile (what is
usual at this hour of the week, `core.profile`). Both run in shadow, always scored; one calls for a
level only while it has proven to be better than no forecast, and it can only raise the level: it
is one more leg, and the level is that of the worst.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import floor
from typing import Literal

from admission.core.forecast import Trend
from admission.core.legs import Leg
from admission.core.levels import Levels
from admission.core.profile import Hour, Profile
from admission.core.skill import Record
from admission.core.values import value

MEMORY, CPU = "memory", "CPU"


@dataclass(frozen=True, slots=True)
class Foresight:
    """How forecasts are used.

    Attributes:
        on: `auto`: each acts while it is proven. `shadow`: they are scored and shown, and never
            act. `off`: nothing is foreseen.
        horizon_s: how far ahead the trend looks.
        window_s: of how much of the past.
        warnings_min: so many of the trend's warnings must have been judged before it acts.
        right_min: and such a share of the last ones have been right.
    """

    on: Literal["auto", "shadow", "off"] = "auto"
    horizon_s: float = 60.0
    window_s: float = 60.0
    warnings_min: int = 10
    right_min: float = 0.7

    def is_proven(self, record: Record) -> bool:
        """Whether a trend with this record may act."""
        return record.is_proven(self.warnings_min, self.right_min)


OFF = Foresight(on="off")


@value
class Remembered:
    """What an earlier daemon saw, by the hour, oldest first."""

    memory: tuple[Hour, ...] = ()
    cpu: tuple[Hour, ...] = ()


@value
class Look:
    """What a sample says of the figures that are foreseen.

    `local_h`: hours on the wall clock of the place since a Monday at 0:00, where that is known.
    """

    at: float
    memory_pct: float | None
    cpu_pct: float | None
    local_h: float | None = None


class Forecasts:
    """The forecasts, and the legs that follow from them. `legs` is empty while none is proven."""

    def __init__(self, foresight: Foresight) -> None:
        self.foresight = foresight
        # Both are empty as long as nothing is to be foreseen.
        self.trends: dict[str, Trend] = {}
        self.profiles: dict[str, Profile] = {}
        self.legs: tuple[Leg, ...] = ()
        if foresight.on != "off":
            self._begin()

    def _begin(self) -> None:
        horizon_s, window_s = self.foresight.horizon_s, self.foresight.window_s
        self.trends = {what: Trend(horizon_s, window_s) for what in (MEMORY, CPU)}
        self.profiles = self.profiles or {what: Profile() for what in (MEMORY, CPU)}

    def adopt(self, foresight: Foresight) -> None:
        """Goes by other settings. A trend with another horizon must prove itself anew."""
        before, self.foresight = self.foresight, foresight
        if foresight.on != "auto":
            self.legs = ()
        if foresight.on == "off":
            self.trends = {}
        elif not self.trends or _ahead(before) != _ahead(foresight):
            self._begin()

    def forget(self) -> None:
        """The machine slept: what was under way can't be judged. The scores stay."""
        self.legs = ()
        for trend in self.trends.values():
            trend.forget()

    def remember(self, event: Remembered) -> None:
        """Learns what is usual from what an earlier daemon saw; also where nothing is foreseen as
        yet, as it is not told a second time.
        """
        self.profiles = self.profiles or {what: Profile() for what in (MEMORY, CPU)}
        self.profiles[MEMORY].remember(event.memory)
        self.profiles[CPU].remember(event.cpu)

    def take(self, look: Look, levels: Levels, margin_pct: float, dwell_s: float) -> None:
        """One look: judges what was foreseen for now, and looks ahead."""
        self.legs = ()
        if self.foresight.on == "off":
            return
        bounds = bounds_of(levels)
        legs: list[Leg] = []
        for what, pct in ((MEMORY, look.memory_pct), (CPU, look.cpu_pct)):
            trend, profile = self.trends[what], self.profiles[what]
            trend.take(look.at, pct, bounds[what], margin_pct, dwell_s)
            if look.local_h is not None:
                profile.take(look.local_h, pct)
            if self.foresight.on == "auto":
                if self.foresight.is_proven(trend.warnings.record):
                    legs += _trend_leg(what, trend, bounds[what])
                if look.local_h is not None and pct is not None:
                    legs += _profile_leg(what, profile, floor(look.local_h), pct, bounds[what])
        self.legs = tuple(legs)


def _ahead(foresight: Foresight) -> tuple[float, float]:
    return foresight.horizon_s, foresight.window_s


def bounds_of(levels: Levels) -> dict[str, tuple[float, ...]]:
    """Where levels 1, 2 and 3 begin, by figure."""
    rows = levels[:3]
    return {
        MEMORY: tuple(row.memory_below_pct for row in rows),
        CPU: tuple(row.cpu_below_pct for row in rows),
    }


def level_at(pct: float, bounds_pct: tuple[float, ...]) -> int:
    return sum(pct >= bound for bound in bounds_pct)


def _trend_leg(what: str, trend: Trend, bounds_pct: tuple[float, ...]) -> Iterator[Leg]:
    forecast, record = trend.forecast, trend.warnings.record
    if forecast is None or not forecast.reaches:
        return
    bound, in_s = forecast.reaches[-1]
    reason = (
        f"{what} will reach {bound:g} % in about {in_s:.0f} s: rising {forecast.per_s:.1f} "
        f"points/s, {right(record)}"
    )
    yield Leg(f"{what} trend", level_at(bound, bounds_pct), reason)


def _profile_leg(
    what: str, profile: Profile, number: int, pct: float, bounds_pct: tuple[float, ...]
) -> Iterator[Leg]:
    """At most a level above what the reading calls for: an hour is long, and a mean is no peak."""
    foreseen, standing = profile.foreseen, profile.standing()
    if foreseen is None or foreseen.number != number or not (standing and standing.is_proven):
        return
    level = min(level_at(foreseen.mean_pct, bounds_pct), level_at(pct, bounds_pct) + 1)
    if level:
        reason = (
            f"{what} is usually at or above {bounds_pct[level - 1]:g} % in this hour of the week: "
            f"{foreseen.mean_pct:.0f} % is foreseen, {foreseen.p90_pct:.0f} % for a tenth of it"
        )
        yield Leg(f"{what} profile", level, reason)


def right(record: Record) -> str:
    """How often warnings were right, in words."""
    return f"right in {record.hits} of the last {record.judged} times"
