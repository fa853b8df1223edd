"""The client for trio and asyncio, by anyio: as `blocking`, with `await`.

    async with aio.lease(task="refactor") as granted:
        ...

Cancelling a wait takes the request back: a grant that was on its way goes to the next one.
"""

import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

import anyio
import anyio.to_thread
from anyio.abc import SocketStream

from admission.protocol import (
    REQUEST_BYTES,
    AdmissionError,
    Frame,
    LeaseLost,
    Unavailable,
    Unreachable,
    socket_path,
)
from admission_client.autostart import start_daemon
from admission_client.blocking import (
    ANSWER_TIMEOUT_S,
    FAREWELL_S,
    READ_BYTES,
    RECONNECT_S,
    deadline,
)
from admission_client.dialogue import (
    TRIES_BEFORE_START,
    Dialogue,
    Disconnected,
    nobody_answers,
    pauses_s,
    stuck,
)
from admission_client.granted import Lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from admission_client.aio_leasing import lease
    from admission_client.aio_monitor import ResourceMonitor
    from admission_client.aio_operating import Operator

__all__ = ["Client", "Operator", "ResourceMonitor", "lease"]


class Client:
    """One connection, one request at a time; for one task.

    Connects when it is first used, and again by itself after the daemon was away.

    Args:
        path: the daemon's socket; without it, the usual place.
        autostart: start a daemon where none runs, unless `ADMISSION_AUTOSTART=0`.
    """

    def __init__(self, path: str | None = None, *, autostart: bool = False) -> None:
        self.path = socket_path(path)
        self._autostart = autostart
        self._stream: SocketStream | None = None
        self._dialogue = Dialogue()

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connection; what is bound to it ends. It may be used again."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            with anyio.CancelScope(shield=True):
                await stream.aclose()

    def hand_over(self, to: "Client") -> None:
        """Lets another client go on with this connection, and what is bound to it."""
        to._stream, self._stream = self._stream, None
        to._dialogue, self._dialogue = self._dialogue, to._dialogue

    # --- requests -------------------------------------------------------------------------------

    async def ask(self, op: str, fields: Frame | None = None) -> Frame:
        """One request and its answer.

        Raises:
            AdmissionError: it was refused, or no daemon could be had.
        """
        await self._send(self._dialogue.ask(op, fields or {}))
        return await self._answer(ANSWER_TIMEOUT_S, None)

    async def acquire(
        self,
        fields: Frame,
        wait_s: float | None = None,
        on_queued: Callable[[Frame], None] | None = None,
    ) -> Lease:
        """A lease, when it is granted. If the daemon goes away meanwhile, the place in the queue
        is taken up again.

        Args:
            fields: of the request; `granted.claim_fields` makes them. A `request` among them is
                the id by which it can be cancelled.
            wait_s: at most so many seconds; None for ever, 0 now or not at all.
            on_queued: called with each `queued` event.

        Raises:
            NoSlot: nothing was free within the wait.
            AdmissionError: it was refused, or no daemon could be had.
        """
        once = {"request": os.urandom(REQUEST_BYTES), **fields}
        give_up_at = None if wait_s is None else time.monotonic() + wait_s
        left_by = deadline(fields)
        try:
            while True:
                try:
                    once |= left_by()
                    return await self._ask_for_lease("acquire", once, give_up_at, on_queued)
                except Disconnected:
                    await self._reconnect(RECONNECT_S)
        except BaseException as problem:
            # Unless the daemon has refused it, it may still grant it, and nobody waits any more:
            # cancelled, a bug in `on_queued`, no answer in time, or one that is nonsense.
            if isinstance(problem, Unreachable) or not isinstance(problem, AdmissionError):
                await self.cancel(once)
            raise

    async def release(self, lease: Lease) -> None:
        """Gives a lease back. A shared one is its holder's, and stays. If the daemon is away, it is
        waited for.

        Raises:
            LeaseLost: it had ended already.
            AdmissionError: no daemon could be had.
        """
        if lease.is_shared:
            return
        # A second try after a broken connection may find that the first one had worked.
        may_have_worked = False
        for is_last in (False, True):
            try:
                await self.ask("release", {"lease": lease.id})
                return
            except Unreachable as problem:
                if is_last or self._stream is not None:
                    raise  # it is there, and does not answer
                may_have_worked = isinstance(problem, Disconnected)
                await self._reconnect(RECONNECT_S)
            except LeaseLost:
                if not may_have_worked:
                    raise
                return

    async def yield_units(self, lease: Lease) -> None:
        """Gives a lease's units back for a while; the lease stays. If the daemon is away, it is
        waited for.

        Raises:
            LeaseLost: it had ended already.
            AdmissionError: no daemon could be had.
        """
        try:
            await self.ask("yield", {"lease": lease.id})
        except Disconnected:
            await self._reconnect(RECONNECT_S)
            await self.ask("yield", {"lease": lease.id})

    async def regain(
        self,
        lease: Lease,
        wait_s: float | None = None,
        on_queued: Callable[[Frame], None] | None = None,
    ) -> Lease:
        """The same lease with its units, when they are granted again. If the daemon goes away
        meanwhile, the place in the queue is taken up again.

        Args:
            lease: one that was yielded.
            wait_s: at most so many seconds; None for ever, 0 now or not at all.
            on_queued: called with each `queued` event.

        Raises:
            NoSlot: nothing was free within the wait; the lease stays, without its units.
            LeaseLost: it has ended.
            AdmissionError: it was refused, or no daemon could be had.
        """
        give_up_at = None if wait_s is None else time.monotonic() + wait_s
        while True:
            try:
                return await self._ask_for_lease(
                    "regain", {"lease": lease.id}, give_up_at, on_queued
                )
            except Disconnected:
                await self._reconnect(RECONNECT_S)

    async def watch(self, topics: list[str] | None = None) -> AsyncGenerator[Frame, None]:
        """The news, as they come, until the daemon ends."""
        await self._send(self._dialogue.ask("watch", {} if topics is None else {"topics": topics}))
        await self._answer(ANSWER_TIMEOUT_S, None)
        while True:
            for event in self._dialogue.take_events():
                yield event
            await self._receive()

    # --- the connection -------------------------------------------------------------------------

    async def _ask_for_lease(
        self,
        op: str,
        fields: Frame,
        give_up_at: float | None,
        on_queued: Callable[[Frame], None] | None,
    ) -> Lease:
        limit_s = None
        if give_up_at is not None:
            left_s = max(0.0, give_up_at - time.monotonic())
            fields = {**fields, "wait_s": left_s}
            limit_s = left_s + ANSWER_TIMEOUT_S
        await self._send(self._dialogue.ask(op, fields))
        return Lease(await self._answer(limit_s, on_queued))

    async def _answer(
        self, limit_s: float | None, on_queued: Callable[[Frame], None] | None
    ) -> Frame:
        """Waits for the answer to what was asked last."""
        try:
            with anyio.fail_after(limit_s):
                while (answer := self._dialogue.answer()) is None:
                    if on_queued is not None:
                        for event in self._dialogue.take_events():
                            on_queued(event)
                    await self._receive()
        except TimeoutError:
            raise stuck(self.path) from None
        return answer

    async def _send(self, data: bytes) -> None:
        """Sends a request; on a fresh connection where the old one turns out to be dead."""
        if self._stream is not None and await self._try_send(data):
            return
        self._stream = await self._connect()
        self._dialogue.restart()
        if not await self._try_send(data):
            raise Disconnected

    async def _try_send(self, data: bytes) -> bool:
        assert self._stream is not None
        try:
            await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self.aclose()
            return False
        return True

    async def _receive(self) -> None:
        assert self._stream is not None
        try:
            data = await self._stream.receive(READ_BYTES)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            data = b""
        try:
            self._dialogue.take(data)
        except Unreachable:
            await self.aclose()
            raise

    async def _connect(self) -> SocketStream:
        try:
            return await self._open()
        except Unreachable:
            if not self._autostart:
                raise
        # A thread, since starting a process and hearing that it serves blocks for a while.
        ready = await anyio.to_thread.run_sync(start_daemon, self.path)
        ready.close()
        return await self._open()

    async def _open(self) -> SocketStream:
        try:
            return await anyio.connect_unix(self.path)
        except OSError as problem:
            raise nobody_answers(self.path, problem) from None

    async def _reconnect(
        self, limit_s: float | None, op: str = "hello", fields: Frame | None = None
    ) -> None:
        """Connects again to a daemon that was there a moment ago, and asks it this.

        Args:
            limit_s: tries at most so long; None for as long as it takes.
            op: without it `hello`, since who only accepts connections is no daemon yet.
            fields: of that request.
        """
        give_up_at = None if limit_s is None else time.monotonic() + limit_s
        for tries, pause_s in enumerate(pauses_s()):
            try:
                if self._stream is None and tries < TRIES_BEFORE_START:
                    self._stream = await self._open()
                    self._dialogue.restart()
                await self.ask(op, fields)
                return
            except (Unreachable, Unavailable):
                # The first try may have reached the old one, which takes a moment to end.
                is_over = give_up_at is not None and time.monotonic() + pause_s > give_up_at
                if tries and is_over:
                    raise
            await anyio.sleep(pause_s)

    async def cancel(self, fields: Frame) -> None:
        """Takes a request back as well as it can, and what was granted for it; then closes the
        connection. Who is read later reads it all the same.
        """
        with anyio.CancelScope(shield=True), suppress(AdmissionError):
            if self._stream is not None:
                bye = self._dialogue.ask("cancel", {"request": fields["request"]})
                if await self._try_send(bye):
                    await self._answer(FAREWELL_S, None)
        await self.aclose()


def __getattr__(name: str) -> object:
    """What is built on this module, and so can't be imported above."""
    if name == "ResourceMonitor":
        from admission_client.aio_monitor import ResourceMonitor

        return ResourceMonitor
    if name == "Operator":
        from admission_client.aio_operating import Operator

        return Operator
    if name == "lease":
        from admission_client.aio_leasing import lease

        return lease
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
