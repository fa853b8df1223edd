"""Stops all that a lease's holder runs, and has it go on again. Linux only; it blocks.

Nobody is stopped before he stands in the record (`service.stops`), nor before the guardian is there
who has him go on if the daemon dies.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from admission.core.leases import UNSEEN, Holder, Lease
from admission.service import stops
from admission.service.holders import owner_uid
from admission.service.sensors.belonging import nearest
from admission.service.sensors.processes import Process, Processes
from admission.service.traces import Traces

# Whoever starts processes faster than they can be stopped is left running.
ROUNDS_MAX = 10
READY_S = 5.0


class CantStop(Exception):
    """Nobody is stopped; the message says why."""


class Standstill:
    """One tree that stands still, from `begin` to `end`.

    Args:
        lease: whose.
        record: where to write who is stopped.
        traces: what the machine says.
    """

    def __init__(self, lease: Lease, record: Path, traces: Traces) -> None:
        self._lease = lease
        self._path = record
        self._traces = traces
        self._record = -1
        self._written = ""
        self._guardian: subprocess.Popen[bytes] | None = None

    def begin(self, seen: Iterable[Holder], others: Iterable[Holder], group: str | None) -> int:
        """Stops the tree, those first who start others; gives how many there are.

        Args:
            seen: what was seen below the holder so far, wherever it stands by now.
            others: the holders of the pool's other leases, which are left alone with all below.
            group: a cgroup that is the holder's own, if there is one.

        Raises:
            CantStop: nobody is.
        """
        if sys.platform != "linux":
            raise CantStop("it can be done on Linux only")
        tree = self._tree(seen, others)
        _refuse_risks(tree, self._lease)
        try:
            self._prepare()
            if group is not None and self._stop_group(group, tree):
                return len(tree)
            return self._stop_all(tree, seen, others)
        except BaseException as problem:
            self.end()  # whatever it was, nobody is left stopped by it
            if isinstance(problem, OSError):
                raise CantStop(str(problem)) from None
            raise

    def end(self) -> None:
        """Has all go on, the last one first, and lets go of the record and the guardian."""
        stops.go_on(self._written)
        self._written = ""
        if self._record >= 0:
            with suppress(OSError):
                os.ftruncate(self._record, 0)
            os.close(self._record)
            self._record = -1
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        if self._guardian is not None:
            guardian, self._guardian = self._guardian, None
            assert guardian.stdin is not None
            assert guardian.stdout is not None
            with suppress(OSError), guardian.stdin:
                guardian.stdin.write(stops.DONE)
                guardian.stdin.flush()
            guardian.stdout.close()
            with suppress(subprocess.TimeoutExpired):
                guardian.wait(1.0)

    # --- who --------------------------------------------------------------------------------------

    def _tree(self, seen: Iterable[Holder], others: Iterable[Holder]) -> list[Process]:
        processes = self._traces.processes()
        own, foreign = [*self._lease.holders, *seen], {*others}
        marks = {one.pid: True for one in own if _is_there(processes, one)}
        marks |= {one.pid: False for one in foreign if _is_there(processes, one)}
        below = [processes[pid] for pid, is_ours in nearest(processes, marks).items() if is_ours]
        # Who was started first has started the others.
        return sorted(below, key=lambda one: (one.start_ticks, one.pid))

    # --- how --------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._path.unlink(missing_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._record = os.open(self._path, flags, 0o600)
        command = [sys.executable, "-I", "-S", stops.__file__, str(self._record)]
        self._guardian = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(self._record,),
            start_new_session=True,
            cwd="/",
            bufsize=0,
        )
        assert self._guardian.stdout is not None
        said = self._guardian.stdout.fileno()
        if not select.select([said], [], [], READY_S)[0] or os.read(said, 1) != stops.READY:
            raise CantStop("its guardian did not start")

    def _write(self, lines: str) -> None:
        if os.write(self._record, lines.encode()) != len(lines.encode()):
            raise CantStop(f"{self._path} can't be written")
        self._written += lines

    def _stop_group(self, group: str, tree: list[Process]) -> bool:
        """All at once by the kernel, where the group holds nobody else."""
        if not self._traces.members(group) <= {one.pid for one in tree}:
            return False
        self._write(stops.line_of_group(group))
        return stops.freeze_group(group)

    def _stop_all(
        self, tree: list[Process], seen: Iterable[Holder], others: Iterable[Holder]
    ) -> int:
        met: set[Holder] = set()
        for _ in range(ROUNDS_MAX):
            new = [one for one in tree if one.holder not in met]
            if not new:
                return len(met)
            met |= {one.holder for one in new}
            able = [one for one in new if not one.is_stopped and self._is_the_users(one)]
            self._write("".join(stops.line_of(one.pid, one.start_ticks) for one in able))
            for one in able:
                stops.send(one.pid, one.start_ticks, signal.SIGSTOP)
            tree = self._tree(seen, others)
        raise CantStop("it starts processes faster than they can be stopped")

    def _is_the_users(self, one: Process) -> bool:
        return owner_uid(one.pid) == self._lease.claim.uid


def _refuse_risks(tree: list[Process], lease: Lease) -> None:
    """Raises CantStop where stopping this tree could do harm, or would do nothing."""
    pids = {one.pid for one in tree}
    if UNSEEN in lease.holders or not pids & {one.pid for one in lease.holders}:
        raise CantStop("its holder is gone, or can't be seen from here")
    if os.getpid() in pids:
        raise CantStop("the daemon runs below it")
    for pid in pids:
        if _has_terminal(pid):
            raise CantStop(f"process {pid} is in the foreground of a terminal")


def _has_terminal(pid: int) -> bool:
    """Whether a person sits before this process just now."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return False
    # Field 5 of the line is the process group, 7 the terminal, 8 the group in its foreground.
    group, terminal, foreground = fields[2], fields[4], fields[5]
    return terminal != "0" and group == foreground


def _is_there(processes: Processes, holder: Holder) -> bool:
    row = processes.get(holder.pid)
    return row is not None and row.holder == holder


def read_record(path: Path) -> str:
    """What an earlier daemon left written; empty where it left nobody stopped."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return ""
    with open(file, encoding="utf-8", errors="replace") as record:
        return record.read()


def release_all(path: Path) -> int:
    """Has all go on whom an earlier daemon left stopped; gives how many. The record is then gone.

    Raises:
        OSError: it can't be removed.
    """
    done = stops.go_on(read_record(path))
    path.unlink(missing_ok=True)
    return done
