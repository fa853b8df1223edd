"""A daemon behind a real socket, on the real clock."""

import socket
from collections.abc import Awaitable, Callable

import trio

from tests.service.client import Client
from tests.service.stage import Stage


class House:
    """A daemon behind a real socket, and those who connect to it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.clients: list[Client] = []

    async def connect(self) -> Client:
        (client,) = self.connect_at_once(1)
        await trio.lowlevel.checkpoint()
        return client

    def connect_at_once(self, how_many: int) -> list[Client]:
        """With no turn for the daemon in between."""
        found: list[Client] = []
        for _ in range(how_many):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect("s")
            found.append(Client(trio.SocketStream(trio.socket.from_stdlib_socket(sock))))
        self.clients += found
        return found

    @property
    def held(self) -> int:
        return self.stage.core.ledger.held

    @property
    def lines(self) -> int:
        return len(self.stage.daemon.lines)

    @property
    def backlog_bytes(self) -> int:
        return max((line.backlog_bytes for line in self.stage.daemon.lines.values()), default=0)


Open = Callable[..., Awaitable[House]]
