"""The pipe of a jobserver's tokens: a FIFO of one lease, in a folder that is its user's alone."""

import errno
import fcntl
import os
import stat

from admission.protocol import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from admission_client.tokens import Tokens

FOLDER = "jobservers"
SUFFIX = ".fifo"
TOKEN = b"+"
# What MAKEFLAGS can't carry, as its readers cut it at blanks and some take quotes for their own.
AWKWARD = frozenset("\"'\\$`,;")


class TokenPipe:
    """The FIFO, open at both ends: what is in it stays while nobody else has it open.

    `path` names it; `reading` and `writing` never block. `kept` holds what was taken out: a token
    goes back as the byte that it came as.
    """

    def __init__(self, path: str, tokens: "Tokens") -> None:
        self.path = path
        self.tokens = tokens
        self.kept = bytearray(TOKEN * tokens.held)
        self.reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self.writing = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def settle(self) -> None:
        """Gives and takes what can be given and taken now."""
        tokens = self.tokens
        try:
            while tokens.to_give:
                count = os.write(self.writing, self.kept[: tokens.to_give])
                tokens.given(count)
                del self.kept[:count]
            while tokens.to_take:
                taken = os.read(self.reading, tokens.to_take)
                tokens.taken(len(taken))
                self.kept += taken
        except BlockingIOError:
            pass  # none is free now, or the pipe is full

    def close(self) -> None:
        os.close(self.reading)
        os.close(self.writing)

    def remove(self) -> None:
        """Takes its name away. Who has it open goes on with it."""
        _unlink(self.path)


def make_pipe(folders: list[str], tokens: "Tokens") -> TokenPipe:
    """A new one in the first of these folders that is this user's alone; removes those that
    nobody has open any more.

    Raises:
        Unavailable: there is no such folder.
    """
    whys = []
    for parent in folders:
        try:
            folder = _own_folder(parent)
        except OSError as problem:
            whys.append(f"{parent}: {problem.strerror}")
            continue
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # what is new has a name before it is open
            _remove_left(folder)
            return _make(folder, f"{parent}/{FOLDER}", tokens)
        finally:
            os.close(folder)
    raise Unavailable(
        f"there is no folder for a jobserver's pipe ({'; '.join(whys)}); make one that only you "
        "can write to, or run without --jobserver"
    )


def _own_folder(parent: str) -> int:
    """The folder of the pipes, open; nobody else can write to it or swap it for another."""
    if any(c.isspace() or c in AWKWARD for c in parent):
        raise OSError(errno.EINVAL, "MAKEFLAGS can't carry this name")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    if not os.path.lexists(parent):
        _mkdir(parent)
    above = os.open(parent, flags)
    try:
        _check(above, 0o022)
        if FOLDER not in os.listdir(above):
            _mkdir(FOLDER, above)
        folder = os.open(FOLDER, flags, dir_fd=above)
    finally:
        os.close(above)
    try:
        _check(folder, 0o077)
    except OSError:
        os.close(folder)
        raise
    return folder


def _check(folder: int, others: int) -> None:
    found = os.fstat(folder)
    if found.st_uid != os.geteuid():
        raise OSError(errno.EPERM, "it belongs to another user")
    if found.st_mode & others:
        raise OSError(errno.EPERM, "others may write to it")


def _make(folder: int, path: str, tokens: "Tokens") -> TokenPipe:
    name = f"{os.getpid()}-{os.urandom(4).hex()}{SUFFIX}"
    try:
        os.mkfifo(name, 0o600, dir_fd=folder)
        return TokenPipe(f"{path}/{name}", tokens)
    except OSError as problem:
        raise Unavailable(
            f"no jobserver's pipe can be made in {path}: {problem.strerror}"
        ) from None


def _remove_left(folder: int) -> None:
    """Removes the pipes of those that were killed before they could."""
    for name in os.listdir(folder):
        if name.endswith(SUFFIX) and not is_open(name, folder):
            _unlink(name, folder)


def _unlink(path: str, folder: int | None = None) -> None:
    try:
        os.unlink(path, dir_fd=folder)
    except OSError:
        return  # whoever else removes it was quicker


def _mkdir(name: str, above: int | None = None) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=above)
    except FileExistsError:
        return  # another one was quicker; who made it is checked


def is_open(path: str, folder: int | None = None) -> bool:
    """Whether this is a FIFO that may be used, and that somebody has open."""
    try:
        if not stat.S_ISFIFO(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode):
            return False
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder))
    except OSError:
        return False
    return True


def is_pipe(reading: int, writing: int) -> bool:
    """Whether these descriptors are the two ends of a pipe, as far as can be told."""
    try:
        modes = [fcntl.fcntl(one, fcntl.F_GETFL) & os.O_ACCMODE for one in (reading, writing)]
        are_pipes = all(stat.S_ISFIFO(os.fstat(one).st_mode) for one in (reading, writing))
    except (OSError, OverflowError):
        return False
    return are_pipes and modes[0] != os.O_WRONLY and modes[1] != os.O_RDONLY
