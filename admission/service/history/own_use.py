"""What the machine took by itself: the samples, less what the trees of leases took meanwhile."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from admission.core.sample import Sample
from admission.service.history.reading import read_samples, reading

_RUNS = "SELECT at, lasted_s, mean_bytes, cpu_s FROM runs WHERE at >= ? AND lasted_s > 0"

# An instant, and by how many bytes and CPUs more is taken from then on.
Step = tuple[float, float, float]


def own_samples(path: Path, since: float) -> list[Sample]:
    """The samples that are kept in full, `at` in seconds since 1970. Of each run its mean is taken
    off while it lasted. What a lease takes that is still out is not known yet, and stays.

    Raises:
        Unavailable: there is no history, or it can't be read.
    """
    steps = sorted(_steps(path, since), reverse=True)
    found = []
    taken_bytes = taken_cpus = 0.0
    for one in read_samples(path, since):
        while steps and steps[-1][0] <= one.at:
            _, more_bytes, more_cpus = steps.pop()
            taken_bytes, taken_cpus = taken_bytes + more_bytes, taken_cpus + more_cpus
        sample = replace(one.sample, at=one.at)
        found.append(
            replace(
                sample,
                memory_used_pct=_less(
                    sample.memory_used_pct, taken_bytes, sample.memory_total_bytes
                ),
                cpu_used_pct=_less(sample.cpu_used_pct, taken_cpus, sample.cpus),
            )
        )
    return found


def _steps(path: Path, since: float) -> Iterator[Step]:
    with reading(path) as connection:
        rows = connection.execute(_RUNS, (since,)).fetchall()
    for row in rows:
        # Without its check sums, SQLite can't see every flipped bit: a number may be text.
        if all(isinstance(value, int | float) for value in row):
            at, lasted_s, mean_bytes, cpu_s = row
            yield at - lasted_s, mean_bytes, cpu_s / lasted_s
            yield at, -mean_bytes, -cpu_s / lasted_s


def _less(pct: float | None, taken: float, total: float | None) -> float | None:
    return pct if pct is None or not total else max(pct - 100 * taken / total, 0.0)
