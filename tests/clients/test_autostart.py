"""A daemon is started where none runs: once, for whoever needs it, and for longer than that."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from threading import Event

import pytest

from admission.protocol import Unreachable
from admission_client import Client, aio, autostart, lease
from admission_client.blocking import connect
from tests.clients.daemons import CONFIG, Daemon, end_detached
from tests.clients.fronts import Front, Holder, holding


@pytest.fixture
def path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where no daemon is, and one may be started; it is ended with the test."""
    config = folder / "config.toml"
    config.write_text(CONFIG)
    monkeypatch.setenv("ADMISSION_CONFIG", str(config))
    monkeypatch.delenv("ADMISSION_AUTOSTART")
    path = folder / "a.sock"
    yield str(path)
    if path.exists():
        end_detached(str(path))
    log = path.with_suffix(".log")
    assert not log.exists() or "Traceback" not in log.read_text()


def test_five_first_clients_at_once_start_one_daemon_and_each_gets_its_lease(path: str) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(Holder(lease(socket=path))) for _ in range(5)]
        found = {client.lease.result().id for client in clients}
    assert found == {1, 2, 3, 4, 5}
    said = Path(path).with_suffix(".log").read_text()
    assert said.count(" serving ") == 1


def test_the_daemon_outlives_the_client_that_started_it(front: Front, path: str) -> None:
    with front.lease("one", path) as granted:
        pass
    with Client(path) as client:
        found = client.ask("status")
    assert (found["granted"], found["ended"]) == (granted.id, 1)
    assert found["pid"] != os.getpid()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="Linux shows it")
def test_the_daemon_runs_under_no_lease(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMISSION_LEASE", "4711")
    monkeypatch.setenv("ADMISSION_KEPT", "yes")
    with lease("one", socket=path), Client(path) as client:
        pid = client.ask("status")["pid"]
    environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
    assert "ADMISSION_KEPT=yes" in environment
    assert "ADMISSION_LEASE=4711" not in environment


def test_where_another_is_about_to_serve_it_is_waited_for(
    path: str, daemon_there: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon takes the lock before it listens: whoever is second must not give up between."""
    has_tried = Event()
    tries = count()

    def connect_and_tell(path: str) -> object:
        if next(tries):  # the first try comes before it starts one itself
            has_tried.set()
        return connect(path)

    monkeypatch.setattr(autostart, "connect", connect_and_tell)
    lock = open(Path(path).with_suffix(".lock"), "w")  # noqa: SIM115 -- closed below
    fcntl.flock(lock, fcntl.LOCK_EX)
    with Holder(lease(socket=path)) as client:
        has_tried.wait()
        lock.close()
        daemon_there.start()
        assert client.lease.result().id == 1


@pytest.fixture
def daemon_there(folder: Path) -> Iterator[Daemon]:
    """A daemon that the test starts at that path itself."""
    daemon = Daemon(folder)
    yield daemon
    daemon.end()


def test_of_many_who_lost_the_same_daemon_one_starts_another(
    path: str, daemon_there: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = autostart._start
    started: list[str] = []

    def note(path: str) -> object:
        started.append(path)
        return starts(path)

    monkeypatch.setattr(autostart, "_start", note)
    tasks = [str(number) for number in range(8)]
    with holding(lease("one", socket=path)) as first, ExitStack() as stack:
        waiters = []
        for number, task in enumerate(tasks):
            waiters.append(stack.enter_context(Holder(lease("one", socket=path, task=task))))
            daemon_there.wait_for_waiting(*tasks[: number + 1])
        end_detached(path)
        for waiter in (first, *waiters):
            waiter.lease.result()
            waiter.let_go()
    assert len(started) == 2


def test_a_daemon_that_is_told_to_end_as_soon_as_it_serves_is_followed_by_another(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever started it finds nobody: its second look is the first after that start."""
    looks = count(1)

    def connect_late(path: str) -> object:
        if next(looks) == 2:
            end_detached(path)
        return connect(path)

    monkeypatch.setattr(autostart, "connect", connect_late)
    with lease("one", socket=path) as granted:
        assert granted.id == 1
    assert next(looks) > 3


def test_a_start_that_takes_too_long_keeps_nobody_from_trying(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autostart, "PAUSES_S", (0.01,))
    folder = os.open(Path(path).parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with lease("one", socket=path) as granted:
        assert granted.id == 1
    os.close(folder)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio", "asyncio"])
async def test_one_that_was_started_and_ended_at_once_is_unreachable(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = socket.socketpair()
    other.close()
    monkeypatch.setattr(aio, "start_daemon", lambda _: mine)
    with pytest.raises(Unreachable, match=f"^no daemon answers at {path} "):
        await aio.lease(socket=path).__aenter__()


def test_why_none_could_be_started_is_told(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Path(path).with_name("config.toml")
    config.write_text("[pools]\none = {capacty = 1}\n")
    with pytest.raises(Unreachable) as problem:
        lease(socket=path).__enter__()
    assert str(problem.value).startswith(
        f"no daemon answers at {path}, and none could be started: {config}, [pools.one]: "
    )
    assert str(problem.value).isprintable()


def test_it_is_not_started_in_a_folder_that_others_may_enter(path: str) -> None:
    os.chmod(Path(path).parent, 0o755)
    with pytest.raises(Unreachable, match=r"none could be started: .* is open to other users"):
        lease(socket=path).__enter__()
    assert not Path(path).exists()
