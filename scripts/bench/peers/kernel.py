"""What the kernel itself offers: no server, no queue that is fair, and nobody to ask who holds."""

import fcntl
import multiprocessing
import os
from pathlib import Path

UNITS = 1000


class FileLock:
    """flock(2), of a file that stays open."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        os.close(self._descriptor)

    def pair(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)


class TokenPipe:
    """GNU make's jobserver: a byte of a FIFO is the right to run a job."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path, 0o600)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        os.write(self._descriptor, b"+" * UNITS)

    def close(self) -> None:
        os.close(self._descriptor)

    def pair(self) -> None:
        os.write(self._descriptor, os.read(self._descriptor, 1))


class PosixSemaphore:
    """sem_open(3), as multiprocessing has it. Who is killed keeps what it had."""

    def __init__(self) -> None:
        # To be inherited by a fork, so it has no name that would stay, and nobody to tidy up.
        self._semaphore = multiprocessing.get_context("fork").Semaphore(UNITS)

    def pair(self) -> None:
        self._semaphore.acquire()
        self._semaphore.release()
