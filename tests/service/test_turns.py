"""Fair treatment, by counts and not by time: how much of others' is done between two requests."""

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from admission.protocol import encode
from admission.service import connections
from admission.service.daemon import Daemon
from admission.service.dispatch import dispatch
from admission.service.telling import Line
from tests.service.client import Client
from tests.service.house import House, Open

pytestmark = pytest.mark.trio

CHEAP = encode({"id": 1, "op": "cancel", "target": 0})
DEAR = encode({"id": 1, "op": "leases"})
ASKED = 20
# How often everybody has a turn from one request of a client's to its next: while its answer is on
# the way, while it asks again, while that is noticed; and one to spare.
ROUNDS = 4


class Turns:
    """Whose requests were handled, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cost: Callable[[], None]) -> None:
        self._handled: list[int] = []
        self._cost = cost
        monkeypatch.setattr(connections, "dispatch", self._dispatch)

    def _dispatch(self, daemon: Daemon, line: Line, body: bytes) -> None:
        self._handled.append(line.number)
        self._cost()
        dispatch(daemon, line, body)

    def most_between(self, number: int) -> int:
        """How many of others' at most between two of this connection's."""
        at = [index for index, one in enumerate(self._handled) if one == number]
        assert len(at) >= ASKED
        return max(later - earlier - 1 for earlier, later in pairwise(at))

    def count_of_others(self, number: int) -> int:
        return sum(one != number for one in self._handled)


async def flood(client: Client, words: bytes) -> None:
    """As much as goes in, for ever, and reads the answers, so that it is not closed for that."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, client)
        with suppress(trio.BrokenResourceError):
            while True:
                await client.stream.send_all(words)


async def _listen(client: Client) -> None:
    while True:
        await client.stream.receive_some(1 << 20)


async def ask_among(house: House, how_many: int, words: bytes) -> None:
    """A modest client asks one thing after the other, while so many others flood the daemon."""
    modest = await house.connect()
    await modest.ask("hello")
    async with trio.open_nursery() as nursery:
        for client in house.connect_at_once(how_many):
            nursery.start_soon(flood, client, words)
        for _ in range(ASKED):
            await modest.ask("hello")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how_many", [1, 8])
async def test_a_modest_client_waits_for_one_turn_of_each_who_floods(
    serve: Open, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch, how_many: int
) -> None:
    """Time stands still, so that what one reads at a time is all that makes it a turn."""
    turns = Turns(monkeypatch, lambda: None)
    await ask_among(await serve(), how_many, CHEAP * 1000)
    a_turn = 4096 // len(CHEAP) + 1
    assert turns.count_of_others(1) > ASKED * how_many * a_turn / 2, "there was a flood"
    assert turns.most_between(1) <= ROUNDS * how_many * a_turn


@pytest.mark.parametrize("how_many", [1, 8])
async def test_dear_requests_are_done_one_at_a_time(
    serve: Open, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch, how_many: int
) -> None:
    """Each takes longer than a turn, and hundreds come in one read."""
    turns = Turns(monkeypatch, lambda: mock_clock.jump(2 * connections.TURN_S))
    await ask_among(await serve(), how_many, DEAR * 1000)
    assert turns.count_of_others(1) > how_many, "there was a flood"
    assert turns.most_between(1) <= ROUNDS * how_many


async def test_who_connects_again_and_again_is_no_more_than_one_at_a_time(
    serve: Open, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection's first turn is none that comes before those of others."""
    turns = Turns(monkeypatch, lambda: None)
    house = await serve()
    modest = await house.connect()
    await modest.ask("hello")

    async def come_and_go() -> None:
        while True:
            client = await house.connect()
            await client.ask("hello")
            await client.close()
            house.clients.remove(client)

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(come_and_go)
        for _ in range(ASKED):
            await modest.ask("hello")
        nursery.cancel_scope.cancel()
    assert turns.most_between(1) <= ROUNDS * 4
