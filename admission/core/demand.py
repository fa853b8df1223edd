"""The memory budget by what each task takes, where that is known.

A lease that was measured owes what it is expected to take as a rule, less what it takes already;
once it is old, half of that, as it may never take it. Above what it takes it may burst, up to the
peak that is expected of it. One that was not measured owes by its age, as in `core.budget`; where
nothing was ever measured or learnt, all of it is as there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from admission.core.budget import BUDGETED, Memory, said
from admission.core.estimates import Estimate
from admission.core.learning import Learner, Tally, label_of
from admission.core.leases import Claim, Lease, Waiter

# So much of another's height is as heavy as that one.
NEARLY = 0.75


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of this memory, by what was learnt."""

    memory: Memory
    learner: Learner

    def expected(self, claim: Claim, tally: Tally | None = None) -> Estimate:
        """What one takes; what it has taken itself counts at once."""
        mean_bytes = self.memory.mean_bytes * claim.weight
        peak_bytes = self.memory.peak_bytes * claim.weight
        found = self.learner.estimates.of(claim, Estimate(mean_bytes, peak_bytes, 1.0))
        if tally is None or tally.peak_bytes <= found.peak_bytes:
            return found
        return Estimate(found.mean_bytes, tally.peak_bytes, found.cores, found.lasts_s, found.runs)

    def tally(self, lease: Lease) -> Tally | None:
        """What it was seen to take; None where that is long ago."""
        tally = self.learner.tallies.get(lease.id)
        fresh_s = self.learner.estimates.settings.fresh_s
        return None if tally is None or self.memory.at - tally.at > fresh_s else tally

    def unshown_bytes(self, lease: Lease) -> float:
        """What it still owes."""
        tally = self.tally(lease)
        mean_bytes = self.expected(lease.claim, tally).mean_bytes
        if tally is None:
            return mean_bytes * self.memory.unshown(lease)
        is_young = self.memory.at - lease.granted_at < self.memory.budget.ramp_s
        share = 1.0 if is_young else self.learner.estimates.settings.settled
        return share * max(0.0, mean_bytes - tally.reading.memory_bytes)

    def burst_bytes(self, claim: Claim, lease: Lease | None) -> float:
        """By how much it may exceed what it takes or is expected to; `lease`: if it has one."""
        tally = None if lease is None else self.tally(lease)
        found = self.expected(claim, tally)
        shown = 0 if tally is None else tally.reading.memory_bytes
        return max(0.0, found.peak_bytes - max(found.mean_bytes, shown))

    def objection(self, waiter: Waiter, leases: Iterable[Lease], kept: int = 0) -> str | None:
        """Why this waiter can't have its units, as `Memory.objection` has it."""
        leases = list(leases)
        out = [one for one in leases if one.is_out]
        if not out:
            return None
        memory = self.memory
        own = next((one for one in leases if one.id == waiter.lease), None)
        unshown = sum(map(self.unshown_bytes, leases)) + memory.mean_bytes * kept
        this_one = 0.0 if waiter.lease is not None else self.expected(waiter.claim).mean_bytes
        each = [self.burst_bytes(one.claim, one) for one in out]
        each.append(self.burst_bytes(waiter.claim, own))
        bursts = memory.budget.spread * sqrt(sum(burst * burst for burst in each))
        return memory.excess(unshown, this_one, bursts)

    def waits_for_as_heavy(self, waiter: Waiter, leases: Iterable[Lease]) -> bool:
        """Whether one that came before this one, and is out, is known to be as heavy."""
        settings = self.learner.estimates.settings
        if not settings.mixes or waiter.lease is not None:
            return False
        own = self.expected(waiter.claim)
        if not own.runs:
            return False
        before = (one.claim for one in leases if one.is_out and one.ticket < waiter.ticket)
        return any(self.expected(one).peak_bytes >= NEARLY * own.peak_bytes for one in before)

    def impossible(self, claim: Claim) -> str | None:
        """Why this one can never have room, however little else runs; None where it may.

        Only enough runs of its own label say so.
        """
        label, rest = label_of(claim), self.learner.rest_bytes
        found = None if label is None else self.learner.estimates.figures(label)
        if found is None or rest is None:
            return None
        settings = self.learner.estimates.settings
        if not settings.is_on or found.runs < settings.sure_runs:
            return None
        total = self.memory.total_bytes
        if found.peak_bytes <= total - rest:
            return None
        return (
            f"{claim.task} takes {said(found.peak_bytes)} at its height, by its last {found.runs} "
            f"runs, and there are {said(total - rest)}: {said(total)} less {said(rest)} that are "
            "in use without agents; make it smaller, or ask under another task label if it is"
        )


def never_fits(claim: Claim, memory: Memory | None, learner: Learner) -> str | None:
    """Why the memory can never do for this one, by what was learnt; None where it may."""
    if claim.pool != BUDGETED or memory is None or not learner.estimates.knows_any:
        return None
    return Demand(memory, learner).impossible(claim)
