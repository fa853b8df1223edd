"""What can wait until the load is low: when it is put off, and when that is over.

Whoever is put off stands at its place and blocks nobody, as if its client were away. It becomes a
waiter like any other, with its age, once the load is low, and at the latest at its end. That lies
twice as long as such a task lasts before the instant by which it must have started; nobody knows
when there will be room for it.

Whether the load is low is judged with each sample, and with nothing else:

- nobody else waits for this pool, and there is room in it;
- what is in use, what was promised and can't be in the reading yet, and what this task takes at its
  height fit under the budget's ceiling;
- where the profile of the week is proven, so does what the hours ahead, in which the task would
  run, are usually like at their height. Where it is not, the machine has been idle for a while.

One is let go at a time, and the next one no sooner than after another such while: a task that has
just begun looks like rest, and whoever came next would find the machine as idle as it did.
"""

from dataclasses import replace
from math import ceil, floor, inf

from admission.core import queueing
from admission.core.budget import Memory
from admission.core.deferral import Defer, Undeferred
from admission.core.estimates import Estimate
from admission.core.events import Acquire, Sampled
from admission.core.foresight import MEMORY
from admission.core.governor import Governor
from admission.core.leases import Claim, Waiter
from admission.core.ledger import Ledger
from admission.core.pool import Pool
from admission.core.profile import HOURS, Profile
from admission.core.sample import Sample

# So many of what such a task lasts are kept until it must have started.
SPARE_LASTS = 2.0
# Further ahead than this the profile is not asked; a task of which nothing is known lasts an hour.
AHEAD_MAX_H, AHEAD_H = 12, 1.0


def latest_at(pool: Pool, claim: Claim, defer: Defer, now: float, by_s: float | None) -> float:
    """Until when such a request is put off at most.

    Args:
        pool: for which it waits.
        claim: what it asks for.
        defer: the settings.
        now: when it came.
        by_s: within that it must have started; None where it does not say.
    """
    lasts_s = _estimate(pool, claim).lasts_s or 0.0
    must_start_s = defer.max_s if by_s is None else by_s
    return now + max(0.0, must_start_s - SPARE_LASTS * lasts_s)


def enqueue(ledger: Ledger, governor: Governor, now: float, event: Acquire) -> None:
    """A new waiter at its place, put off if it can wait."""
    by_s, until = event.by_s, None
    if event.defer:
        pool, defer = ledger.pools[event.claim.pool], governor.throttle.defer
        until = latest_at(pool, event.claim, defer, now, by_s)
        by_s = None  # it says no more than that
    queueing.enqueue(
        ledger,
        now,
        event.claim,
        event.caller,
        queueing.shorter(event.wait_s, by_s),
        by_s=by_s,
        resumes=event.resumes,
        deferred_until=until,
    )


def end(ledger: Ledger, waiter: Waiter) -> None:
    """From now on this one waits like any other."""
    ledger.replace_waiter(waiter, replace(waiter, is_deferred=False))
    ledger.persist(Undeferred(waiter.ticket))


class Calm:
    """Since when the machine has been idle (inf: it is not), and when one was last let go."""

    def __init__(self) -> None:
        self.since_at = inf
        self.let_go_at = -inf
        self._seen_at = -inf

    def forget(self) -> None:
        """The machine slept, which is no rest."""
        self.since_at = inf

    def take(self, sample: Sample, defer: Defer, gap_s: float) -> None:
        """One sample; where the CPU is not known it is not idle."""
        cpu_pct, at = sample.cpu_used_pct, sample.at
        if cpu_pct is None or cpu_pct > defer.idle_cpu_pct:
            self.since_at = inf
        elif self.since_at == inf or at - self._seen_at > gap_s:
            self.since_at = at
        self._seen_at = at


def look(ledger: Ledger, governor: Governor, calm: Calm, event: Sampled) -> None:
    """Lets go one of those who are put off, if the load is low by this sample, unless it is old."""
    if event.sample is not governor.sample:
        return
    local_h, throttle = event.local_h, governor.throttle
    calm.take(event.sample, throttle.defer, throttle.patience.gap_s)
    for pool in ledger.pools.values():
        if pool.order.has_deferred and (waiter := _candidate(pool, governor, calm, local_h)):
            calm.let_go_at = event.sample.at
            end(ledger, waiter)


def _candidate(pool: Pool, governor: Governor, calm: Calm, local_h: float | None) -> Waiter | None:
    """The first for which the load is low; None while anybody waits who is not put off."""
    if pool.paused_until is not None:
        return None
    kept = pool.kept()
    is_passed_over = pool.passes_over(kept)
    found = None
    for waiter in pool.turns(kept):
        if not is_passed_over(waiter):
            return None
        if found is not None or not waiter.is_deferred or waiter.is_away:
            continue
        if pool.has_room(waiter) and is_low(pool, waiter.claim, governor, calm, local_h):
            found = waiter
    return found


def is_low(pool: Pool, claim: Claim, governor: Governor, calm: Calm, local_h: float | None) -> bool:
    """Whether the load is low enough for a task like this, by the last sample."""
    sample, throttle = governor.sample, governor.throttle
    if sample is None or sample.memory_used_pct is None or not sample.memory_total_bytes:
        return False
    if sample.at - calm.let_go_at < throttle.defer.idle_s:
        return False
    used_bytes = sample.memory_used_pct / 100 * sample.memory_total_bytes
    memory = Memory(sample.at, used_bytes, sample.memory_total_bytes, throttle.budget)
    estimate = _estimate(pool, claim)
    peak_bytes = estimate.peak_bytes or memory.peak_bytes * claim.weight
    unshown_bytes = memory.unshown_bytes(pool.leases.values())
    if used_bytes + unshown_bytes + peak_bytes > memory.ceiling_bytes:
        return False
    profile = governor.forecasts.profiles.get(MEMORY)
    standing = profile.standing() if profile is not None and local_h is not None else None
    if profile is not None and local_h is not None and standing and standing.is_proven:
        height_pct = _height_pct(profile, local_h, estimate.lasts_s)
        return height_pct / 100 * sample.memory_total_bytes + peak_bytes <= memory.ceiling_bytes
    return sample.at - calm.since_at >= throttle.defer.idle_s


def _height_pct(profile: Profile, local_h: float, lasts_s: float | None) -> float:
    """What is usual at the height of the hours in which it would run; inf of one not known."""
    hours = AHEAD_H if lasts_s is None else min(lasts_s / 3600, AHEAD_MAX_H)
    numbers = range(floor(local_h), max(floor(local_h) + 1, ceil(local_h + hours)))
    usual = [profile.usual.get(number % HOURS) for number in numbers]
    return max(inf if one is None else one.p90_pct for one in usual)


UNKNOWN = Estimate(0.0, 0.0, 0.0)


def _estimate(pool: Pool, claim: Claim) -> Estimate:
    found = pool.expects(claim) if pool.expects else None
    return UNKNOWN if found is None else found
