"""What the machine says: one reading at a time, each source failing for itself alone.

A source that is missing, denied or says what can't be is None in the sample, with a line in
`failed` that names it; one that this kind of machine does not have is None and no failure. Nothing
here decides anything.

The fast part, memory, CPU and pressure, takes half a millisecond. The pass over all processes takes
some twelve microseconds for each, so it is made less often and its counts stay until the next one.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace

from admission.core.leases import Holder
from admission.core.sample import Sample
from admission.service.sensors.belonging import Counts, count
from admission.service.sensors.cgroup import Groups
from admission.service.sensors.cpu import Cpu, LinuxCpu, PsutilCpu, Quota
from admission.service.sensors.macos import MacMemory
from admission.service.sensors.memory import LinuxMemory, Memory, PsutilMemory, Room
from admission.service.sensors.pressure import Stalls
from admission.service.sensors.processes import LinuxPass, Look, Pass, PsutilPass
from admission.service.sensors.source import Failures

PROCESSES_INTERVAL_S = 10.0


class Sensors:
    """Reads all sources of this machine.

    What is said of an interval needs the reading before, which is kept here: so one reader at a
    time, but any thread.

    Attributes:
        looks: the processes as of the last pass and as of the one before it, for `top`; None where
            there was none, or it failed. One value, as whoever reads it is on another thread.
        is_close: each reading goes over the processes. So it is to be while somebody wants to know
            later who was whose child, which the kernel forgets when the parent exits.
        wanted_every_s: a reading goes over them where the last pass is older than this.
    """

    def __init__(
        self,
        proc: str = "/proc",
        *,
        platform: str = sys.platform,
        clock: Callable[[], float] = time.monotonic,
        processes_interval_s: float = PROCESSES_INTERVAL_S,
    ) -> None:
        """`clock`: seconds, for what is measured between two readings. It is read as late as the
        counters are, which may be long after whoever asked did.
        """
        self.looks: tuple[Look | None, Look | None] = (None, None)
        self.is_close = False
        self.wanted_every_s = processes_interval_s
        self._memory: Memory
        self._cpu: Cpu
        self._pass: Pass
        self._stalls: Stalls | None = None
        if platform == "linux":
            groups = Groups(proc)
            self._memory = LinuxMemory(proc, groups)
            self._cpu = LinuxCpu(proc, groups, clock)
            self._stalls = Stalls(proc, groups, clock)
            self._pass = LinuxPass(proc)
        else:
            self._memory = MacMemory() if platform == "darwin" else PsutilMemory()
            self._cpu = PsutilCpu()
            self._pass = PsutilPass()
        self._clock = clock
        self._interval_s = processes_interval_s
        self._passed_at: float | None = None
        self._counts: Counts | None = None
        self._pass_failed: tuple[str, ...] = ()

    def read(self, now: float, holders: frozenset[Holder] = frozenset()) -> Sample:
        """The fast part, and a pass over the processes if the last one is old.

        Args:
            now: seconds on the clock of the events.
            holders: who has a lease; what they started is not foreign.
        """
        if self._is_due():
            self.read_processes(holders)
        return self.read_fast(now)

    def _is_due(self) -> bool:
        if self.is_close or self._passed_at is None:
            return True
        return self._clock() - self._passed_at >= min(self.wanted_every_s, self._interval_s)

    def read_fast(self, now: float) -> Sample:
        """Memory, CPU and pressure as of now, and the counts of the last pass."""
        failures = Failures()
        sample = self._with_memory(Sample(now), failures)
        sample = self._with_cpu(sample, failures)
        if self._stalls is not None:
            sample = self._with_stalls(sample, self._stalls, failures)
        if self._counts is not None:
            sample = replace(
                sample,
                claude_processes=self._counts.claude_processes,
                node_processes=self._counts.node_processes,
                foreign_agents=self._counts.foreign_agents,
            )
        return replace(sample, failed=(*failures.lines, *self._pass_failed))

    def read_processes(self, holders: frozenset[Holder]) -> Look | None:
        """Goes over all processes; None where that fails, which the next sample says."""
        failures = Failures()
        self._passed_at = self._clock()
        rows = failures.attempt("processes", self._pass.rows)
        look = None if rows is None else Look(self._passed_at, rows)
        self.looks = (look, self.looks[0])
        self._counts = None if look is None else count(look.processes, holders)
        self._pass_failed = tuple(failures.lines)
        return look

    def _with_memory(self, sample: Sample, failures: Failures) -> Sample:
        """Used is the worst of the machine and all limits; the rest is of whichever has least
        left.
        """
        memory = self._memory
        rooms: list[Room] = []
        if machine := failures.attempt("memory", memory.machine):
            limits = failures.attempt("memory limit", lambda: memory.limits(machine))
            rooms = [machine, *(limits or ())]
        tightest = min(rooms, key=lambda one: one.available_bytes, default=None)
        return replace(
            sample,
            memory_used_pct=max((one.used_pct for one in rooms), default=None),
            memory_total_bytes=tightest.total_bytes if tightest else None,
            memory_available_bytes=tightest.available_bytes if tightest else None,
            swap_used_pct=failures.attempt("swap", memory.swap_used_pct),
            memory_pressure=failures.attempt("memory pressure level", memory.pressure),
        )

    def _with_cpu(self, sample: Sample, failures: Failures) -> Sample:
        """Used is the worse of the machine's share and the quota's."""
        cpu = self._cpu
        machine_pct = failures.attempt("CPU", cpu.used_pct)
        quota: Quota | None = failures.attempt("CPU limit", cpu.quota)
        count = failures.attempt("CPU count", cpu.count)
        legs = [machine_pct, quota.used_pct if quota else None]
        cpus = [float(count) if count else None, quota.cpus if quota else None]
        return replace(
            sample,
            cpu_used_pct=max((one for one in legs if one is not None), default=None),
            cpus=min((one for one in cpus if one is not None), default=None),
            load_1min=failures.attempt("load", cpu.load_1min),
        )

    def _with_stalls(self, sample: Sample, stalls: Stalls, failures: Failures) -> Sample:
        return replace(
            sample,
            cpu_stall_pct=failures.attempt("CPU pressure", lambda: stalls.pct("cpu")),
            memory_stall_pct=failures.attempt("memory pressure", lambda: stalls.pct("memory")),
            io_stall_pct=failures.attempt("I/O pressure", lambda: stalls.pct("io")),
        )
