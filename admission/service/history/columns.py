"""Reads a stretch of a history as columns, for charts. Opens it read-only and changes no row."""

import json
from pathlib import Path
from typing import Any

from admission.service.history.reading import reading

# Of each the mean, the lowest and the highest; a minute that is kept in its place has no lowest
# reading, and counts by its mean.
FIGURES = (
    "memory_used_pct",
    "cpu_used_pct",
    "cpu_stall_pct",
    "memory_stall_pct",
    "io_stall_pct",
    "in_use",
    "waiting",
)
_OF_FIGURE = "1.0 * sum({0} * n) / sum(n * ({0} IS NOT NULL)), min({0}), max({0}_max)"
_SERIES = f"""SELECT CAST((at - :since) / :step AS INTEGER), sum(n), max(level),
    {", ".join(_OF_FIGURE.format(name) for name in FIGURES)}
    FROM (
        SELECT at, 1 AS n, level, {", ".join(f"{name}, {name} AS {name}_max" for name in FIGURES)}
        FROM samples WHERE at >= :since AND at < :until
        UNION ALL
        SELECT minute * 60 + 30 AS at, n, level_max,
            {", ".join(f"{name}, {name}_max" for name in FIGURES)}
        FROM minutes WHERE minute * 60 + 30 >= :since AND minute * 60 + 30 < :until)
    GROUP BY 1 ORDER BY 1"""
_CHANGES = """SELECT at, level, by_hand, reasons FROM levels WHERE at >= ? AND at < ?
    ORDER BY id DESC LIMIT ?"""
_BEFORE = "SELECT level FROM levels WHERE at < ? ORDER BY id DESC LIMIT 1"
_LEASE_COLUMNS = (
    "lease",
    "pool",
    "task",
    "class",
    "group",
    "pid",
    "weight",
    "queued_at",
    "granted_at",
    "waited_s",
    "ended_at",
    "held_s",
    "reason",
)
_WITHIN = "coalesce(ended_at, granted_at) >= ? AND queued_at < ?"
_COUNT = f"SELECT count(*) FROM leases WHERE {_WITHIN}"
_LEASES = f"""SELECT {", ".join(f'"{name}"' for name in _LEASE_COLUMNS)} FROM leases
    WHERE {_WITHIN} ORDER BY id DESC LIMIT ?"""


def series(path: Path, since: float, until: float, points: int) -> dict[str, object]:
    """What was seen between two instants (seconds since 1970), in at most so many intervals.

    `at` has their beginnings, `samples` and `level` (the highest) a value for each, and so has each
    of the figures in its `mean`, `min` and `max`. Where nothing was seen there is no interval.

    Raises:
        Unavailable: there is no history, or it can't be read. Likewise below.
    """
    step_s = (until - since) / points
    with reading(path) as connection:
        about = {"since": since, "until": until, "step": step_s}
        return of_rows(connection.execute(_SERIES, about).fetchall(), since, step_s)


def of_rows(rows: list[tuple[Any, ...]], since: float, step_s: float) -> dict[str, object]:
    """The columns of such rows; empty ones of none."""
    nothing: tuple[tuple[Any, ...], ...] = ((),) * (3 + 3 * len(FIGURES))
    indexes, samples, levels, *figures = zip(*rows, strict=True) if rows else nothing
    found: dict[str, object] = {
        "at": [round(since + index * step_s, 3) for index in indexes],
        "samples": list(samples),
        "level": _numbers(levels),
    }
    for number, name in enumerate(FIGURES):
        mean, least, most = map(_numbers, figures[3 * number : 3 * number + 3])
        found[name] = {"mean": mean, "min": least, "max": most}
    return found


def changes(
    path: Path, since: float, until: float, most: int
) -> tuple[int | None, list[dict[str, object]]]:
    """The changes of the level, the newest of them if there are too many; and what was in force
    before the first, None if that is not known.
    """
    with reading(path) as connection:
        rows = connection.execute(_CHANGES, (since, until, most)).fetchall()
        first_at = rows[-1][0] if rows else since
        before = connection.execute(_BEFORE, (first_at,)).fetchone()
    return None if before is None else before[0], [
        {"at": at, "level": level, "by_hand": bool(hand), "reasons": _words(reasons)}
        for at, level, hand, reasons in reversed(rows)
    ]


def leases(
    path: Path, since: float, until: float, most: int
) -> tuple[list[dict[str, object]], int]:
    """Those that were queued or held then, in order of their grants; the newest of them if there
    are too many, and how many were left out. One without an end counts by its grant.
    """
    with reading(path) as connection:
        rows = connection.execute(_LEASES, (since, until, most)).fetchall()
        count = len(rows)
        if count == most:
            count = connection.execute(_COUNT, (since, until)).fetchone()[0]
    found = [dict(zip(_LEASE_COLUMNS, row, strict=True)) for row in reversed(rows)]
    return found, count - len(rows)


def _numbers(column: tuple[object, ...]) -> list[float | None]:
    """Without its check sums, SQLite can't see every flipped bit: a number may be text."""
    return [round(one, 2) if isinstance(one, (int, float)) else None for one in column]


def _words(written: str) -> list[str]:
    try:
        return [str(one) for one in json.loads(written)]
    except (ValueError, TypeError):  # damaged: shown as it stands
        return [str(written)]
