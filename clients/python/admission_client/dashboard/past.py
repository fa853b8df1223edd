"""What the page is fed of the past: the history's columns, changes of level, and leases."""

from pathlib import Path

from admission.protocol import Frame
from admission.service.history import columns, reading

LEVELS_MAX = 1_000
LEASES_MAX = 1_000


def past(path: Path, since: float, until: float, points: int) -> Frame:
    """All that is known of this time, as one map; nothing where nothing was written yet.

    Args:
        path: the history's file.
        since: in seconds since 1970.
        until: likewise.
        points: as many intervals at most.

    Raises:
        Unavailable: the history can't be read.
    """
    ends = reading.ends(path) if path.exists() else None
    oldest, newest = ends or (None, None)
    step_s = (until - since) / points
    found: Frame = {"since": since, "until": until, "step_s": step_s}
    found |= {"oldest": oldest, "newest": newest}
    if ends is None:
        found |= {"level_before": None, "levels": [], "leases": [], "left_out": 0}
        return found | {"series": columns.of_rows([], since, step_s)}
    before, changes = columns.changes(path, since, until, LEVELS_MAX)
    leases, left_out = columns.leases(path, since, until, LEASES_MAX)
    found |= {"level_before": before, "levels": changes, "leases": leases, "left_out": left_out}
    return found | {"series": columns.series(path, since, until, points)}
