"""What must be learnt of the leases that end: all looks at each are kept, and added up at the end.

It is told of at the step in which the lease ends, and again where it is heard later that something
of it was killed.
"""

from collections.abc import Iterable
from dataclasses import replace
from math import inf

from admission.core import events as ev
from admission.core.estimates import Ended, Learnt, Measured, OutOfMemory, Reading, Recalled, Run
from admission.core.governor import Governor
from admission.core.learning import Estimates
from admission.core.leases import Claim, Lease, Reason
from admission.core.sample import Sample


class Lessons:
    """See the module. `leases`: those of agents that were looked at, as they were then."""

    def __init__(self, governor: Governor) -> None:
        self.governor = governor
        # All that is known, in the order in which it ended: when, and of which lease if of one.
        self.history: list[tuple[float, int, Run]] = []
        self.now = -inf
        # What was in use without agents, at each sample by which that could be told.
        self.rests: list[float] = []
        self.leases: dict[int, Lease] = {}
        self.looks: dict[int, list[tuple[float, Reading]]] = {}
        self.killed: set[int] = set()
        self.runs: dict[int, Run] = {}
        self.expected: list[Learnt] = []

    # --- what follows from it ---------------------------------------------------------------------

    @property
    def has_a_say(self) -> bool:
        return self.governor.throttle.learning.is_on and bool(self.leases or self.history)

    def estimates(self) -> Estimates:
        """Made anew from all that is known."""
        estimates = Estimates(self.governor.throttle.learning)
        for _, _, run in self.history:
            estimates.learn(run)
        return estimates

    def pauses_until(self, uid: int, task: str) -> float:
        """Until when this user's task pauses."""
        learning = self.governor.throttle.learning
        mine = [
            (at, run.ended) for at, _, run in self.history if (run.uid, run.task) == (uid, task)
        ]
        in_a_row = 0
        for _, ended in mine:
            in_a_row += ended == Ended.OUT_OF_MEMORY
            in_a_row = 0 if ended == Ended.FINISHED else in_a_row
        over = in_a_row - learning.failures
        if not task or over < 0 or not learning.is_on:
            return -inf
        last_at = max(at for at, ended in mine if ended == Ended.OUT_OF_MEMORY)
        return last_at + min(learning.pause_s * 2.0**over, learning.pause_max_s)

    def pauses(self, claim: Claim) -> bool:
        is_ours = claim.pool == "agents"
        return is_ours and self.pauses_until(claim.uid, claim.task) > self.now

    def is_too_large(self, claim: Claim) -> bool:
        """Whether its runs say that it never fits, however little else runs."""
        learning, sample = self.governor.throttle.learning, self.governor.sample
        budgets = self.governor.throttle.is_on and self.governor.throttle.budget.is_on
        if not (claim.task and claim.pool == "agents" and self.rests and budgets):
            return False
        if sample is None or sample.memory_used_pct is None or not sample.memory_total_bytes:
            return False
        found = self.estimates().figures((claim.uid, claim.task))
        if found is None or found.runs < learning.sure_runs or not learning.is_on:
            return False
        return found.peak_bytes + min(self.rests) > sample.memory_total_bytes

    def due_next(self) -> float:
        until = [self.pauses_until(run.uid, run.task) for _, _, run in self.history]
        return min([at for at in until if at > self.now], default=inf)

    # --- the steps --------------------------------------------------------------------------------

    def follow(self, now: float, leases: Iterable[Lease], event: ev.Event) -> None:
        """Before anything of this step is seen. `leases`: all that there were."""
        self.expected = []
        self.now = now
        if isinstance(event, Recalled):
            self.history += [(-inf, 0, run) for run in event.runs]
        elif isinstance(event, Measured):
            there = {one.id: one for one in leases if one.claim.pool == "agents"}
            for reading in event.readings:
                looks = self.looks.setdefault(reading.lease, [])
                is_old = bool(looks) and looks[-1][0] > event.at
                if reading.lease in there and not is_old:
                    self.leases[reading.lease] = there[reading.lease]
                    looks.append((event.at, reading))
        elif isinstance(event, ev.Sampled):
            self._rest(event.sample, [one.id for one in leases if one.claim.pool == "agents"])
        elif isinstance(event, OutOfMemory):
            if event.lease in self.leases:
                self.killed.add(event.lease)
            elif event.lease in self.runs:
                self._correct(event.lease)

    def _rest(self, sample: Sample, numbers: list[int]) -> None:
        if sample.memory_used_pct is None or not sample.memory_total_bytes:
            return
        if set(numbers) <= self.leases.keys():
            taken = sum(self.looks[number][-1][1].memory_bytes for number in numbers)
            used = sample.memory_used_pct / 100 * sample.memory_total_bytes
            self.rests.append(max(0.0, used - taken))

    def _correct(self, number: int) -> None:
        run = self.runs[number]
        if run.ended != Ended.OUT_OF_MEMORY:
            self.runs[number] = replace(run, ended=Ended.OUT_OF_MEMORY)
            self.expected.append(Learnt(number, self.runs[number]))
            self.history = [
                (at, lease, self.runs[number] if lease == number else run)
                for at, lease, run in self.history
            ]

    def check(self, now: float, effects: list[ev.Effect]) -> None:
        """After the step."""
        for effect in effects:
            record = effect.record if isinstance(effect, ev.Persist) else None
            if isinstance(record, ev.Ended) and record.lease in self.leases:
                lease = self.leases.pop(record.lease)
                self.runs[lease.id] = self._run(now, lease, record.reason)
                self.expected.append(Learnt(lease.id, self.runs[lease.id]))
                self.history.append((now, lease.id, self.runs[lease.id]))
        learnt = [one for one in effects if isinstance(one, Learnt)]
        assert learnt == self.expected, f"learnt {learnt} and not {self.expected}"

    def _run(self, now: float, lease: Lease, reason: Reason) -> Run:
        looks = self.looks.pop(lease.id)
        ended = Ended.PARKED if reason == Reason.PARKED else Ended.FINISHED
        if lease.id in self.killed:
            ended = Ended.OUT_OF_MEMORY
        since = min(lease.granted_at, looks[0][0])
        until, last = looks[-1]
        mean, before = 0.0, since
        for at, reading in looks:
            mean += reading.memory_bytes * (at - before)
            before = at
        mean = mean / (until - since) if until > since else last.memory_bytes
        claim = lease.claim
        return Run(
            claim.task, claim.agent, claim.workspace, claim.uid, round(mean),
            max(reading.memory_bytes for _, reading in looks), last.cpu_s, now - since,
            last.io_bytes, max(reading.processes for _, reading in looks), ended,
        )  # fmt: skip
