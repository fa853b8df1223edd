"""A day from a recording: what the machine's own use was, and tasks that arrive as on any day."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

from admission.core.sample import Sample
from admission.simulation.day import TASKS_PER_HOUR, Day, Shape, trickle

GIB = 1 << 30
# A recording that does not say how large its machine was is taken to be of this one.
UNKNOWN = Shape(16.0, 8)
# Between two samples further apart than this the machine slept; that time is left out.
GAP_S = 600.0


def replayed(samples: Sequence[Sample], seed: int, tasks_per_hour: float = TASKS_PER_HOUR) -> Day:
    """The day of these samples.

    All that they show counts as the machine's own use. So a recording of a machine without agents
    says what they would have met there; one that has agents in it says how much more would have
    fitted. A reading that is missing is taken to be as the one before.

    Args:
        samples: in the order of their time, at least two.
        seed: of the tasks that arrive.
        tasks_per_hour: how many.
    """
    assert len(samples) > 1, "a day needs two samples at least"
    shape = shape_of(samples)
    gib: list[float] = []
    cores: list[float] = []
    memory_pct = cpu_pct = 0.0
    for sample, following in pairwise(samples):
        memory_pct = memory_pct if sample.memory_used_pct is None else sample.memory_used_pct
        cpu_pct = cpu_pct if sample.cpu_used_pct is None else sample.cpu_used_pct
        seconds = _seconds(sample, following)
        gib.extend([memory_pct / 100 * shape.total_gib] * seconds)
        cores.extend([cpu_pct / 100 * shape.cores] * seconds)
    gib, cores = gib or [0.0], cores or [0.0]
    tasks = list(trickle(Random(f"replay {seed}"), len(gib), tasks_per_hour, shape))
    return Day(shape, len(gib), gib, cores, tasks)


def _seconds(sample: Sample, following: Sample) -> int:
    lasts_s = following.at - sample.at
    return round(lasts_s) if 0 < lasts_s <= GAP_S else 0


def recorded_s(samples: Sequence[Sample]) -> float:
    """How long a day of these samples is."""
    return float(sum(_seconds(*pair) for pair in pairwise(samples)))


def shape_of(samples: Sequence[Sample]) -> Shape:
    """The machine that these samples are of."""
    total = next((one.memory_total_bytes for one in samples if one.memory_total_bytes), None)
    cpus = next((one.cpus for one in samples if one.cpus), None)
    return Shape(
        UNKNOWN.total_gib if total is None else total / GIB,
        UNKNOWN.cores if cpus is None else max(1, round(cpus)),
    )
