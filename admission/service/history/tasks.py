"""What the runs of each task took, as the history knows it. Opens the file read-only."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from admission.core.estimates import Ended
from admission.service.history.reading import reading

# So many of the newest runs count; an older one of a task that is seldom run is not missed.
RUNS_MAX = 20_000
_RUNS = """SELECT uid, task, peak_bytes, cpu_s, lasted_s, ended, at FROM runs
    WHERE at >= :since AND (:uid IS NULL OR uid = :uid) AND (:task IS NULL OR task = :task)
    ORDER BY id DESC LIMIT :most"""

T = TypeVar("T", int, float)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose runs of which task; None is any. `since`: seconds since 1970."""

    uid: int | None = None
    task: str | None = None
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class Habits:
    """What the runs of one user's task took: the median, and what 19 of 20 stay within.

    Memory is a run's peak, of all runs. Durations and CPU time are of those that were not cut
    short; None where all were. `failures`: ended by the kernel for want of memory. `last_at`: when
    the last one ended, in seconds since 1970.
    """

    uid: int
    task: str
    runs: int
    memory_p50_bytes: int
    memory_p95_bytes: int
    cpu_p50_s: float | None
    cpu_p95_s: float | None
    lasted_p50_s: float | None
    lasted_p95_s: float | None
    failures: int
    last_at: float


@dataclass(frozen=True, slots=True)
class _Seen:
    peak_bytes: int
    cpu_s: float
    lasted_s: float
    ended: str
    at: float


def habits(path: Path, wanted: Wanted) -> list[Habits]:
    """One for each task of each user, the last seen first.

    Raises:
        Unavailable: there is no history, or it can't be read.
    """
    about = {"since": wanted.since, "uid": wanted.uid, "task": wanted.task, "most": RUNS_MAX}
    found: dict[tuple[int, str], list[_Seen]] = {}
    with reading(path) as connection:
        for uid, task, peak, cpu_s, lasted_s, ended, at in connection.execute(_RUNS, about):
            # Without its check sums, SQLite can't see every flipped bit: a number may be text.
            if all(isinstance(one, int | float) for one in (uid, peak, cpu_s, lasted_s, at)):
                found.setdefault((uid, str(task)), []).append(
                    _Seen(peak, cpu_s, lasted_s, str(ended), at)
                )
    return [_habits(uid, task, runs) for (uid, task), runs in found.items()]


def _habits(uid: int, task: str, runs: list[_Seen]) -> Habits:
    memory = sorted(run.peak_bytes for run in runs)
    finished = [run for run in runs if run.ended == Ended.FINISHED]
    cpu_s = sorted(run.cpu_s for run in finished)
    lasted_s = sorted(run.lasted_s for run in finished)
    return Habits(
        uid,
        task,
        len(runs),
        _quantile(memory, 0.5),
        _quantile(memory, 0.95),
        _quantile(cpu_s, 0.5) if finished else None,
        _quantile(cpu_s, 0.95) if finished else None,
        _quantile(lasted_s, 0.5) if finished else None,
        _quantile(lasted_s, 0.95) if finished else None,
        sum(run.ended == Ended.OUT_OF_MEMORY for run in runs),
        max(run.at for run in runs),
    )


def _quantile(ascending: list[T], share: float) -> T:
    """The smallest value that at least this share of all does not exceed; one that was seen."""
    return ascending[max(-int(-share * len(ascending) // 1) - 1, 0)]
