"""The whole daemon as a process, from its start to its end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from admission.core import events as ev
from admission.core.leases import Claim, Holder, Lease, Waiter
from admission.protocol import AlreadyServed, Frame, Frames, Unavailable, encode
from admission.service import serve
from admission.service.holders import identify

PATIENCE_S = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    return folder / "a.sock"


# --- who of the journal still lives --------------------------------------------------------------


def test_only_the_same_living_process_is_living() -> None:
    me = identify(os.getpid())
    assert me is not None
    before, gone = Holder(me.pid, me.start_ticks - 1), Holder(2**31 - 1, 1)
    records: list[ev.Record] = [
        ev.Granted(Lease(1, Claim(before), 1, 0.0)),
        ev.Granted(Lease(2, Claim(gone), 2, 0.0)),
        ev.Queued(Waiter(3, Claim(me), None, 0.0)),
        ev.Left(9, "timeout"),
    ]
    assert serve._living(records) == {me}


# --- the whole daemon ---------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not those of whoever runs the tests."""
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))


CODE = "import sys; from admission.service.serve import run; run(sys.argv[1], detach={})"


@contextmanager
def daemon(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A daemon in a process of its own, once it serves."""
    words = [sys.executable, "-c", CODE.format(False), str(path)]
    environment = {**os.environ, "ADMISSION_LOG": ""}
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert f"serving {path} (process {process.pid})" in line, line
            yield process
        finally:
            process.kill()


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE_S)
        sock.connect(str(path))
        yield sock


def ask(sock: socket.socket, op: str, **fields: object) -> Frame:
    sock.sendall(encode({"id": 1, "op": op, **fields}))
    frames = Frames()
    while not (found := frames.feed(sock.recv(65_536))):
        pass
    return found[0]


def test_a_daemon_ends_tidily_on_a_signal_and_the_next_one_goes_on(path: Path) -> None:
    with daemon(path) as first, connected(path) as sock:
        lease = ask(sock, "acquire", bound="process")["lease"]
        ask(sock, "acquire", bound="connection")
        first.send_signal(signal.SIGTERM)
        _, said = first.communicate(timeout=PATIENCE_S)
        assert first.returncode == 0
        assert "SIGTERM: ending; 2 granted, 0 ended, 2 held and kept in the journal" in said
        assert sorted(one.name for one in path.parent.iterdir()) == ["a.journal", "a.lock"]
    with daemon(path) as second, connected(path) as sock:
        assert ask(sock, "status")["held"] == 2, "the other has ten seconds to come back"
        assert ask(sock, "release", lease=lease)["ok"] is True
        assert ask(sock, "acquire")["lease"] == 3
        second.send_signal(signal.SIGINT)
        assert second.wait(timeout=PATIENCE_S) == 0


def test_a_killed_daemon_leaves_a_lock_that_is_free_and_a_socket_that_is_replaced(
    path: Path,
) -> None:
    with daemon(path) as first, connected(path) as sock:
        ask(sock, "acquire", bound="process")
        first.kill()
        first.wait()
        assert path.exists()
    with daemon(path), connected(path) as sock:
        assert ask(sock, "status")["held"] == 1


def test_a_second_daemon_leaves_the_first_one_alone(path: Path) -> None:
    with daemon(path) as first, connected(path) as sock:
        with pytest.raises(AlreadyServed, match=f"process {first.pid}"):
            serve.run(str(path))
        assert ask(sock, "hello")["pid"] == first.pid


def test_a_detached_daemon_serves_when_its_starter_ends(path: Path) -> None:
    words = [sys.executable, "-c", CODE.format(True), str(path)]
    subprocess.run(words, check=True, timeout=PATIENCE_S)
    with connected(path) as sock:
        pid = ask(sock, "hello")["pid"]
        assert isinstance(pid, int)
        # It says why it can't be started twice, to whoever would start it.
        second = subprocess.run(words, check=False, capture_output=True, text=True)
        assert f"AlreadyServed: a daemon serves {path} already (process {pid})" in second.stderr
        os.kill(pid, signal.SIGTERM)
        assert sock.recv(1) == b""
    assert "serving" in path.with_suffix(".log").read_text()


def test_a_journal_that_can_not_be_read_is_no_reason_to_grant_twice(
    path: Path,
) -> None:
    path.with_suffix(".journal").mkdir()
    with pytest.raises(Unavailable, match=r"can't be read .* repair or remove it") as problem:
        serve.run(str(path))
    assert problem.value.code == "journal_unavailable"
    assert not path.exists()
