"""Samples in, throttle level out, with its reasons in words.

The level is the worse of the memory leg and the CPU leg (policy `table`, the user's document). It
rises at once, and falls one step at a time after the lower level's bounds have held, with a
margin, for a while: a level that flaps is worse than one that is a little late.
"""

from dataclasses import dataclass
from math import exp, inf

from admission.core.levels import LEVELS, Level, Levels
from admission.core.sample import Sample


@dataclass(frozen=True, slots=True)
class Patience:
    """How slowly the level falls, and how the CPU reading is smoothed.

    `margin_pct`: points below the lower level's bounds that count as calm. `dwell_s`: for how long
    they must have held. `cpu_smoothing_s`: time constant of the CPU leg; one compiler run of a
    second is no pressure. `gap_s`: a longer silence between samples means that the machine slept,
    and the past counts for nothing.
    """

    margin_pct: float = 5.0
    dwell_s: float = 30.0
    cpu_smoothing_s: float = 10.0
    gap_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one sample alone calls for. `reasons` is empty at level 0."""

    level: int
    reasons: tuple[str, ...]


def judge(
    memory_used_pct: float | None, cpu_used_pct: float | None, levels: Levels, margin_pct: float = 0
) -> Judgement:
    """The level whose bounds these readings are within: the worse of the two legs.

    Args:
        memory_used_pct: 0 to 100; None where it is not known, which says nothing.
        cpu_used_pct: 0 to 100; likewise.
        levels: the table.
        margin_pct: points that a reading must stay below a bound to count as within it.
    """
    memory = _leg("memory", memory_used_pct, [row.memory_below_pct for row in levels], margin_pct)
    cpu = _leg("CPU", cpu_used_pct, [row.cpu_below_pct for row in levels], margin_pct)
    level = max(memory.level, cpu.level)
    legs = (memory, cpu) if memory.level >= cpu.level else (cpu, memory)
    return Judgement(level, tuple(reason for leg in legs for reason in leg.reasons))


def _leg(what: str, used_pct: float | None, below_pct: list[float], margin_pct: float) -> Judgement:
    if used_pct is None:
        return Judgement(0, ())
    level = sum(1 for bound in below_pct[:-1] if used_pct >= bound - margin_pct)
    if level == 0:
        return Judgement(0, ())
    bound = below_pct[level - 1]
    word = "at or above" if used_pct >= bound else "not far enough below"
    return Judgement(level, (f"{what} {used_pct:.0f} % is {word} {bound:g} %",))


class Governor:
    """Remembers what `judge` can't see in one sample: the past, and a level set by hand."""

    def __init__(self, levels: Levels = LEVELS, patience: Patience | None = None) -> None:
        self.levels = levels
        self.patience = patience or Patience()
        self.sample: Sample | None = None
        self.cpu_smoothed_pct: float | None = None
        self.by_hand_until: float | None = None
        self.level_by_hand = 0
        self._level = 0
        self._reasons: tuple[str, ...] = ()
        self._calm_since = inf

    @property
    def is_by_hand(self) -> bool:
        return self.by_hand_until is not None

    @property
    def row(self) -> Level:
        """The level in force."""
        return self.levels[self.level_by_hand if self.is_by_hand else self._level]

    @property
    def reasons(self) -> tuple[str, ...]:
        return ("set by hand", *self._reasons) if self.is_by_hand else self._reasons

    def set_by_hand(self, level: int, until: float) -> None:
        self.level_by_hand, self.by_hand_until = level, until

    def set_auto(self) -> None:
        self.by_hand_until = None

    def resume_at(self, level: int) -> None:
        """Goes on from the level that an earlier daemon had, until a sample says otherwise."""
        self._level = level
        self._reasons = ("the level before the restart",) if level else ()

    def take(self, sample: Sample) -> None:
        """One sample: the level rises at once, and falls when it has been calm for the dwell."""
        slept = self.sample is not None and sample.at - self.sample.at > self.patience.gap_s
        self._smooth_cpu(sample, afresh=slept)
        self.sample = sample
        worst = judge(sample.memory_used_pct, self.cpu_smoothed_pct, self.levels)
        if worst.level >= self._level:
            self._level, self._reasons = worst.level, worst.reasons
            self._calm_since = inf
        elif sample.memory_used_pct is None or self.cpu_smoothed_pct is None:
            # What is not known is never read as "all is well": the level may rise, not fall.
            missing = "memory" if sample.memory_used_pct is None else "CPU"
            self._reasons = (f"no reading of {missing}, so the level stays",)
            self._calm_since = inf
        else:
            self._fall(sample, slept)

    def _fall(self, sample: Sample, slept: bool) -> None:
        margin_pct = self.patience.margin_pct
        calm = judge(sample.memory_used_pct, self.cpu_smoothed_pct, self.levels, margin_pct)
        if calm.level >= self._level or slept:
            self._calm_since = inf if calm.level >= self._level else sample.at
            self._reasons = calm.reasons or self._reasons
            return
        self._calm_since = min(self._calm_since, sample.at)
        calm_s = sample.at - self._calm_since
        if calm_s >= self.patience.dwell_s:
            self._level -= 1
            # The next step down needs its own patience.
            self._calm_since = sample.at
            calm_s = 0.0
        left_s = self.patience.dwell_s - calm_s
        self._reasons = calm.reasons
        if calm.level < self._level:
            self._reasons += (f"calm; level {self._level - 1} in {left_s:.0f} s if it stays so",)

    def _smooth_cpu(self, sample: Sample, *, afresh: bool) -> None:
        now_pct, past_pct = sample.cpu_used_pct, self.cpu_smoothed_pct
        if now_pct is None or past_pct is None or afresh or self.sample is None:
            # A source that is missing for once leaves its past in force; see docs/design.md.
            self.cpu_smoothed_pct = past_pct if now_pct is None and not afresh else now_pct
            return
        weight = 1 - exp(-(sample.at - self.sample.at) / self.patience.cpu_smoothing_s)
        self.cpu_smoothed_pct = past_pct + weight * (now_pct - past_pct)
