"""Folder, lock and socket."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from admission.protocol import AlreadyServed, NotPermitted
from admission.service.place import listening, lock, prepare_folder


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
