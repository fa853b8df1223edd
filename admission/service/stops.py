"""The record of who was stopped, and what has them all go on again, whatever became of the daemon.

The daemon writes to the record before it stops anybody. It is read by the daemon itself, by the
next one as it starts, by `admission doctor`, and by the guardian: this file run as a program, in a
process beside the daemon for as long as somebody stands still. When the daemon dies, or does not
say within a while that all go on, the guardian has them go on and ends.

So it imports nothing but the standard library's smallest part: it starts in a hundredth of a
second, without site-packages, and Linux is all that it knows.
"""

import os
import select
import signal
import sys

# The guardian waits for no longer than this, although nobody is stopped for as long.
PATIENCE_S = 30.0
READY, DONE = b"r", b"d"
CGROUP = "cgroup"
FREEZE_FILE = "cgroup.freeze"

# A process by its PID and its start time in kernel ticks since boot.
Process = tuple[int, int]


def line_of(pid: int, start_ticks: int) -> str:
    """How the record names a process."""
    return f"{pid} {start_ticks}\n"


def line_of_group(folder: str) -> str:
    """How it names a frozen cgroup."""
    return f"{CGROUP} {folder}\n"


def go_on(record: str) -> int:
    """Has everybody in the record go on, the last one first; gives how many did. What is torn, or
    names a process that is gone, is passed over.
    """
    done = 0
    for line in reversed(record.splitlines()):
        first, _, rest = line.partition(" ")
        if first == CGROUP:
            done += thaw_group(rest)
        elif first.isdigit() and rest.isdigit():
            done += send(int(first), int(rest), signal.SIGCONT)
    return done


def send(pid: int, start_ticks: int, number: int) -> bool:
    """A signal to this very process; False where it is gone, or may not be sent one."""
    if sys.platform != "linux":
        return False
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        # Opened by number: only now that it is open can be told whose it is.
        if _start_ticks(pid) != start_ticks:
            return False
        signal.pidfd_send_signal(pidfd, number)
        return True
    except OSError:
        return False
    finally:
        os.close(pidfd)


def freeze_group(folder: str) -> bool:
    """Stops all in this cgroup at once; False where that may not be done."""
    return _write_group(folder, "1")


def thaw_group(folder: str) -> bool:
    """Has them go on; likewise."""
    return _write_group(folder, "0")


def _write_group(folder: str, word: str) -> bool:
    try:
        file = os.open(f"{folder}/{FREEZE_FILE}", os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.write(file, word.encode()) == len(word)
    except OSError:
        return False
    finally:
        os.close(file)


def _start_ticks(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The command stands in brackets and may hold brackets and spaces itself.
            return int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def guard(record: int, patience_s: float = PATIENCE_S) -> None:
    """The guardian: waits for the daemon's word, or its end.

    Args:
        record: the descriptor of the record, which is read when it is needed.
        patience_s: without a word for so long, it is taken for dead.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are meant for the daemon
    os.write(1, READY)
    is_told = select.select([0], [], [], patience_s)[0]
    if is_told and os.read(0, 1) == DONE:
        return
    os.lseek(record, 0, os.SEEK_SET)
    read = b""
    while more := os.read(record, 1 << 16):
        read += more
    go_on(read.decode("utf-8", "replace"))
    os.ftruncate(record, 0)  # done: whoever comes later need not do it again


if __name__ == "__main__":
    guard(int(sys.argv[1]))
