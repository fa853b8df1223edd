"""A program that the daemon starts beside itself, and never imports: the rules of `admission
simulate` on what was recorded, with the bounds of the levels as they are, lower, and higher.

It reads what is asked from standard input, as msgpack, and prints `Trials` as JSON, or `null` where
too little was recorded. It gives way to everything else on the machine.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from admission.core.advice import Trials, Tried
from admission.core.governor import Throttle
from admission.core.levels import PoolSpec
from admission.core.sample import Sample
from admission.service.history.own_use import own_samples
from admission.simulation.proposing import with_bounds_moved
from admission.simulation.replay import recorded_s
from admission.simulation.score import estimates
from admission.simulation.trial import Contender, Results, Trial, compare, ours

NICEST = 19
# The bounds are tried so many points higher, and lower.
POINTS = 5.0
# Less says nothing.
RECORDED_S_MIN = 2 * 3600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be tried: on this history, from so many seconds since 1970 on, beside these
    settings; `sample_s`: how often the machine is looked at.
    """

    history: str
    since: float
    throttle: Throttle
    pools: tuple[PoolSpec, ...]
    sample_s: int


def tried(samples: Sequence[Sample], asked: Asked) -> Trials | None:
    """What came of it; None where too little was recorded."""
    if len(samples) < 2 or (lasted_s := recorded_s(samples)) < RECORDED_S_MIN:
        return None

    def contender(name: str, points: float) -> Contender:
        throttle = with_bounds_moved(asked.throttle, points) if points else asked.throttle
        return ours(name, throttle, asked.pools, asked.sample_s)

    contenders = [contender("current", 0), contender("lower", -POINTS), contender("higher", POINTS)]
    results = compare(Trial(seeds=range(1), recording=tuple(samples)), contenders)
    found = {name: _tried(results, name) for name in results}
    return Trials(lasted_s, POINTS, found["current"], found["lower"], found["higher"])


def _tried(results: Results, name: str) -> Tried:
    means = estimates(results[name])
    return Tried(
        means["cycles_per_hour"].mean,
        means["kills_per_hour"].mean,
        means["above_95_s_per_hour"].mean,
    )


def main() -> int:
    """See the module."""
    os.nice(NICEST)
    asked = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Asked)
    samples = own_samples(Path(asked.history), asked.since)
    sys.stdout.buffer.write(msgspec.json.encode(tried(samples, asked)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
