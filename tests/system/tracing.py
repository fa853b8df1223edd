"""Has the system calls of a daemon fail, or be its last, by `strace`."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.stage import Stage


def strace(*options: str, log: str = os.devnull, threads: bool = True) -> list[str]:
    """The command, without a word but to `log`; skips the test where there is none."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace on this machine")
    return ["strace", *(["-f"] if threads else []), "-q", "-o", log, *options]


@contextmanager
def traced(
    stage: Stage, *options: str, log: str = os.devnull, threads: bool = True
) -> "Iterator[subprocess.Popen[bytes]]":
    """While this lasts, the stage's daemon is traced with these options, with all its threads or
    the event loop's alone. Skips the test where that is forbidden.
    """
    words = strace(*options, "-p", str(stage.daemon_pid), log=log, threads=threads)
    with subprocess.Popen(words, stderr=subprocess.PIPE) as tracer:
        try:
            while not _is_traced(Path(f"/proc/{stage.daemon_pid}"), threads):
                if tracer.poll() is not None and tracer.stderr is not None:
                    pytest.skip(f"nothing can be traced: {tracer.stderr.read().decode()}")
            yield tracer
        finally:
            tracer.terminate()


def _is_traced(process: Path, threads: bool) -> bool:
    """Whether all its threads are, or the first; or it has ended by what was injected."""
    try:
        tasks = (process / "task").iterdir() if threads else [process]
        states = [(task / "status").read_text() for task in tasks]
    except (FileNotFoundError, ProcessLookupError):  # a thread, or all
        return not process.exists()
    return all("TracerPid:\t0\n" not in state or "State:\tZ" in state for state in states)
