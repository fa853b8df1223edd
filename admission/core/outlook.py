"""What is foreseen, how far it is to be believed, and whether it has a say: for people to read."""

from dataclasses import dataclass

from admission.core.forecast import Trend
from admission.core.foresight import MEMORY, Forecasts, Foresight, right
from admission.core.profile import ERROR_SHARE_MAX, HOURS, JUDGED_H, JUDGED_MIN, Profile
from admission.core.skill import Record

IN_SHADOW = "in shadow, as configured"


@dataclass(frozen=True, slots=True)
class Outlook:
    """One forecast.

    Attributes:
        what: of which figure.
        kind: `trend` or `profile`.
        value_pct: what is foreseen; None where nothing is.
        low_pct, high_pct: it will be between these in three of five cases.
        ahead_s: how far ahead that is; of a profile, how long the hour is of which it is the mean.
        is_on: whether it may raise the level.
        why: why it is on, or is not.
        mae, persistence_mae: its mean absolute error in points, and that of no forecast.
        record: what became of its last warnings; None of a profile, which gives none.
    """

    what: str
    kind: str
    value_pct: float | None
    low_pct: float | None
    high_pct: float | None
    ahead_s: float
    is_on: bool
    why: str
    mae: float | None
    persistence_mae: float | None
    record: Record | None = None


def outlooks(forecasts: Forecasts) -> list[Outlook]:
    """All forecasts, those of memory first; none where nothing is foreseen."""
    if forecasts.foresight.on == "off":
        return []
    foresight = forecasts.foresight
    may_act = foresight.on == "auto"
    found = []
    for what, trend in forecasts.trends.items():
        found.append(_of_trend(what, trend, foresight))
        found.append(_of_profile(what, forecasts.profiles[what], may_act=may_act))
    return found


def line(forecasts: Forecasts) -> str:
    """All of it in a line: what memory does next, and which forecasts have a say."""
    found = outlooks(forecasts)
    if not found:
        return "off"
    forecast = forecasts.trends[MEMORY].forecast
    ahead = "memory: too few readings yet"
    if forecast is not None:
        ahead = (
            f"memory {forecast.value_pct:.0f} % in {forecast.horizon_s:.0f} s "
            f"({forecast.low_pct:.0f} to {forecast.high_pct:.0f})"
        )
    acting = [f"{one.what} {one.kind}" for one in found if one.is_on]
    if acting:
        return f"{ahead}; acts on {', '.join(acting)}"
    return f"{ahead}; in shadow" + ("" if forecasts.foresight.on == "auto" else ", as configured")


def _of_trend(what: str, trend: Trend, foresight: Foresight) -> Outlook:
    forecast, record = trend.forecast, trend.warnings.record
    may_act = foresight.on == "auto"
    return Outlook(
        what,
        "trend",
        None if forecast is None else forecast.value_pct,
        None if forecast is None else forecast.low_pct,
        None if forecast is None else forecast.high_pct,
        trend.horizon_s,
        may_act and foresight.is_proven(record),
        _why_trend(record, foresight) if may_act else IN_SHADOW,
        trend.errors.mae,
        trend.errors.persistence_mae,
        record,
    )


def _why_trend(record: Record, foresight: Foresight) -> str:
    if record.judged < foresight.warnings_min:
        judged = f"{record.judged} of its warnings were judged so far"
        return f"{judged}, {foresight.warnings_min} are wanted"
    if foresight.is_proven(record) and record.lead_s is not None:
        return f"its warnings were {right(record)}, {record.lead_s:.0f} s ahead"
    return f"its warnings were {right(record)}, {foresight.right_min:.0%} are wanted"


def _of_profile(what: str, profile: Profile, *, may_act: bool) -> Outlook:
    foreseen, standing = profile.foreseen, profile.standing()
    low_pct = high_pct = None
    if foreseen is not None and standing is not None:
        low_pct = foreseen.mean_pct - standing.spread_pct
        high_pct = foreseen.mean_pct + standing.spread_pct
    return Outlook(
        what,
        "profile",
        None if foreseen is None else foreseen.mean_pct,
        low_pct,
        high_pct,
        3600.0,
        may_act and standing is not None and standing.is_proven,
        _why_profile(profile) if may_act else IN_SHADOW,
        None if standing is None else standing.mae,
        None if standing is None else standing.persistence_mae,
    )


def _why_profile(profile: Profile) -> str:
    standing = profile.standing()
    hours = standing.hours if standing else 0
    if profile.weeks * HOURS < JUDGED_H:
        return f"{profile.weeks:.1f} weeks were seen so far, {JUDGED_H // HOURS} are wanted"
    if standing is None or hours < JUDGED_MIN:
        return f"{hours} hours of two weeks were foreseen, {JUDGED_MIN} are wanted"
    share = standing.mae / standing.persistence_mae if standing.persistence_mae else 1.0
    wanted = "" if standing.is_proven else f", less than {ERROR_SHARE_MAX:g} is wanted"
    return f"its error is {share:.2f} of that of no forecast, over {hours} hours{wanted}"
