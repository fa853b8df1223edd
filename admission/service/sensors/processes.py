"""All processes in one cheap pass: who is whose child, what it is, and what it takes.

What costs, the executable and the command line, is read once for each process and once more when
it has become another program.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import psutil

from admission.core.leases import Holder
from admission.service.sensors.kinds import OTHER, Kind, kind_of
from admission.service.sensors.source import Nonsense, one_line

T = TypeVar("T")

NAME_CHARS_MAX = 64
STAT_BYTES_MAX = 4096
# What a kind is judged by stands at the beginning; some command lines are megabytes long.
COMMAND_BYTES_MAX = 4096


class Process(NamedTuple):
    """One row. `cpu_s` counts that of its children that have ended and were reaped as well:
    compilers and tests come and go between two looks (not on macOS, which does not tell). Of it,
    `reaped_s` is theirs. `rss_bytes` counts what it shares with others in full. `is_stopped`: by a
    signal or a terminal; a debugger's business is its own.
    """

    pid: int
    parent: int
    start_ticks: int
    name: str
    kind: Kind
    rss_bytes: int
    cpu_s: float
    is_stopped: bool = False
    reaped_s: float = 0.0

    @property
    def holder(self) -> Holder:
        return Holder(self.pid, self.start_ticks)


Processes = Mapping[int, Process]


@dataclass(frozen=True, slots=True)
class Look:
    """All processes by PID, but for those that have ended, and when that was, in seconds."""

    at: float
    processes: Processes


class Pass(Protocol):
    """Goes over all processes."""

    def rows(self) -> dict[int, Process]:
        """By PID. Raises where there is no list, or no descriptor to read it by."""


class _Known(NamedTuple):
    """What was read of a process, and what it was then; another mark is another program."""

    mark: tuple[object, ...]
    name: str
    kind: Kind


class LinuxPass:
    """By /proc/PID/stat. About 12 microseconds for each process that is known already."""

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._known: dict[int, _Known] = {}
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")

    def rows(self) -> dict[int, Process]:
        known: dict[int, _Known] = {}
        rows: dict[int, Process] = {}
        for name in os.listdir(self._proc):
            if name.isdigit() and (line := _bytes_of(f"{self._proc}/{name}/stat", STAT_BYTES_MAX)):
                pid = int(name)
                row = self._row(pid, line, known)
                if row is not None:
                    rows[pid] = row
        self._known = known
        return rows

    def _row(self, pid: int, line: bytes, known: dict[int, _Known]) -> Process | None:
        """None for a zombie, which has ended and only waits to be noticed.

        The command stands in brackets and may hold brackets, blanks and newlines itself, so fields
        are counted from the last one: field 3 (state) is 0.
        """
        begin, end = line.find(b"("), line.rfind(b")")
        rest = line[end + 2 :].split()
        if not (0 < begin < end and len(rest) > 21):
            raise Nonsense(f"the line of process {pid} reads {line[:80]!r}")
        if rest[0] in b"ZX":
            return None
        # Start time tells it from an earlier process of this PID. A program that replaces it has
        # another name, or where that is the same, its command line elsewhere (field 48): its place
        # is random. Others' places read as 0.
        mark = (rest[19], line[begin + 1 : end], *rest[45:46])
        one = self._known.get(pid)
        if one is None or one.mark != mark:
            comm = mark[1].decode("utf-8", "replace")
            # A thread of the kernel (no address space) runs no file.
            kind = OTHER if rest[20] == b"0" else self._kind(pid)
            one = _Known(mark, one_line(comm, NAME_CHARS_MAX), kind)
        known[pid] = one
        reaped_ticks = int(rest[13]) + int(rest[14])
        used_ticks = int(rest[11]) + int(rest[12]) + reaped_ticks
        return Process(
            pid,
            int(rest[1]),
            int(rest[19]),
            one.name,
            one.kind,
            int(rest[21]) * self._page_bytes,
            used_ticks / self._ticks_per_s,
            rest[0] == b"T",
            reaped_ticks / self._ticks_per_s,
        )

    def _kind(self, pid: int) -> Kind:
        try:
            executable = os.readlink(f"{self._proc}/{pid}/exe")
        except OSError:
            executable = ""  # another user's, or it has just ended
        command = _bytes_of(f"{self._proc}/{pid}/cmdline", COMMAND_BYTES_MAX)
        words = command.decode("utf-8", "replace").rstrip("\0").split("\0") if command else []
        return kind_of(executable, words)


def _bytes_of(path: str, bytes_max: int) -> bytes:
    """The beginning of a file; nothing where its process has ended or hides it."""
    try:
        file = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, PermissionError):
        return b""
    try:
        return os.read(file, bytes_max)
    except (ProcessLookupError, PermissionError):
        return b""
    finally:
        os.close(file)


class PsutilPass:
    """Where there is no /proc."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def rows(self) -> dict[int, Process]:
        known: dict[int, _Known] = {}
        rows: dict[int, Process] = {}
        fields = ["ppid", "name", "create_time", "memory_info", "cpu_times", "status"]
        for process in psutil.process_iter(fields):
            has = process.info
            if has["status"] == psutil.STATUS_ZOMBIE or has["create_time"] is None:
                continue
            mark = (has["create_time"], has["name"])
            one = self._known.get(process.pid)
            if one is None or one.mark != mark:
                name = one_line(has["name"] or "", NAME_CHARS_MAX)
                one = _Known(mark, name, _kind_by_psutil(process))
            known[process.pid] = one
            memory, times = has["memory_info"], has["cpu_times"]
            rows[process.pid] = Process(
                process.pid,
                has["ppid"] or 0,
                round(has["create_time"] * 1e6),
                one.name,
                one.kind,
                memory.rss if memory else 0,
                times.user + times.system if times else 0.0,
                has["status"] == psutil.STATUS_STOPPED,
            )
        self._known = known
        return rows


def _kind_by_psutil(process: psutil.Process) -> Kind:
    executable = _allowed(process.exe) or ""
    return kind_of(executable, _allowed(process.cmdline) or [])


def _allowed(read: Callable[[], T]) -> T | None:
    """What psutil says; None where the process has ended or is none of ours."""
    try:
        return read()
    except (psutil.Error, OSError):
        return None
