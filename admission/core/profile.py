"""What usually happens at this hour of the week, learnt from what has.

A figure that has a rhythm (mornings, nights, Sundays) is foreseen far better by it than by what it
is now; one that has none far worse. So each hour that ends is foreseen from the one before it, in
shadow, and compared with persistence; only who was clearly better for two weeks is believed.

Hours are counted on the wall clock of the place, from a Monday at 0:00, and come in with the
events. That clock may be set to anything: an hour that does not follow the last one is learnt, and
foresees nothing.
"""

from collections import deque
from dataclasses import dataclass
from math import floor

from admission.core.averages import mean
from admission.core.values import value

HOURS = 168
# What was seen so long ago counts half.
HALF_LIFE_H = 3.0 * HOURS
# By what it is judged: the last two weeks, of which so many hours must have been foreseen.
JUDGED_H, JUDGED_MIN = 2 * HOURS, 40
# So much of persistence's error, at most, may its own be.
ERROR_SHARE_MAX = 0.8
# An hour of which less was seen says little of it.
SEEN_MIN_H = 0.4
# Hours further apart than this say nothing of each other; or the clock was set.
KNOWN_MAX_H = 60 * 24


@value
class Hour:
    """An hour that was seen: its number on the wall clock of the place, and what it was like.

    `mean_pct` is over its minutes; in a tenth of them it was above `p90_pct`.
    """

    number: int
    mean_pct: float
    p90_pct: float


def hour_of(number: int, minutes_pct: list[float]) -> Hour:
    """The hour of these means of its minutes, of which there is at least one."""
    ordered = sorted(minutes_pct)
    return Hour(number, mean(ordered), ordered[int(0.9 * (len(ordered) - 1))])


@dataclass(slots=True)
class Usual:
    """What an hour of the week is usually like. `weight` is 1 for each time it was just seen."""

    mean_pct: float
    p90_pct: float
    weight: float
    number: int

    def take(self, hour: Hour) -> None:
        past = self.weight * 0.5 ** (max(hour.number - self.number, 0) / HALF_LIFE_H)
        share = 1 / (past + 1)
        self.mean_pct += share * (hour.mean_pct - self.mean_pct)
        self.p90_pct += share * (hour.p90_pct - self.p90_pct)
        self.weight, self.number = past + 1, hour.number


@dataclass(frozen=True, slots=True)
class Foreseen:
    """An hour before it is over: `was_pct` is the mean of the one before it."""

    number: int
    mean_pct: float
    p90_pct: float
    was_pct: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How the profile has done of late: mean absolute errors, of so many hours; and its age.

    `spread_pct`: of its errors three in five were smaller.
    """

    hours: int
    mae: float
    persistence_mae: float
    spread_pct: float
    weeks: float

    @property
    def is_proven(self) -> bool:
        """Whether it may be acted on."""
        is_old_enough = self.weeks * HOURS >= JUDGED_H and self.hours >= JUDGED_MIN
        return is_old_enough and self.mae < ERROR_SHARE_MAX * self.persistence_mae


class Profile:
    """The profile of one figure. `foreseen` is of the hour that last began, where it is known."""

    def __init__(self) -> None:
        self.usual: dict[int, Usual] = {}
        self.foreseen: Foreseen | None = None
        self._first = 0
        self._last: Hour | None = None
        # Number, error, and error of persistence, of the hours that were foreseen.
        self._errors: deque[tuple[int, float, float]] = deque(maxlen=JUDGED_H)
        # As of the last hour; worked out anew when somebody asks after another one has ended.
        self._standing: Standing | None = None
        self._is_stale = False
        # Of the hour that is under way: its number, first and last instant, and minutes.
        self._number: int | None = None
        self._seen_h = (0.0, 0.0)
        self._minutes: dict[int, tuple[float, int]] = {}

    def take(self, local_h: float, pct: float | None) -> None:
        """A reading. With the first of an hour the one before it is learnt."""
        number = floor(local_h)
        if number != self._number:
            self._end()
            self._number, self._seen_h = number, (local_h, local_h)
            if self.foreseen is not None and self.foreseen.number != number:
                self.foreseen = None
        if pct is None:
            return
        self._seen_h = self._seen_h[0], max(self._seen_h[1], local_h)
        minute = int((local_h - number) * 60)
        total_pct, count = self._minutes.get(minute, (0.0, 0))
        self._minutes[minute] = total_pct + pct, count + 1

    def remember(self, hours: tuple[Hour, ...]) -> None:
        """Learns anew from what was seen before, oldest first. The hour under way goes on."""
        self.usual.clear()
        self._errors.clear()
        self._last = self.foreseen = None
        self._is_stale = True
        for hour in hours:
            if hour.number != self._number:
                self._learn(hour)
        if self.foreseen is not None and self._number not in (None, self.foreseen.number):
            self.foreseen = None

    def standing(self) -> Standing | None:
        """How it has done in the last two weeks; None where nothing was foreseen in them."""
        if self._is_stale:
            self._standing, self._is_stale = self._judgement(), False
        return self._standing

    def _judgement(self) -> Standing | None:
        if self._last is None:
            return None
        now = self._last.number
        judged = [one for one in self._errors if abs(now - one[0]) < JUDGED_H]
        if not judged:
            return None
        return Standing(
            hours=len(judged),
            mae=mean(error for _, error, _ in judged),
            persistence_mae=mean(error for _, _, error in judged),
            spread_pct=sorted(error for _, error, _ in judged)[int(0.6 * (len(judged) - 1))],
            weeks=self.weeks,
        )

    @property
    def weeks(self) -> float:
        """Since the first hour that is known."""
        return 0.0 if self._last is None else (self._last.number + 1 - self._first) / HOURS

    # --- an hour ends ---------------------------------------------------------------------------

    def _end(self) -> None:
        began_h, ended_h = self._seen_h
        if self._number is not None and self._minutes and ended_h - began_h >= SEEN_MIN_H:
            means_pct = [total_pct / count for total_pct, count in self._minutes.values()]
            self._learn(hour_of(self._number, means_pct))
        self._minutes.clear()

    def _learn(self, hour: Hour) -> None:
        if self._last is None or abs(hour.number - self._last.number) > KNOWN_MAX_H:
            self._first = hour.number
        self._first = max(min(self._first, hour.number), hour.number - KNOWN_MAX_H)
        self._judge(hour)
        place = hour.number % HOURS
        before = self.usual.get(place)
        ahead = self.usual.get((place + 1) % HOURS)
        self.foreseen = None
        if before is not None and ahead is not None:
            today_pct = hour.mean_pct - before.mean_pct
            self.foreseen = Foreseen(
                hour.number + 1,
                min(max(ahead.mean_pct + today_pct, 0.0), 100.0),
                min(max(ahead.p90_pct + today_pct, 0.0), 100.0),
                hour.mean_pct,
            )
        if before is None:
            self.usual[place] = Usual(hour.mean_pct, hour.p90_pct, 1.0, hour.number)
        else:
            before.take(hour)
        self._last = hour
        self._is_stale = True

    def _judge(self, hour: Hour) -> None:
        foreseen = self.foreseen
        if foreseen is not None and foreseen.number == hour.number:
            error, step = foreseen.mean_pct - hour.mean_pct, foreseen.was_pct - hour.mean_pct
            self._errors.append((hour.number, abs(error), abs(step)))
