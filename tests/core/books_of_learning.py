"""What must be learnt of the leases that end: all looks at each are kept, and added up at the end.

It is told of at the step in which the lease ends, and again where it is heard later that something
of it was killed.
"""

from collections.abc import Iterable
from dataclasses import replace

from admission.core import events as ev
from admission.core.estimates import Ended, Learnt, Measured, OutOfMemory, Reading, Run
from admission.core.leases import Lease, Reason


class Lessons:
    """See the module. `leases`: those of agents that were looked at, as they were then."""

    def __init__(self) -> None:
        self.leases: dict[int, Lease] = {}
        self.looks: dict[int, list[tuple[float, Reading]]] = {}
        self.killed: set[int] = set()
        self.runs: dict[int, Run] = {}
        self.expected: list[Learnt] = []

    def follow(self, leases: Iterable[Lease], event: ev.Event) -> None:
        """Before anything of this step is seen. `leases`: all that there were."""
        self.expected = []
        if isinstance(event, Measured):
            there = {one.id: one for one in leases if one.claim.pool == "agents"}
            for reading in event.readings:
                looks = self.looks.setdefault(reading.lease, [])
                is_old = bool(looks) and looks[-1][0] > event.at
                if reading.lease in there and not is_old:
                    self.leases[reading.lease] = there[reading.lease]
                    looks.append((event.at, reading))
        elif isinstance(event, OutOfMemory):
            if event.lease in self.leases:
                self.killed.add(event.lease)
            elif event.lease in self.runs:
                self._correct(event.lease)

    def _correct(self, number: int) -> None:
        run = self.runs[number]
        if run.ended != Ended.OUT_OF_MEMORY:
            self.runs[number] = replace(run, ended=Ended.OUT_OF_MEMORY)
            self.expected.append(Learnt(number, self.runs[number]))

    def check(self, now: float, effects: list[ev.Effect]) -> None:
        """After the step."""
        for effect in effects:
            record = effect.record if isinstance(effect, ev.Persist) else None
            if isinstance(record, ev.Ended) and record.lease in self.leases:
                lease = self.leases.pop(record.lease)
                self.runs[lease.id] = self._run(now, lease, record.reason)
                self.expected.append(Learnt(lease.id, self.runs[lease.id]))
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
