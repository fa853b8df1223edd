"""A browser that does not read is cut off, by the real server, and keeps nothing from ending."""

import socket
from collections.abc import Iterator, MutableMapping
from contextlib import closing, contextmanager
from typing import Any

import pytest
import trio

from admission_client.dashboard.door import Receive, Scope, Send
from admission_client.dashboard.patience import Patience, hang_up
from admission_client.dashboard.serving import serve_app

LIMIT_S = 60


class Flood:
    """Sends without end, to whoever is there."""

    def __init__(self) -> None:
        self.ended = trio.Event()
        self.begun = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, send)
            while (await receive())["type"] != "http.disconnect":
                pass
            nursery.cancel_scope.cancel()
        self.ended.set()

    async def _send(self, send: Send) -> None:
        while True:
            body: MutableMapping[str, Any] = {"type": "http.response.body", "body": b"x" * 65_536}
            self.begun += 1
            await send({**body, "more_body": True})


@contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield listener, listener.getsockname()[1]


@contextmanager
def asking(port: int) -> Iterator[socket.socket]:
    """Asks, and does not read."""
    with socket.socket() as page:
        page.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        page.connect(("127.0.0.1", port))
        page.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        yield page


@pytest.mark.trio
async def test_who_does_not_read_is_cut_off() -> None:
    flood, told_to_end = Flood(), trio.Event()
    with listening() as (listener, port), trio.fail_after(LIMIT_S):
        app = Patience(flood, port, stuck_s=0.2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_app, app, listener, told_to_end)
            with asking(port), socket.create_connection(("127.0.0.1", port)) as other:
                await flood.ended.wait()
                other.setblocking(False)
                with pytest.raises(BlockingIOError):  # and nobody else is
                    other.recv(1)
            told_to_end.set()


@pytest.mark.trio
async def test_nobody_who_does_not_read_keeps_it_from_ending() -> None:
    flood, told_to_end = Flood(), trio.Event()
    with listening() as (listener, port), trio.fail_after(LIMIT_S):
        app = Patience(flood, port)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_app, app, listener, told_to_end)
            with asking(port):
                before = 0
                while not before or flood.begun != before:  # until it is stuck
                    before = flood.begun
                    await trio.sleep(0.1)
                told_to_end.set()
                hang_up(port)
                await flood.ended.wait()
