"""What is the async client's alone: being cancelled, and many at once in one process."""

import asyncio
from contextlib import aclosing

import anyio
import pytest
from anyio.to_thread import run_sync

from admission_client import aio
from tests.clients.daemons import Daemon

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


# --- being cancelled ----------------------------------------------------------------------------


async def test_a_wait_that_is_cancelled_is_taken_back_and_the_next_one_is_served(
    daemon: Daemon,
) -> None:
    cancelled = anyio.CancelScope()

    async def in_front() -> None:
        with cancelled:
            async with aio.lease("one", socket=daemon.path, task="in front"):
                pytest.fail("there was no slot")

    async def behind() -> None:
        async with aio.lease("one", socket=daemon.path, task="behind"):
            assert await run_sync(daemon.in_use) == 1

    async with anyio.create_task_group() as tasks, aio.lease("one", socket=daemon.path):
        tasks.start_soon(in_front)
        await run_sync(daemon.wait_for_waiting, "in front")
        tasks.start_soon(behind)
        await run_sync(daemon.wait_for_waiting, "in front", "behind")
        cancelled.cancel()
        await run_sync(daemon.wait_for_waiting, "behind")
    assert cancelled.cancelled_caught


async def test_a_body_that_is_cancelled_gives_its_lease_back(daemon: Daemon) -> None:
    with anyio.CancelScope() as scope:
        async with aio.lease("one", socket=daemon.path):
            assert await run_sync(daemon.in_use) == 1
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert daemon.in_use() == 0


async def test_a_time_out_of_the_callers_own_works_as_well(daemon: Daemon) -> None:
    async with aio.lease("one", socket=daemon.path):
        with pytest.raises(TimeoutError), anyio.fail_after(0.05):
            async with aio.lease("one", socket=daemon.path, task="in vain"):
                pytest.fail("there was no slot")
        await run_sync(daemon.wait_for_waiting)


async def test_cancelling_does_not_wait_for_a_daemon_that_is_stopped(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aio, "FAREWELL_S", 0.05)
    with daemon.stopped(), anyio.move_on_after(0.05) as scope:
        async with aio.lease("one", socket=daemon.path):
            pytest.fail("nobody could grant it")
    assert scope.cancelled_caught
    await run_sync(daemon.forget)


async def test_a_wait_is_cancelled_while_the_daemon_is_away(daemon: Daemon) -> None:
    cancelled = anyio.CancelScope()

    async def waiting() -> None:
        with cancelled:
            async with aio.lease("one", socket=daemon.path, task="waiting"):
                pytest.fail("there was no slot")

    async with aio.lease("one", socket=daemon.path), anyio.create_task_group() as tasks:
        tasks.start_soon(waiting)
        await run_sync(daemon.wait_for_waiting, "waiting")
        await run_sync(daemon.kill)
        cancelled.cancel()
        await run_sync(daemon.start)
    assert cancelled.cancelled_caught
    # The place of who was away is kept for a while. No other test is to wait for its end.
    await run_sync(daemon.forget)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_asyncio_cancels_takes_its_request_back(daemon: Daemon) -> None:
    async def waiting() -> None:
        async with aio.lease("one", socket=daemon.path, task="waiting"):
            pytest.fail("there was no slot")

    async with aio.lease("one", socket=daemon.path):
        task = asyncio.create_task(waiting())
        await asyncio.to_thread(daemon.wait_for_waiting, "waiting")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert daemon.waiting() == []


# --- many at once -------------------------------------------------------------------------------


async def test_many_tasks_of_one_process_each_hold_a_lease_of_their_own(daemon: Daemon) -> None:
    running = most = 0
    seen: list[int] = []

    async def work() -> None:
        nonlocal running, most
        async with aio.lease("two", socket=daemon.path) as granted:
            running += 1
            most = max(most, running)
            seen.append(granted.id)
            await run_sync(daemon.in_use)
            running -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(work)
    assert most == 2
    assert len({*seen}) == 10


async def test_the_news_can_be_left_at_any_time(daemon: Daemon) -> None:
    async with aio.Client(daemon.path) as client:
        async with aclosing(client.watch(["level"])) as news:
            async for event in news:
                assert event["level"] == 0
                break
        assert (await client.ask("level"))["level"] == 0
