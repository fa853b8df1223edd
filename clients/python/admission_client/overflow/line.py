"""One connection between the two sides of work that runs elsewhere: frames each way over whatever
carries bytes, mostly the standard streams of an ssh.

The frames are those of the daemon's socket. Beside the few that steer (`kind` says what it is)
there are three streams of bytes, each with a window of its own, so that neither a command that
reads nothing nor a reader that is slow keeps a signal or a sign of life from coming through.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable
from math import inf

import trio

from admission.protocol import AdmissionError, Frame, Frames, encode

VERSION = 1
# What stands before the first frame; whatever a login shell prints comes before it.
BANNER = b"admission-receive "
NOISE_BYTES_MAX = 65_536
CHUNK_BYTES = 32_768
# Of each stream so much may be on its way.
WINDOW_BYTES = 8 * CHUNK_BYTES
STDIN, STDOUT, STDERR = 0, 1, 2


class Broken(Exception):
    """The other side is gone, or silent, or says what nobody understands."""


class Outlet:
    """A stream of bytes to the other side. `unread` is what that has not yet said to have passed
    on.
    """

    def __init__(self, line: "Line", stream: int) -> None:
        self._line = line
        self._stream = stream
        self.unread = bytearray()
        self._news = trio.Event()
        self.is_refused = False

    async def send(self, data: bytes) -> bool:
        """Sends it once there is room on its way; False where the other side wants no more.

        Raises:
            Broken: there is no other side any more.
        """
        while len(self.unread) >= WINDOW_BYTES and not self.is_refused and not self._line.is_broken:
            self._news = trio.Event()
            await self._news.wait()
        if self._line.is_broken:
            raise Broken
        if not self.is_refused:
            self.unread += data
            self._line.put("data", stream=self._stream, data=data)
        return not self.is_refused

    def end(self) -> None:
        self._line.put("eof", stream=self._stream)

    def acknowledged(self, count: int) -> None:
        del self.unread[: max(0, count)]
        self._news.set()

    def refused(self) -> None:
        self.is_refused = True
        self._news.set()

    def broken(self) -> None:
        self._news.set()


class Inlet:
    """A stream of bytes from the other side."""

    def __init__(self, line: "Line", stream: int) -> None:
        self._line = line
        self._stream = stream
        self._send, self._receive = trio.open_memory_channel[bytes](inf)  # within the window
        self._unread = 0

    def arrived(self, data: bytes) -> None:
        self._unread += len(data)
        if self._unread > WINDOW_BYTES + CHUNK_BYTES:
            raise Broken("the other side sends more than it may")
        self._put(data)

    def ended(self) -> None:
        self._put(b"")

    def _put(self, data: bytes) -> None:
        try:
            self._send.send_nowait(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._unread = 0  # nobody wants it

    async def pour(self, write: "Writer") -> None:
        """Passes on what comes until it has ended, or `write` says that nobody wants it."""
        with self._receive:
            async for data in self._receive:
                if not data:
                    return
                if not await write(data):
                    self._line.put("refuse", stream=self._stream)
                    return
                self._unread -= len(data)
                self._line.put("ack", stream=self._stream, bytes=len(data))


class Line:
    """The connection. `run` carries it; it ends when the other side does.

    Args:
        receiving: what the other side says comes from here, from its first frame on.
        sending: and what we say goes there.
        outgoing: the streams that we send.
        incoming: those that we receive.
        silence_s: who says nothing for so long is gone.
    """

    def __init__(
        self,
        receiving: trio.abc.ReceiveStream,
        sending: trio.abc.SendStream,
        outgoing: tuple[int, ...],
        incoming: tuple[int, ...],
        silence_s: float,
    ) -> None:
        self.outlets = {stream: Outlet(self, stream) for stream in outgoing}
        self.inlets = {stream: Inlet(self, stream) for stream in incoming}
        self.is_broken = False
        self.silence_s = silence_s
        self._receiving = receiving
        self._sending = sending
        self._frames = Frames()
        self._unsent = bytearray()
        self._has_more = trio.Event()
        self._is_sent = trio.Event()
        self._is_sent.set()

    def put(self, kind: str, **fields: object) -> None:
        """Says it as soon as the other side takes it; what is put into the streams is bounded."""
        if self.is_broken:
            return
        self._unsent += encode({"kind": kind, **fields})
        if self._is_sent.is_set():
            self._is_sent = trio.Event()
        self._has_more.set()

    async def flush(self) -> None:
        """Until all that was put is on its way, or nobody is there to take it."""
        await self._is_sent.wait()

    async def send_forever(self) -> None:
        """Carries what is put; a sign of life where there is nothing."""
        while not self.is_broken:
            if not self._unsent:
                self._has_more = trio.Event()
                with trio.move_on_after(self.silence_s / 4):
                    await self._has_more.wait()
            if not self._unsent:
                self.put("alive")
            while self._unsent and not self.is_broken:
                data, self._unsent = bytes(self._unsent), bytearray()
                try:
                    await self._sending.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self.break_()
            self._is_sent.set()

    async def frames(self, first: bytes = b"") -> AsyncGenerator[Frame, None]:
        """The frames that steer, as they come; those of the streams go to their inlets.

        Args:
            first: bytes that were read already.

        Raises:
            Broken: the other side is gone; the line is of no more use.
        """
        try:
            while True:
                for frame in self._cut(first):
                    if not self._is_of_stream(frame):
                        yield frame
                first = await self._read()
        except Broken:
            self.break_()
            raise

    def _cut(self, data: bytes) -> list[Frame]:
        try:
            return self._frames.feed(data)
        except AdmissionError as problem:
            raise Broken(f"it does not speak as it should: {problem}") from None

    async def _read(self) -> bytes:
        try:
            with trio.fail_after(self.silence_s):
                data = await self._receiving.receive_some()
        except trio.TooSlowError:
            raise Broken(f"nothing was heard for {self.silence_s:g} s") from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            data = b""
        if not data:
            raise Broken("the connection was closed")
        return bytes(data)

    def _is_of_stream(self, frame: Frame) -> bool:
        kind, stream = frame.get("kind"), frame.get("stream")
        inlet = self.inlets.get(stream) if isinstance(stream, int) else None
        outlet = self.outlets.get(stream) if isinstance(stream, int) else None
        match frame:
            case {"kind": "data", "data": bytes(data)} if inlet is not None:
                inlet.arrived(data)
            case {"kind": "eof"} if inlet is not None:
                inlet.ended()
            case {"kind": "ack", "bytes": int(count)} if outlet is not None:
                outlet.acknowledged(count)
            case {"kind": "refuse"} if outlet is not None:
                outlet.refused()
            case _:
                return kind == "alive"
        return True

    def break_(self) -> None:
        """Nothing more is said or heard; who waits to say something wakes up."""
        self.is_broken = True
        self._has_more.set()
        self._is_sent.set()
        for outlet in self.outlets.values():
            outlet.broken()
        for inlet in self.inlets.values():
            inlet.ended()


async def past_banner(receiving: trio.abc.ReceiveStream) -> tuple[int, bytes]:
    """Reads up to the banner, over whatever stands before it: its version, and what was read
    behind it.

    Raises:
        Broken: none comes.
    """
    said = b""
    while len(said) < NOISE_BYTES_MAX:
        start = said.find(BANNER)
        end = said.find(b"\n", start) if start >= 0 else -1
        if end >= 0:
            number = said[start + len(BANNER) : end].strip()
            return int(number) if number.isdigit() else 0, said[end + 1 :]
        try:
            data = await receiving.receive_some()
        except trio.BrokenResourceError:
            data = b""
        if not data:
            break
        said += data
    raise Broken("it did not answer as admission does")


Writer = Callable[[bytes], Awaitable[bool]]
