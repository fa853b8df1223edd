"""How many agents policy `budget` tries at once: a few more while all is well, fewer after harm.

The budget alone reckons with what agents take as a rule. Where it is wrong for these agents, the
machine says so, and the number that is tried follows: additive increase, multiplicative decrease,
as in congestion control.
"""

from dataclasses import dataclass
from math import inf

from admission.core.sample import Sample


@dataclass(frozen=True, slots=True)
class Growth:
    """How the number moves.

    Attributes:
        agents_max: it is never more; None for the `max_agents` of level 0.
        bad_memory_pct: harm: so much memory is in use,
        bad_stall_pct: or all tasks wait for memory for so much of the time.
        cut_fraction: what a cut leaves of the agents that are out.
        cut_every_s: one cut in so long, as what was cut needs time to show.
        calm_s: after harm, nothing is added for so long.
        grow_every_s: one more in so long.
    """

    agents_max: int | None = None
    bad_memory_pct: float = 92.0
    bad_stall_pct: float = 5.0
    cut_fraction: float = 0.7
    cut_every_s: float = 30.0
    calm_s: float = 60.0
    grow_every_s: float = 30.0


class Limit:
    """The number at present, from 1 to `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.agents = most
        self.bad_at = -inf
        self._cut_at = -inf
        self._grown_at = -inf

    def adopt(self, most: int) -> None:
        """Another configured maximum. A number that was cut stays so, and grows from there."""
        self.agents = min(self.agents, most) if self.agents < self.most else most
        self.most = most

    def take(self, sample: Sample, growth: Growth, agents_out: int) -> None:
        """One sample. `agents_out`: units that are out, by which one sees whether more are wanted.

        It never grows while fewer are out than there may be: an idle night would raise it to the
        most, and the morning's burst would find it there.
        """
        at = sample.at
        if is_bad(sample, growth):
            self.bad_at = at
            if at - self._cut_at >= growth.cut_every_s:
                self._cut_at = at
                self.agents = min(self.agents, max(1, int(growth.cut_fraction * agents_out)))
            return
        rested = at - self.bad_at >= growth.calm_s and at - self._grown_at >= growth.grow_every_s
        if rested and agents_out >= self.agents - 1 and self.agents < self.most:
            self._grown_at = at
            self.agents += 1


def is_bad(sample: Sample, growth: Growth) -> bool:
    """Whether this sample shows harm done."""
    memory_pct, stall_pct = sample.memory_used_pct, sample.memory_stall_pct
    return (
        (memory_pct is not None and memory_pct >= growth.bad_memory_pct)
        or (stall_pct is not None and stall_pct > growth.bad_stall_pct)
        or (sample.memory_pressure is not None and sample.memory_pressure >= 4)
    )
