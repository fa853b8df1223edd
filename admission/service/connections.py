"""Accepts connections, cuts them into frames, and keeps each within its limits.

A connection reads when it is its turn (`service.turns`). Answers are sent at once by whoever has
them; only what the socket does not take is kept, up to a limit, and sent by a task that lives until
it is gone.
"""

import errno
import logging
import socket
from collections import deque
from contextlib import closing, suppress
from itertools import count
from math import inf

import msgspec
import trio

from admission.protocol import AdmissionError, BadFrame, Frame, Frames, encode, framed
from admission.service.daemon import Daemon
from admission.service.dispatch import dispatch
from admission.service.holders import Gone
from admission.service.peers import Peer, peer_of
from admission.service.turns import Turns

# Small, so that one who sends much takes turns with the others.
READ_BYTES = 4096
# A hundred requests fit one read, and what each costs differs a thousandfold.
TURN_S = 0.0001
ACCEPT_PAUSE_S = 0.1
# No descriptors or no memory: passes by itself.
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = logging.getLogger(__name__)
_pack = msgspec.msgpack.Encoder().encode


def error_frame(message_id: object, code: str, message: str) -> bytes:
    return encode({"id": message_id, "ok": False, "error": {"code": code, "message": message}})


class Connection:
    """One client. Owns its socket, which does not block."""

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        peer: Peer,
        daemon: Daemon,
        turns: Turns,
        nursery: trio.Nursery,
    ) -> None:
        self.number = number
        self.peer = peer
        self._sock = sock
        self._daemon = daemon
        self._turns = turns
        self._nursery = nursery
        self._frames = Frames()
        # Whole frames that an earlier turn had no time for.
        self._bodies: deque[bytes] = deque()
        self._backlog = bytearray()
        self._is_draining = False
        self._is_deaf = False
        self.is_over = False
        # By when the first frame must be whole, or the rest of one that has begun.
        self.due_at = trio.current_time() + daemon.config.first_frame_s

    @property
    def backlog_bytes(self) -> int:
        return len(self._backlog)

    def begin(self) -> None:
        """The daemon knows of it, and from now on it gets its turns."""
        self._daemon.add_line(self)
        self._turns.add(self._sock.fileno(), self)

    def close(self) -> None:
        """It says and hears nothing more, and ends soon; to be called as often as one likes, also
        within a step of the daemon's.
        """
        if not self.is_over:
            self.is_over = True
            self._nursery.start_soon(self._end_soon)

    async def _end_soon(self) -> None:
        self.end()

    def end(self) -> None:
        """Closes it, and what hangs on it ends."""
        self.is_over = True
        descriptor = self._sock.fileno()
        if descriptor < 0:
            return
        self._turns.remove(descriptor)
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()
        self._daemon.remove_line(self)

    # --- out ------------------------------------------------------------------------------------

    def send(self, frame: Frame) -> None:
        if self.is_over or self._is_deaf:
            return
        try:
            data = framed(_pack(frame))
        except AdmissionError as problem:  # a list of thousands of leases
            data = error_frame(frame["id"], problem.code, f"the answer is too long: {problem}")
        if not self._backlog:
            sent = self._send_now(data)
            if sent == len(data):
                return
            data = data[sent:]
        self._backlog += data
        if len(self._backlog) > self._daemon.config.unanswered_bytes_max:
            log.warning("process %d does not read its answers: closed", self.peer.holder.pid)
            self.close()
        elif not self._is_draining:
            self._is_draining = True
            self._nursery.start_soon(self._drain)

    def _send_now(self, data: bytes | bytearray) -> int:
        """How much of it the socket takes without waiting."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            # The client is gone. What it sent before that is read all the same: it may take back
            # what it asked for. Its reader will notice the end.
            self._is_deaf = True
            return len(data)

    def _say_last(self, problem: BadFrame) -> None:
        """Why the connection ends, unless that would stand in the middle of another answer."""
        if not self._backlog:
            self._send_now(error_frame(0, problem.code, str(problem)))
        self.end()

    async def _drain(self) -> None:
        try:
            while self._backlog and not self.is_over:
                await trio.lowlevel.wait_writable(self._sock)
                del self._backlog[: self._send_now(self._backlog)]
        except trio.ClosedResourceError:
            pass
        finally:
            self._is_draining = False

    # --- in -------------------------------------------------------------------------------------

    def take_turn(self, now: float) -> bool:
        """Reads once, and handles what is whole, for a while. True where it had no time for all."""
        try:
            return self._handle(now) if self._bodies or self._read() else False
        except BadFrame as problem:
            self._say_last(problem)
            return False

    def be_late(self, now: float) -> None:
        # What came by then counts: where the daemon itself was suspended, nobody was late.
        was_due_at = self.due_at
        self.take_turn(now)
        if not self.is_over and self.due_at == was_due_at:
            limit_s = self._daemon.config.first_frame_s
            message = f"no whole frame came within {limit_s:g} s; the connection is closed"
            self._say_last(BadFrame(message))

    def _read(self) -> bool:
        """Whether there are whole frames now. Ends where the client has closed its end.

        Raises:
            BadFrame: what came is none.
        """
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.end()
            return False
        self._bodies += self._frames.cut(data)
        if not self._frames.is_partial:
            self.due_at = inf
        elif self._bodies or self.due_at == inf:
            self.due_at = trio.current_time() + self._daemon.config.first_frame_s
            self._turns.note_deadline()
        return bool(self._bodies)

    def _handle(self, now: float) -> bool:
        """One request after the other, for a turn. True where some are left."""
        while not self.is_over:
            dispatch(self._daemon, self, self._bodies.popleft())
            if not self._bodies:
                return False
            if trio.current_time() >= now + TURN_S:
                return True
        return False


async def accept_connections(listener: socket.socket, daemon: Daemon) -> None:
    """Serves everybody who connects, until cancelled. `listener` does not block."""
    with closing(Turns()) as turns:  # closed once nobody waits for it any more
        async with trio.open_nursery() as nursery:
            nursery.start_soon(turns.run)
            for number in count(1):
                sock = await _accept(listener)
                connection = _greet(number, sock, daemon, turns, nursery)
                if connection is not None:
                    connection.begin()


async def _accept(listener: socket.socket) -> socket.socket:
    while True:
        await trio.lowlevel.wait_readable(listener)
        try:
            return listener.accept()[0]
        except OSError as problem:
            if problem.errno in SCARCE:
                log.warning("no connection can be taken just now: %s", problem)
                await trio.sleep(ACCEPT_PAUSE_S)
            # Else that one client went away before it was served.


def _refusal_of(peer: Peer, daemon: Daemon) -> tuple[str, str] | None:
    """Why this one is not let in: a code and a message. None where it is."""
    if not daemon.access.lets_in(peer):
        return "not_permitted", daemon.access.said_to_strangers()
    limit, taken = daemon.config.connections_max, len(daemon.lines)
    if taken >= limit:
        message = f"{limit} connections are open, and that is the limit; close some of yours"
        return "too_many_connections", message
    if peer.uid not in daemon.access.operators:
        mine = sum(line.peer.uid == peer.uid for line in daemon.lines.values())
        if mine >= daemon.config.core_limits.share(peer.uid, limit, taken - mine):
            message = f"you have {mine} connections open, and that is your share; close some"
            return "too_many_connections", message
    return None


def _greet(
    number: int, sock: socket.socket, daemon: Daemon, turns: Turns, nursery: trio.Nursery
) -> Connection | None:
    """The connection, or None where this client can't be served, which it is told."""
    sock.setblocking(False)
    refusal: tuple[str, str] | None = None
    try:
        peer = peer_of(sock)
        refusal = _refusal_of(peer, daemon)
        if refusal is None:
            return Connection(number, sock, peer, daemon, turns, nursery)
    except Gone:
        pass
    except OSError as problem:
        refusal = "too_many_connections", f"the machine has nothing left for it: {problem}"
    with sock, suppress(OSError):  # it may not wait for the answer
        if refusal is not None:
            sock.send(error_frame(0, *refusal))
    return None
