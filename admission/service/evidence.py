"""What a process shows to who looks closer: the mark in its environment, its age, its memory."""

import os
import sys
import time
from collections.abc import Mapping

import psutil

from admission.service.holders import identify, owner_uid
from admission.service.orphans import Mark
from admission.service.sensors.processes import LinuxPass, Pass, Process, Processes, PsutilPass
from admission.service.traces import ENVIRON_BYTES_MAX, MARK, SOCKET, lease_of, parse_environ

TICKS_PER_S = os.sysconf("SC_CLK_TCK") if sys.platform == "linux" else 1_000_000


def now_ticks() -> int:
    """The present, as a process's start is counted; see `holders.Stat`."""
    if sys.platform == "linux":
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * TICKS_PER_S)
    return round(time.time() * TICKS_PER_S)


def age_s(start_ticks: int) -> float:
    """For how many seconds a process that started then has run."""
    return max(now_ticks() - start_ticks, 0) / TICKS_PER_S


def mark_in(environ: Mapping[bytes, bytes]) -> Mark | None:
    """The mark in these variables. A socket that is named from a folder is named by an empty
    text: the process may have left that folder, so nobody can tell which one is meant.
    """
    lease, socket = lease_of(environ.get(MARK, b"")), os.fsdecode(environ.get(SOCKET, b""))
    if lease is None:
        return None
    if not socket:
        return Mark(lease)
    return Mark(lease, os.path.realpath(socket) if os.path.isabs(socket) else "")


def parse_pss(text: str) -> int | None:
    """The proportional share in /proc/PID/smaps_rollup, in bytes."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "Pss:" and words[1].isdigit():
            return int(words[1]) * 1024
    return None


class Probe:
    """Reads what there is to read of a process; None where it has ended or hides it."""

    def __init__(self, proc: str = "/proc", platform: str = sys.platform) -> None:
        self._proc = proc
        self._has_proc = platform == "linux"
        self._pass: Pass = LinuxPass(proc) if self._has_proc else PsutilPass()

    def rows(self) -> Processes:
        return self._pass.rows()

    def mark(self, pid: int) -> Mark | None:
        try:
            if not self._has_proc:
                found = psutil.Process(pid).environ().items()
                return mark_in({os.fsencode(name): os.fsencode(value) for name, value in found})
            with open(f"{self._proc}/{pid}/environ", "rb") as file:
                environ = file.read(ENVIRON_BYTES_MAX)
            return mark_in(parse_environ(environ)) if MARK in environ else None
        except (OSError, psutil.Error):
            return None

    def pss_bytes(self, pid: int) -> int | None:
        if not self._has_proc:
            return None
        try:
            with open(f"{self._proc}/{pid}/smaps_rollup", encoding="ascii") as file:
                return parse_pss(file.read())
        except (OSError, UnicodeDecodeError):
            return None

    def uid(self, pid: int) -> int | None:
        return owner_uid(pid)

    def lives(self, process: Process) -> bool:
        """Whether it is still there, and no later one of its number."""
        return identify(process.pid) == process.holder
