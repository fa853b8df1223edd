"""What a lease's processes take, and what tasks have taken before: the nouns of foresight.

Memory is what a lease's process tree takes, with all that its holder started, in bytes. The events
and the effect here are among those of `core.events`, which has them in its unions; what is learnt
from them is `core.learning`'s.
"""

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
