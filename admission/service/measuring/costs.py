"""What one process takes, beyond what the table of processes says: its share of the memory that it
has in common with others, and its reads and writes.
"""

import ctypes
import os
import sys
from typing import Protocol

import psutil

from admission.service.evidence import parse_pss

# A line for each kind of memory; about 30 of them.
ROLLUP_BYTES_MAX = 8192
IO_BYTES_MAX = 1024
# The first of macOS's `rusage_info` with `ri_phys_footprint` and, from the second on, disk I/O.
RUSAGE_INFO_V2 = 2


class Costs(Protocol):
    """Each is None where the process has ended or hides it; all of it may block for a while."""

    def memory_bytes(self, pid: int) -> int | None:
        """What it takes of the memory; what it shares with others counts in part."""

    def io_bytes(self, pid: int) -> int | None:
        """What it has read from and written to disks so far, with what its children had that have
        ended and were waited for.
        """


def costs_of_this_machine(platform: str = sys.platform) -> Costs:
    if platform == "linux":
        return LinuxCosts()
    return MacCosts() if platform == "darwin" else PsutilCosts()


class LinuxCosts:
    """By /proc."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc

    def memory_bytes(self, pid: int) -> int | None:
        text = _text_of(f"{self._proc}/{pid}/smaps_rollup", ROLLUP_BYTES_MAX)
        return None if text is None else parse_pss(text)

    def io_bytes(self, pid: int) -> int | None:
        text = _text_of(f"{self._proc}/{pid}/io", IO_BYTES_MAX)
        return None if text is None else parse_io(text)


def parse_io(text: str) -> int | None:
    """Bytes that went from and to disks, in /proc/PID/io; None where it does not say both."""
    found = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    read, written = found.get("read_bytes", ""), found.get("write_bytes", "")
    if not (read.isascii() and read.isdigit() and written.isascii() and written.isdigit()):
        return None
    return int(read) + int(written)


def _text_of(path: str, bytes_max: int) -> str | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # ended, another user's, or no descriptor left: then nothing is known of it
        return None
    try:
        return os.read(file, bytes_max).decode("ascii", "replace")
    except OSError:
        return None
    finally:
        os.close(file)


class RusageInfo(ctypes.Structure):
    """`struct rusage_info_v2` of <sys/resource.h>."""

    _fields_ = (
        ("ri_uuid", ctypes.c_uint8 * 16),
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("ri_user_time", "ri_system_time", "ri_pkg_idle_wkups", "ri_interrupt_wkups"),
                *("ri_pageins", "ri_wired_size", "ri_resident_size", "ri_phys_footprint"),
                *("ri_proc_start_abstime", "ri_proc_exit_abstime", "ri_child_user_time"),
                *("ri_child_system_time", "ri_child_pkg_idle_wkups", "ri_child_interrupt_wkups"),
                *("ri_child_pageins", "ri_child_elapsed_abstime"),
                *("ri_diskio_bytesread", "ri_diskio_byteswritten"),
            )
        ),
    )


def parse_rusage(raw: bytes) -> tuple[int, int]:
    """The footprint, and the bytes from and to disks. Too short a one reads as zeros."""
    info = RusageInfo.from_buffer_copy(raw.ljust(ctypes.sizeof(RusageInfo), b"\0"))
    return info.ri_phys_footprint, info.ri_diskio_bytesread + info.ri_diskio_byteswritten


class MacCosts:
    """By `proc_pid_rusage`: the footprint is what macOS itself ends processes by."""

    def memory_bytes(self, pid: int) -> int | None:
        raw = self._rusage(pid)
        return None if raw is None else parse_rusage(raw)[0]

    def io_bytes(self, pid: int) -> int | None:
        raw = self._rusage(pid)
        return None if raw is None else parse_rusage(raw)[1]

    def _rusage(self, pid: int) -> bytes | None:
        room = ctypes.create_string_buffer(ctypes.sizeof(RusageInfo))
        try:
            call = ctypes.CDLL(None).proc_pid_rusage
        except AttributeError:  # a system that has none
            return None
        return None if call(ctypes.c_int(pid), RUSAGE_INFO_V2, room) else room.raw


class PsutilCosts:
    """What psutil has for every system: the memory of its own, where it knows that."""

    def memory_bytes(self, pid: int) -> int | None:
        try:
            return getattr(psutil.Process(pid).memory_full_info(), "uss", None)
        except (psutil.Error, OSError):
            return None

    def io_bytes(self, pid: int) -> int | None:
        return None
