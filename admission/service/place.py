"""Where a daemon lives: its folder, its lock, its listening socket.

Each is made without a moment in which others could have it, and checked before it is used. The
folder is this user's, and so is the way to it: nobody else can put another one in its place. What
lies in it is then this user's too, unless it lay there before.
"""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from admission.protocol import AlreadyServed, NotPermitted
from admission.service.holders import Gone
from admission.service.peers import peer_of

LINKS_MAX = 40
ELSEWHERE = "choose another folder with --socket"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one daemon lives. All the rest lies beside the socket.

    Args:
        path: its socket.
        gid: the group that may connect besides this user.
        handed: the listening socket, where systemd has made it.
    """

    path: Path
    gid: int | None = None
    handed: socket.socket | None = None

    @property
    def journal(self) -> Path:
        return self.path.with_suffix(".journal")

    @property
    def fleet(self) -> Path:
        return self.path.with_suffix(".fleet")

    @property
    def log(self) -> Path:
        return self.path.with_suffix(".log")

    def prepare(self) -> None:
        """Makes the folder, or checks it and what lies there.

        Raises:
            NotPermitted: it can't be used.
        """
        prepare_folder(self.path.parent, self.gid)
        check_own(self.journal)


# --- the folder -----------------------------------------------------------------------------------


def prepare_folder(folder: Path, gid: int | None = None) -> None:
    """Makes the socket's folder, or checks that it is this user's alone.

    Args:
        folder: its whole path.
        gid: the group that may pass through it, on its way to the socket.

    Raises:
        NotPermitted: it can't be made, is a link, or others may enter it or put another in its
            place.
    """
    try:
        _check_way(folder)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise NotPermitted(f"{folder} is a link or no folder; choose another with --socket")
        _check_alone(folder, found, 0o077 if gid is None else 0o027)
        if gid is not None:
            _open_to_group(folder, found, gid)
    except OSError as problem:
        raise NotPermitted(
            f"the folder {folder} can't be used: {problem.strerror}; choose another with --socket"
        ) from None


def _check_alone(folder: Path, found: os.stat_result, too_open: int) -> None:
    if found.st_uid != os.getuid():
        raise NotPermitted(f"{folder} belongs to another user ({found.st_uid}); {ELSEWHERE}")
    if found.st_mode & too_open:
        raise NotPermitted(
            f"{folder} is open to other users; make it yours alone (chmod 700), or {ELSEWHERE}"
        )


def _open_to_group(folder: Path, found: os.stat_result, gid: int) -> None:
    if found.st_gid == gid and stat.S_IMODE(found.st_mode) in (0o710, 0o750):
        return
    folder.chmod(0o700)  # so that no other group passes meanwhile
    os.chown(folder, -1, gid, follow_symlinks=False)
    folder.chmod(0o710)


def _check_way(folder: Path) -> None:
    """Walks to the folder as the kernel does, and makes what is missing on the way.

    Raises:
        NotPermitted: another user could lead it elsewhere.
        OSError: there is no way.
    """
    at, ahead = "/", [*reversed(folder.parent.parts[1:])]
    links_left = LINKS_MAX
    _check_step(at, os.lstat(at))
    while ahead:
        name = ahead.pop()
        if name == "..":
            at = os.path.dirname(at)
            continue
        step = os.path.join(at, name)
        found = _stat_or_make(step)
        _check_step(step, found)
        if not stat.S_ISLNK(found.st_mode):
            at = step
            continue
        links_left -= 1
        if not links_left:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = Path(os.readlink(step))
        at = "/" if target.is_absolute() else at
        ahead += [part for part in reversed(target.parts) if part != "/"]


def _stat_or_make(step: str) -> os.stat_result:
    with suppress(FileNotFoundError):
        return os.lstat(step)
    os.mkdir(step, 0o755)
    return os.lstat(step)


def _check_step(step: str, found: os.stat_result) -> None:
    """Whoever may write in a folder may put another thing in the place of anything in it, unless it
    is sticky; its owner may in any case.
    """
    # Where user namespaces hide root, whoever owns / is as mighty.
    if found.st_uid not in (0, os.getuid(), os.lstat("/").st_uid):
        raise NotPermitted(
            f"{step} belongs to another user ({found.st_uid}), who could put another folder there; "
            f"{ELSEWHERE}"
        )
    if stat.S_ISLNK(found.st_mode):
        return
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    # Many a distribution gives each user a group of the same number, and all of theirs to it.
    is_own_group = found.st_gid in (0, os.getuid())
    others = 0o002 if is_own_group else 0o022
    if found.st_mode & others and not found.st_mode & stat.S_ISVTX:
        raise NotPermitted(
            f"other users may write in {step}, and so put another folder in the place of yours; "
            f"close it (chmod go-w), or {ELSEWHERE}"
        )


# --- what lies in it ------------------------------------------------------------------------------


def open_own(path: Path, flags: int) -> int:
    """A file of the folder, opened, or made for this user alone; no link is followed.

    Raises:
        NotPermitted: it can't be opened, is no file, or another user's.
    """
    # Not blocking: a pipe would wait for its other end.
    flags |= os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = os.open(path, flags, 0o600)
    except OSError as problem:
        raise NotPermitted(f"{path} can't be opened: {problem.strerror}; remove it") from None
    try:
        found = os.fstat(file)
        _check_own(path, found)
        if found.st_mode & 0o077:
            os.fchmod(file, 0o600)
    except BaseException:
        os.close(file)
        raise
    return file


def check_own(path: Path) -> None:
    """Checks what others open by name: nothing, or this user's and no link.

    Raises:
        NotPermitted: it is something else.
    """
    with suppress(FileNotFoundError):
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):  # to open that fails by itself, and says why
            _check_own(path, found)


def _check_own(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotPermitted(f"{path} is a link or no file; remove it")
    if found.st_uid != os.getuid():
        raise NotPermitted(f"{path} belongs to another user ({found.st_uid}); remove it")


# --- the lock -------------------------------------------------------------------------------------


def already_served(path: Path) -> NoReturn:
    """What the second daemon says."""
    who = locked_by(path) or "unknown"
    raise AlreadyServed(f"a daemon serves {path} already (process {who}); it is left alone")


@contextmanager
def lock(path: Path, make_way: Callable[[Path], int] = already_served) -> Iterator[None]:
    """Holds the lock beside the socket: one daemon per socket, with no guessing from the file.

    Args:
        path: the socket's.
        make_way: called where another process holds it. Gives the lock, once it has it.

    Raises:
        AlreadyServed: another process holds it.
        NotPermitted: it is a link, or another user's.
    """
    file = try_lock(path)
    if file is None:
        file = make_way(path)
    try:
        with suppress(OSError):  # a full disk: the number is for people, and checked elsewhere
            os.ftruncate(file, 0)
            os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


def try_lock(path: Path) -> int | None:
    """The lock beside this socket, open; None where another process holds it.

    Raises:
        NotPermitted: it is a link, or another user's.
    """
    name = path.with_suffix(".lock")
    while True:
        file = open_own(name, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Where the folder was removed meanwhile, this is the lock of nothing.
            if os.path.samestat(os.fstat(file), name.lstat()):
                return file
        except BlockingIOError:
            os.close(file)
            return None
        except FileNotFoundError:
            pass
        os.close(file)


def locked_by(path: Path) -> str:
    """What the lock's file says of the process that holds it, or held it last."""
    with suppress(OSError):
        return path.with_suffix(".lock").read_bytes()[:32].decode(errors="replace").strip()
    return ""


# --- the socket -----------------------------------------------------------------------------------


@contextmanager
def listening(
    path: Path, gid: int | None = None, handed: socket.socket | None = None
) -> Iterator[socket.socket]:
    """A socket at this path that only this user can connect to. Whoever calls holds the lock, so
    one that lies there and where nobody listens is nobody's.

    Args:
        path: where.
        gid: the group that can connect as well.
        handed: a socket that listens there already; whoever made it removes it too.

    Raises:
        NotPermitted: none can be made, or what lies there is no socket and may be dear to somebody.
        AlreadyServed: somebody else listens there.
    """
    if handed is not None:
        with suppress(FileNotFoundError):
            if path.lstat().st_uid == os.getuid():
                _permit(path, gid)
        with handed:
            yield handed
        return
    _remove_stale(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        # By umask, so that there is no moment at which others could connect.
        before = os.umask(0o177)
        try:
            sock.bind(str(path))
        except OSError as problem:
            raise NotPermitted(f"no socket can be made at {path}: {problem.strerror}") from None
        finally:
            os.umask(before)
        made = path.lstat()
        try:
            _permit(path, gid)
            sock.setblocking(False)
            yield sock
        finally:
            with suppress(FileNotFoundError):
                if os.path.samestat(made, path.lstat()):  # else it is another daemon's by now
                    path.unlink()


def _permit(path: Path, gid: int | None) -> None:
    """Has the socket's owner connect, and this group; nobody else at any moment."""
    try:
        path.chmod(0o600)
        if gid is not None:
            os.chown(path, -1, gid, follow_symlinks=False)
            path.chmod(0o660)
    except PermissionError as problem:
        raise NotPermitted(
            f"{path} can't be given to group {gid}: {problem.strerror}; serve as root, or choose "
            "a group of yours"
        ) from None


def _remove_stale(path: Path) -> None:
    with suppress(FileNotFoundError):
        found = path.lstat()
        if not stat.S_ISSOCK(found.st_mode):
            raise NotPermitted(f"{path} is no socket; remove it, or choose another with --socket")
        if found.st_uid != os.getuid():
            raise NotPermitted(
                f"the socket {path} belongs to another user ({found.st_uid}); remove it"
            )
        try:
            pid = who_listens(path)
        except OSError as problem:
            raise NotPermitted(
                f"{path} is another program's socket ({problem.strerror}); "
                "choose another with --socket"
            ) from None
        if pid is not None:
            raise AlreadyServed(
                f"process {pid or 'unknown'} listens at {path}, and is no daemon that holds the "
                'lock; if it is systemd, it starts the daemon by itself: "admission service status"'
            )
        path.unlink()


def who_listens(path: Path) -> int | None:
    """The process that began to listen at this socket, by the kernel; 0 where that can't be told,
    None where nobody listens.

    Raises:
        OSError: it is no socket that one could connect to.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(str(path))
            return peer_of(sock).holder.pid
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except (BlockingIOError, Gone):  # too many wait for it to accept them; it has forked
            return 0
