"""What was found: rows of a table, each with its target where it has one."""

from dataclasses import dataclass
from math import ceil
from statistics import median, quantiles


@dataclass(frozen=True)
class Figure:
    """One row: a value a round, and what their median may be at most, or must be at least.

    `skipped`: why there is no value.
    """

    name: str
    unit: str
    values: list[float]
    at_most: float | None = None
    at_least: float | None = None
    skipped: str = ""

    @property
    def median(self) -> float | None:
        """None where it was skipped."""
        return median(self.values) if self.values else None

    @property
    def middle_half(self) -> tuple[float, float] | None:
        """The quartiles of the rounds; None where there was but one."""
        if len(self.values) < 2:
            return None
        low, _, high = quantiles(self.values, n=4, method="inclusive")
        return low, high

    @property
    def target(self) -> str:
        if self.at_most is not None:
            return f"<= {said(self.at_most)}"
        return "" if self.at_least is None else f">= {said(self.at_least)}"

    @property
    def is_met(self) -> bool | None:
        """None where there is no target."""
        if self.median is None:
            return None
        if self.at_most is not None:
            return self.median <= self.at_most
        return None if self.at_least is None else self.median >= self.at_least


def skipped(name: str, why: str) -> Figure:
    """The row of what could not be measured here."""
    return Figure(name, "", [], skipped=why)


def ratios(over: list[float], under: list[float]) -> list[float]:
    """Round by round."""
    return [one / other for one, other in zip(over, under, strict=True)]


def percentile(values: list[float], pct: float) -> float:
    """The smallest of the values that no fewer than so many per cent don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(pct / 100 * len(ordered)) - 1)]


def print_table(figures: list[Figure]) -> None:
    rows = [("figure", "median", "middle half", "target", "met")]
    for one in figures:
        half = one.middle_half
        between = "" if half is None else f"{said(half[0])} to {said(half[1])}"
        met = {True: "yes", False: "NO", None: ""}[one.is_met]
        rows.append((one.name, _in_the_middle(one), between, one.target, met))
    # What was skipped is said at length, and has nothing to its right.
    shown = [row for row in rows if not row[1].startswith("skipped: ")]
    widths = [max(len(row[0]) for row in rows)]
    widths += [max(map(len, column)) for column in list(zip(*shown, strict=True))[1:]]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


def _in_the_middle(one: Figure) -> str:
    if one.median is None:
        return f"skipped: {one.skipped}"
    return f"{said(one.median)} {one.unit}".strip()


def said(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def as_map(one: Figure) -> dict[str, object]:
    return {
        "name": one.name,
        "unit": one.unit,
        "median": one.median,
        "middle_half": one.middle_half,
        "target": one.target or None,
        "met": one.is_met,
        "values": one.values,
        "skipped": one.skipped or None,
    }
