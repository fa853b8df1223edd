"""Has the system calls of a daemon fail, or be its last, by `strace`."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.stage import Stage


def strace(*options: str) -> list[str]:
    """The command, with all threads and without a word; skips the test where there is none."""
    if shutil.which("strace") is None:
        pytest.skip("there is no strace on this machine")
    return ["strace", "-f", "-q", "-o", os.devnull, *options]


@contextmanager
def traced(stage: Stage, *options: str) -> "Iterator[subprocess.Popen[bytes]]":
    """While this lasts, the stage's daemon is traced with these options. Skips the test where
    that is forbidden.
    """
    words = strace(*options, "-p", str(stage.daemon_pid))
    with subprocess.Popen(words, stderr=subprocess.PIPE) as tracer:
        try:
            while not _is_traced(Path(f"/proc/{stage.daemon_pid}")):
                if tracer.poll() is not None and tracer.stderr is not None:
                    pytest.skip(f"nothing can be traced: {tracer.stderr.read().decode()}")
            yield tracer
        finally:
            tracer.terminate()


def _is_traced(process: Path) -> bool:
    """Whether all its threads are, or it has ended by what was injected."""
    try:
        states = [(task / "status").read_text() for task in (process / "task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):  # a thread, or all
        return not process.exists()
    return all("TracerPid:\t0\n" not in state or "State:\tZ" in state for state in states)
