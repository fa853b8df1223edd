"""The blocking client: a socket, `admission.protocol`, and nothing heavy.

`admission run` comes through here on its way to an exec. So it uses `_socket`, the C half of
`socket`, whose other half imports selectors and enum and costs half an interpreter's start.
"""

import _socket
import os
import time

from admission.protocol import (
    REQUEST_BYTES,
    AdmissionError,
    Frame,
    LeaseLost,
    Unavailable,
    Unreachable,
    socket_path,
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
    from collections.abc import Callable, Iterator
    from typing import Self

    # Called with each `queued` event, and with None when the time it asked for has passed.
    # Returns after how many seconds it wants to be called again; None: not without news.
    OnWait = Callable[[Frame | None], float | None]

# A daemon that lives answers within milliseconds; one that does not for so long is stuck.
ANSWER_TIMEOUT_S = 10.0
# How long a client that lost its daemon tries to find it again.
RECONNECT_S = 10.0
# What is taken back on the way out gets so long to be heard, and no longer.
FAREWELL_S = 1.0
# How long a socket waits at a time: `poll` counts milliseconds in 31 bits, which is 24 days.
RECEIVE_MAX_S = 86_400.0
READ_BYTES = 65_536


class Client:
    """One connection, one request at a time; for one thread.

    Connects when it is first used, and again by itself after the daemon was away.

    Args:
        path: the daemon's socket; without it, the usual place.
        autostart: start a daemon where none runs, unless `ADMISSION_AUTOSTART=0`.
    """

    def __init__(self, path: str | None = None, *, autostart: bool = False) -> None:
        self.path = socket_path(path)
        self._autostart = autostart
        self._sock: _socket.socket | None = None
        self._dialogue = Dialogue()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; what is bound to it ends. It may be used again."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def detach(self) -> int:
        """The connection's descriptor, which is the caller's from now on, with what is bound to it.
        To be called after an answer.
        """
        assert self._sock is not None
        descriptor = self._sock.detach()
        self._sock = None
        return descriptor

    def hand_over(self, to: "Client") -> None:
        """Lets another client go on with this connection, and what is bound to it."""
        to._sock, self._sock = self._sock, None
        to._dialogue, self._dialogue = self._dialogue, to._dialogue

    # --- requests -------------------------------------------------------------------------------

    def ask(self, op: str, fields: Frame | None = None) -> Frame:
        """One request and its answer.

        Raises:
            AdmissionError: it was refused, or no daemon could be had.
        """
        self._send(self._dialogue.ask(op, fields or {}))
        return self._answer(ANSWER_TIMEOUT_S, None)

    def acquire(
        self, fields: Frame, wait_s: float | None = None, on_wait: "OnWait | None" = None
    ) -> Lease:
        """A lease, when it is granted. If the daemon goes away meanwhile, the place in the queue
        is taken up again. Nobody keeps the lease from then on, as `lease` does.

        Args:
            fields: of the request; `granted.claim_fields` makes them. A `request` among them is
                the id by which it can be cancelled.
            wait_s: at most so many seconds; None for ever, 0 now or not at all.
            on_wait: told of the place in the queue.

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
                    once |= _left(give_up_at) | left_by()
                    return self._ask_for_lease("acquire", once, on_wait)
                except Disconnected:
                    self._reconnect(RECONNECT_S)
        except BaseException as problem:
            # Unless the daemon has refused it, it may still grant it, and nobody waits any more:
            # after Ctrl-C, a bug in `on_wait`, no answer in time, or one that is nonsense.
            if isinstance(problem, Unreachable) or not isinstance(problem, AdmissionError):
                self.cancel(once)
            raise

    def release(self, lease: Lease) -> None:
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
                self.ask("release", {"lease": lease.id})
                return
            except Unreachable as problem:
                if is_last or self._sock is not None:
                    raise  # it is there, and does not answer
                may_have_worked = isinstance(problem, Disconnected)
                self._reconnect(RECONNECT_S)
            except LeaseLost:
                if not may_have_worked:
                    raise
                return

    def yield_units(self, lease: Lease) -> None:
        """Gives a lease's units back for a while; the lease stays. If the daemon is away, it is
        waited for.

        Raises:
            LeaseLost: it had ended already.
            AdmissionError: no daemon could be had.
        """
        try:
            self.ask("yield", {"lease": lease.id})
        except Disconnected:
            self._reconnect(RECONNECT_S)
            self.ask("yield", {"lease": lease.id})

    def regain(
        self, lease: Lease, wait_s: float | None = None, on_wait: "OnWait | None" = None
    ) -> Lease:
        """The same lease with its units, when they are granted again. If the daemon goes away
        meanwhile, the place in the queue is taken up again.

        Args:
            lease: one that was yielded.
            wait_s: at most so many seconds; None for ever, 0 now or not at all.
            on_wait: told of the place in the queue.

        Raises:
            NoSlot: nothing was free within the wait; the lease stays, without its units.
            LeaseLost: it has ended.
            AdmissionError: it was refused, or no daemon could be had.
        """
        give_up_at = None if wait_s is None else time.monotonic() + wait_s
        while True:
            try:
                fields = {"lease": lease.id, **_left(give_up_at)}
                return self._ask_for_lease("regain", fields, on_wait)
            except Disconnected:
                self._reconnect(RECONNECT_S)

    def watch(
        self, topics: list[str] | None = None, wait_s: float | None = None
    ) -> "Iterator[Frame]":
        """The news, as they come, until the daemon ends or so many seconds have passed."""
        give_up_at = None if wait_s is None else time.monotonic() + wait_s
        self._send(self._dialogue.ask("watch", {} if topics is None else {"topics": topics}))
        self._answer(ANSWER_TIMEOUT_S, None)
        while True:
            yield from self._dialogue.take_events()
            left_s = None if give_up_at is None else give_up_at - time.monotonic()
            if left_s is not None and left_s <= 0:
                return
            self._receive(left_s)

    # --- the connection -------------------------------------------------------------------------

    def _ask_for_lease(self, op: str, fields: Frame, on_wait: "OnWait | None") -> Lease:
        self._send(self._dialogue.ask(op, fields))
        wait_s = fields.get("wait_s")
        limit_s = wait_s + ANSWER_TIMEOUT_S if isinstance(wait_s, float) else None
        return Lease(self._answer(limit_s, on_wait))

    def _answer(self, limit_s: float | None, on_wait: "OnWait | None") -> Frame:
        """Waits for the answer to what was asked last."""
        give_up_at = None if limit_s is None else time.monotonic() + limit_s
        again_s = None if on_wait is None else on_wait(None)
        while True:
            answer = self._dialogue.answer()
            if answer is not None:
                return answer
            if on_wait is not None:
                for event in self._dialogue.take_events():
                    again_s = on_wait(event)
            left_s = None if give_up_at is None else give_up_at - time.monotonic()
            if left_s is not None and left_s <= 0:
                raise stuck(self.path)
            waits = [wait for wait in (again_s, left_s) if wait is not None]
            if not self._receive(min(waits) if waits else None) and on_wait is not None:
                again_s = on_wait(None)

    def _send(self, data: bytes) -> None:
        """Sends a request; on a fresh connection where the old one turns out to be dead."""
        if self._sock is not None and self._try_send(data):
            return
        self._sock = self._connect()
        self._dialogue.restart()
        try:
            self._sock.settimeout(ANSWER_TIMEOUT_S)
            self._sock.sendall(data)
        except BrokenPipeError:
            pass  # not let in: the daemon has said why before it closed, which is read as an answer
        except OSError:
            self.close()
            raise Disconnected from None

    def _try_send(self, data: bytes) -> bool:
        assert self._sock is not None
        try:
            self._sock.settimeout(ANSWER_TIMEOUT_S)
            self._sock.sendall(data)
        except OSError:
            self.close()
            return False
        return True

    def _receive(self, timeout_s: float | None) -> bool:
        """Takes what comes; False where nothing came in time."""
        assert self._sock is not None
        if timeout_s is not None:
            # 0 would mean "do not wait at all", and raise another error; so would infinity.
            timeout_s = min(max(timeout_s, 0.001), RECEIVE_MAX_S)
        try:
            self._sock.settimeout(timeout_s)
            data = self._sock.recv(READ_BYTES)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        try:
            self._dialogue.take(data)
        except Unreachable:
            self.close()
            raise
        return True

    def _connect(self) -> _socket.socket:
        try:
            return connect(self.path)
        except Unreachable:
            if not self._autostart:
                raise
        from admission_client.autostart import start_daemon  # late: seldom needed, and heavy

        return start_daemon(self.path)

    def _reconnect(
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
                if self._sock is None and tries < TRIES_BEFORE_START:
                    self._sock = connect(self.path)
                    self._dialogue.restart()
                self.ask(op, fields)
                return
            except (Unreachable, Unavailable):
                # The first try may have reached the old one, which takes a moment to end.
                is_over = give_up_at is not None and time.monotonic() + pause_s > give_up_at
                if tries and is_over:
                    raise
            self._pause(pause_s)

    def _pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def cancel(self, fields: Frame) -> None:
        """Takes a request back as well as it can, and what was granted for it; then closes the
        connection. Who is read later reads it all the same.
        """
        try:
            if self._sock is not None:
                bye = self._dialogue.ask("cancel", {"request": fields["request"]})
                if self._try_send(bye):
                    self._answer(FAREWELL_S, None)
        except AdmissionError:
            pass
        finally:
            self.close()


def _left(give_up_at: float | None) -> Frame:
    """The field that says how long a request may still wait; none where it is for ever."""
    return {} if give_up_at is None else {"wait_s": max(0.0, give_up_at - time.monotonic())}


def deadline(fields: Frame) -> "Callable[[], Frame]":
    """Gives what is left of the `by_s` among these fields, which counts from now; nothing where
    there is none.
    """
    by_s = fields.get("by_s")
    if not isinstance(by_s, (int, float)):
        return dict
    by_at = time.monotonic() + by_s
    return lambda: {"by_s": max(0.0, by_at - time.monotonic())}


def connect(path: str) -> _socket.socket:
    """A connection to the daemon at this path.

    Raises:
        Unreachable: nobody listens there.
    """
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    sock.settimeout(ANSWER_TIMEOUT_S)
    try:
        sock.connect(path)
    except OSError as problem:
        sock.close()
        raise nobody_answers(path, problem) from None
    return sock
