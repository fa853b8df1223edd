"""One look at all leases: what each one's tree takes, and whom the kernel has ended. For one thread
at a time; it may block, as a file of a process that is stuck in the kernel does.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from admission.core.estimates import Reading
from admission.core.leases import Holder, Lease
from admission.service.measuring.belonging import shares_of
from admission.service.measuring.costs import Costs, costs_of_this_machine
from admission.service.measuring.killing import events_count, killed_count, victims
from admission.service.measuring.tallies import Tally, Used
from admission.service.measuring.weighing import Allowance, Weighing
from admission.service.sensors.processes import Look, Process
from admission.service.traces import Traces, traces_of_this_machine


@dataclass(frozen=True, slots=True)
class Findings:
    """What one look showed. `cost_s`: the CPU time that it took."""

    at: float
    readings: tuple[Reading, ...] = ()
    out_of_memory: frozenset[int] = frozenset()
    cost_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Subject:
    """What a look is about.

    Attributes:
        look: the table of processes.
        leases: those that are there.
        seen: what was seen below each lease's holder.
        groups: the cgroup that is a lease's own.
    """

    look: Look
    leases: tuple[Lease, ...]
    seen: Mapping[int, frozenset[Holder]]
    groups: Mapping[int, str]


class Scales:
    """See the module.

    Args:
        socket: where the daemon listens, so that another daemon's mark is told from its own.
        share: of one core, what may be spent on asking for what single processes take.
        costs: what a process takes.
        traces: what it carries.
        killed: how many the kernel has ended for want of memory.
    """

    def __init__(
        self,
        socket: Path | None = None,
        *,
        share: float = 0.005,
        costs: Costs | None = None,
        traces: Traces | None = None,
        killed: Callable[[], int | None] = killed_count,
    ) -> None:
        self._costs = costs or costs_of_this_machine()
        self._traces = traces or traces_of_this_machine(socket)
        self._killed = killed
        self.allowance = Allowance(share)
        self._weighing = Weighing(self._costs, self.allowance)
        self._cpu, self._io = Tally(), Tally()
        # What the environment of a process says; it is read once for each program that it is.
        self._marks: dict[int, tuple[int, str, int | None]] = {}
        self._io_used: dict[int, Used] = {}
        self._before: Look | None = None
        self._shares: dict[int, dict[int, float]] = {}
        self._kills: int | None = None
        self._events: dict[int, int] = {}

    def look(self, subject: Subject) -> Findings:
        """What there is to be said now.

        Raises:
            OSError: no descriptor is left to look by.
        """
        begun_s = time.thread_time()
        look, processes = subject.look, subject.look.processes
        killed = self._killed_leases(subject)
        shares: dict[int, dict[int, float]] = {}
        if subject.leases:
            marked, gathered = self._marked_in(subject), self._gathered(subject)
            shares = shares_of(processes, subject.leases, subject.seen, marked, gathered)
        else:
            self._marks = {}
        self._before, self._shares = look, shares
        readings = self._readings(subject, shares)
        return Findings(look.at, readings, killed, time.thread_time() - begun_s)

    def _readings(
        self, subject: Subject, shares: dict[int, dict[int, float]]
    ) -> tuple[Reading, ...]:
        processes = subject.look.processes
        numbers = frozenset(lease.id for lease in subject.leases)
        self.allowance.accrue()
        trees: dict[int, list[int]] = {}
        for pid, mine in shares.items():
            for number in mine:
                trees.setdefault(number, []).append(pid)
        memory = self._weighing.weigh(subject.look.at, processes, trees)
        if self.allowance.is_left:
            self.allowance.spend(lambda: self._read_io(shares))
        cpu = {pid: _cpu(processes[pid]) for pid in shares}
        io = {pid: self._io_used[pid] for pid in shares if pid in self._io_used}
        self._cpu.take(processes, cpu, shares, numbers)
        self._io.take(processes, io, shares, numbers)
        return tuple(
            Reading(
                number,
                round(memory[number] * _mean([shares[pid][number] for pid in pids])),
                self._cpu.totals[number],
                round(self._io.totals[number]),
                len(pids),
            )
            for number, pids in sorted(trees.items())
        )

    def _read_io(self, shares: dict[int, dict[int, float]]) -> None:
        # All of it stands as a parent's share: what an ended child had comes once more with it.
        found = ((pid, self._costs.io_bytes(pid)) for pid in shares)
        self._io_used = {pid: Used(0.0, size) for pid, size in found if size is not None}

    # --- whose a process is -----------------------------------------------------------------------

    def _marked_in(self, subject: Subject) -> Callable[[int], int | None]:
        processes, before = subject.look.processes, self._marks
        marks = self._marks = {}

        def marked(pid: int) -> int | None:
            row = processes[pid]
            if not row.rss_bytes:
                return None  # a thread of the kernel
            had = before.get(pid)
            if had is None or had[:2] != (row.start_ticks, row.name):
                had = (row.start_ticks, row.name, self._traces.lease_of(pid))
            marks[pid] = had
            return had[2]

        return marked

    def _gathered(self, subject: Subject) -> dict[int, frozenset[int]]:
        return {number: self._traces.members(group) for number, group in subject.groups.items()}

    # --- whom the kernel has ended ----------------------------------------------------------------

    def _killed_leases(self, subject: Subject) -> frozenset[int]:
        if not (self._shares or subject.leases):
            self._kills = None  # counted anew from the next lease on
            return frozenset()
        before, self._kills = self._kills, self._killed()
        found = self._killed_in_groups(subject)
        if before is None or self._kills is None or self._kills <= before or not self._before:
            return found
        processes = subject.look.processes
        kills = self._kills - before
        return found | victims(self._before.processes, processes, self._shares, kills)

    def _killed_in_groups(self, subject: Subject) -> frozenset[int]:
        """By the cgroups that are a lease's own, where these count."""
        counts = {
            number: count
            for number, group in subject.groups.items()
            if (count := events_count(group)) is not None
        }
        before, self._events = self._events, counts
        return frozenset(one for one, count in counts.items() if count > before.get(one, count))


def _cpu(process: Process) -> Used:
    return Used(process.cpu_s - process.reaped_s, process.reaped_s)


def _mean(shares: list[float]) -> float:
    return sum(shares) / len(shares)
