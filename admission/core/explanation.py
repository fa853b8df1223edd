"""Why the level is what it is, source by source, and what would have to change."""

from dataclasses import dataclass

from admission.core.governor import DISABLED, Governor
from admission.core.legs import veto


@dataclass(frozen=True, slots=True)
class Source:
    """One source: what it reads, and what it calls for.

    Attributes:
        what: its name.
        level: what it calls for by itself.
        reason: why, in words; empty at level 0.
        for_s: for how long it has called for this level; 0 at level 0.
        value_pct: what it reads, in percent, where it is one of the table's.
        below_pct: the bounds of levels 0, 1 and 2, likewise.
    """

    what: str
    level: int
    reason: str
    for_s: float
    value_pct: float | None = None
    below_pct: tuple[float, ...] = ()


def sources(governor: Governor, now: float) -> list[Source]:
    """Every source that has a say, as of the last sample; none before the first one.

    Args:
        governor: which is asked.
        now: seconds on the clock of the events.
    """
    if governor.sample is None:
        return []
    rows = governor.levels[:3]
    table = {
        "memory": (governor.sample.memory_used_pct, tuple(row.memory_below_pct for row in rows)),
        "CPU": (governor.cpu_smoothed_pct, tuple(row.cpu_below_pct for row in rows)),
    }
    found = []
    for leg in governor.legs(governor.sample):
        value_pct, below_pct = table.get(leg.what, (None, ()))
        for_s = now - governor.since(leg.what, now)
        found.append(Source(leg.what, leg.level, leg.reason, for_s, value_pct, below_pct))
    return found


def to_fall(governor: Governor, now: float) -> list[str]:
    """What would have to change for the level to fall by one; nothing at level 0."""
    level = governor.row.level
    if governor.is_by_hand:
        return ['it was set by hand; "admission level auto" gives it back']
    if not governor.throttle.is_on:
        return [DISABLED]
    if level == 0 or governor.sample is None:
        return []
    margin_pct, dwell_s = governor.patience.margin_pct, governor.patience.dwell_s
    wanted = []
    for source in sources(governor, now):
        if source.below_pct and source.value_pct is not None:
            below_pct = source.below_pct[level - 1] - margin_pct
            if source.value_pct >= below_pct:
                wanted.append(
                    f"{source.what} must stay below {below_pct:g} % for {dwell_s:g} s; "
                    f"it is {source.value_pct:.0f} %"
                )
        elif source.level >= level:
            wanted.append(f"this must end: {source.reason}")
    if not wanted and (why := governor.missing(governor.sample) or veto(governor.sample)):
        wanted.append(why)
    if not wanted and (left_s := governor.falls_at() - now) > 0:
        wanted.append(f"it must stay as calm as it is for another {left_s:.0f} s")
    return wanted
