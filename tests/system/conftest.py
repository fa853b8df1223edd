"""Real processes, real sockets, real signals. Tests wait for events, within a generous limit."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from tests.system.forge import Forge
from tests.system.stage import Stage

LIMIT_S = 60


class TookTooLong(BaseException):
    """Nobody catches it on its way, as somebody might a TimeoutError."""


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """A test that hangs fails, and says where. Nothing is measured by it."""

    def end(_: int, __: FrameType | None) -> None:
        raise TookTooLong(f"the test did not end within {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True, scope="session")
def forge() -> Iterator[None]:
    """Where the daemons come from; it ends with the tests."""
    yield
    Forge.of_this_process().end()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="adm-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture
def empty_stage(folder: Path) -> Iterator[Stage]:
    """No daemon yet."""
    with Stage(folder) as stage:
        yield stage


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    """A daemon serves."""
    empty_stage.serve()
    return empty_stage
