"""The clients of whoever rules the queue, blocking and with `await`."""

from typing import Any

import anyio
import pytest

from admission.protocol import BadRequest, Frame, NoSlot
from admission_client import Operator, aio, lease
from admission_client.granted import rows, text, whole
from tests.clients.daemons import Daemon


def test_the_queue_is_listed_moved_and_cancelled(daemon: Daemon) -> None:
    with (
        lease("one", socket=daemon.path),
        Operator(daemon.path) as operator,
        Operator(daemon.path) as first,
        Operator(daemon.path) as second,
    ):
        for client, task in ((first, "a"), (second, "b")):
            fields: Frame = {"pool": "one", "task": task}
            client._send(client._dialogue.ask("acquire", fields))
            daemon.wait_for_waiting(*"ab"[: "ab".index(task) + 1])
        tickets = [whole(one, "ticket") for one in operator.queue("one")]
        assert operator.move(tickets[1])
        assert [text(one, "moved") for one in operator.queue("one")] == ["front", ""]
        assert operator.move(tickets[1], "back")
        assert daemon.waiting() == ["a", "b"]
        assert all(operator.cancel_ticket(one) for one in tickets)
        assert not operator.cancel_ticket(tickets[0])
        assert not operator.move(tickets[0])


def test_what_is_reserved_and_paused_by_it_is_ended_by_it(daemon: Daemon) -> None:
    with Operator(daemon.path) as operator:
        number = operator.reserve(1, 60.0, pool="many", group="g")
        assert operator.unreserve(number)
        assert not operator.unreserve(number)
        operator.pause("one", 60.0)
        assert operator.unpause("one")
        assert not operator.unpause("one")


def test_a_drain_waits_for_the_last_one_and_goes_on_where_it_is_told_to(daemon: Daemon) -> None:
    told: list[Frame] = []
    with lease("one", task="last", socket=daemon.path) as held, Operator(daemon.path) as operator:

        def on_left(left: list[Frame] | None) -> None:
            told.extend(left or [])
            daemon.ask("release", lease=held.id)

        operator.drain("one", on_left=on_left, then_unpause=True)
        held.is_shared = True  # it is given back
    assert [text(one, "task") for one in told] == ["last"]
    assert daemon.ask("status")["paused"] == {}


def test_a_drain_that_is_given_up_leaves_all_as_it_was_found(daemon: Daemon) -> None:
    with lease("one", socket=daemon.path), Operator(daemon.path) as operator:
        with pytest.raises(NoSlot, match=r"one is not empty after 0\.0 s: 1 still runs: lease"):
            operator.drain("one", wait_s=0.0)
        assert daemon.ask("status")["paused"] == {}
        operator.pause("one", 600.0)
        with pytest.raises(NoSlot):
            operator.drain("one", wait_s=0.0)
        paused: Any = daemon.ask("status")["paused"]
        assert 0 < paused["one"] <= 600
        operator.unpause()
    with Operator(daemon.path) as operator, pytest.raises(BadRequest, match="no pool"):
        operator.drain("none")


def test_a_drain_that_another_hand_ends_says_so(daemon: Daemon) -> None:
    with lease("one", socket=daemon.path), Operator(daemon.path) as operator:

        def unpause(left: list[Frame] | None) -> None:
            daemon.ask("unpause")

        with pytest.raises(NoSlot, match="somebody ended that"):
            operator.drain("one", on_left=unpause)


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_what_is_worth_doing_is_told_with_its_command(daemon: Daemon, backend: str) -> None:
    async def told() -> list[Frame]:
        async with aio.Operator(daemon.path) as operator:
            return await operator.recommendations()

    with Operator(daemon.path) as operator, Operator(daemon.path) as waiter:
        operator.pause("one")
        waiter._send(waiter._dialogue.ask("acquire", {"pool": "one", "task": "a"}))
        daemon.wait_for_waiting("a")
        for found in (operator.recommendations(), anyio.run(told, backend=backend)):
            (paused,) = (one for one in found if text(one, "rule") == "paused")
            assert paused["command"] == "admission unpause one"
            assert set(paused) == {"rule", "what", "why", "command"}
        operator.unpause()


@pytest.mark.parametrize("backend", ["trio", "asyncio"])
def test_with_await_it_is_the_same_and_cancelling_it_undoes_it(
    daemon: Daemon, backend: str
) -> None:
    async def drain_and_cancel() -> None:
        async with aio.Operator(daemon.path) as operator:
            with anyio.CancelScope() as scope:
                await operator.drain("one", on_left=lambda _: scope.cancel())
            assert (await operator.ask("status"))["paused"] == {}
            with pytest.raises(NoSlot):
                await operator.drain("one", 0.0)
            number = await operator.reserve(1, 60.0, pool="many", group="g")
            assert await operator.unreserve(number)
            assert await operator.queue() == []
            assert not await operator.move(10**6, "back")
            assert not await operator.cancel_ticket(10**6)
            (row,) = await operator.leases("one")

            def release(left: list[Frame]) -> None:
                daemon.ask("release", lease=row["lease"])

            await operator.drain("one", on_left=release)
            assert await operator.unpause("one")

    with lease("one", socket=daemon.path) as held:
        anyio.run(drain_and_cancel, backend=backend)
        held.is_shared = True  # it is given back


def test_a_lease_has_a_deadline_and_a_bound(daemon: Daemon) -> None:
    limits = {"max_hold": 60.0, "end_after_max": True}
    with lease("one", socket=daemon.path, by=5.0, **limits):  # type: ignore[arg-type]
        (row,) = rows(daemon.ask("leases", pool="one"), "leases")
        assert row["max_hold_s"] == 60.0
        with pytest.raises(NoSlot), lease("one", socket=daemon.path, by=0.01):
            pass
