"""How any source is read: each fails for itself alone, and says so in one line."""

import math
from collections.abc import Callable
from typing import TypeVar

import psutil

T = TypeVar("T")

# Far above what any file that is read here holds; a line of interrupts on a large machine is long.
TEXT_CHARS_MAX = 1_000_000
SAID_CHARS_MAX = 200


class Nonsense(Exception):
    """A source says what can't be."""


class Failures:
    """What failed in one reading: a line each, beginning with the name of the source."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def attempt(self, name: str, read: Callable[[], T]) -> T | None:
        """What the source says, or None and a line where it fails."""
        try:
            return read()
        # psutil raises whatever its parsing comes upon: KeyError and IndexError where /proc lacks a
        # line. Whatever it is, this source has no reading, and the daemon goes on.
        except Exception as problem:  # noqa: BLE001
            self.lines.append(one_line(f"{name}: {_said(problem)}", SAID_CHARS_MAX))
            return None


def _said(problem: Exception) -> str:
    """The message where it says enough by itself; that of a KeyError is but the key."""
    plain = isinstance(problem, OSError | Nonsense | psutil.Error)
    return str(problem) if plain and str(problem) else repr(problem)


def one_line(text: str, chars_max: int) -> str:
    """The text without what a terminal can't take, and no longer than this."""
    cut = text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"
    return "".join(char if char.isprintable() else "?" for char in cut)


def text_of(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(TEXT_CHARS_MAX)


def count_in(text: str) -> int:
    """The number in this text; `int` alone would take "-5" and "1_000" for counts as well."""
    if not (text.isascii() and text.isdigit()):
        raise Nonsense(f"{text[:40]!r} is no count")
    return int(text)


def fields_in(text: str) -> dict[str, int]:
    """Lines of a name and a count, as in `memory.stat` and `cpu.stat`."""
    words = (line.split() for line in text.splitlines())
    return {word[0]: count_in(word[1]) for word in words if len(word) == 2}


def field_of(fields: dict[str, int], name: str) -> int:
    if name not in fields:
        raise Nonsense(f"there is no {name}")
    return fields[name]


def percent(value: float, at_most: float = 100.5) -> float:
    """The value as one of 0 to 100.

    Counters are read one after the other, so a busy machine may show 100.2 %: that is 100.

    Raises:
        Nonsense: it is below -0.5, above `at_most`, or no number.
    """
    if not (math.isfinite(value) and -0.5 <= value <= at_most):
        raise Nonsense(f"{value:g} is no percentage")
    return min(max(value, 0.0), 100.0)


class Share:
    """Two counters that only grow: how much of the one's growth was the other's.

    The reading before is kept here, with the source, and not with whoever reads: each reading may
    come from another thread.
    """

    def __init__(self, at_most: float = 100.5) -> None:
        """`at_most`: percents above this are nonsense; those from 100 to there are 100."""
        self._at_most = at_most
        self._before: tuple[float, float] | None = None

    def pct(self, part: float, whole: float) -> float | None:
        """Percent since the last time; None at first, and where nothing passed in between.

        Raises:
            Nonsense: a counter went backwards, or the part grew by more than the whole. The next
                reading is compared with this one all the same.
        """
        before, self._before = self._before, (part, whole)
        if before is None or whole == before[1]:
            return None
        if whole < before[1]:
            raise Nonsense("its counters went backwards")
        return percent(100 * (part - before[0]) / (whole - before[1]), self._at_most)
