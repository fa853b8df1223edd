"""What is asked of a real daemon: nothing while nobody looks."""

import pytest
import trio

from admission_client.aio import Client
from admission_client.dashboard import feed
from admission_client.dashboard.feed import Feed
from admission_client.granted import whole
from tests.clients.daemons import Daemon

LIMIT_S = 60


def test_an_end_is_seen_before_anybody_asks() -> None:
    one = Feed("/nowhere/at.sock")
    row = {"lease": 5, "age_s": 1.0, "waited_ms": 0}
    one._present.take([{"leases": [row], "waiting": []}], 0.0, is_all=True)
    one._hear({"event": "ended", "lease": 5})
    assert one._present.leases() == []


@pytest.mark.trio
async def test_it_is_left_alone_while_nobody_looks(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "LINGER_S", 0.05)
    one = Feed(daemon.path)
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery, Client(daemon.path) as client:
            nursery.start_soon(one.run)

            async def connections() -> int:
                return whole(await client.ask("metrics"), "connections")

            alone = await connections()
            for _ in range(2):  # and looked at again, and left again
                with one.reading():
                    while not one.bulletin.has("back"):
                        await one.changed.wait()
                    assert await connections() > alone
                # Nobody is to take for the present later what was seen.
                while one.bulletin.has("state") or await connections() > alone:  # noqa: ASYNC110 -- no news
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_who_comes_back_at_once_finds_it_as_it_was(daemon: Daemon) -> None:
    one = Feed(daemon.path)
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            with one.reading():
                while not one.bulletin.has("recommendations"):
                    await one.changed.wait()
                number = one.bulletin.number
            await trio.sleep(0.01)
            with one.reading():
                await trio.sleep(0.01)
                told_again = [name for _, name, _ in one.bulletin.since(number)]
                assert "back" not in told_again
            nursery.cancel_scope.cancel()
