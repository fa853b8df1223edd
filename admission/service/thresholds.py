"""The bounds of the levels by the names that the user's document gives them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import nan
from typing import Any

from admission.core.levels import Level, Levels
from admission.protocol import BadConfiguration
from admission.service.config_file import printable


@dataclass(frozen=True, slots=True)
class Threshold:
    """A bound by the name that the user's document gives it, in the file and the environment.

    `key` as in the file; the variable is the same in capitals. It is where level `row` + 1
    begins: `bound` of the table's row `row`.
    """

    key: str
    bound: str
    row: int

    def pct(self, levels: Levels) -> float:
        """Percent of the machine."""
        found: float = getattr(levels[self.row], self.bound)
        return found


THRESHOLDS = tuple(
    tuple(
        Threshold(f"{leg}_{step}_pct", f"{leg}_below_pct", row)
        for row, step in enumerate(("medium", "high", "critical"))
    )
    for leg in ("memory", "cpu")
)
# What the environment may set; it goes before the file.
THRESHOLD_VARIABLES = tuple(one.key.upper() for leg in THRESHOLDS for one in leg)


def levels_by_environment(levels: Levels, environ: Mapping[str, str]) -> Levels:
    """The table with the thresholds that `MEMORY_MEDIUM_PCT` and the like set; empty is not set.

    Raises:
        BadConfiguration: one is no percentage, or below that of a lower level.
    """
    given = {name: environ[name] for name in THRESHOLD_VARIABLES if environ.get(name)}
    bounds_pct = {name.lower(): _percent(name, written) for name, written in given.items()}
    return with_bounds(levels, bounds_pct, str.upper, "")


def _percent(name: str, written: str) -> float:
    try:
        percent = float(written)
    except ValueError:
        percent = nan
    if 0 < percent <= 1000:
        return percent
    raise BadConfiguration(
        f'{name} is "{printable(written[:40])}", which is no percentage; '
        "write a number above 0, such as 80"
    )


def with_bounds(
    levels: Levels, bounds_pct: dict[str, float], said: Callable[[str], str], where: str
) -> Levels:
    """The table with these bounds, by threshold. `said` and `where` are for the message."""
    rows = list(levels)
    for threshold in (one for leg in THRESHOLDS for one in leg):
        if threshold.key in bounds_pct:
            row = row_of(rows[threshold.row]) | {threshold.bound: bounds_pct[threshold.key]}
            rows[threshold.row] = Level(**row)
    first, second, third, last = rows
    changed: Levels = (first, second, third, last)
    for lower, upper in (pair for leg in THRESHOLDS for pair in pairwise(leg)):
        if lower.pct(changed) > upper.pct(changed):
            one, word, other = (
                (upper, "below", lower) if upper.key in bounds_pct else (lower, "above", upper)
            )
            raise BadConfiguration(
                f"{where}{said(one.key)} is {one.pct(changed):g}, {word} {said(other.key)} "
                f"({other.pct(changed):g}); bounds grow with the level"
            )
    return changed


def row_of(level: Level) -> dict[str, Any]:
    return {name: getattr(level, name) for name in Level.__slots__}
