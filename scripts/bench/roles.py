"""What the benchmarks start besides the daemon: `python -m scripts.bench.roles ROLE SOCKET`.
Bad company is in `scripts.bench.company`.

Each says a line when it is ready.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from admission_client import Client
from admission_client.granted import claim_fields


def echo(path: str) -> None:
    """What the daemon is compared with: the echo server of trio's tutorial, on a Unix socket."""
    import trio  # late: the other roles start without it

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):  # it hung up before the answer
                async for data in stream:
                    await stream.send_all(data)

    async def serve() -> None:
        with trio.socket.socket(socket.AF_UNIX) as sock:
            await sock.bind(path)
            sock.listen(1024)
            print("listening", flush=True)
            await trio.serve_listeners(answer, [trio.SocketListener(sock)])

    trio.run(serve)


def echo_asyncio(path: str) -> None:
    """The same with what the standard library has for it, and nothing between it and the socket."""
    import asyncio  # late, as above

    class Answer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(data)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_unix_server(Answer, path, backlog=1024)
        print("listening", flush=True)
        await server.serve_forever()

    asyncio.run(serve())


def import_only(_: str) -> None:
    """A process that has what a daemon like ours can't do without, and does nothing."""
    import sqlite3  # noqa: F401

    import msgpack  # noqa: F401
    import psutil  # noqa: F401
    import trio  # noqa: F401

    print("imported", flush=True)
    signal.pause()


def hold(path: str) -> None:
    """Takes the one unit of the pool `one`, says when it was granted, and keeps it: without a
    connection, as what `admission run` becomes.
    """
    with Client(path) as client:
        client.ask("hello")
        print("asking", flush=True)
        client.acquire(claim_fields(pool="one"))
        granted_at = time.monotonic()
    print(granted_at, flush=True)
    signal.pause()


def stand_by(path: str) -> None:
    """The same process, but that it holds nothing."""
    with Client(path) as client:
        client.ask("hello")
    print("here", flush=True)
    signal.pause()


def hold_many(path: str) -> None:
    """A thousand processes that sleep, each with a lease of its own in the pool `many`."""
    pids = []
    for _ in range(HERD):
        pid = os.fork()
        if not pid:
            while True:
                signal.pause()
        pids.append(pid)
    with Client(path) as client:
        for pid in pids:
            client.acquire(claim_fields(pool="many", task="bench", pid=pid))
    print("all hold", flush=True)
    signal.pause()


HERD = 1000
ROLES: dict[str, Callable[[str], None]] = {
    "echo": echo,
    "echo-asyncio": echo_asyncio,
    "imports": import_only,
    "holder": hold,
    "bystander": stand_by,
    "herd": hold_many,
}

if __name__ == "__main__":
    ROLES[sys.argv[1]](sys.argv[2])
