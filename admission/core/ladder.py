"""Which rung of the ladder is used, and on whom: decided at each sample.

Nobody is stopped or asked to end who is interactive, nor the last one that runs. At most one holder
stands still at a time, for a few seconds, and not again for minutes. Of those that can be parked
the youngest of the lowest class goes, which loses least; at most one in a while, and each is asked
once. What is done to a lease stands in the lease, and so in the journal.
"""

from collections import deque
from dataclasses import dataclass, replace
from math import inf

from admission.core import shedding
from admission.core.budget import BUDGETED
from admission.core.governor import Governor
from admission.core.leases import Class, Lease
from admission.core.ledger import Ledger
from admission.core.sample import Sample
from admission.core.shedding import ADVISE, FREEZE, PARK, Rung, Shed

ACTS_KEPT = 20


@dataclass(frozen=True, slots=True)
class Act:
    """What was done last, for people. `lease`: None for advice."""

    at: float
    rung: Rung
    lease: int | None
    reason: str


class Ladder:
    """See the module."""

    def __init__(self) -> None:
        # Why advice is given; None where none is.
        self.advice: str | None = None
        self.acts: deque[Act] = deque(maxlen=ACTS_KEPT)
        self._asked_at = -inf

    def begin_anew(self, ledger: Ledger, now: float) -> None:
        """After a restart whoever was stopped goes on, and nobody is asked to end just yet."""
        self._asked_at = now
        for lease in _frozen(ledger):
            _thaw(ledger, lease)

    def next_at(self, ledger: Ledger, governor: Governor) -> float:
        """When the next one that stands still is to go on; inf where none does."""
        if not ledger.frozen:
            return inf
        most_s = governor.throttle.shed.freeze_max_s
        return min([lease.frozen_at for lease in _frozen(ledger)]) + most_s

    def keep_up(
        self, ledger: Ledger, governor: Governor, now: float, sample: Sample | None
    ) -> None:
        """What follows from a step, before anybody is granted anything in it.

        Args:
            ledger: whose leases, and whose effects.
            governor: by whose settings.
            now: seconds on the clock of the events.
            sample: the step's, if it had one.
        """
        if sample is not None and sample is not governor.sample:
            sample = None  # older than the last one
        throttle = governor.throttle
        is_used = throttle.is_on and not governor.is_off_by_hand
        shed = throttle.shed if is_used else replace(throttle.shed, policy=())
        if ledger.frozen:
            self._thaw_some(ledger, shed, now, sample)
        if sample is None:
            return
        self._advise(ledger, shed, now, sample.memory_used_pct)
        if shed.policy and ledger.journal_works and BUDGETED in ledger.pools:
            self._park(ledger, shed, now, sample.memory_used_pct)
            self._freeze(ledger, shed, now, sample.cpu_stall_pct)

    # --- advise -----------------------------------------------------------------------------------

    def _advise(self, ledger: Ledger, shed: Shed, now: float, used_pct: float | None) -> None:
        if ADVISE not in shed.policy:
            self._end_advice(ledger)
        elif used_pct is None:
            return  # what is not known changes nothing
        elif used_pct < shed.advise_pct - shed.advise_margin_pct:
            self._end_advice(ledger)
        elif used_pct >= shed.advise_pct and self.advice is None:
            self.advice = f"memory {used_pct:.0f} % is at or above {shed.advise_pct:g} %"
            self._note(now, ADVISE, None, self.advice)
            ledger.effects.append(shedding.Advised(1, self.advice))

    def _end_advice(self, ledger: Ledger) -> None:
        if self.advice is not None:
            self.advice = None
            ledger.effects.append(shedding.Advised(0, ""))

    # --- park -------------------------------------------------------------------------------------

    def _park(self, ledger: Ledger, shed: Shed, now: float, used_pct: float | None) -> None:
        if PARK not in shed.policy or used_pct is None or used_pct < shed.park_pct:
            return
        if now < self._asked_at + shed.park_every_s:
            return
        victim = _youngest_of_lowest([one for one in _sheddable(ledger) if one.claim.parkable])
        if victim is None:
            return
        self._asked_at = now
        if victim.is_frozen:
            victim = _thaw(ledger, victim)  # it could not hear of it
        reason = f"memory {used_pct:.0f} % is at or above {shed.park_pct:g} %"
        victim = replace(victim, is_parking=True)
        ledger.put_lease(victim)
        ledger.persist(shedding.Parking(victim.id))
        ledger.effects.append(shedding.Park(victim, reason))
        self._note(now, PARK, victim.id, reason)

    # --- freeze -----------------------------------------------------------------------------------

    def _freeze(self, ledger: Ledger, shed: Shed, now: float, stall_pct: float | None) -> None:
        bound_pct = shed.freeze_cpu_stall_pct
        if FREEZE not in shed.policy or stall_pct is None or stall_pct < bound_pct:
            return
        if ledger.frozen:
            return
        victim = _youngest_of_lowest(
            [
                one
                for one in _sheddable(ledger)
                if one.claim.rank is not Class.CRITICAL
                and now >= one.frozen_at + shed.freeze_rest_s
                # Who stands still can't renew it, nor take it up again.
                and one.due_at > now + shed.freeze_max_s
            ]
        )
        if victim is None:
            return
        reason = f"tasks wait for a CPU {stall_pct:.0f} % of the time, {bound_pct:g} % is much"
        victim = replace(victim, is_frozen=True, frozen_at=now)
        ledger.put_lease(victim)
        ledger.frozen.add(victim.id)
        # The last of the step but for grants: what can't be written is not done.
        ledger.persist(shedding.Frozen(victim.id, now))
        ledger.effects.append(shedding.Freeze(victim, reason))
        self._note(now, FREEZE, victim.id, reason)

    def _thaw_some(self, ledger: Ledger, shed: Shed, now: float, sample: Sample | None) -> None:
        is_over = FREEZE not in shed.policy or (sample is not None and _is_calm(shed, sample))
        for lease in _frozen(ledger):
            is_due = now >= lease.frozen_at + shed.freeze_max_s
            if is_over or is_due or not _has_company(ledger, lease):
                _thaw(ledger, lease)

    def _note(self, now: float, rung: Rung, lease: int | None, reason: str) -> None:
        self.acts.append(Act(now, rung, lease, reason))


def _is_calm(shed: Shed, sample: Sample) -> bool:
    """Whether nothing speaks for standing still any longer: what is not known does not."""
    stall_pct = sample.cpu_stall_pct
    return stall_pct is None or stall_pct < shed.freeze_cpu_stall_pct - shed.freeze_margin_pct


def _frozen(ledger: Ledger) -> list[Lease]:
    found = [ledger.lease(number) for number in sorted(ledger.frozen)]
    return [lease for lease in found if lease is not None]


def _sheddable(ledger: Ledger) -> list[Lease]:
    """Whoever may be stopped or asked to end at all."""
    return [
        one
        for one in ledger.pools[BUDGETED].leases.values()
        if one.is_out and not one.claim.interactive and not one.is_parking
        if _has_company(ledger, one)
    ]


def _youngest_of_lowest(leases: list[Lease]) -> Lease | None:
    return max(leases, key=lambda one: (one.claim.rank, one.id), default=None)


def _has_company(ledger: Ledger, lease: Lease) -> bool:
    """Whether another one of the pool runs, and will go on running."""
    return any(
        one.is_out and not one.is_frozen and not one.is_parking and one.id != lease.id
        for one in ledger.pools[lease.claim.pool].leases.values()
    )


def _thaw(ledger: Ledger, lease: Lease) -> Lease:
    """It goes on, and only then is that written: a daemon that dies in between does it again."""
    ledger.effects.append(shedding.Thaw(lease))
    thawed = replace(lease, is_frozen=False)
    ledger.put_lease(thawed)
    ledger.frozen.discard(lease.id)
    ledger.persist(shedding.Thawed(lease.id))
    return thawed
