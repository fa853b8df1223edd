"""Keeps a lease while the body of an `async with` runs: as `keeping`, by a task."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio

from admission.protocol import AdmissionError, Unreachable
from admission_client.aio import Client
from admission_client.leasing import Tenure


class Keeper(Client):
    """A client that goes on with the lease's connection. It starts no daemon."""

    async def keep(self, tenure: Tenure) -> None:
        """Until the lease is lost, which it tells."""
        while True:
            tenure.hear(self._dialogue.take_events())
            if tenure.lost is not None:
                break
            try:
                await self._receive()
            except Unreachable:
                await self._take_up_again(tenure)
        tenure.tell()

    async def _take_up_again(self, tenure: Tenure) -> None:
        try:
            await self._reconnect(None, "resume", tenure.claim)
        except AdmissionError as problem:
            tenure.lose(problem)


@asynccontextmanager
async def kept(client: Client, tenure: Tenure, *, cancel_on_lost: bool) -> AsyncIterator[None]:
    """Keeps the lease for this body. What the body raises leaves it as it was raised, and not in
    the group in which a task group wraps it.
    """
    keeper = Keeper(client.path)
    client.hand_over(keeper)
    failed: BaseException | None = None
    try:
        async with anyio.create_task_group() as tasks:

            async def keep() -> None:
                await keeper.keep(tenure)
                if cancel_on_lost:
                    tasks.cancel_scope.cancel()

            tasks.start_soon(keep)
            try:
                yield
            except BaseException as problem:
                failed = problem
                raise
            finally:
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        if not _is_all(group, failed):
            raise
    else:
        failed = None
    finally:
        keeper.hand_over(client)
    if failed is not None:
        raise failed


def _is_all(group: "BaseExceptionGroup[BaseException]", failed: BaseException | None) -> bool:
    """Whether the group says nothing but that this failed, and that the keeper was cancelled."""
    cancelled = anyio.get_cancelled_exc_class()
    if failed is None or isinstance(failed, cancelled):
        return False
    of_body = [id(one) for one in _leaves(failed)]  # of a group, trio makes another one
    return all(id(one) in of_body or isinstance(one, cancelled) for one in _leaves(group))


def _leaves(problem: BaseException) -> Iterator[BaseException]:
    if isinstance(problem, BaseExceptionGroup):
        for one in problem.exceptions:
            yield from _leaves(one)
    else:
        yield problem
