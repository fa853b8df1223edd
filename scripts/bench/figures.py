"""What was found: rows of a table, each with its target where it has one."""

from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Figure:
    """One row: a value a round, and what their median may be at most, or must be at least."""

    name: str
    unit: str
    values: list[float]
    at_most: float | None = None
    at_least: float | None = None

    @property
    def median(self) -> float:
        return median(self.values)

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
            return f"<= {self.at_most:g}"
        return "" if self.at_least is None else f">= {self.at_least:g}"

    @property
    def is_met(self) -> bool | None:
        """None where there is no target."""
        if self.at_most is not None:
            return self.median <= self.at_most
        return None if self.at_least is None else self.median >= self.at_least


def print_table(figures: list[Figure]) -> None:
    rows = [("figure", "median", "middle half", "target", "met")]
    for one in figures:
        half = one.middle_half
        between = "" if half is None else f"{said(half[0])} to {said(half[1])}"
        met = {True: "yes", False: "NO", None: ""}[one.is_met]
        rows.append((one.name, f"{said(one.median)} {one.unit}".strip(), between, one.target, met))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


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
    }
