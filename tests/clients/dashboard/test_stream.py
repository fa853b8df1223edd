"""One page's connection: what it is told, and what becomes of one too many."""

from collections.abc import MutableMapping
from contextlib import ExitStack
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from admission.protocol import NoSlot
from admission_client.dashboard.feed import READERS_MAX, Feed
from admission_client.dashboard.stream import PULSE_S, Stream

Message = MutableMapping[str, Any]


class Page:
    """Reads whatever comes."""

    def __init__(self) -> None:
        self.read: list[Message] = []

    async def receive(self) -> Message:
        await trio.sleep_forever()
        raise AssertionError

    async def send(self, message: Message) -> None:
        self.read.append(message)
        await trio.lowlevel.checkpoint()


def feed() -> Feed:
    return Feed("/nowhere/at.sock")


@pytest.mark.trio
async def test_a_connection_on_which_nothing_happens_is_kept_alive(
    autojump_clock: MockClock,
) -> None:
    page = Page()
    with trio.move_on_after(PULSE_S * 2 + 1):
        await Stream(feed(), "", is_read_only=True)({}, page.receive, page.send)
    _, hello, *pulses = (message.get("body", b"") for message in page.read)
    assert b'"read_only":true' in hello
    assert pulses == [b": still here\n\n"] * 2


@pytest.mark.trio
async def test_only_what_is_new_comes_to_who_was_here_before(autojump_clock: MockClock) -> None:
    one = feed()
    one.bulletin.put("state", 1)
    one.bulletin.put("leases", 2)
    for last_id, names in (
        (f"{one.begun}-1", [b"leases"]),
        (f"{one.begun}-2", []),
        ("another-1", [b"state", b"leases"]),
        (f"{one.begun}-x", [b"state", b"leases"]),
        ("", [b"state", b"leases"]),
    ):
        page = Page()
        with trio.move_on_after(1):
            await Stream(one, last_id, is_read_only=False)({}, page.receive, page.send)
        bodies = [message["body"] for message in page.read[2:]]
        told = [body.split(b"event: ")[1].split(b"\n")[0] for body in bodies]
        assert told == names, last_id


@pytest.mark.trio
async def test_what_was_told_is_not_told_again(autojump_clock: MockClock) -> None:
    one, page = feed(), Page()
    one.bulletin.put("state", 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Stream(one, "", is_read_only=False), {}, page.receive, page.send)
        await trio.sleep(1)
        one._put("leases", 2)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    told = b"".join(message.get("body", b"") for message in page.read)
    assert [told.count(b"event: %b\n" % name) for name in (b"hello", b"state", b"leases")] == [
        1
    ] * 3


@pytest.mark.trio
async def test_one_page_too_many_is_refused() -> None:
    one = feed()
    with ExitStack() as stack:
        for _ in range(READERS_MAX):
            stack.enter_context(one.reading())
        with pytest.raises(NoSlot, match="close one"), one.reading():
            pass


@pytest.mark.trio
async def test_without_a_daemon_it_says_so_and_tries_again(autojump_clock: MockClock) -> None:
    one = feed()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        with one.reading():
            while not one.bulletin.has("away"):
                await one.changed.wait()
            number = one.bulletin.number
            await trio.sleep(10)
            assert one.bulletin.number == number  # once
        nursery.cancel_scope.cancel()
