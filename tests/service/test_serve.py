"""Folder, lock and socket; and the whole daemon as a process, from its start to its end."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from admission.core import events as ev
from admission.core.leases import Claim, Holder, Lease, Waiter
from admission.protocol import AlreadyServed, Frame, Frames, NotPermitted, Unavailable, encode
from admission.service import serve
from admission.service.holders import identify
from admission.service.serve import listening, lock, prepare_folder

PATIENCE_S = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def path(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder / "a.sock"


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# --- the folder ---------------------------------------------------------------------------------


def test_the_folder_is_made_for_its_user_alone(folder: Path, umask: int) -> None:
    prepare_folder(folder / "deeper")
    assert mode(folder / "deeper") == 0o700
    prepare_folder(folder / "deeper")


@pytest.mark.parametrize("others", [0o750, 0o755, 0o701, 0o770, 0o704])
def test_a_folder_that_others_may_enter_is_refused(folder: Path, others: int) -> None:
    folder.mkdir()
    folder.chmod(others)
    with pytest.raises(NotPermitted, match=r"open to other users; make it yours .*chmod 700"):
        prepare_folder(folder)
    assert mode(folder) == others


def test_another_users_folder_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(NotPermitted, match="choose another folder with --socket"):
        prepare_folder(folder)


@pytest.mark.parametrize("planted", ["link", "dangling link", "file", "below a file"])
def test_what_is_no_folder_is_refused(folder: Path, tmp_path: Path, planted: str) -> None:
    (tmp_path / "good").mkdir(mode=0o700)
    match planted:
        case "link":
            folder.symlink_to(tmp_path / "good")
        case "dangling link":
            folder.symlink_to(tmp_path / "nowhere")
        case "file":
            folder.touch(0o600)
        case _:
            folder.touch(0o600)
            folder = folder / "below"
    with pytest.raises(NotPermitted, match="choose another with --socket") as problem:
        prepare_folder(folder)
    assert str(folder) in str(problem.value)
    assert not (tmp_path / "nowhere").exists()


# --- the lock -----------------------------------------------------------------------------------


def test_the_second_one_is_told_who_serves_already(path: Path) -> None:
    with lock(path):
        assert mode(path.with_suffix(".lock")) == 0o600
        with pytest.raises(AlreadyServed) as problem, lock(path):
            pass
        assert str(problem.value) == (
            f"a daemon serves {path} already (process {os.getpid()}); it is left alone"
        )
    with lock(path):
        pass


def test_the_lock_is_given_back_whatever_happens(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock(path):
        raise ZeroDivisionError
    with lock(path):
        pass


def test_a_lock_file_that_nobody_holds_is_no_lock(path: Path) -> None:
    path.with_suffix(".lock").write_text("a very long tale of process 4711 that served once\n")
    with lock(path):
        assert path.with_suffix(".lock").read_text() == f"{os.getpid()}\n"


def test_a_lock_that_says_nothing_is_held_by_somebody_unknown(path: Path) -> None:
    with lock(path):
        os.truncate(path.with_suffix(".lock"), 0)
        with pytest.raises(AlreadyServed, match="process unknown"), lock(path):
            pass


def test_a_link_planted_at_the_lock_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.with_suffix(".lock").symlink_to(victim)
    with pytest.raises(NotPermitted, match="can't be opened"), lock(path):
        pass
    assert victim.read_text() == "precious"


# --- the socket ---------------------------------------------------------------------------------


def test_only_its_user_can_connect_to_the_socket(path: Path, umask: int) -> None:
    with listening(path) as sock:
        assert stat.S_ISSOCK(path.lstat().st_mode)
        assert mode(path) == 0o600
        assert not sock.getblocking()
        now = os.umask(0)
        os.umask(now)
        assert now == umask, "it is as it was"
    assert not path.exists()


def test_a_stale_socket_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with listening(path) as sock:
        sock.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


@pytest.mark.parametrize("planted", ["file", "folder", "link to a socket"])
def test_what_is_no_socket_is_not_replaced(path: Path, tmp_path: Path, planted: str) -> None:
    """Whoever gives `--socket notes.txt` by mistake keeps the notes."""
    other = tmp_path / "other"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(other))
        match planted:
            case "file":
                path.write_text("precious")
            case "folder":
                path.mkdir()
            case _:
                path.symlink_to(other)
        before = path.lstat()
        with pytest.raises(NotPermitted, match=r"is no socket; .*--socket"), listening(path):
            pass
        assert path.lstat() == before
        assert other.exists()


def test_a_socket_that_can_not_be_made_is_a_clear_error(folder: Path) -> None:
    nowhere = folder / "nowhere" / "a.sock"
    with pytest.raises(NotPermitted, match=r"made at .*: No such file"), listening(nowhere):
        pass


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

CODE = "import sys; from admission.service.serve import run; run(sys.argv[1], detach={})"


@contextmanager
def daemon(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A daemon in a process of its own, once it serves."""
    words = [sys.executable, "-c", CODE.format(False), str(path)]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(path.parent / "none"), "ADMISSION_LOG": ""}
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
    environment = {**os.environ, "XDG_CONFIG_HOME": str(path.parent / "none")}
    subprocess.run(words, check=True, env=environment, timeout=PATIENCE_S)
    with connected(path) as sock:
        pid = ask(sock, "hello")["pid"]
        assert isinstance(pid, int)
        # It says why it can't be started twice, to whoever would start it.
        second = subprocess.run(words, check=False, capture_output=True, text=True, env=environment)
        assert f"AlreadyServed: a daemon serves {path} already (process {pid})" in second.stderr
        os.kill(pid, signal.SIGTERM)
        assert sock.recv(1) == b""
    assert "serving" in path.with_suffix(".log").read_text()


def test_a_journal_that_can_not_be_read_is_no_reason_to_grant_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(path.parent / "none"))
    path.with_suffix(".journal").mkdir()
    with pytest.raises(Unavailable, match=r"can't be read .* repair or remove it") as problem:
        serve.run(str(path))
    assert problem.value.code == "journal_unavailable"
    assert not path.exists()
