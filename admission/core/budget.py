"""The memory budget: what was promised counts before it shows.

A sample taken seconds after a grant still reads "plenty free". Five waiters let in on that one
reading are each right alone and wrong together. So a young lease is a debt on the reading: it owes
what an agent takes as a rule, until it is old enough for the reading to contain it. And since every
agent that is out may burst (a build, a test run), room is kept for that: bursts that know nothing
of each other add up as the root of their squares, not as their sum.

The verdict depends on the last sample and the table of leases alone, never on the time that has
passed since. So it changes only with an event, and nobody has to be woken by a clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from admission.core.leases import Lease, Waiter

GIB = 1 << 30

# The pool whose units are agents, each of which takes memory.
BUDGETED = "agents"


@dataclass(frozen=True, slots=True)
class Budget:
    """What the budget reckons with; docs/simulation.md has the runs that chose the defaults.

    Attributes:
        is_on: without it, the level alone decides.
        ceiling_pct: of the memory for agents, as much as may be spoken for.
        mean_bytes: what an agent takes once it is at work, with all that it started.
        peak_bytes: what it takes at its height.
        share_pct: an agent is reckoned to peak at no more than this of the memory, so that a small
            machine admits more than one.
        spread: how much of the bursts room is kept for; 0 for none of it, 1 for the root of the
            sum of their squares.
        ramp_s: the age at which a lease owes nothing more; the debt fades evenly until then.
        window_s: the memory in use is the most that was seen for so long, as tools come and go.
    """

    is_on: bool = True
    ceiling_pct: float = 88.0
    mean_bytes: int = 9 * GIB // 10
    peak_bytes: int = 2 * GIB
    share_pct: float = 12.5
    spread: float = 1.0
    ramp_s: float = 60.0
    window_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Memory:
    """One reading of the memory, as the budget sees it.

    Attributes:
        at: when it was taken, in seconds on the clock of the events.
        used_bytes: in use, by anybody.
        total_bytes: what there is for agents at all.
        budget: the settings.
    """

    at: float
    used_bytes: float
    total_bytes: int
    budget: Budget

    @property
    def _scale(self) -> float:
        """By how much an agent is reckoned smaller on a small machine."""
        if not self.budget.peak_bytes:
            return 1.0  # one that takes nothing is no smaller anywhere
        return min(1.0, self.budget.share_pct / 100 * self.total_bytes / self.budget.peak_bytes)

    @property
    def mean_bytes(self) -> float:
        return self.budget.mean_bytes * self._scale

    @property
    def peak_bytes(self) -> float:
        return self.budget.peak_bytes * self._scale

    @property
    def ceiling_bytes(self) -> float:
        return self.budget.ceiling_pct / 100 * self.total_bytes

    def unshown_bytes(self, leases: Iterable[Lease]) -> float:
        """What was promised to these leases and can't be in the reading yet.

        One that has yielded its units counts as well: its process is there, and grows.
        """
        return sum(self.mean_bytes * one.claim.weight * self.unshown(one) for one in leases)

    def unshown(self, lease: Lease) -> float:
        """The share of its promise that a lease still owes: all of it if granted since."""
        age_s = self.at - lease.granted_at
        return min(max(1 - age_s / self.budget.ramp_s, 0.0), 1.0)

    def burst_bytes(self, weights: Iterable[int]) -> float:
        """Room for the bursts of agents of these weights, above their means."""
        each = self.peak_bytes - self.mean_bytes
        return self.budget.spread * each * sqrt(sum(weight * weight for weight in weights))

    def objection(self, waiter: Waiter, leases: Iterable[Lease], kept: int = 0) -> str | None:
        """Why this waiter can't have its units, in words and numbers; None where it can.

        Args:
            waiter: whose turn it is. One that regains its units is in the reading already.
            leases: all of its pool. With none of them out nothing is refused: an agent that is
                too large for the machine must not stop all work.
            kept: units that are kept free for others, which is as good as a promise.
        """
        leases = list(leases)
        weights = [one.claim.weight for one in leases if one.is_out]
        if not weights:
            return None
        weight = waiter.claim.weight
        unshown = self.unshown_bytes(leases) + self.mean_bytes * kept
        this_one = 0.0 if waiter.lease is not None else self.mean_bytes * weight
        bursts = self.burst_bytes([*weights, weight])
        return self.excess(unshown, this_one, bursts)

    def excess(self, unshown: float, this_one: float, bursts: float) -> str | None:
        """That all this is more than may be spoken for, in words and numbers; None if it is not."""
        if self.used_bytes + unshown + this_one + bursts <= self.ceiling_bytes:
            return None
        return (
            f"memory: {said(self.used_bytes)} used, {said(unshown)} promised but not shown, "
            f"{said(this_one)} for this one and {said(bursts)} for bursts are more than "
            f"{said(self.ceiling_bytes)} ({self.budget.ceiling_pct:g} % of "
            f"{said(self.total_bytes)})"
        )


def said(size_bytes: float) -> str:
    """The size as a person says it: 9.1 GiB, 16 GiB."""
    rounded = round(size_bytes / GIB, 1)
    return f"{rounded:g} GiB"
