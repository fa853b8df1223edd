"""The blocking client: a socket, `admission.protocol`, and nothing heavy.

`admission run` comes through here on its way to an exec. So it uses `_socket`, the C half of
`socket`, whose other half imports selectors and enum and costs half an interpreter's start.
"""

import _socket
import os
import time

from admission.protocol import (
    AdmissionError,
    Frame,
    LeaseLost,
    Unreachable,
    socket_path,
)
from admission_client.dialogue import Dialogue, Disconnected, nobody_answers, stuck
from admission_client.granted import Lease, claim_fields, parent_lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    # Called with each `queued` event, and with None when the time it asked for has passed.
    # Returns after how many seconds it wants to be called again; None: not without news.
    OnWait = Callable[[Frame | None], float | None]

# A daemon that lives answers within milliseconds; one that does not for so long is stuck.
ANSWER_TIMEOUT_S = 10.0
# How long a client that lost its daemon tries to find it again, and how often. The daemon keeps
# places and leases for 10 s after its own restart.
RECONNECT_S = 10.0
RECONNECT_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
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

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; what is bound to it ends. It may be used again."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

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
        is taken up again.

        Args:
            fields: of the request; `granted.claim_fields` makes them. A `request` among them takes
                the place of a random one.
            wait_s: at most so many seconds; None for ever, 0 now or not at all.
            on_wait: told of the place in the queue.

        Raises:
            NoSlot: nothing was free within the wait.
            AdmissionError: it was refused, or no daemon could be had.
        """
        once = {"request": os.urandom(16), **fields}
        give_up_at = None if wait_s is None else time.monotonic() + wait_s
        try:
            while True:
                if give_up_at is not None:
                    once["wait_s"] = max(0.0, give_up_at - time.monotonic())
                try:
                    return self._acquire_once(once, on_wait)
                except Disconnected:
                    self._reconnect()
        except BaseException as problem:
            # Unless the daemon has refused it, it may still grant it, and nobody waits any more:
            # after Ctrl-C, a bug in `on_wait`, no answer in time, or one that is nonsense.
            if isinstance(problem, Unreachable) or not isinstance(problem, AdmissionError):
                self._cancel(once)
            raise

    def release(self, lease: Lease) -> None:
        """Gives a lease back. A shared one is its holder's, and stays.

        Raises:
            LeaseLost: it had ended already.
        """
        if lease.is_shared:
            return
        # A second try after a broken connection may find that the first one had worked.
        for is_last in (False, True):
            try:
                self.ask("release", {"lease": lease.id})
                return
            except Disconnected:
                if is_last:
                    raise
                self._reconnect()
            except LeaseLost:
                if not is_last:
                    raise
                return

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

    def _acquire_once(self, fields: Frame, on_wait: "OnWait | None") -> Lease:
        self._send(self._dialogue.ask("acquire", fields))
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
        if not self._try_send(data):
            raise Disconnected

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

    def _reconnect(self) -> None:
        """Connects again to a daemon that was there a moment ago."""
        give_up_at = time.monotonic() + RECONNECT_S
        pauses_s = iter(RECONNECT_PAUSES_S)
        while True:
            try:
                self.ask("hello")  # who only accepts connections is no daemon yet
                return
            except Unreachable:
                pause_s = next(pauses_s, RECONNECT_PAUSES_S[-1])
                if time.monotonic() + pause_s > give_up_at:
                    raise
                time.sleep(pause_s)

    def _cancel(self, fields: Frame) -> None:
        """Takes a request back as well as it can. Who is read later reads it all the same."""
        try:
            if self._sock is not None:
                bye = self._dialogue.ask("cancel", {"request": fields["request"]})
                if self._try_send(bye):
                    self._answer(FAREWELL_S, None)
        except AdmissionError:
            pass
        finally:
            self.close()


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


class lease:
    """Holds a lease for the body of a `with`, waiting for it where one must.

    The lease belongs to this process, so it ends with it whatever happens, and neither a lost
    connection nor a restart of the daemon takes it away. Inside `admission run`, it is shared.

    Args:
        pool: of which it takes units.
        weight: how many.
        task: a label for people, and for what is learnt about tasks like it.
        wait: at most so many seconds; None for ever, 0 now or not at all.
        class_: `critical`, `normal` or `batch`.
        group: whatever should share fairly.
        ttl: ends by itself after so many seconds unless renewed.
        bound: `process`, or `connection`: ends when this client's connection does.
        socket: the daemon's socket; without it, the usual place.

    Raises:
        NoSlot: nothing was free within the wait.
        LeaseLost: at the end, that it had ended before: its ttl passed, or it was revoked.
        AdmissionError: it was refused, or no daemon could be had.
    """

    def __init__(
        self,
        pool: str = "agents",
        *,
        weight: int = 1,
        task: str = "",
        wait: float | None = None,
        class_: str = "normal",
        group: str = "",
        ttl: float | None = None,
        bound: str = "process",
        socket: str | None = None,
    ) -> None:
        self._fields = claim_fields(
            pool=pool,
            weight=weight,
            task=task,
            class_=class_,
            group=group,
            ttl_s=ttl,
            bound=bound,
            parent=parent_lease(),
        )
        self._wait_s = wait
        self._client = Client(socket, autostart=True)
        self._lease: Lease | None = None
        self._pid = 0

    def __enter__(self) -> Lease:
        self._pid = os.getpid()
        try:
            self._lease = self._client.acquire(self._fields, self._wait_s)
        except BaseException:
            self._client.close()
            raise
        return self._lease

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        assert self._lease is not None
        with self._client:
            if os.getpid() != self._pid:
                return  # a forked child leaves the body too, and the lease is its parent's
            try:
                self._client.release(self._lease)
            except AdmissionError:
                if error is None:
                    raise
