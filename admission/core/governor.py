"""Samples in, throttle level out, with its reasons in words.

The level is that of the worst leg (policy `table`, the user's document). It rises at once, and
falls one step at a time after the lower level's bounds have held, with a margin, for a while: a
level that flaps is worse than one that is a little late.

Memory is taken as it reads: it can't be squeezed, and harm comes in seconds. CPU can be: 100 % is
what a productive machine shows while a compiler runs, and nobody is worse off for it. So the CPU
leg sees the mean of the last minute or so; and where the kernel says how long tasks waited for a
CPU (Linux PSI), a busy CPU counts only as far as somebody waited.
"""

from collections import deque
from dataclasses import dataclass, field
from math import exp, inf
from typing import Literal

from admission.core.budget import Budget, Memory
from admission.core.deferral import Defer
from admission.core.estimates import Learning
from admission.core.foresight import Forecasts, Foresight, Look
from admission.core.growth import Growth, Limit
from admission.core.legs import Leg, Legs, other_legs, table_legs, veto, worst
from admission.core.levels import LEVELS, Level, Levels
from admission.core.sample import Sample
from admission.core.shedding import Shed

DISABLED = "throttling is disabled"


@dataclass(frozen=True, slots=True)
class Patience:
    """How slowly the level falls, and how the CPU reading is smoothed.

    Attributes:
        margin_pct: points below the lower level's bounds that count as calm.
        dwell_s: for how long they must have held.
        step_s: at least so long between two steps down.
        cpu_smoothing_s: time constant of the CPU leg; a compiler that runs for a few seconds is
            no pressure.
        gap_s: a longer silence between samples means that the machine slept, and the past counts
            for nothing. Keep it above the interval between samples.
        settle_s: after such a gap nothing is added for so long, unless nothing is out.
        cpu_unstalled_pct: so much CPU counts whether or not a task waited for one; what is above
            counts as far as tasks waited.
    """

    margin_pct: float = 10.0
    dwell_s: float = 150.0
    step_s: float = 15.0
    cpu_smoothing_s: float = 60.0
    gap_s: float = 120.0
    settle_s: float = 30.0
    cpu_unstalled_pct: float = 20.0


@dataclass(frozen=True, slots=True)
class Throttle:
    """All that the governor goes by.

    Attributes:
        levels: the table.
        policy: `table`: the level sets the capacity, and the budget stands beside it. `budget`:
            the budget decides alone, up to a number that grows and is cut.
        shed: what is done about pressure that remains.
        defer: how what can wait is put off.
        learning: how what tasks take is learnt.
        is_on: without it the level is 0 and the budget off, whatever the machine says.
    """

    levels: Levels = LEVELS
    patience: Patience = field(default_factory=Patience)
    budget: Budget = field(default_factory=Budget)
    legs: Legs = field(default_factory=Legs)
    growth: Growth = field(default_factory=Growth)
    foresight: Foresight = field(default_factory=Foresight)
    shed: Shed = field(default_factory=Shed)
    defer: Defer = field(default_factory=Defer)
    learning: Learning = field(default_factory=Learning)
    policy: Literal["table", "budget"] = "table"
    is_on: bool = True

    @property
    def agents_most(self) -> int:
        """The most agents that policy `budget` tries."""
        return self.growth.agents_max or self.levels[0].max_agents


class Governor:
    """Remembers what one sample can't show: the past, and a level set by hand."""

    def __init__(
        self,
        levels: Levels = LEVELS,
        patience: Patience | None = None,
        throttle: Throttle | None = None,
    ) -> None:
        self.throttle = throttle or Throttle(levels, patience or Patience())
        self.sample: Sample | None = None
        # What the CPU leg goes by; None where it is not known.
        self.cpu_smoothed_pct: float | None = None
        self.by_hand_until: float | None = None
        self.level_by_hand = 0
        # A hand has switched off the budget as well.
        self.is_off_by_hand = False
        # Until then nothing is granted while something is out.
        self.hold_until = -inf
        self.memory: Memory | None = None
        self.forecasts = Forecasts(self.throttle.foresight)
        self._limit = Limit(self.throttle.agents_most)
        self._level = 0
        self._reasons: tuple[str, ...] = ()
        self._since_at: dict[str, tuple[int, float]] = {}
        # Since when the bounds of level 0, 1 and 2 have held; inf where they do not.
        self._held_since = [inf, inf, inf]
        self._fell_at = -inf
        self._cpu_mean_pct: float | None = None
        self._stall_mean_pct: float | None = None
        self._used: deque[tuple[float, float]] = deque()

    @property
    def levels(self) -> Levels:
        return self.throttle.levels

    @property
    def patience(self) -> Patience:
        return self.throttle.patience

    @property
    def is_by_hand(self) -> bool:
        return self.by_hand_until is not None

    @property
    def row(self) -> Level:
        """The level in force."""
        if self.is_by_hand:
            return self.levels[self.level_by_hand]
        return self.levels[self._level if self.throttle.is_on else 0]

    @property
    def limit(self) -> int | None:
        """The capacity of `agents`, where it is not the level that sets it."""
        is_ours = self.throttle.policy == "budget" and self.throttle.is_on and not self.is_by_hand
        return self._limit.agents if is_ours else None

    @property
    def limit_max(self) -> int:
        """The most that `limit` can become; 0 where the level sets the capacity."""
        return self._limit.most if self.throttle.policy == "budget" else 0

    @property
    def reasons(self) -> tuple[str, ...]:
        reasons = self._reasons if self.throttle.is_on else (DISABLED,)
        if not self.is_by_hand:
            return reasons
        return (DISABLED + " by hand" if self.is_off_by_hand else "set by hand", *reasons)

    def set_by_hand(self, level: int, until: float, *, is_off: bool = False) -> None:
        """Holds this level until then; `is_off`: without the budget, too."""
        self.level_by_hand, self.by_hand_until, self.is_off_by_hand = level, until, is_off
        self._reckon_again()

    def set_auto(self) -> None:
        self.by_hand_until, self.is_off_by_hand = None, False
        self._reckon_again()

    def resume_at(self, level: int) -> None:
        """Goes on from the level that an earlier daemon had, until a sample says otherwise."""
        self._level = level
        self._reasons = ("the level before the restart",) if level else ()

    def adopt(self, throttle: Throttle) -> None:
        """Goes by other settings from now on. What was seen so far, and a hand, still count."""
        self.throttle = throttle
        self._limit.adopt(throttle.agents_most)
        self.forecasts.adopt(throttle.foresight)
        self._reckon_again()

    def wake(self, at: float) -> None:
        """The machine was asleep: the past counts for nothing, and things must settle."""
        self._forget(at)
        self._held_since = [inf if since == inf else at for since in self._held_since]

    # --- one sample -----------------------------------------------------------------------------

    def take(self, sample: Sample, agents_out: int = 0, local_h: float | None = None) -> None:
        """One sample: the level rises at once, and falls when it has been calm for the dwell.

        Args:
            sample: one that is older than the last is left alone, as it says nothing new.
            agents_out: units of `agents` that are out, for policy `budget`.
            local_h: hours on the wall clock of the place, for `core.profile`.
        """
        since_s = inf if self.sample is None else sample.at - self.sample.at
        if -self.patience.gap_s <= since_s < 0:
            return
        slept = self.sample is not None and abs(since_s) > self.patience.gap_s
        if slept:
            self._forget(sample.at)
        self._smooth_cpu(sample, since_s)
        self.sample = sample
        self._reckon(sample)
        self._limit.take(sample, self.throttle.growth, agents_out)
        if self.limit is not None:
            self.hold_until = max(self.hold_until, self._limit.bad_at + self.throttle.growth.calm_s)
        look = Look(sample.at, sample.memory_used_pct, self.cpu_smoothed_pct, local_h)
        self.forecasts.take(look, self.levels, self.patience.margin_pct, self.patience.dwell_s)
        legs = self.legs(sample)
        judgement = worst(legs)
        self._note_since(legs, sample.at)
        why = self.missing(sample) or veto(sample)
        self._note_calm(sample, slept=slept, is_veiled=why is not None)
        if judgement.level >= self._level:
            self._level, self._reasons = judgement.level, self._with_since(legs, sample.at)
        elif why is not None:
            self._reasons = (why,)
        else:
            self._fall(sample)

    def legs(self, sample: Sample, margin_pct: float = 0.0) -> tuple[Leg, ...]:
        """Every source that has a say, with what it calls for."""
        legs = table_legs(sample.memory_used_pct, self.cpu_smoothed_pct, self.levels, margin_pct)
        return (*legs, *other_legs(sample, self.throttle.legs), *self.forecasts.legs)

    def missing(self, sample: Sample) -> str | None:
        """What is not known is never read as "all is well": the level may rise, not fall."""
        if sample.memory_used_pct is None:
            return "no reading of memory, so the level stays"
        if sample.cpu_used_pct is None:
            return "no reading of CPU, so the level stays"
        return None

    def _note_calm(self, sample: Sample, *, slept: bool, is_veiled: bool) -> None:
        """Remembers since when each level's bounds have held, with the margin."""
        level = worst(self.legs(sample, self.patience.margin_pct)).level
        for lower, since in enumerate(self._held_since):
            if level > lower or is_veiled:
                self._held_since[lower] = inf
            elif since == inf or slept:
                self._held_since[lower] = sample.at

    def _fall(self, sample: Sample) -> None:
        """One step down, once the lower level's bounds have held for the dwell."""
        patience, at = self.patience, sample.at
        self._reasons = worst(self.legs(sample, patience.margin_pct)).reasons
        due_at = self.falls_at()
        if due_at <= at:
            self._level -= 1
            self._fell_at = at
            due_at = self.falls_at()
        if at < due_at < inf:
            left_s = due_at - at
            self._reasons += (f"calm; level {self._level - 1} in {left_s:.0f} s if it stays so",)

    def falls_at(self) -> float:
        """When the level falls next if all stays as it is; inf where it does not."""
        if self._level == 0:
            return inf
        held_at = self._held_since[self._level - 1] + self.patience.dwell_s
        return max(held_at, self._fell_at + self.patience.step_s)

    def since(self, what: str, now: float) -> float:
        """When this leg began to call for its level; now where it calls for none."""
        return self._since_at.get(what, (0, now))[1]

    def _note_since(self, legs: tuple[Leg, ...], at: float) -> None:
        """Remembers since when each leg calls for its level."""
        since_at = {}
        for leg in legs:
            if leg.level:
                level, began_at = self._since_at.get(leg.what, (0, at))
                since_at[leg.what] = (leg.level, began_at if level == leg.level else at)
        self._since_at = since_at

    def _with_since(self, legs: tuple[Leg, ...], at: float) -> tuple[str, ...]:
        reasons = []
        for leg in sorted(legs, key=lambda leg: -leg.level):
            if leg.level:
                for_s = at - self._since_at[leg.what][1]
                reasons.append(f"{leg.reason}, for {for_s:.0f} s" if for_s >= 1 else leg.reason)
        return tuple(reasons)

    def _forget(self, at: float) -> None:
        """The machine slept: what was seen before says nothing, and things must settle first."""
        self._cpu_mean_pct = self._stall_mean_pct = None
        self._used.clear()
        self._since_at.clear()
        self.forecasts.forget()
        self.hold_until = at + self.patience.settle_s

    # --- what the legs and the budget are fed ---------------------------------------------------

    def _smooth_cpu(self, sample: Sample, since_s: float) -> None:
        weight = 1 - exp(-max(since_s, 0.0) / self.patience.cpu_smoothing_s)
        self._cpu_mean_pct = _towards(self._cpu_mean_pct, sample.cpu_used_pct, weight)
        self._stall_mean_pct = _towards(self._stall_mean_pct, sample.cpu_stall_pct, weight)
        if sample.cpu_stall_pct is None:
            self._stall_mean_pct = None  # without it the percent is all there is to go by
        self.cpu_smoothed_pct = self._cpu_mean_pct
        if self._cpu_mean_pct is not None and self._stall_mean_pct is not None:
            counts_pct = self.patience.cpu_unstalled_pct + self._stall_mean_pct
            self.cpu_smoothed_pct = min(self._cpu_mean_pct, counts_pct)

    def _reckon_again(self) -> None:
        if self.sample is not None:
            self._reckon(self.sample)

    def _reckon(self, sample: Sample) -> None:
        """What the budget goes by from now on. Without a reading of memory it says nothing."""
        budget, total_bytes = self.throttle.budget, sample.memory_total_bytes
        self.memory = None
        if sample.memory_used_pct is None or not total_bytes:
            return
        used = self._used
        used.append((sample.at, sample.memory_used_pct))
        while used[0][0] < sample.at - budget.window_s:
            used.popleft()
        if budget.is_on and self.throttle.is_on and not self.is_off_by_hand:
            used_pct = max(pct for _, pct in used) if budget.window_s else sample.memory_used_pct
            used_bytes = used_pct / 100 * total_bytes
            self.memory = Memory(sample.at, used_bytes, total_bytes, budget)


def _towards(past: float | None, now: float | None, weight: float) -> float | None:
    """The mean moved towards the newest value; a value that is missing for once leaves it be."""
    if now is None or past is None:
        return past if now is None else now
    return past + weight * (now - past)
