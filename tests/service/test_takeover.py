"""Taking over from whoever holds the lock: asked to end, and only if it is the one."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from admission.protocol import AlreadyServed, NotPermitted
from admission.service import takeover
from admission.service.place import locked_by, try_lock
from admission.service.takeover import REPLACED_MAX, parse_locks, take_over
from tests.service.children import Child, child, python

LINUX = pytest.mark.skipif(not Path("/proc/locks").exists(), reason="Linux tells who holds a lock")
# Holds the lock as a daemon does, and listens where it is told to.
HOLDER = """
import fcntl, os, signal, socket
lock = os.open({lock!r}, os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
os.ftruncate(lock, 0)
os.pwrite(lock, str({pid} or os.getpid()).encode(), 0)
if {ignores}:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
sock = socket.socket(socket.AF_UNIX)
if {listens}:
    if os.path.exists({path!r}):
        os.unlink({path!r})
    sock.bind({path!r})
    sock.listen()
print("holds", flush=True)
signal.pause()
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # a path as short as can be
    return Path("a.sock")


@contextmanager
def holder(
    path: Path, *, pid: int = 0, ignores: bool = False, listens: bool = True
) -> Iterator[Child]:
    """One that holds the lock."""
    lock = str(path.with_suffix(".lock"))
    code = HOLDER.format(lock=lock, path=str(path), pid=pid, ignores=ignores, listens=listens)
    with python(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"holds\n"
        yield process


def test_where_nobody_holds_the_lock_it_is_had_at_once(path: Path) -> None:
    lock = take_over(path)
    assert try_lock(path) is None
    os.close(lock)


@pytest.mark.parametrize("listens", [True, pytest.param(False, marks=LINUX)])
def test_whoever_holds_it_is_asked_to_end(path: Path, listens: bool) -> None:
    with holder(path, listens=listens) as old:
        os.close(take_over(path))
        assert old.wait() == -signal.SIGTERM


def test_one_that_does_not_end_is_left_alone(path: Path) -> None:
    with holder(path, ignores=True) as old:
        with pytest.raises(AlreadyServed) as problem:
            take_over(path, limit_s=0.1)
        assert str(problem.value) == (
            f"process {old.pid}, which serves {path}, was asked to end and has not within 0.1 s "
            "(is it stopped?); none was started in its place"
        )
        assert problem.value.exit_status == 75
        assert old.poll() is None


def test_nobody_is_ended_because_a_file_names_it(path: Path) -> None:
    with child() as innocent, holder(path, pid=innocent.pid) as old:
        unknown = f"process {innocent.pid}.*the kernel does not say that it is this one"
        with pytest.raises(AlreadyServed, match=unknown):
            take_over(path, limit_s=0.1)
        assert innocent.poll() is None
        assert old.poll() is None


@pytest.mark.parametrize("written", ["", "soon", "-1", "0", "99999999999", "²"])
def test_a_file_that_names_nobody_ends_nobody(path: Path, written: str) -> None:
    with holder(path) as old:
        path.with_suffix(".lock").write_text(written)
        with pytest.raises(AlreadyServed, match="left alone"):
            take_over(path, limit_s=0.1)
        assert old.poll() is None


@LINUX
def test_a_daemon_for_which_systemd_listens_is_systemds_to_start(path: Path) -> None:
    with holder(path, listens=False) as old, socket.socket(socket.AF_UNIX) as systemd:
        systemd.bind(str(path))
        systemd.listen()
        with pytest.raises(AlreadyServed) as problem:
            take_over(path)
        assert f"process {os.getpid()} listens at {path} for the daemon (process {old.pid})" in str(
            problem.value
        )
        assert old.poll() is None
        os.close(take_over(path, is_handed=True))
        assert old.wait() == -signal.SIGTERM


def test_where_others_are_always_quicker_it_gives_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        rivals = [stack.enter_context(holder(path))]

        def let_another_be_quicker() -> None:
            assert rivals[-1].wait() == -signal.SIGTERM
            rivals.append(stack.enter_context(holder(path)))

        monkeypatch.setattr(takeover, "_pause", let_another_be_quicker)
        with pytest.raises(AlreadyServed, match=f"{REPLACED_MAX} daemons of .* were replaced"):
            take_over(path)
        assert [one.poll() is None for one in rivals] == [*[False] * REPLACED_MAX, True]
        assert locked_by(path) == str(rivals[-1].pid)


def test_another_users_daemon_is_not_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with holder(path) as old:
        monkeypatch.setattr(takeover, "owner_uid", lambda _: os.getuid() + 1)
        with pytest.raises(NotPermitted, match=f"process {old.pid} .* another user's"):
            take_over(path)
        assert old.poll() is None


def test_holders_of_a_lock_as_linux_tells_them() -> None:
    told = """\
1: POSIX  ADVISORY  READ 31489 fe:00:2146483 128 128
2: FLOCK  ADVISORY  WRITE 711 00:1a:2146476 0 EOF
2: -> FLOCK  ADVISORY  WRITE 712 00:1a:2146476 0 EOF
3: FLOCK  ADVISORY  READ 713 00:1a:2146477 0 EOF
4: OFDLCK ADVISORY  WRITE -1 00:1a:2146476 0 EOF
5: LEASE  ACTIVE    READ 714 fe:00:2146476 0 EOF
6: FLOCK  ADVISORY  WRITE 715 00:1a:12146476 0 EOF
"""
    assert parse_locks(told, 2146476) == {711}
    assert parse_locks(told, 9) == set()
    assert parse_locks("", 9) == set()
