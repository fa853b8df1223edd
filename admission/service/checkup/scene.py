"""What all checks look at. It is gathered once, so that they speak of the same moment."""

import fcntl
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from admission.protocol import AdmissionError, Frame, Frames, encode, socket_path
from admission.service.holders import Gone, identify
from admission.service.peers import peer_of
from admission.service.place import locked_by

# A daemon that lives answers within milliseconds.
ANSWER_S = 1.0


class Contact(Enum):
    """What came of connecting."""

    NOBODY = "nobody listens"
    DENIED = "it may not be connected to"
    SILENT = "whoever listens does not answer"
    STRANGER = "what answers is no daemon"
    REFUSED = "the daemon refuses to speak"
    SERVES = "a daemon serves"


@dataclass(frozen=True, slots=True)
class Scene:
    """See the module.

    Attributes:
        path: where the daemon's socket is; None where there can be none.
        why_no_path: in that case.
        config: the configuration file that was named, if any.
        environ: the environment.
        contact: what came of connecting.
        said: what the other side, or the kernel, said.
        peer_pid: who listens; 0 where that is not known.
        status: what `status` answered; empty without a daemon.
    """

    path: Path | None
    why_no_path: str = ""
    config: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    contact: Contact = Contact.NOBODY
    said: str = ""
    peer_pid: int = 0
    status: Frame = field(default_factory=dict)

    @property
    def is_served(self) -> bool:
        return self.contact is Contact.SERVES

    @property
    def daemon_pid(self) -> int:
        pid = self.status.get("pid")
        return pid if isinstance(pid, int) else self.peer_pid

    def ask(self, op: str, **fields: object) -> Frame:
        """One request to the daemon that serves, over a connection of its own.

        Raises:
            OSError: no answer came.
            AdmissionError: what came is no answer, or a refusal.
        """
        assert self.path is not None
        with _connection(self.path) as sock:
            return _asked(sock, op, fields)


def look(given_socket: str | None = None, config: str | None = None) -> Scene:
    """The scene as it is now."""
    environ = dict(os.environ)
    try:
        path = Path(socket_path(given_socket))
    except AdmissionError as problem:
        return Scene(None, str(problem), config, environ)
    peer_pid = 0

    def scene(contact: Contact, said: object = "", status: Frame | None = None) -> Scene:
        return Scene(path, "", config, environ, contact, str(said), peer_pid, status or {})

    try:
        with _connection(path) as sock:
            with suppress(Gone, OSError):
                peer_pid = peer_of(sock).holder.pid
            status = _asked(sock, "status", {})
    except PermissionError as problem:
        return scene(Contact.DENIED, problem.strerror)
    except TimeoutError:
        return scene(Contact.SILENT)
    except OSError as problem:
        return scene(Contact.STRANGER if peer_pid else Contact.NOBODY, problem.strerror)
    except AdmissionError as problem:
        is_stranger = problem.code in ("bad_frame", "")
        return scene(Contact.STRANGER if is_stranger else Contact.REFUSED, problem)
    return scene(Contact.SERVES, status=status)


@contextmanager
def _connection(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(ANSWER_S)
        sock.connect(str(path))
        yield sock


def _asked(sock: socket.socket, op: str, fields: Frame) -> Frame:
    frames = Frames()
    sock.sendall(encode({"id": 1, "op": op, **fields}))
    while True:
        data = sock.recv(65_536)
        if not data:
            raise ConnectionResetError(0, "the connection was closed without an answer")
        for frame in frames.feed(data):
            if frame.get("ok") is True and frame.get("id") == 1:
                return frame
            if frame.get("ok") is False:
                raise _refusal(frame)
            if "ok" not in frame:
                raise AdmissionError("it speaks another language")


def _refusal(frame: Frame) -> AdmissionError:
    error = frame.get("error")
    about = error if isinstance(error, dict) else {}
    return AdmissionError(str(about.get("message", "")), str(about.get("code", "")))


@contextmanager
def lock_held(path: Path) -> Iterator[bool]:
    """Holds the lock beside this socket, as a daemon does, and leaves what the file says; False
    where another process holds it.

    Raises:
        OSError: it can't be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(path.with_suffix(".lock"), flags, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(file)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock. Looked at only where nobody answers, since a daemon that
    starts in that instant would find it held.
    """
    try:
        file = os.open(path.with_suffix(".lock"), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def pid_in_lock(path: Path) -> int:
    """The process that holds the lock, or held it last; 0 where the file does not say."""
    written = locked_by(path)
    is_number = written.isascii() and written.isdigit() and len(written) < 19
    return int(written) if is_number else 0


def is_there(pid: int) -> bool:
    return pid > 0 and identify(pid) is not None
