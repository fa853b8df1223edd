"""What a run was worth: measures an hour, their means over seeds, and one figure to compare by."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isnan, nan, sqrt
from statistics import fmean, stdev

from admission.simulation.run import Outcome

# What a finished cycle is worth in harm, stated before anything was run: an out-of-memory kill
# costs ten cycles, twenty seconds above 95 % or ten changes of the level cost one.
KILL_COSTS, ABOVE_95_S_COSTS, CHANGE_COSTS = 10.0, 0.05, 0.1


@dataclass(frozen=True, slots=True)
class Score:
    """One run, an hour of it where it says so. `share_pct` is of the most that can be done."""

    cycles_per_hour: float
    share_pct: float
    kills_per_hour: float
    above_95_s_per_hour: float
    above_90_s_per_hour: float
    lost_per_hour: float
    changes_per_hour: float
    wait_mean_s: float
    wait_p95_s: float
    peak_pct: float
    cpu_stall_pct: float
    reaction_s: float
    urgent_p95_s: float
    worth: float


MEASURES = tuple(field.name for field in fields(Score))


def score(outcome: Outcome, bound: Outcome) -> Score:
    """The score of one run.

    Args:
        outcome: what came of it.
        bound: the same day with endless memory, and as many agents as any rule may start.
    """
    hours = outcome.hours
    cycles = outcome.cycles / hours
    kills, changes = outcome.kills / hours, outcome.changes / hours
    above_95_s = outcome.above_95_s / hours
    return Score(
        cycles_per_hour=cycles,
        share_pct=100 * outcome.cycles / bound.cycles if bound.cycles else nan,
        kills_per_hour=kills,
        above_95_s_per_hour=above_95_s,
        above_90_s_per_hour=outcome.above_90_s / hours,
        lost_per_hour=outcome.lost_cycles / hours,
        changes_per_hour=changes,
        wait_mean_s=fmean(outcome.waits_s or [0.0]),
        wait_p95_s=_p95(outcome.waits_s or [0.0]),
        peak_pct=outcome.peak_pct,
        cpu_stall_pct=outcome.stalled_s / hours / 36,
        reaction_s=fmean(outcome.reactions_s) if outcome.reactions_s else nan,
        urgent_p95_s=_p95(outcome.urgent_waits_s) if outcome.urgent_waits_s else nan,
        worth=cycles - KILL_COSTS * kills - ABOVE_95_S_COSTS * above_95_s - CHANGE_COSTS * changes,
    )


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over seeds and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        digits = 0 if abs(self.mean) >= 100 else 1 if abs(self.mean) >= 10 else 2
        return f"{self.mean:.{digits}f} ±{self.error:.{digits}f}"


def estimate(values: Sequence[float]) -> Estimate:
    """The mean of independent values, with its standard error; NaN where one of them is."""
    if any(isnan(value) for value in values):
        return Estimate(nan, nan)
    error = stdev(values) / sqrt(len(values)) if len(values) > 1 else 0.0
    return Estimate(fmean(values), error)


def estimates(scores: Sequence[Score]) -> dict[str, Estimate]:
    """Each measure over the seeds."""
    return {name: estimate([getattr(one, name) for one in scores]) for name in MEASURES}
