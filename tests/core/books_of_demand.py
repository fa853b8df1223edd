"""What memory is spoken for by what is known of tasks, in other words than the core's."""

from math import hypot

from admission.core.budget import Budget
from admission.core.estimates import Estimate
from admission.core.governor import Governor
from admission.core.leases import Claim, Lease, State, Waiter
from tests.core.books_of_learning import Lessons


def memory_read(governor: Governor, pool: str) -> tuple[float, float, int] | None:
    """When it was read, the percent in use, and all of it; None where there is no budget."""
    sample, budget = governor.sample, governor.throttle.budget
    if pool != "agents" or not budget.is_on or sample is None:
        return None
    used_pct, total_bytes = sample.memory_used_pct, sample.memory_total_bytes
    return None if used_pct is None or not total_bytes else (sample.at, used_pct, total_bytes)


def promised_bytes(
    budget: Budget, at: float, waiter: Waiter, leases: list[Lease], kept_units: int
) -> float:
    """The same, where nothing is known of any task: each unit takes what the budget says."""
    # One that regains its units is in the reading already.
    promised = 0.0 if waiter.lease is not None else float(waiter.claim.weight)
    promised += kept_units
    for lease in leases:
        shown = (at - lease.granted_at) / budget.ramp_s
        promised += lease.claim.weight * (1 - min(max(shown, 0), 1))
    weights = [one.claim.weight for one in leases if one.state != State.YIELDED]
    bursts = budget.spread * hypot(waiter.claim.weight, *weights)
    return promised * budget.mean_bytes + bursts * (budget.peak_bytes - budget.mean_bytes)


def spoken_for_bytes(
    lessons: Lessons, waiter: Waiter, leases: list[Lease], kept_units: int
) -> float:
    """All that is not in the reading yet: what leases owe, this waiter, and room for bursts."""
    budget, learning = lessons.governor.throttle.budget, lessons.governor.throttle.learning
    sample, estimates = lessons.governor.sample, lessons.estimates()
    assert sample is not None

    def expected(claim: Claim) -> Estimate:
        prior = Estimate(budget.mean_bytes * claim.weight, budget.peak_bytes * claim.weight, 1.0)
        return estimates.of(claim, prior)

    total = float(kept_units * budget.mean_bytes)
    if waiter.lease is None:
        total += expected(waiter.claim).mean_bytes
    bursts = []
    for lease in leases:
        estimate, looks = expected(lease.claim), lessons.looks.get(lease.id, [])
        age_s = sample.at - lease.granted_at
        mean = highest = estimate.mean_bytes
        peak = estimate.peak_bytes
        if looks and sample.at - looks[-1][0] <= learning.fresh_s:
            takes = looks[-1][1].memory_bytes
            owes = max(0.0, mean - takes)
            total += owes if age_s < budget.ramp_s else owes * learning.settled
            highest = max(mean, takes)
            peak = max(peak, *(reading.memory_bytes for _, reading in looks))
        else:
            total += mean * min(max(1 - age_s / budget.ramp_s, 0.0), 1.0)
        burst = max(0.0, peak - highest)
        bursts += [burst] if lease.state != State.YIELDED else []
        bursts += [burst] if lease.id == waiter.lease else []
    if waiter.lease is None:
        new = expected(waiter.claim)
        bursts.append(max(0.0, new.peak_bytes - new.mean_bytes))
    return total + budget.spread * hypot(*bursts)


def may_go_before(lessons: Lessons, light: Waiter, heavy: Waiter, leases: list[Lease]) -> bool:
    """Whether the one passes the other, for whom there are units, and too little memory: its height
    is less than three quarters of the other's, which waits for one that is out with no less.
    """
    learning, budget = lessons.governor.throttle.learning, lessons.governor.throttle.budget
    if not (lessons.has_a_say and learning.mixes) or heavy.lease is not None:
        return False
    estimates = lessons.estimates()

    def expected(claim: Claim) -> Estimate:
        prior = Estimate(budget.mean_bytes * claim.weight, budget.peak_bytes * claim.weight, 1.0)
        return estimates.of(claim, prior)

    own = expected(heavy.claim)
    earlier = [
        expected(one.claim).peak_bytes
        for one in leases
        if one.ticket < heavy.ticket and one.state != State.YIELDED
    ]
    bound = 0.75 * own.peak_bytes
    return own.runs > 0 and max(earlier, default=-1.0) >= bound > expected(light.claim).peak_bytes
