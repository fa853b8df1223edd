"""Who a process is, and when it ends.

A process is known by its PID and its start time in kernel ticks since boot: a PID alone is another
process's within seconds. Its end is an event: a pidfd on Linux, kqueue on macOS, and a look once a
second where there is neither.
"""

import logging
import os
import select
import sys
from dataclasses import dataclass
from typing import Protocol

import psutil
import trio

from admission.core.leases import UNSEEN, Holder

POLL_INTERVAL_S = 1.0
ANCESTORS_MAX = 64

log = logging.getLogger(__name__)


class Gone(Exception):
    """The process is not there, or its PID is another's by now."""


@dataclass(frozen=True, slots=True)
class Stat:
    """What we need of one process's line in the process table."""

    parent: int
    start_ticks: int
    is_stopped: bool = False


def parse_stat(text: str) -> Stat | None:
    """Reads /proc/PID/stat; None for a zombie, which has ended and only waits to be noticed.

    The command stands in brackets and may hold brackets and spaces itself, so fields are counted
    from the last one.
    """
    fields = text[text.rindex(")") + 2 :].split()
    # From here field 3 (state) is 0, field 4 (parent) is 1, field 22 (start time) is 19.
    if fields[0] in "ZX":
        return None
    return Stat(int(fields[1]), int(fields[19]), fields[0] == "T")


def _stat(pid: int) -> Stat | None:
    if sys.platform == "linux":
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                return parse_stat(file.read())
        except (FileNotFoundError, ProcessLookupError):
            return None
    try:
        process = psutil.Process(pid)
        status = process.status()
        if status == psutil.STATUS_ZOMBIE:
            return None
        start_ticks = round(process.create_time() * 1e6)
        return Stat(process.ppid(), start_ticks, status == psutil.STATUS_STOPPED)
    except psutil.Error:
        return None


def identify(pid: int) -> Holder | None:
    """The process that has this PID now; None where there is none.

    Raises:
        OSError: it can't be told, as no file descriptor is left. That is not "gone".
    """
    stat = _stat(pid) if pid > 0 else None
    return None if stat is None else Holder(pid, stat.start_ticks)


def is_living(holder: Holder) -> bool:
    """Whether this very process is there; of one that can't be seen, nobody knows otherwise."""
    return holder == UNSEEN or identify(holder.pid) == holder


def is_stopped(holder: Holder) -> bool:
    """Whether this very process is stopped, by a signal or from a terminal.

    Raises:
        OSError: it can't be told.
    """
    stat = _stat(holder.pid) if holder.pid > 0 else None
    return stat is not None and stat.start_ticks == holder.start_ticks and stat.is_stopped


def ancestors(pid: int) -> tuple[Holder, ...]:
    """The process with this PID and those above it, nearest first."""
    line: list[Holder] = []
    while pid > 0 and len(line) < ANCESTORS_MAX:
        stat = _stat(pid)
        if stat is None:
            break
        line.append(Holder(pid, stat.start_ticks))
        pid = stat.parent
    return tuple(line)


def owner_uid(pid: int) -> int | None:
    """Whose process this is; None where it is gone."""
    try:
        return psutil.Process(pid).uids().real
    except psutil.Error:
        return None


def describe(pid: int) -> str:
    """Where a process comes from, for a person: its program and the folder it works in.

    One short line that can be sent, whatever the process calls itself.
    """
    if pid == UNSEEN.pid:
        return "another PID namespace"
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            words = process.cmdline()[:1] or [process.name()]
            folder = process.cwd()
    except (psutil.Error, OSError):
        return ""
    home = os.path.expanduser("~")
    if folder == home or folder.startswith(home + "/"):
        folder = "~" + folder[len(home) :]
    return f"{_shown(os.path.basename(words[0]), 50)} in {_shown(folder, 140)}"


def _shown(text: str, chars_max: int) -> str:
    """The text without what a terminal or a frame can't take, and no longer than this."""
    cut = text if len(text) <= chars_max else f"{text[: chars_max - 1]}…"
    return "".join(char if char.isprintable() else "?" for char in cut)


def numbers_below(pid: int) -> tuple[int, ...]:
    """The numbers that a process has in the PID namespaces below ours, the outermost first; none
    where it lives in ours.

    By /proc/PID/status, which everybody may read, and not by /proc/PID/ns, which of another user's
    process only root may.
    """
    if sys.platform != "linux":
        return ()
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return parse_numbers(file.read())
    except (FileNotFoundError, ProcessLookupError):
        return ()


def parse_numbers(status: str) -> tuple[int, ...]:
    """The line `NSpid:` of /proc/PID/status, less its first number, which is ours."""
    found = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
    return tuple(int(number) for number in found.split()[2:])


class Exit(Protocol):
    """The end of one process, to be waited for."""

    async def wait(self) -> None:
        """Returns when the process has ended."""

    def close(self) -> None:
        """Lets go of whatever it took to wait."""


if sys.platform == "linux":

    class PidfdExit:
        """By pidfd (Linux). Readable as soon as the process has ended, reaped or not."""

        def __init__(self, holder: Holder) -> None:
            try:
                self._pidfd = os.pidfd_open(holder.pid)
            except ProcessLookupError:
                raise Gone from None
            try:
                # Opened by number, so it may be another's: only now that it is open can that be
                # told, if there is a descriptor left to tell it by.
                if identify(holder.pid) != holder:
                    raise Gone
            except BaseException:
                os.close(self._pidfd)
                raise

        async def wait(self) -> None:
            await trio.lowlevel.wait_readable(self._pidfd)

        def close(self) -> None:
            os.close(self._pidfd)


if sys.platform == "darwin":

    class KqueueExit:
        """By kqueue (macOS). A queue of its own for each, which is readable when it has news."""

        def __init__(self, holder: Holder) -> None:
            self._queue = select.kqueue()
            event = select.kevent(
                holder.pid,
                select.KQ_FILTER_PROC,
                select.KQ_EV_ADD | select.KQ_EV_ONESHOT,
                select.KQ_NOTE_EXIT,
            )
            try:
                self._queue.control([event], 0)
                if identify(holder.pid) != holder:
                    raise Gone
            except ProcessLookupError:
                self._queue.close()
                raise Gone from None
            except BaseException:
                self._queue.close()
                raise

        async def wait(self) -> None:
            await trio.lowlevel.wait_readable(self._queue.fileno())

        def close(self) -> None:
            self._queue.close()


class PollingExit:
    """By looking once a second, where the kernel offers nothing better."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder

    async def wait(self) -> None:
        while self._is_there():  # noqa: ASYNC110 -- there is no event to wait for
            await trio.sleep(POLL_INTERVAL_S)

    def _is_there(self) -> bool:
        try:
            return identify(self._holder.pid) == self._holder
        except OSError:
            return True  # out of descriptors: not known to be gone

    def close(self) -> None:
        pass


class NoExit:
    """Of a process that can't be seen: it never comes."""

    async def wait(self) -> None:
        await trio.sleep_forever()

    def close(self) -> None:
        pass


def exit_of(holder: Holder) -> Exit:
    """The best way to wait for this process's end that the machine has just now.

    Raises:
        Gone: it has ended already.
    """
    if holder == UNSEEN:
        return NoExit()
    try:
        if sys.platform == "darwin":
            return KqueueExit(holder)
        if sys.platform == "linux":
            return PidfdExit(holder)
    except OSError as problem:
        log.warning("process %d is watched by polling: %s", holder.pid, problem)
    return PollingExit(holder)
