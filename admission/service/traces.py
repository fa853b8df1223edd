"""What a process carries that tells who started it: the mark of a lease, its session, its cgroup.

A process that wants to hide can drop each of them; what is for honest ones that only wander off.
"""

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import psutil

from admission.service.sensors.cgroup import UNIFIED, Mount, folders, parse_mounts, parse_own
from admission.service.sensors.processes import LinuxPass, Pass, Processes, PsutilPass
from admission.service.sensors.source import Nonsense, text_of

# More than a kernel lets anybody be started with.
ENVIRON_BYTES_MAX = 8 << 20
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
MARK, SOCKET = b"ADMISSION_LEASE", b"ADMISSION_SOCKET"


class Traces(Protocol):
    """What the machine says of its processes. All of it may block for a while."""

    def processes(self) -> Processes:
        """All that live; zombies don't.

        Raises:
            OSError: there is no list, or no descriptor is left to read it by.
        """

    def births(self) -> int | None:
        """How many processes were started since boot; None where nobody counts."""

    def lease_of(self, pid: int) -> int | None:
        """The lease of this daemon's that the process is marked with, if it is this user's."""

    def session_of(self, pid: int) -> int | None:
        """The PID of its session's leader; None where it has ended."""

    def group_of(self, pid: int) -> str | None:
        """The folder of its cgroup; None where it is in none but the root."""

    def members(self, group: str) -> frozenset[int]:
        """The PIDs in a cgroup and in those below it; none where it is gone."""


def traces_of_this_machine(socket: Path | None) -> Traces:
    """`socket`: where this daemon listens; None where that is not known."""
    return LinuxTraces(socket) if sys.platform == "linux" else PsutilTraces(socket)


class LinuxTraces:
    """By /proc."""

    def __init__(self, socket: Path | None, proc: str = "/proc") -> None:
        self._socket = None if socket is None else os.path.realpath(socket)
        self._proc = proc
        self._pass: Pass = LinuxPass(proc)
        self._mount: Mount | None = None

    def processes(self) -> Processes:
        try:
            return self._pass.rows()
        except Nonsense as problem:
            raise OSError(f"the list of processes can't be read: {problem}") from None

    def births(self) -> int | None:
        for line in text_of(f"{self._proc}/stat").splitlines():
            name, _, count = line.partition(" ")
            if name == "processes" and count.isdigit():
                return int(count)
        return None

    def lease_of(self, pid: int) -> int | None:
        try:
            with open(f"{self._proc}/{pid}/environ", "rb") as file:
                # Root may read everybody's, and anybody can write what they like into their own.
                if os.fstat(file.fileno()).st_uid != os.getuid():
                    return None
                environ = file.read(ENVIRON_BYTES_MAX)
        except OSError as problem:
            if problem.errno in SCARCE:
                raise
            return None  # it has ended, hides it, or its memory can't be read
        if MARK not in environ:
            return None
        return lease_in(parse_environ(environ), self._socket, f"{self._proc}/{pid}/cwd")

    def session_of(self, pid: int) -> int | None:
        return _session_of(pid)

    def group_of(self, pid: int) -> str | None:
        try:
            if self._mount is None:
                mounts = parse_mounts(text_of(f"{self._proc}/self/mountinfo"))
                self._mount = mounts.get(UNIFIED)
            own = parse_own(text_of(f"{self._proc}/{pid}/cgroup")).get(UNIFIED)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return None
        if self._mount is None or own is None:
            return None
        nearest, *above = folders(own, self._mount)
        return nearest if above else None

    def members(self, group: str) -> frozenset[int]:
        return frozenset(_members(group))


def _members(group: str) -> Iterator[int]:
    for folder, _, _ in os.walk(group):
        try:
            listed = text_of(f"{folder}/cgroup.procs")
        except OSError:  # removed meanwhile, or it has none of its own (a threaded group)
            continue
        # One that is seen from outside its PID namespace has 0.
        yield from (int(pid) for pid in listed.split() if pid != "0")


class PsutilTraces:
    """Where there is no /proc. The session and the mark; nobody has cgroups there."""

    def __init__(self, socket: Path | None) -> None:
        self._socket = None if socket is None else os.path.realpath(socket)
        self._pass: Pass = PsutilPass()

    def processes(self) -> Processes:
        try:
            return self._pass.rows()
        except psutil.Error as problem:
            raise OSError(f"the list of processes can't be read: {problem}") from None

    def births(self) -> int | None:
        return None

    def lease_of(self, pid: int) -> int | None:
        try:
            process = psutil.Process(pid)
            if process.uids().real != os.getuid():
                return None
            environ = process.environ()
        except (psutil.Error, OSError):
            return None
        found = {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}
        return lease_in(found, self._socket, "")

    def session_of(self, pid: int) -> int | None:
        return _session_of(pid)

    def group_of(self, pid: int) -> str | None:
        return None

    def members(self, group: str) -> frozenset[int]:
        return frozenset()


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:  # gone; or another user's, where the system hides those
        return None


def parse_environ(data: bytes) -> dict[bytes, bytes]:
    """The variables in /proc/PID/environ; of two with one name the first counts, as for getenv."""
    found: dict[bytes, bytes] = {}
    for entry in data.split(b"\0"):
        name, is_set, value = entry.partition(b"=")
        if is_set:
            found.setdefault(name, value)
    return found


def lease_of(written: bytes) -> int | None:
    """The number that a mark has; None where it has none."""
    return int(written) if written.isdigit() and len(written) < 19 else None


def lease_in(environ: dict[bytes, bytes], socket: str | None, folder: str) -> int | None:
    """The lease that these variables name, unless it is another daemon's.

    Args:
        environ: the variables of a process.
        socket: where this daemon listens, without links; None where that is not known.
        folder: where the process works, for a socket that is named from there.
    """
    lease = lease_of(environ.get(MARK, b""))
    if lease is None:
        return None
    named = os.fsdecode(environ.get(SOCKET, b""))
    if named and socket is not None and os.path.realpath(os.path.join(folder, named)) != socket:
        return None
    return lease
