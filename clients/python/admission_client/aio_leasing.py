"""Holding a lease for the body of an `async with`: as `leasing`, with `await`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio

from admission.protocol import AdmissionError, Frame, LeaseLost
from admission_client.aio import Client
from admission_client.aio_keeping import kept
from admission_client.blocking import FAREWELL_S
from admission_client.granted import Lease, claim_fields, parent_lease, workspace_here
from admission_client.leasing import Tenure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from admission_client.leasing import OnLost, OnPark


class HeldLease(Lease):
    """The lease of an `async with`. `path` is the socket of the daemon that granted it."""

    __slots__ = ("path",)

    def __init__(self, reply: Frame, path: str) -> None:
        super().__init__(reply)
        self.path = path

    @asynccontextmanager
    async def yielded(self, wait: float | None = None) -> AsyncIterator[None]:
        """Gives the units back for the body of an `async with`; all is as with that of
        `admission_client.lease`. Where the body was cancelled, they are not taken again.
        """
        if self.is_shared:
            yield
            return
        async with Client(self.path) as client:
            await client.yield_units(self)
        try:
            yield
        finally:
            async with Client(self.path) as client:
                self.follow(await client.regain(self, wait))


@asynccontextmanager
async def lease(
    pool: str = "agents",
    *,
    weight: int = 1,
    task: str = "",
    wait: float | None = None,
    class_: str = "normal",
    group: str = "",
    ttl: float | None = None,
    by: float | None = None,
    max_hold: float | None = None,
    end_after_max: bool = False,
    defer: bool = False,
    bound: str = "process",
    nested: str = "share",
    socket: str | None = None,
    on_lost: "OnLost | None" = None,
    on_park: "OnPark | None" = None,
    resumes: int | None = None,
    agent: str = "",
    workspace: str | None = None,
    cancel_on_lost: bool = False,
) -> AsyncIterator[HeldLease]:
    """Holds a lease for the body of an `async with`; all is as with `admission_client.lease`, but
    that the keeper is a task, which calls `on_lost` and `on_park`. So a body that is kept has to
    end in the task in which it began.

    Args:
        cancel_on_lost: cancel the body, too, when the lease is lost. Then LeaseLost is raised at
            its end, even where `on_lost` was told.
    """
    fields = claim_fields(
        pool=pool,
        weight=weight,
        task=task,
        class_=class_,
        group=group,
        ttl_s=ttl,
        bound=bound,
        parent=parent_lease(),
        nested=nested,
        by_s=by,
        max_hold_s=max_hold,
        end_after_max=end_after_max,
        park_signal=None if on_park is None else "",
        resumes=resumes,
        agent=agent,
        workspace=workspace_here() if workspace is None else workspace,
        defer=defer,
    )
    is_told = (on_lost, on_park) != (None, None)
    is_kept = is_told or cancel_on_lost or bound == "connection"
    async with Client(socket, autostart=True) as client:
        granted = HeldLease((await client.acquire(fields, wait)).reply, client.path)
        tenure = Tenure(granted, on_lost, on_park)
        try:
            if is_kept and not granted.is_shared:
                async with kept(client, tenure, cancel_on_lost=cancel_on_lost):
                    yield granted
            else:
                yield granted
        except BaseException:
            with anyio.move_on_after(FAREWELL_S, shield=True), suppress(AdmissionError):
                await _give_back(client, tenure)
            tenure.tell()
            raise
        with anyio.CancelScope(shield=True):
            await _give_back(client, tenure)
        tenure.end(was_cut_short=cancel_on_lost)


async def _give_back(client: Client, tenure: Tenure) -> None:
    if tenure.lost is not None:
        return
    try:
        await client.release(tenure.lease)
    except LeaseLost as problem:
        tenure.lose(problem)
