"""The command `receive`: runs a command for another node, whose `run --overflow` started it here.

The command runs under a lease of this machine's own daemon, by an `admission run` like any other.
It is admitted first and begins when the other side says so. Then its streams, signals and exit
status go over the line; and when that breaks, it is ended or kept, as was ordered.
"""

import fcntl
import os
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from math import inf
from pathlib import Path
from typing import BinaryIO

import trio

from admission.protocol import Frame
from admission_client.files import state_folder
from admission_client.options import WrongUsage, parse, take_no_words
from admission_client.overflow.gate import GO
from admission_client.overflow.line import (
    BANNER,
    CHUNK_BYTES,
    STDERR,
    STDIN,
    STDOUT,
    VERSION,
    Broken,
    Line,
)
from admission_client.overflow.order import KEEP, ORDER_BYTES_MAX, Order

# Who connects and says nothing.
FIRST_WORD_S = 30.0
# What is ended gets so long to do it gently.
GENTLY_S = 5.0
LOOK_S = 0.05
# What the command said last may still be under way when it has ended; what it left running in the
# background may hold its streams open for ever.
DRAIN_S = 1.0
FAREWELL_S = 10.0
END_OF_TRANSMISSION = b"\x04"
SIGNALS = {name: getattr(signal, f"SIG{name}") for name in ("INT", "TERM", "HUP", "QUIT")}
SIGNALS |= {name: getattr(signal, f"SIG{name}") for name in ("USR1", "USR2", "STOP", "CONT")}
NOT_EXECUTABLE = 126
# Of a lease that this process may stand under, where it was started on the same machine.
NOT_PASSED_ON = ("ADMISSION_LEASE", "ADMISSION_FENCE")


def receive(words: list[str]) -> int:
    """Runs what comes in by standard input; what it says goes out by standard output."""
    options = parse(
        words,
        (),
        "receive",
        "Runs a command for another node, under a lease of this one's daemon. `admission run\n"
        "--overflow` starts it there, by ssh or by the runner that is configured, and speaks to\n"
        "it over its standard streams. Nobody types it.",
    )
    take_no_words("receive", options)
    if os.isatty(0):
        raise WrongUsage('receive: "admission run --overflow" of another node starts this')
    return trio.run(_receive)


async def _receive() -> int:
    async with (
        trio.lowlevel.FdStream(os.dup(0)) as heard,
        trio.lowlevel.FdStream(os.dup(1)) as said,
    ):
        with suppress(trio.BrokenResourceError):
            await said.send_all(BANNER + b"%d\n" % VERSION)
        line = Line(heard, said, (STDOUT, STDERR), (STDIN,), FIRST_WORD_S)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.send_forever)
            with suppress(Broken):
                await Keeper(line).keep()
            with trio.move_on_after(FAREWELL_S):
                await line.flush()
            nursery.cancel_scope.cancel()
    return 0


class Keeper:
    """A command that runs here for another node."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._order: Order
        self._process: trio.Process
        self._terminal: trio.lowlevel.FdStream | None = None
        self._terminal_fd = -1
        self._go = -1
        self._has_begun = False
        self._is_ending = False
        self._is_ended = trio.Event()
        self._log: BinaryIO | None = None
        self._log_path: Path

    async def keep(self) -> None:
        """Until the command has ended, however the line fares.

        Raises:
            Broken: the line broke before there was a command.
        """
        async with aclosing(self._line.frames()) as frames:
            try:
                self._order = await _read_order(frames)
                self._line.silence_s = self._order.silence_s
                lease = await self._start()
            except ValueError as problem:
                self._refuse(NOT_EXECUTABLE, str(problem))
                return
            except OSError as problem:
                self._refuse(
                    NOT_EXECUTABLE, f"it can't work in {self._order.folder}: {problem.strerror}"
                )
                return
            try:
                await self._attend(lease, frames)
            finally:
                if self._process.returncode is None and not self._is_kept:
                    self._signal(signal.SIGKILL)

    async def _attend(
        self, lease: trio.abc.ReceiveStream, frames: AsyncGenerator[Frame, None]
    ) -> None:
        """From its start to its end."""
        async with trio.open_nursery() as following:
            following.start_soon(self._follow, frames)
            following.start_soon(self._heed_signals)
            if reply := await _read_all(lease):
                await self._carry(reply)
            else:
                said = await _read_all(self._says)
                status = await self._process.wait()
                self._refuse(status if status >= 0 else 128 - status, said.decode(errors="replace"))
            if self._is_ending:  # what it has started may take longer than itself
                await self._is_ended.wait()
            following.cancel_scope.cancel()

    def _refuse(self, status: int, why: str) -> None:
        self._line.put("refused", status=status, message=why.strip()[-2000:])

    # --- the command ----------------------------------------------------------------------------

    async def _start(self) -> trio.lowlevel.FdStream:
        """Starts `admission run`; gives where it says that it was admitted."""
        order = self._order
        admitted, says_admitted = os.pipe()
        waits_for_go, self._go = os.pipe()
        command = [
            sys.executable,
            "-P",
            "-m",
            "admission_client.cli",
            "run",
            "--quiet",
            "--no-wait",
        ]
        command += [f"--lease-fd={says_admitted}", f"--start-fd={waits_for_go}", *order.options]
        env = {k: v for k, v in os.environ.items() if k not in NOT_PASSED_ON} | order.env
        streams = self._open_terminal() if order.rows else (subprocess.PIPE,) * 3
        try:
            self._process = await trio.lowlevel.open_process(
                [*command, "--", *order.words],
                stdin=streams[0],
                stdout=streams[1],
                stderr=streams[2],
                pass_fds=(says_admitted, waits_for_go),
                cwd=order.folder,
                env=env,
                start_new_session=True,
            )
        finally:
            os.close(says_admitted)
            os.close(waits_for_go)
            if order.rows:
                os.close(streams[0])
        return trio.lowlevel.FdStream(admitted)

    @property
    def _says(self) -> trio.abc.ReceiveStream:
        """Where it says what is wrong."""
        found = self._terminal or self._process.stderr
        assert found is not None
        return found

    def _open_terminal(self) -> tuple[int, int, int]:
        self._terminal_fd, theirs = os.openpty()
        self._terminal = trio.lowlevel.FdStream(self._terminal_fd)
        self._resize(self._order.rows, self._order.columns)
        return theirs, theirs, theirs

    def _resize(self, rows: int, columns: int) -> None:
        if self._terminal is not None:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(self._terminal_fd, termios.TIOCSWINSZ, size)

    async def _carry(self, reply: bytes) -> None:
        """From where it is admitted to where it has ended."""
        log = f"{self._process.pid}-{time.time():.0f}.log"
        self._log_path = state_folder() / "overflow" / log
        self._line.put("admitted", lease=reply, kept_in=str(self._log_path))
        async with trio.open_nursery() as draining, trio.open_nursery() as feeding:
            if self._terminal is not None:
                feeding.start_soon(self._feed, self._terminal, END_OF_TRANSMISSION)
                draining.start_soon(self._drain, self._terminal, STDOUT)
            else:
                feeding.start_soon(self._feed, self._process.stdin, None)
                draining.start_soon(self._drain, self._process.stdout, STDOUT)
                draining.start_soon(self._drain, self._process.stderr, STDERR)
            status = await self._process.wait()
            feeding.cancel_scope.cancel()
            draining.cancel_scope.deadline = trio.current_time() + DRAIN_S
        if self._log is not None:
            self._log.close()
        if (name := _name_of_signal(-status)) is not None:
            self._line.put("ended", signal=name)
        else:
            self._line.put("ended", status=status if status >= 0 else 128 - status)

    async def _feed(self, to: trio.abc.SendStream | None, at_end: bytes | None) -> None:
        """Gives the command what comes for its standard input."""
        assert to is not None

        async def write(data: bytes) -> bool:
            try:
                await to.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return False
            return True

        await self._line.inlets[STDIN].pour(write)
        if at_end is None:
            await to.aclose()
        else:
            await write(at_end)

    async def _drain(self, source: trio.abc.ReceiveStream | None, stream: int) -> None:
        """Takes what the command says."""
        assert source is not None
        outlet = self._line.outlets[stream]
        while data := await _read_some(source):
            try:
                is_wanted = await outlet.send(data)
            except Broken:
                is_wanted = True  # so that it does not fail for want of a reader as it ends
                if self._is_kept:
                    self._write_log(data)
            if not is_wanted:
                await source.aclose()
                break
        outlet.end()

    def _write_log(self, data: bytes) -> None:
        """Keeps what nobody is there to be told; before it, what perhaps nobody has read."""
        with suppress(OSError):  # then it is lost, and the command none the less goes on
            if self._log is None:
                self._log_path.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
                self._log = os.fdopen(os.open(self._log_path, flags, 0o600), "ab", buffering=0)
                for outlet in self._line.outlets.values():
                    self._log.write(outlet.unread)
            self._log.write(data)

    # --- the other side -------------------------------------------------------------------------

    @property
    def _is_kept(self) -> bool:
        return self._has_begun and self._order.on_disconnect == KEEP and not self._is_ending

    async def _follow(self, frames: AsyncGenerator[Frame, None]) -> None:
        try:
            async for frame in frames:
                self._heed(frame)
        except Broken:
            self._line.break_()
            if self._is_kept:
                self._write_log(b"")
            else:
                await self._end()

    def _heed(self, frame: Frame) -> None:
        match frame:
            case {"kind": "start"}:
                self._begin()
            case {"kind": "signal", "name": str(name)} if name in SIGNALS:
                # Who is stopped says nothing, and is not gone.
                self._line.silence_s = inf if name == "STOP" else self._order.silence_s
                self._signal(SIGNALS[name])
            case {"kind": "size", "rows": int(rows), "columns": int(columns)}:
                self._resize(rows % 65_536, columns % 65_536)
            case _:
                raise Broken(f"it says {frame.get('kind')!a}, which is not known here")

    def _begin(self) -> None:
        if not self._has_begun and not self._is_ending:
            self._has_begun = True
            os.write(self._go, GO)

    async def _heed_signals(self) -> None:
        """A machine that goes down ends what it runs; a hang-up is told by the line."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGTERM:
                    await self._end()

    async def _end(self) -> None:
        """Ends the command and all that it started, but what left its group: gently, at first."""
        if self._is_ending:
            return
        self._is_ending = True
        os.close(self._go)
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)
        with trio.move_on_after(GENTLY_S):
            while self._signal(0):  # noqa: ASYNC110 -- of a group's end there is no news
                await trio.sleep(LOOK_S)
        self._signal(signal.SIGKILL)
        self._is_ended.set()

    def _signal(self, number: int) -> bool:
        """Whether there was anybody to hear it."""
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _name_of_signal(number: int) -> str | None:
    """TERM, INT and so on; None where it has no name."""
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return None


async def _read_order(frames: AsyncGenerator[Frame, None]) -> Order:
    said = b""
    async for frame in frames:
        match frame:
            case {"kind": "order", "part": bytes(part), "is_last": bool(is_last)}:
                said += part
                if len(said) > ORDER_BYTES_MAX:
                    raise ValueError("the order is too long")
                if is_last:
                    return Order.read(said)
            case _:
                raise ValueError("the order has to come first")
    raise Broken


async def _read_all(source: trio.abc.ReceiveStream) -> bytes:
    said = b""
    async with source:
        while data := await _read_some(source):
            said += data
    return said


async def _read_some(source: trio.abc.ReceiveStream) -> bytes:
    """Empty where it has ended; of a terminal, when the last one that had it is gone."""
    try:
        return bytes(await source.receive_some(CHUNK_BYTES))
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""
