"""One command on another node, seen from here: admitted, begun, carried to its end."""

import json
import os
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import trio

from admission.protocol import Frame, Unreachable
from admission_client.overflow.line import (
    STDERR,
    STDIN,
    STDOUT,
    VERSION,
    Broken,
    Line,
    past_banner,
)
from admission_client.overflow.nodes import Node, Settings
from admission_client.overflow.order import KEEP, Order
from admission_client.overflow.reach import (
    SAID_BYTES_MAX,
    NodeFailed,
    NodeRefused,
    kill_session,
    last_line,
    line_to,
    why_failed,
)
from admission_client.overflow.streams import read_here, write_here

# What the way to the node gets to end by itself once its input is closed.
FAREWELL_S = 2.0
# Those that end a command, and are passed on to it.
PASSED_ON = ("INT", "TERM", "HUP", "QUIT", "USR1", "USR2")


@dataclass(frozen=True)
class Ending:
    """How it ended: with a status, or by a signal of that name."""

    status: int = 0
    signal: str = ""


class Session:
    """A command on a node, which `open` has admitted there and `begin` has begin.

    `lease` is what the node's daemon granted.
    """

    lease: Frame

    def __init__(self, node: Node, settings: Settings, order: Order, cwd: str) -> None:
        self.node = node
        self._settings = settings
        self._order = order
        self._cwd = cwd
        self._process: trio.Process
        self._line: Line
        self._frames: AsyncGenerator[Frame, None]
        self._said = b""
        self._kept_in = ""

    async def open(self, nursery: trio.Nursery) -> Self:
        """Has the node admit it. `nursery` is for what goes on beside; `close` ends that.

        Raises:
            NodeFailed: it can't be reached, or does not work.
            NodeRefused: it does not take the command.
        """
        command = line_to(self.node, self._settings, self._cwd, "receive")
        try:
            # A session of its own: Ctrl-C in our terminal is for us, and we pass it on.
            self._process = await trio.lowlevel.open_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as problem:
            raise self._failed(f"can't be reached: {command[0]}: {problem.strerror}") from None
        try:
            await self._open(nursery)
        except BaseException:
            await self.close()
            raise
        return self

    async def _open(self, nursery: trio.Nursery) -> None:
        heard, says = self._process.stdout, self._process.stdin
        assert heard is not None
        assert says is not None
        nursery.start_soon(self._listen)
        limit_s = 2 * self._settings.table.connect_s
        try:
            with trio.fail_after(limit_s):
                version, rest = await past_banner(heard)
        except trio.TooSlowError:
            raise self._failed(why_failed(self.node, None, self._said)) from None
        except Broken:
            raise self._failed(await self._why()) from None
        if version != VERSION:
            raise self._failed(
                f"speaks version {version} of this, and we {VERSION}: install the same version of "
                "admission on both"
            )
        silence_s = self._settings.table.silence_s
        self._line = Line(heard, says, (STDIN,), (STDOUT, STDERR), silence_s)
        nursery.start_soon(self._line.send_forever)
        self._frames = self._line.frames(rest)
        for part in (parts := list(self._order.parts())):
            self._line.put("order", part=part, is_last=part is parts[-1])
        try:
            with trio.fail_after(limit_s):
                answer = await anext(self._frames)
        except trio.TooSlowError:
            raise self._failed("does not say whether it admits the command") from None
        except Broken:
            raise self._failed(await self._why()) from None
        self._admitted(answer)

    def _admitted(self, answer: Frame) -> None:
        match answer:
            case {"kind": "admitted", "lease": bytes(lease), "kept_in": str(kept_in)}:
                with suppress(ValueError):
                    found = json.loads(lease)
                    if isinstance(found, dict):
                        self.lease, self._kept_in = found, kept_in
                        return
            case {"kind": "refused", "status": int(status), "message": str(message)}:
                said = last_line(message.encode())
                said = said.removeprefix("admission: ").removeprefix("admission run: ")
                raise NodeRefused(status, f"node {self.node.name}: {said or f'status {status}'}")
            case _:
                pass
        raise self._failed("answers something that nobody understands")

    async def close(self) -> None:
        """Ends the connection. What is admitted and has not begun never begins."""
        with trio.CancelScope(shield=True):
            if hasattr(self, "_line"):
                self._line.break_()
                with suppress(RuntimeError):  # it is being read just now
                    await self._frames.aclose()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    await stream.aclose()
            if hasattr(self, "_line"):  # else nobody is there yet who could end by himself
                with trio.move_on_after(FAREWELL_S):
                    await self._process.wait()
            if self._process.returncode is None:
                kill_session(self._process)
                await self._process.wait()

    # --- once it has begun ----------------------------------------------------------------------

    @property
    def is_there(self) -> bool:
        """Whether there still is a way to it, as far as one knows without asking."""
        return self._process.returncode is None and not self._line.is_broken

    def begin(self) -> None:
        """From here on it runs there, and nowhere else."""
        self._line.put("start")

    def pass_on(self, name: str) -> None:
        """Sends a signal to the command."""
        self._line.put("signal", name=name)

    async def stop(self) -> None:
        """Has it stand still, and returns when that is said; `pass_on("CONT")` has it go on."""
        self._line.put("signal", name="STOP")
        await self._line.flush()

    def resize(self, rows: int, columns: int) -> None:
        """Tells it how large our terminal is."""
        self._line.put("size", rows=rows, columns=columns)

    async def carry(self) -> Ending:
        """Our standard streams are the command's, until it has ended.

        Raises:
            Unreachable: the connection broke; what becomes of the command is said.
        """
        ending: Ending | None = None
        broken = ""
        async with trio.open_nursery() as feeding:
            feeding.start_soon(self._feed)
            async with trio.open_nursery() as pouring:
                for stream in (STDOUT, STDERR):
                    pouring.start_soon(self._pour, stream)
                try:
                    async for frame in self._frames:
                        if (ending := _ending(frame)) is not None:
                            break
                except Broken as problem:
                    broken = str(problem)
                self._line.break_()  # so that those who pour know that nothing more comes
            feeding.cancel_scope.cancel()
        if ending is None:
            raise Unreachable(self._lost(broken))
        return ending

    async def _feed(self) -> None:
        outlet = self._line.outlets[STDIN]
        with suppress(Broken):
            while data := await read_here(STDIN):
                if not await outlet.send(data):
                    return
            outlet.end()

    async def _pour(self, stream: int) -> None:
        async def write(data: bytes) -> bool:
            return await write_here(stream, data)

        await self._line.inlets[stream].pour(write)

    def _lost(self, why: str) -> str:
        lost = f"the connection to node {self.node.name} broke ({why}); the command"
        if self._order.on_disconnect == KEEP:
            return (
                f"{lost} goes on there under lease {self.lease.get('lease')}, and what it says "
                f"is kept in {self._kept_in}"
            )
        return f"{lost} is ended there"

    # --- what goes wrong ------------------------------------------------------------------------

    def _failed(self, why: str) -> NodeFailed:
        return NodeFailed(f"node {self.node.name} {why}")

    async def _listen(self) -> None:
        """Keeps the end of what the way to the node says for itself."""
        stream = self._process.stderr
        assert stream is not None
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in stream:
                self._said = (self._said + data)[-SAID_BYTES_MAX:]

    async def _why(self) -> str:
        with trio.move_on_after(FAREWELL_S):
            await self._process.wait()
            await trio.sleep(0.01)  # what it said last is read by another task
        return why_failed(self.node, self._process.returncode, self._said)


def _ending(frame: Frame) -> Ending | None:
    match frame:
        case {"kind": "ended", "status": int(status)}:
            return Ending(status=status & 0xFF)
        case {"kind": "ended", "signal": str(name)}:
            return Ending(signal=name)
        case _:
            return None


def end_like(ending: Ending) -> int:
    """Ends this process as the command ended, where that was by a signal that callers look for;
    otherwise gives the exit status that a shell shows.
    """
    if not ending.signal:
        return ending.status
    number = getattr(signal, f"SIG{ending.signal}", signal.SIGKILL)
    if ending.signal in PASSED_ON:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    return 128 + int(number)
