"""Real child processes for tests that need one; they are killed when the test ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import psutil

from admission.core.leases import Holder
from admission.service.holders import identify

SLEEP = which("sleep") or "/bin/sleep"
Child = subprocess.Popen[bytes]


@contextmanager
def child(
    *argv: str | bytes,
    program: str | bytes | Path = SLEEP,
    cwd: str | bytes | None = None,
    pass_fds: tuple[int, ...] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Child]:
    """A process that runs until it is killed, unless it is given other words."""
    with subprocess.Popen(
        argv or ("sleep", "60"),
        executable=program,
        cwd=cwd,
        pass_fds=pass_fds,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def python(code: str, *, pass_fds: tuple[int, ...] = ()) -> Iterator[Child]:
    """A child that runs this code; without site packages it starts in a few milliseconds."""
    words = (sys.executable, "-I", "-S", "-c", code)
    with child(*words, program=sys.executable, pass_fds=pass_fds) as process:
        yield process


def holder_of(process: Child) -> Holder:
    holder = identify(process.pid)
    assert holder is not None
    return holder


def end(process: Child, *, reap: bool) -> None:
    """Kills it, and returns when it has ended: gone where it was reaped, else a zombie."""
    os.kill(process.pid, signal.SIGKILL)
    wait_for_end(process, reap=reap)


def wait_for_end(process: Child, *, reap: bool) -> None:
    """Returns when it has ended by itself; see `end`."""
    if reap:
        process.wait()
        return
    while psutil.Process(process.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.001)


def open_descriptors() -> int:
    return len(os.listdir("/dev/fd"))
