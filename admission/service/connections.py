"""Accepts connections, cuts them into frames, and keeps each within its limits.

A connection is one task that reads. Answers are sent at once by whoever has them; only what the
socket does not take is kept, up to a limit, and sent by a task that lives until it is gone.
"""

import errno
import logging
import socket
from contextlib import suppress
from itertools import count
from math import inf

import trio

from admission.protocol import AdmissionError, BadFrame, Frame, Frames, encode
from admission.service.daemon import Daemon
from admission.service.dispatch import dispatch
from admission.service.holders import Gone
from admission.service.peers import Peer, peer_of

# Small, so that one who sends much takes turns with the others.
READ_BYTES = 4096
# A hundred requests fit one read, and what each costs differs a thousandfold.
TURN_S = 0.00025
ACCEPT_PAUSE_S = 0.1
# No descriptors or no memory: passes by itself.
SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

log = logging.getLogger(__name__)


def error_frame(message_id: object, code: str, message: str) -> bytes:
    return encode({"id": message_id, "ok": False, "error": {"code": code, "message": message}})


class Connection:
    """One client. Owns its socket, which does not block."""

    def __init__(
        self, number: int, sock: socket.socket, peer: Peer, daemon: Daemon, nursery: trio.Nursery
    ) -> None:
        self.number = number
        self.peer = peer
        self._sock = sock
        self._daemon = daemon
        self._nursery = nursery
        self._frames = Frames()
        self._backlog = bytearray()
        self._is_draining = False
        self._is_deaf = False
        self._scope = trio.CancelScope()
        self._due_at = inf

    @property
    def backlog_bytes(self) -> int:
        return len(self._backlog)

    def close(self) -> None:
        """Ends the connection; to be called from any task, and as often as one likes."""
        self._scope.cancel()

    # --- out ------------------------------------------------------------------------------------

    def send(self, frame: Frame) -> None:
        if self._scope.cancel_called or self._is_deaf:
            return
        try:
            data = encode(frame)
        except AdmissionError as problem:  # a list of thousands of leases
            data = error_frame(frame["id"], problem.code, f"the answer is too long: {problem}")
        if not self._backlog:
            data = data[self._send_now(data) :]
        self._backlog += data
        if len(self._backlog) > self._daemon.config.unanswered_bytes_max:
            log.warning("process %d does not read its answers: closed", self.peer.holder.pid)
            self.close()
        elif self._backlog and not self._is_draining:
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

    def _say_last(self, code: str, message: str) -> None:
        """Why the connection ends, unless that would stand in the middle of another answer."""
        if not self._backlog:
            self._send_now(error_frame(0, code, message))

    async def _drain(self) -> None:
        try:
            while self._backlog and not self._scope.cancel_called:
                await trio.lowlevel.wait_writable(self._sock)
                del self._backlog[: self._send_now(self._backlog)]
        except trio.ClosedResourceError:
            pass
        finally:
            self._is_draining = False

    # --- in -------------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Reads until the client goes, or has to. The daemon knows of it from before."""
        try:
            with self._scope:
                await self._read()
        except BadFrame as problem:
            self._say_last(problem.code, str(problem))
        finally:
            self._scope.cancel()
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
            self._daemon.remove_line(self)

    async def _read(self) -> None:
        """Frame by frame. What is begun has a deadline: the first frame, and the rest of any."""
        limit_s = self._daemon.config.first_frame_s
        self._due_at = trio.current_time() + limit_s
        while data := await self._receive():
            frames = self._frames.feed(data)
            if not self._frames.is_partial:
                self._due_at = inf
            elif frames or self._due_at == inf:
                self._due_at = trio.current_time() + limit_s
            await self._handle(frames)

    async def _handle(self, frames: list[Frame]) -> None:
        """One request after the other, for a turn; then the others come in between."""
        turn_ends_at = trio.current_time() + TURN_S
        for frame in frames:
            dispatch(self._daemon, self, frame)
            if trio.current_time() >= turn_ends_at:
                await trio.lowlevel.checkpoint()
                turn_ends_at = trio.current_time() + TURN_S

    async def _receive(self) -> bytes:
        """What has come; nothing where the client has closed its end.

        Raises:
            BadFrame: nothing has by the deadline.
        """
        while True:
            # Also where there is more already: who always has more lets the others speak.
            if self._due_at == inf:
                await trio.lowlevel.wait_readable(self._sock)
            else:
                with trio.move_on_at(self._due_at):
                    await trio.lowlevel.wait_readable(self._sock)
            try:
                # Past the deadline too: where the daemon itself was suspended, nobody was late.
                return self._sock.recv(READ_BYTES)
            except BlockingIOError:
                if trio.current_time() >= self._due_at:
                    raise self._too_late() from None
            except OSError:
                return b""

    def _too_late(self) -> BadFrame:
        limit_s = self._daemon.config.first_frame_s
        return BadFrame(f"no whole frame came within {limit_s:g} s; the connection is closed")


async def accept_connections(listener: socket.socket, daemon: Daemon) -> None:
    """Serves everybody who connects, until cancelled. `listener` does not block."""
    async with trio.open_nursery() as nursery:
        for number in count(1):
            sock = await _accept(listener)
            connection = _greet(number, sock, daemon, nursery)
            if connection is not None:
                # At once, and not when its task begins: the next one is to be counted with it.
                daemon.add_line(connection)
                nursery.start_soon(connection.serve)


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
    number: int, sock: socket.socket, daemon: Daemon, nursery: trio.Nursery
) -> Connection | None:
    """The connection, or None where this client can't be served, which it is told."""
    sock.setblocking(False)
    refusal: tuple[str, str] | None = None
    try:
        peer = peer_of(sock)
        refusal = _refusal_of(peer, daemon)
        if refusal is None:
            return Connection(number, sock, peer, daemon, nursery)
    except Gone:
        pass
    except OSError as problem:
        refusal = "too_many_connections", f"the machine has nothing left for it: {problem}"
    with sock, suppress(OSError):  # it may not wait for the answer
        if refusal is not None:
            sock.send(error_frame(0, *refusal))
    return None
