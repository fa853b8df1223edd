"""Ends connections on which nobody reads, which hypercorn waits for without end.

It shields what it sends from being cancelled, so that one browser that stands still would keep the
process from ending. Where the connection is shut down beneath it, it lets go.
"""

import logging
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import closing, suppress

import trio

from admission_client.dashboard.door import App, Message, Receive, Scope, Send

# Whoever reads nothing for so long is gone, or will come again.
STUCK_S = 20.0

log = logging.getLogger(__name__)


class Patience:
    """An application whose messages each have so long to be taken.

    Args:
        inside: the application.
        port: where it is served.
        stuck_s: how long, in seconds.
    """

    def __init__(self, inside: App, port: int, stuck_s: float = STUCK_S) -> None:
        self._inside = inside
        self._port = port
        self._stuck_s = stuck_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")

        async def send_in_time(message: Message) -> None:
            async with trio.open_nursery() as nursery:
                if client is not None:
                    nursery.start_soon(self._hang_up_later, tuple(client))
                await send(message)
                nursery.cancel_scope.cancel()

        await self._inside(scope, receive, send_in_time)

    async def _hang_up_later(self, client: tuple[str, int]) -> None:
        await trio.sleep(self._stuck_s)
        log.info("nobody read for %g s; the connection is closed", self._stuck_s)
        hang_up(self._port, client)


def hang_up(port: int, client: tuple[str, int] | None = None) -> None:
    """Shuts down this client's connection to the port, or all of them; the listener stays."""
    for one in _sockets():
        with closing(one), suppress(OSError):
            if one.getsockname()[1:2] == (port,) and client in (None, one.getpeername()):
                one.getpeername()  # a listener has none
                one.shutdown(socket.SHUT_RDWR)


def _sockets() -> Iterator[socket.socket]:
    """A duplicate of each TCP socket that this process has."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # closed meanwhile
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                one = socket.socket(fileno=os.dup(int(name)))
                if one.family == socket.AF_INET:
                    yield one
                else:
                    one.close()
