"""What a lease's processes take, and what tasks have taken before: the nouns of foresight.

Memory is what a lease's process tree takes, with all that its holder started, in bytes. The events
and the effect here are among those of `core.events`, which has them in its unions; what is learnt
from them is `core.learning`'s.
"""

from dataclasses import dataclass
from enum import StrEnum

from admission.core.values import value


class Ended(StrEnum):
    """How a run ended, as far as its memory is concerned. All but `FINISHED` were cut short: they
    would have taken at least what they took.
    """

    FINISHED = "finished"
    PARKED = "parked"
    OUT_OF_MEMORY = "out of memory"


@value
class Reading:
    """One lease's process tree at one look. `cpu_s` and `io_bytes` are totals so far."""

    lease: int
    memory_bytes: int
    cpu_s: float = 0.0
    io_bytes: int = 0
    processes: int = 1


@value
class Run:
    """One run of a task, from its grant to its end. `mean_bytes` is over its whole time."""

    task: str
    agent: str
    workspace: str
    uid: int
    mean_bytes: int
    peak_bytes: int
    cpu_s: float
    lasted_s: float
    io_bytes: int = 0
    processes_max: int = 1
    ended: Ended = Ended.FINISHED


@value
class Estimate:
    """What a task is expected to take. `lasts_s`: None where nothing like it has ended yet.

    `runs`: on how many runs of its own label it rests.
    """

    mean_bytes: float
    peak_bytes: float
    cores: float
    lasts_s: float | None = None
    runs: int = 0


@dataclass(frozen=True, slots=True)
class Learning:
    """How estimates are made of what was measured; docs/simulation.md has why it is off by default.

    Attributes:
        is_on: without it every agent is expected to take the mean and the peak of the budget, and
            nobody pauses; how long tasks last is learnt all the same.
        margin: what is expected at the peak, as a multiple of what was seen.
        bump: a run that was cut short would have taken so many times what it took.
        quantile: of the peaks that were seen, this one counts.
        prior_runs: what is expected of a task that was never seen weighs as much as so many runs.
        fresh_s: what a lease was seen to take counts for so long.
        settled: a lease that is older than the budget's ramp owes so much of what it is expected to
            take and has not taken.
        sure_runs: a task is refused as too large only where so many runs say so.
        failures: after so many runs in a row that ran out of memory a task has to pause.
        pause_s: at first for so long, and twice as long after each further one,
        pause_max_s: but for no longer than this.
        mixes: a heavy task for which there is no memory is passed by lighter ones, as long as one
            as heavy is out.
    """

    is_on: bool = False
    margin: float = 1.1
    bump: float = 1.2
    quantile: float = 0.9
    prior_runs: float = 3.0
    fresh_s: float = 120.0
    settled: float = 0.5
    sure_runs: int = 3
    failures: int = 2
    pause_s: float = 60.0
    pause_max_s: float = 1800.0
    mixes: bool = True


# --- events -------------------------------------------------------------------------------------


@value
class Measured:
    """One look at the trees of leases. A lease that is not among the readings was not measured."""

    at: float
    readings: tuple[Reading, ...]


@value
class OutOfMemory:
    """The kernel has killed something of this lease's tree for want of memory.

    It may come before the lease's end or soon after it; then its run is told of once more.
    """

    lease: int


@value
class Recalled:
    """What the history knows, the oldest first; fed once, at the start."""

    runs: tuple[Run, ...]


Experience = Measured | OutOfMemory | Recalled


# --- the effect ---------------------------------------------------------------------------------


@value
class Learnt:
    """A measured lease of the pool `agents` has ended, and this was its run.

    A later one for the same lease takes the place of the earlier.
    """

    lease: int
    run: Run
