"""The listening socket, and what may lie where it is to be."""

import os
import socket
import stat
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from admission.protocol import AlreadyServed, NotPermitted
from admission.service.place import listening, who_listens
from tests.service.places import GROUP, NOBODY, ROOT, mode


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


@pytest.mark.parametrize("waiting", [0, 2])
def test_a_socket_where_somebody_listens_is_not_replaced(path: Path, waiting: int) -> None:
    """Whoever holds the lock is us, so it is no daemon: systemd, or another program."""
    with ExitStack() as stack:
        other = stack.enter_context(socket.socket(socket.AF_UNIX))
        other.bind(str(path))
        other.listen(0)
        for _ in range(waiting):  # until it takes no more, and the kernel does not say who it is
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            client.connect_ex(str(path))
        who = "unknown" if waiting and sys.platform == "linux" else os.getpid()
        with pytest.raises(AlreadyServed, match=f"process {who} listens at"), listening(path):
            pass
        assert path.exists()
    assert who_listens(path) is None


def test_another_programs_datagram_socket_is_not_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(NotPermitted, match="another program's socket"), listening(path):
            pass
        assert path.exists()


@ROOT
def test_a_socket_that_another_user_planted_is_refused(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as planted:
        planted.bind(str(path))
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(NotPermitted, match=r"belongs to another user \(65534\)"), listening(path):
        pass
    assert path.exists()


@ROOT
def test_a_group_may_connect_and_nobody_else(path: Path, umask: int) -> None:
    with listening(path, GROUP):
        assert (path.stat().st_gid, mode(path)) == (GROUP, 0o660)


def test_a_socket_that_is_another_daemons_by_now_stays(path: Path) -> None:
    with listening(path):
        path.unlink()
        with listening(path) as other:
            other.listen()
            assert who_listens(path) == os.getpid()
            path.rename(path.with_name("kept"))
        path.with_name("kept").rename(path)
    assert path.exists()


def test_a_socket_that_was_handed_over_is_closed_to_others_and_stays(path: Path) -> None:
    handed = socket.socket(socket.AF_UNIX)
    handed.bind(str(path))
    path.chmod(0o666)
    with listening(path, handed=handed) as sock:
        assert sock is handed
        assert mode(path) == 0o600
    assert path.exists()
    assert handed.fileno() == -1


def test_a_socket_that_can_not_be_made_is_a_clear_error(folder: Path) -> None:
    nowhere = folder / "nowhere" / "a.sock"
    with pytest.raises(NotPermitted, match=r"made at .*: No such file"), listening(nowhere):
        pass
