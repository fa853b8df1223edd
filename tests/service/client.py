"""A client that says whatever the test wants, also what no good client would say."""

from collections import deque
from collections.abc import Callable
from itertools import count

import trio

from admission.protocol import Frame, Frames, encode

# Generous: it only ends a test that would hang.
PATIENCE_S = 20.0


class Client:
    """One real connection. Nothing is read before the test asks for it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._frames = Frames()
        self._arrived: deque[Frame] = deque()
        self._ids = count(1)

    async def send(self, data: bytes) -> None:
        with trio.fail_after(PATIENCE_S):
            await self.stream.send_all(data)

    async def request(self, op: str, **fields: object) -> int:
        """Sends one request; returns its id."""
        message_id = next(self._ids)
        await self.send(encode({"id": message_id, "op": op, **fields}))
        return message_id

    async def ask(self, op: str, **fields: object) -> Frame:
        """One request and its answer; what else comes in between is dropped."""
        return await self.answer(await self.request(op, **fields))

    async def answer(self, message_id: int) -> Frame:
        while True:
            frame = await self.frame()
            if frame["id"] == message_id and "event" not in frame:
                return frame

    async def frame(self) -> Frame:
        """The next frame of whatever kind."""
        while not self._arrived:
            assert await self._receive(), "closed"
        return self._arrived.popleft()

    async def until_closed(self) -> list[Frame]:
        """Every frame that still comes before the daemon closes the connection."""
        while await self._receive():
            pass
        frames = list(self._arrived)
        self._arrived.clear()
        return frames

    async def _receive(self) -> bool:
        with trio.fail_after(PATIENCE_S):
            try:
                data = await self.stream.receive_some(65_536)
            except trio.BrokenResourceError:
                return False  # closed with something of ours unread
        self._arrived += self._frames.feed(bytes(data))
        return bool(data)

    async def close(self) -> None:
        await self.stream.aclose()


async def until(condition: Callable[[], bool]) -> None:
    """Returns once this holds."""
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.lowlevel.checkpoint()
