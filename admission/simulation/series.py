"""`python -m admission.simulation.series FOLDER`: the forecasts beside no forecast, on recordings.

Each file is a recording: `.csv` with the columns `timestamp` and `value` (as those of the Numenta
Anomaly Benchmark), or `.json` as `admission history --json` prints it, which has memory and CPU.
The forecasts are those of the core, fed as the daemon feeds them.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median

from admission.core.forecast import Trend
from admission.core.foresight import MEMORY, Foresight, bounds_of
from admission.core.governor import Patience
from admission.core.levels import LEVELS
from admission.core.profile import Profile, Standing
from admission.core.sample import Sample
from admission.core.skill import Errors, Record, Warnings
from admission.simulation.day import SHAPES
from admission.simulation.ours import Ours
from admission.simulation.plants import MIX, PLANTS, day_of
from admission.simulation.run import run

# From here on hours are counted: a Monday.
MONDAY = datetime(1970, 1, 5)
# A recording of a reading each five minutes is foreseen for the next half hour.
HORIZON_STEPS = 6
HEADINGS = (
    "series",
    "readings",
    "every",
    "trend",
    "persistence",
    "warnings right",
    "profile",
    "persistence",
    "of it",
    "weeks",
    "profile acts",
)


class Unreadable(Exception):
    """A file is no recording; says which, and what it should be."""


@dataclass(frozen=True, slots=True)
class Series:
    """One recorded figure: seconds since a Monday at 0:00, where it was recorded, and percent."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def step_s(self) -> float:
        return median(later - sooner for (sooner, _), (later, _) in pairwise(self.points))


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the forecasts did on one series. Errors in points of its greatest value, or percent.

    `acts_share`: of all readings, after how many the profile might have acted.
    """

    series: Series
    horizon_s: float
    trend_mae: float | None
    trend_persistence_mae: float | None
    record: Record
    standing: Standing | None
    acts_share: float


def judge(series: Series, horizon_s: float | None = None) -> Verdict:
    """Feeds a series to a trend and a profile, a reading at a time.

    `horizon_s`: how far ahead the trend looks; six readings where it is None.
    """
    horizon_s = horizon_s or HORIZON_STEPS * series.step_s
    trend, profile = Trend(horizon_s, horizon_s), Profile()
    # All of them, and not the last ones.
    trend.errors, trend.warnings = Errors(len(series.points)), Warnings(len(series.points))
    patience, bounds_pct = Patience(), bounds_of(LEVELS)[MEMORY]
    acts = 0
    for at, pct in series.points:
        trend.take(at, pct, bounds_pct, patience.margin_pct, patience.dwell_s)
        profile.take(at / 3600, pct)
        standing = profile.standing()
        acts += standing is not None and standing.is_proven
    return Verdict(
        series,
        horizon_s,
        trend.errors.mae,
        trend.errors.persistence_mae,
        trend.warnings.record,
        profile.standing(),
        acts / len(series.points),
    )


# --- where recordings come from -----------------------------------------------------------------


def recordings(folder: Path) -> Iterator[Series]:
    """All recordings in this folder and below it, or of this one file.

    Raises:
        Unreadable: one is none.
    """
    paths = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    for path in paths:
        if path.suffix == ".csv":
            yield from _usable(path.stem, _csv_points(path))
        elif path.suffix == ".json":
            for name, points in _history_points(path):
                yield from _usable(f"{path.stem} {name}", points)


def _usable(name: str, points: list[tuple[float, float]]) -> Iterator[Series]:
    """In percent: of what it says, or of its greatest value where that is more than 100."""
    if len(points) < 2:
        return
    most = max(value for _, value in points)
    scale = 100 / most if most > 100 else 1.0
    yield Series(name, tuple((at, value * scale) for at, value in points))


def _csv_points(path: Path) -> list[tuple[float, float]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                (
                    (datetime.fromisoformat(row["timestamp"]) - MONDAY).total_seconds(),
                    float(row["value"]),
                )
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, TypeError, ValueError) as problem:
        raise Unreadable(
            f"{path} is no recording ({problem!r}); it needs the columns timestamp and value"
        ) from None


def _history_points(path: Path) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["series"]
        for figure in ("memory_used_pct", "cpu_used_pct"):
            known = [row for row in rows if row[figure] is not None]
            local = [(datetime.fromtimestamp(row["at"]), float(row[figure])) for row in known]
            yield figure, [((at - MONDAY).total_seconds(), pct) for at, pct in local]
    except (OSError, KeyError, TypeError, ValueError) as problem:
        raise Unreadable(
            f"{path} is no recording ({problem!r}); admission history --json prints one"
        ) from None


class _Recorder(Ours):
    """The rule, which keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.points: list[tuple[float, float]] = []

    def sense(self, now: float, sample: Sample) -> None:
        if sample.memory_used_pct is not None:
            self.points.append((now, sample.memory_used_pct))
        super().sense(now, sample)


def invented(plant: str, hours: float, seed: int) -> Series:
    """The memory of a simulated day under policy `table`: a stand-in for a recording."""
    rule = _Recorder()
    run(day_of(plant, SHAPES["16/8"], int(hours * 3600), seed), rule)
    return Series(f"simulated {plant}, day {seed}", tuple(rule.points))


# --- the table ----------------------------------------------------------------------------------


def table(verdicts: Sequence[Verdict]) -> str:
    """In Markdown, a line for each series."""
    lines = [f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
    lines += [f"| {' | '.join(_cells(one))} |" for one in verdicts]
    return "\n".join(lines)


def _cells(one: Verdict) -> tuple[str, ...]:
    standing, record = one.standing, one.record
    share = "-"
    if standing is not None and standing.persistence_mae:
        share = f"{standing.mae / standing.persistence_mae:.2f}"
    return (
        one.series.name,
        str(len(one.series.points)),
        f"{one.series.step_s:g} s",
        f"{_error(one.trend_mae)} in {one.horizon_s:g} s",
        _error(one.trend_persistence_mae),
        f"{record.hits} of {record.judged}",
        _error(None if standing is None else standing.mae),
        _error(None if standing is None else standing.persistence_mae),
        share,
        "-" if standing is None else f"{standing.weeks:.1f}",
        "-" if standing is None else f"{one.acts_share:.0%}",
    )


def _error(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def main(words: list[str] | None = None) -> int:
    """Prints the table."""
    options = _parser().parse_args(words)
    try:
        verdicts = [judge(one, options.horizon) for one in recordings(options.folder)]
    except Unreadable as problem:
        sys.stderr.write(f"series: {problem}\n")
        return 1
    days = (invented(options.plant, options.hours, seed) for seed in range(options.days))
    verdicts += [judge(one, Foresight().horizon_s) for one in days]
    sys.stdout.write(table(verdicts) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m admission.simulation.series",
        description="The forecasts beside persistence, on recorded series. docs/forecast.md says "
        "where to get some.",
    )
    parser.add_argument("folder", type=Path, help="recordings: .csv or .json files, or one of them")
    parser.add_argument("--horizon", type=float, help="of the trend, in seconds (six readings)")
    parser.add_argument("--days", type=int, default=0, help="simulated days besides (0)")
    parser.add_argument("--plant", choices=PLANTS, default=MIX, help="what they bring (mix)")
    parser.add_argument("--hours", type=float, default=6.0, help="how long they are (6)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
