"""The process beside a command that has a jobserver: follows the throttle level, gives and takes
tokens, and removes the pipe when the command has ended.

It is nobody's child but init's, so that the command waits for no child that it did not start; it
has neither terminal, nor folder, nor descriptor of the command, and takes none of its signals.
"""

import _socket
import errno
import os
import select
import sys
import time

from admission.protocol import BadFrame, Frame, Frames, Unreachable, encode
from admission_client.dialogue import pauses_s
from admission_client.granted import mapping, whole
from admission_client.tokenpipe import TokenPipe
from admission_client.tokens import Tokens, units_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # its C half, as in hold.py

READ_BYTES = 65_536
# How often to look where nothing wakes us: at a full pipe, or for the end of a process where the
# kernel does not tell it.
LOOK_S = 1.0
WATCH, STATUS = 1, 2
READY = b"1"


def allowed_units(units: int, status: Frame) -> int:
    """How many of so many units the level in force leaves, as `status` says it.

    Raises:
        Unreachable: it does not say so.
    """
    now, normal = mapping(status, "params"), mapping(status, "normal")
    return units_at(units, whole(now, "max_concurrent"), whole(normal, "max_concurrent"))


class Level:
    """The daemon's word, for as long as there is a daemon; looks for it again by itself.

    `descriptor` becomes readable when there is something to `take`; it is None while there is no
    daemon, which is looked for again after `due_in_s`.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._sock: _socket.socket | None = None
        self._frames = Frames()
        self._pauses = pauses_s()
        self._due_at = time.monotonic()

    @property
    def descriptor(self) -> int | None:
        return None if self._sock is None else self._sock.fileno()

    @property
    def due_in_s(self) -> float | None:
        """None while there is a daemon."""
        return max(0.0, self._due_at - time.monotonic()) if self._sock is None else None

    def connect(self) -> None:
        """Tries to, if it is time. No try takes long: a daemon that is stopped is none."""
        if self._sock is not None or time.monotonic() < self._due_at:
            return
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        sock.setblocking(False)
        self._sock, self._frames = sock, Frames()
        try:
            sock.connect(self._path)
        except OSError:
            self._lose()
            return
        self._ask(WATCH, "watch", {"topics": ["level"]})

    def take(self) -> Frame | None:
        """What came; the last `status` in it, if there is one. Each change of the level asks for
        another: it says what the level leaves and what there would be without it.
        """
        assert self._sock is not None
        found = None
        try:
            frames = self._frames.feed(data) if (data := self._sock.recv(READ_BYTES)) else None
        except BlockingIOError:
            return None
        except (OSError, BadFrame):
            frames = None
        if frames is None or any(frame.get("ok") is False for frame in frames):
            self._lose()
            return None
        for frame in frames:
            if frame.get("id") == STATUS:
                self._pauses = pauses_s()
                found = frame
            elif "event" in frame:
                self._ask(STATUS, "status", {})
        return found

    def _ask(self, number: int, op: str, fields: Frame) -> None:
        try:
            if self._sock is not None:
                self._sock.send(encode({"id": number, "op": op, **fields}))
        except OSError:
            self._lose()

    def _lose(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        self._due_at = time.monotonic() + next(self._pauses)


class Ending:
    """The end of a process, as a descriptor that becomes readable; None where there is no such."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._queue: object = None
        self.descriptor = self._open()

    def _open(self) -> int | None:
        if sys.platform == "darwin":
            queue = select.kqueue()
            fate = select.kevent(
                self._pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT
            )
            queue.control([fate], 0)
            self._queue = queue
            return queue.fileno()
        try:
            return os.pidfd_open(self._pid)
        except OSError as problem:
            if problem.errno != errno.ENOSYS:
                raise
            return None

    def is_seen(self) -> bool:
        """Whether it has ended, where no descriptor tells it."""
        if self.descriptor is not None:
            return False
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass
        return False


def keep(pipe: TokenPipe, level: Level, ending: Ending) -> None:
    """Gives and takes, until the process has ended; then removes the pipe."""
    try:
        while not _wait(pipe, level, ending):
            pass
    finally:
        pipe.remove()


def _wait(pipe: TokenPipe, level: Level, ending: Ending) -> bool:
    """One turn: until something happens. True once the process has ended."""
    level.connect()
    pipe.settle()
    poll = select.poll()
    wanted = (ending.descriptor, level.descriptor, pipe.reading if pipe.tokens.to_take else None)
    for descriptor in wanted:
        if descriptor is not None:
            poll.register(descriptor, select.POLLIN)
    looks = LOOK_S if ending.descriptor is None or pipe.tokens.to_give else None
    waits = [wait for wait in (level.due_in_s, looks) if wait is not None]
    ready = [one for one, _ in poll.poll(min(waits) * 1000 + 1 if waits else None)]
    if level.descriptor in ready and (status := level.take()) is not None:
        _heed(status, pipe.tokens)
    return ending.descriptor in ready or ending.is_seen()


def _heed(status: Frame, tokens: Tokens) -> None:
    try:
        tokens.allow(allowed_units(tokens.total, status))
    except Unreachable:
        return  # a daemon of another version: all stays as it was


def start_keeper(pipe: TokenPipe, path: str) -> bool:
    """Starts it beside this process, whose end it waits for; returns when it does.

    Args:
        pipe: goes by its tokens from now on, which are its own.
        path: the daemon's socket.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _become_keeper(pipe, path, os.getppid(), writing)
        finally:
            os._exit(1)
    os.close(writing)
    bury(child)
    started = os.read(reading, 1)
    os.close(reading)
    return started != b""


def bury(child: int) -> None:
    """Waits for the end of a child of this process."""
    try:
        os.waitpid(child, 0)
    except ChildProcessError:
        return  # this process was started with SIGCHLD ignored, and the kernel has buried it


def _become_keeper(pipe: TokenPipe, path: str, pid: int, writing: int) -> None:
    os.setsid()
    if os.fork():
        return
    # Who stops a whole group of processes stops the command, and so the keeper.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    ending = Ending(pid)
    _leave(writing, pipe.reading, pipe.writing, ending.descriptor)
    os.write(writing, READY)
    os.close(writing)
    keep(pipe, Level(path), ending)
    os._exit(0)


def _leave(*needed: int | None) -> None:
    """Lets go of all that is the command's."""
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    try:
        opened = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        opened = list(range(3, os.sysconf("SC_OPEN_MAX")))[:READ_BYTES]
    for one in opened:
        if one > 2 and one not in needed:
            _close(one)
    _take_name("admission-jobs")


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return  # that of the list itself


def _take_name(name: str) -> None:
    """What `ps` calls this process: its command line is still that of `run`."""
    try:
        with open("/proc/self/comm", "w") as file:
            file.write(name)
    except OSError:
        return  # no /proc
