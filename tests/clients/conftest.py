"""What every test of the clients starts from: nobody's environment, and a limit of time."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from anyio.from_thread import start_blocking_portal

from admission_client.waiting import READER_VARIABLES
from tests.clients.commands import Caller
from tests.clients.daemons import Daemon
from tests.clients.fronts import Async, Blocking, Front

LIMIT_S = 30
OURS = ("ADMISSION_", "NO_COLOR", "WVO_")


class TookTooLong(AssertionError):
    """No OSError, or a client that waits would take it for its own time-out."""


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """A test that hangs fails, and says where. Nothing is measured by it."""

    def end(_: int, __: FrameType | None) -> None:
        raise TookTooLong(f"the test did not end within {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S, LIMIT_S / 10)  # again, if it hangs in a `finally`
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of whoever runs the tests counts, and no test finds that person's daemon."""
    for name in list(os.environ):
        if name.startswith(OURS) or name in READER_VARIABLES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("ADMISSION_AUTOSTART", "0")
    monkeypatch.setenv("ADMISSION_SOCKET", "/nonexistent/admission.sock")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TERM", "xterm")


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """SIGINT means Ctrl-C, here and in what is started here. It is ignored where pytest runs in
    the background of a shell, and in pytest's own workers.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Caller:
    """Calls commands."""
    return Caller(capsys)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a Unix socket, which pytest's own is not."""
    with tempfile.TemporaryDirectory(prefix="adm", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture(scope="session")
def one_daemon() -> Iterator[Daemon]:
    """The one that all tests share, as starting one takes longer than most of them."""
    with tempfile.TemporaryDirectory(prefix="adm", dir="/tmp") as made:
        daemon = Daemon(Path(made))
        yield daemon
        daemon.end()
        assert "Traceback" not in "".join(daemon.said), "".join(daemon.said)


@pytest.fixture
def daemon(one_daemon: Daemon) -> Iterator[Daemon]:
    """A daemon that serves, with nothing out, at level 0. A test that kills it need not start it
    again, but what it holds must be given back.
    """
    one_daemon.start()
    one_daemon.ask("level", set=0)
    yield one_daemon
    try:
        one_daemon.start()
        one_daemon.wait_until(one_daemon.is_idle)
    except BaseException:
        one_daemon.forget()
        raise


@pytest.fixture(params=["blocking", "trio", "asyncio"])
def front(request: pytest.FixtureRequest) -> Iterator[Front]:
    """Each client in turn."""
    if request.param == "blocking":
        yield Blocking()
        return
    with start_blocking_portal(backend=request.param) as portal:
        try:
            yield Async(portal)
        finally:
            portal.call(portal.stop, True)
