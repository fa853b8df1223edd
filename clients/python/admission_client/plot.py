"""Draws on the terminal: a chart of columns, a band of digits, and an axis of time below them.

Text in, lines out; knows nothing of the machine. Every line of one drawing has its columns at the
same place, `MARGIN` from the left.
"""

import time

from admission_client.output import LEVEL_COLOURS, coloured

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Left of the columns stand the labels of the scale, `100 |`; right of them those of the bounds.
MARGIN = 5
BOUND_CHARS = 8
ROWS = 8
FULL = 100.0
# At most one label of time in so many columns.
TICK_COLUMNS = 13
# Steps between labels, in seconds, that fall on instants which people know.
_STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000),
)


class Glyphs:
    """What to draw with. `bars` are the filled parts of one cell, from empty to full."""

    __slots__ = ("bars", "bound", "corner", "line", "peak", "side", "tick")

    def __init__(
        self, bars: str, peak: str, bound: str, side: str, corner: str, line: str, tick: str
    ) -> None:
        self.bars = bars
        self.peak = peak
        self.bound = bound
        self.side = side
        self.corner = corner
        self.line = line
        self.tick = tick


BLOCKS = Glyphs(" ▁▂▃▄▅▆▇█", "░", "┄", "│", "└", "─", "┴")
ASCII = Glyphs(" .#", ":", "-", "|", "+", "-", "+")


def chart(
    means: "Sequence[float | None]",
    peaks: "Sequence[float | None]",
    bounds: "Sequence[tuple[float, str]]" = (),
    glyphs: Glyphs = BLOCKS,
) -> list[str]:
    """Columns as high as the means, lighter up to the peaks; the top row first.

    Args:
        means: percents, 0 to 100, one a column; None leaves it empty. What is above fills it.
        peaks: likewise, as many; never below their means.
        bounds: percents at which a line is drawn behind the columns, each with its label.
        glyphs: what to draw with.
    """
    lines = []
    for row in reversed(range(ROWS)):
        low, high = FULL * row / ROWS, FULL * (row + 1) / ROWS
        names = [name for bound, name in bounds if low <= bound < high]
        blank = glyphs.bound if names else " "
        cells = "".join(
            _cell(mean, peak, low, high, blank, glyphs)
            for mean, peak in zip(means, peaks, strict=True)
        )
        scale = {ROWS - 1: "100", ROWS // 2 - 1: "50", 0: "0"}.get(row, "")
        line = f"{scale:>3} {glyphs.side}{cells}"
        lines.append(f"{line} > {','.join(names)}" if names else line.rstrip())
    return lines


def _cell(
    mean: float | None, peak: float | None, low: float, high: float, blank: str, glyphs: Glyphs
) -> str:
    """One column's part between `low` and `high`."""
    if mean is None or peak is None:
        return blank
    steps = len(glyphs.bars) - 1
    filled, peaked = (round((value - low) / (high - low) * steps) for value in (mean, peak))
    if low == 0 and mean > 0:
        filled = max(filled, 1)  # a little is not nothing
    if filled > 0:
        return glyphs.bars[min(filled, steps)]
    return glyphs.peak if peaked > 0 else blank


def band(levels: "Sequence[int | None]") -> str:
    """The level in each column, as its digit in its colour."""
    parts = []
    begin = 0
    for index in range(1, len(levels) + 1):
        level = levels[begin]
        if index == len(levels) or levels[index] != level:
            width = index - begin
            parts.append(
                " " * width if level is None else coloured(str(level) * width, _colour(level))
            )
            begin = index
    return " " * MARGIN + "".join(parts).rstrip()


def _colour(level: int) -> str:
    return LEVEL_COLOURS[min(max(level, 0), len(LEVEL_COLOURS) - 1)]


def axis(since: float, until: float, columns: int, glyphs: Glyphs = BLOCKS) -> list[str]:
    """A line with ticks, and under it the local time of each.

    `since` and `until` are seconds since 1970, of the first column's begin and the last one's end.
    """
    line = [glyphs.line] * columns
    labels = [" "] * (columns + MARGIN)
    step_s = _step_s((until - since) * TICK_COLUMNS / columns)
    form = "%H:%M:%S" if step_s < 60 else "%H:%M" if step_s < 86_400 else "%m-%d"
    is_free = 0
    for instant in _ticks(since, until, step_s):
        column = int((instant - since) / (until - since) * columns)
        label = time.strftime(form, time.localtime(instant))
        begin = MARGIN + column - len(label) // 2
        # A step of a day is not as long everywhere: clocks change, and labels must not touch.
        if begin < is_free or begin + len(label) > len(labels):
            continue
        line[column] = glyphs.tick
        labels[begin : begin + len(label)] = label
        is_free = begin + len(label) + 1
    return [" " * (MARGIN - 1) + glyphs.corner + "".join(line), "".join(labels).rstrip()]


def _step_s(least_s: float) -> int:
    return next((step for step in _STEPS_S if step >= least_s), _STEPS_S[-1])


def _ticks(since: float, until: float, step_s: int) -> list[float]:
    """The multiples of the step, counted from a local midnight, within the interval."""
    there = time.localtime(since)
    begin = time.mktime((there.tm_year, there.tm_mon, there.tm_mday, 0, 0, 0, 0, 0, -1))
    first = begin + -((begin - since) // step_s) * step_s
    count = int((until - first) // step_s) + 1
    return [tick for tick in (first + index * step_s for index in range(count)) if tick < until]
