"""Where a daemon lives: its folder, its lock, its listening socket."""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from admission.protocol import AlreadyServed, NotPermitted


def prepare_folder(folder: Path) -> None:
    """Makes the socket's folder, or checks that it is this user's alone.

    Raises:
        NotPermitted: it can't be made, is a link, or others may enter it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as problem:
        raise NotPermitted(
            f"the folder {folder} can't be used: {problem.strerror}; choose another with --socket"
        ) from None
    if not stat.S_ISDIR(found.st_mode):
        raise NotPermitted(f"{folder} is a link or no folder; choose another with --socket")
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise NotPermitted(
            f"{folder} is open to other users; make it yours alone (chmod 700), "
            "or choose another folder with --socket"
        )


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds the lock beside the socket: one daemon per socket, with no guessing from the file.

    Raises:
        AlreadyServed: another process holds it.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        file = os.open(path.with_suffix(".lock"), flags, 0o600)
    except OSError as problem:
        name = path.with_suffix(".lock")
        raise NotPermitted(f"the lock {name} can't be opened: {problem.strerror}") from None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
            message = f"a daemon serves {path} already (process {who}); it is left alone"
            raise AlreadyServed(message) from None
        with suppress(OSError):  # a full disk: the number is for people only
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A socket at this path that only this user can connect to. Whoever calls holds the lock, so
    one that lies there is nobody's.

    Raises:
        NotPermitted: none can be made, or what lies there is no socket and may be dear to somebody.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with sock:
        # By umask, so that there is no moment at which others could connect.
        before = os.umask(0o177)
        try:
            sock.bind(str(path))
        except OSError as problem:
            raise NotPermitted(f"no socket can be made at {path}: {problem.strerror}") from None
        finally:
            os.umask(before)
        sock.setblocking(False)
        yield sock
        with suppress(FileNotFoundError):
            path.unlink()


def _remove_stale(path: Path) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise NotPermitted(f"{path} is no socket; remove it, or choose another with --socket")
        path.unlink()
