"""The TypeScript client, by its own tests, where Node is on the machine.

All of it is one test, so that it is built once however many workers pytest has.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "clients" / "typescript"
INSTALLED = PACKAGE / "node_modules" / ".package-lock.json"
NODE_MAJOR_MIN = 20
LIMIT_S = 300


@pytest.fixture(autouse=True)
def limit() -> None:
    """In place of that of the other clients: npm may have to install first."""


def node_is_missing() -> str | None:
    """Why these tests can't run here."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "Node is not on this machine: the TypeScript client is not tested"
    found = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    major = found.stdout.removeprefix("v").partition(".")[0]
    if int(major) < NODE_MAJOR_MIN:
        return f"Node {major} is too old: the TypeScript client needs {NODE_MAJOR_MIN}"
    return None


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else installs or builds in that folder meanwhile."""
    folder = os.open(PACKAGE, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def npm(*words: str) -> None:
    """Runs npm there; fails with all that it said."""
    process = subprocess.Popen(
        ["npm", *words],
        cwd=PACKAGE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHON": sys.executable, "NO_COLOR": "1"},
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=LIMIT_S)
    finally:
        # Also what a test left behind that was killed: no daemon outlives them.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == 0, f"npm {' '.join(words)}:\n{said}"


def is_stale() -> bool:
    """Whether the lock file changed since npm last installed what it says."""
    lock = PACKAGE / "package-lock.json"
    return not INSTALLED.exists() or INSTALLED.stat().st_mtime < lock.stat().st_mtime


def test_no_host_is_named_by_the_lock_file() -> None:
    assert '"resolved"' not in (PACKAGE / "package-lock.json").read_text(encoding="utf-8")


def test_the_typescript_client_is_built_and_its_tests_pass() -> None:
    if missing := node_is_missing():
        pytest.skip(missing)
    with alone():
        if is_stale():
            npm("ci", "--no-audit", "--no-fund", "--ignore-scripts")
            INSTALLED.touch()
        npm("run", "build")
        npm("test")
