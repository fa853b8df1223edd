"""The clients, each spoken to as if it blocked: so one contract can be told for all of them."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from threading import Event, Thread, current_thread
from types import ModuleType, TracebackType
from typing import Protocol, Self, TypedDict, Unpack

from anyio.from_thread import BlockingPortal

from admission.protocol import Frame, LeaseLost
from admission_client import aio, aio_leasing, blocking, lease, leasing
from admission_client.granted import Lease, claim_fields

OnQueued = Callable[[Frame], None]


class How(TypedDict, total=False):
    """What can be asked of a lease, beside its pool."""

    weight: int
    task: str
    wait: float | None
    ttl: float | None
    bound: str
    on_lost: Callable[[LeaseLost], None] | None


class Talk(Protocol):
    """A `Client`, whichever it is."""

    def ask(self, op: str, fields: Frame | None = None) -> Frame: ...

    def acquire(
        self, pool: str, wait_s: float | None = None, on_queued: OnQueued | None = None
    ) -> Lease: ...

    def release(self, lease: Lease) -> None: ...

    def watch(self, topics: list[str] | None = None) -> Generator[Frame, None, None]: ...


class Front(Protocol):
    """A module of ours, `blocking` or `aio`, on whatever it needs to run."""

    module: ModuleType

    def lease(
        self, pool: str, socket: str, **how: Unpack[How]
    ) -> AbstractContextManager[Lease]: ...

    def yielded(self, granted: Lease, wait: float | None = None) -> AbstractContextManager[None]:
        """`granted.yielded`, of a lease that this front's `lease` gave."""

    def client(self, path: str) -> AbstractContextManager[Talk]: ...


class Blocking:
    module: ModuleType = blocking

    def lease(self, pool: str, socket: str, **how: Unpack[How]) -> AbstractContextManager[Lease]:
        return lease(pool, socket=socket, **how)

    def yielded(self, granted: Lease, wait: float | None = None) -> AbstractContextManager[None]:
        assert isinstance(granted, leasing.HeldLease)
        return granted.yielded(wait)

    @contextmanager
    def client(self, path: str) -> Iterator[Talk]:
        with blocking.Client(path) as client:
            yield BlockingTalk(client)


class BlockingTalk:
    def __init__(self, client: blocking.Client) -> None:
        self._client = client
        self.ask = client.ask
        self.release = client.release

    def watch(self, topics: list[str] | None = None) -> Generator[Frame, None, None]:
        yield from self._client.watch(topics)

    def acquire(
        self, pool: str, wait_s: float | None = None, on_queued: OnQueued | None = None
    ) -> Lease:
        def on_wait(event: Frame | None) -> float | None:
            if event is not None and on_queued is not None:
                on_queued(event)
            return None

        return self._client.acquire(claim_fields(pool=pool), wait_s, on_wait)


class Async:
    """On the event loop of another thread."""

    module: ModuleType = aio

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal

    def lease(self, pool: str, socket: str, **how: Unpack[How]) -> AbstractContextManager[Lease]:
        return self._portal.wrap_async_context_manager(aio.lease(pool, socket=socket, **how))

    def yielded(self, granted: Lease, wait: float | None = None) -> AbstractContextManager[None]:
        assert isinstance(granted, aio_leasing.HeldLease)
        return self._portal.wrap_async_context_manager(granted.yielded(wait))

    @contextmanager
    def client(self, path: str) -> Iterator[Talk]:
        with self._portal.wrap_async_context_manager(aio.Client(path)) as client:
            yield AsyncTalk(client, self._portal)


class AsyncTalk:
    def __init__(self, client: aio.Client, portal: BlockingPortal) -> None:
        self._client = client
        self._portal = portal

    def ask(self, op: str, fields: Frame | None = None) -> Frame:
        return self._portal.call(self._client.ask, op, fields)

    def acquire(
        self, pool: str, wait_s: float | None = None, on_queued: OnQueued | None = None
    ) -> Lease:
        return self._portal.call(
            partial(self._client.acquire, claim_fields(pool=pool), wait_s, on_queued)
        )

    def release(self, lease: Lease) -> None:
        self._portal.call(self._client.release, lease)

    def watch(self, topics: list[str] | None = None) -> Generator[Frame, None, None]:
        news = self._client.watch(topics)
        try:
            while True:
                yield self._portal.call(news.__anext__)
        finally:
            self._portal.call(news.aclose)


class Holder:
    """Somebody else: takes a lease in a thread of its own, and holds it until told otherwise.

    `lease` is what it was granted, or why not; `outcome` how leaving the body went.
    """

    def __init__(self, taking: AbstractContextManager[Lease]) -> None:
        self.lease: Future[Lease] = Future()
        self.outcome: Future[None] = Future()
        self._taking = taking
        self._may_go = Event()
        self._thread = Thread(target=self._hold, daemon=True)

    def _hold(self) -> None:
        try:
            with self._taking as granted:
                self.lease.set_result(granted)
                self._may_go.wait()
            self.outcome.set_result(None)
        except BaseException as problem:  # noqa: BLE001 -- it is the test's to look at
            (self.outcome if self.lease.done() else self.lease).set_exception(problem)

    def leave(self) -> None:
        """Lets it leave the body, which is awaited elsewhere."""
        self._may_go.set()

    def let_go(self) -> None:
        """Leaves the body; raises what that raised."""
        self.leave()
        self.outcome.result()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._may_go.set()
        if error is None:  # else it may wait for what will never come
            self._thread.join()


@contextmanager
def holding(taking: AbstractContextManager[Lease]) -> Iterator[Holder]:
    """Somebody else who has got a lease already."""
    with Holder(taking) as holder:
        holder.lease.result()
        yield holder


class Ear:
    """An `on_lost` that notes what it is told, and by whom."""

    def __init__(self) -> None:
        self.told: list[LeaseLost] = []
        self.by: list[Thread] = []
        self._has_come = Event()

    def __call__(self, problem: LeaseLost) -> None:
        self.told.append(problem)
        self.by.append(current_thread())
        self._has_come.set()

    def wait(self) -> str:
        """What it was told first, in words."""
        self._has_come.wait()
        return str(self.told[0])
