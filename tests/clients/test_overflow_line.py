"""The line between two nodes: its streams, their windows, signs of life, and its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from admission.protocol import Frame, encode
from admission_client.overflow.line import (
    BANNER,
    CHUNK_BYTES,
    NOISE_BYTES_MAX,
    STDIN,
    STDOUT,
    WINDOW_BYTES,
    Broken,
    Line,
    past_banner,
)

pytestmark = pytest.mark.trio

Told = list[Frame | str]


class Ends:
    """Both ends of one connection; what each was told by frames that steer, and why it broke."""

    def __init__(self) -> None:
        self.ours, self.theirs = memory_stream_pair()
        self.here = Line(self.ours, self.ours, (STDIN,), (STDOUT,), 60.0)
        self.there = Line(self.theirs, self.theirs, (STDOUT,), (STDIN,), 60.0)
        self.told_here: Told = []
        self.told_there: Told = []


async def _listen(line: Line, told: Told) -> None:
    try:
        async for frame in line.frames():
            told.append(frame)
    except Broken as problem:
        told.append(str(problem))


@asynccontextmanager
async def connected() -> AsyncIterator[Ends]:
    ends = Ends()
    async with trio.open_nursery() as nursery:
        for line, told in ((ends.here, ends.told_here), (ends.there, ends.told_there)):
            nursery.start_soon(line.send_forever)
            nursery.start_soon(_listen, line, told)
        yield ends
        nursery.cancel_scope.cancel()


async def test_bytes_come_in_their_order_and_so_does_their_end() -> None:
    got = bytearray()

    async def write(data: bytes) -> bool:
        got.extend(data)
        return True

    sent = bytes(range(256)) * 4096  # four windows
    async with connected() as ends, trio.open_nursery() as nursery:
        nursery.start_soon(ends.there.inlets[STDIN].pour, write)
        outlet = ends.here.outlets[STDIN]
        for start in range(0, len(sent), CHUNK_BYTES):
            assert await outlet.send(sent[start : start + CHUNK_BYTES])
        outlet.end()
    assert bytes(got) == sent


async def test_who_reads_nothing_stops_its_stream_and_nothing_else() -> None:
    async with connected() as ends, trio.open_nursery() as nursery:
        sent = 0

        async def send() -> None:
            nonlocal sent
            while True:
                await ends.here.outlets[STDIN].send(b"x" * CHUNK_BYTES)
                sent += CHUNK_BYTES

        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert sent == WINDOW_BYTES
        ends.here.put("signal", name="INT")
        await wait_all_tasks_blocked()
        assert ends.told_there == [{"kind": "signal", "name": "INT"}]
        assert ends.there.outlets[STDOUT].is_refused is False
        nursery.cancel_scope.cancel()


async def test_who_wants_no_more_says_so() -> None:
    async def write(_: bytes) -> bool:
        return False

    async with connected() as ends:
        outlet = ends.here.outlets[STDIN]
        assert await outlet.send(b"x")
        await ends.there.inlets[STDIN].pour(write)
        await wait_all_tasks_blocked()
        assert not await outlet.send(b"y")


async def test_a_line_at_rest_lives_by_its_signs_of_life(autojump_clock: MockClock) -> None:
    async with connected() as ends:
        await trio.sleep(1000)
        assert (ends.told_here, ends.told_there) == ([], [])


async def test_who_says_nothing_for_long_is_gone(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    line, told = Line(ours, ours, (STDIN,), (STDOUT,), 60.0), Told()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, line, told)
        await theirs.send_all(encode({"kind": "alive"}))
        await trio.sleep(59)
        assert told == []
        await trio.sleep(2)
        assert told == ["nothing was heard for 60 s"]
    assert line.is_broken
    with pytest.raises(Broken):
        await line.outlets[STDIN].send(b"x")


async def test_the_end_of_the_other_side_wakes_all_who_wait() -> None:
    async with connected() as ends, trio.open_nursery() as nursery:
        poured, broke = trio.Event(), trio.Event()

        async def pour() -> None:
            async def write(_: bytes) -> bool:
                return True

            await ends.here.inlets[STDOUT].pour(write)
            poured.set()

        async def send() -> None:
            with suppress(Broken):
                while True:
                    await ends.here.outlets[STDIN].send(b"x" * CHUNK_BYTES)
            broke.set()

        nursery.start_soon(pour)
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        await ends.theirs.aclose()
        await poured.wait()
        await broke.wait()
        assert ends.told_here == ["the connection was closed"]
        await ends.here.flush()  # returns


async def test_what_was_said_before_its_end_still_comes() -> None:
    got = bytearray()

    async def write(data: bytes) -> bool:
        got.extend(data)
        return True

    async with connected() as ends:
        await ends.there.outlets[STDOUT].send(b"last words")
        await ends.there.flush()
        await wait_all_tasks_blocked()
        await ends.theirs.aclose()
        await ends.here.inlets[STDOUT].pour(write)
    assert got == b"last words"


@pytest.mark.parametrize(
    ("bytes_", "why"),
    [
        (b"\xff" * 8, "it does not speak as it should: a frame is 1 to 65536 bytes long"),
        (b"\0\0\0\1\xc1", "it does not speak as it should: the frame does not hold"),
        (
            encode({"kind": "data", "stream": STDOUT, "data": b"x" * CHUNK_BYTES})
            * (WINDOW_BYTES // CHUNK_BYTES + 2),
            "the other side sends more than it may",
        ),
    ],
)
async def test_who_does_not_keep_to_it_is_broken_with(bytes_: bytes, why: str) -> None:
    ours, theirs = memory_stream_pair()
    line, told = Line(ours, ours, (STDIN,), (STDOUT,), 60.0), Told()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_listen, line, told)
        await theirs.send_all(bytes_)
        await wait_all_tasks_blocked()
    assert len(told) == 1
    assert str(told[0]).startswith(why)
    assert line.is_broken


@pytest.mark.parametrize(
    "frame",
    [
        {"kind": "data", "stream": 7, "data": b"x"},
        {"kind": "data", "stream": STDOUT, "data": "x"},
        {"kind": "ack", "stream": STDIN, "bytes": "x"},
        {"kind": 3},
        {},
    ],
)
async def test_what_is_of_no_stream_is_for_whoever_listens(frame: Frame) -> None:
    """Who breaks with it: neither side knows such a frame."""
    async with connected() as ends:
        await ends.theirs.send_all(encode(frame))
        await wait_all_tasks_blocked()
        assert ends.told_here == [frame]


# --- the banner ---------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_a_login_shell_says_first_is_passed_over(at_once: bool) -> None:
    ours, theirs = memory_stream_pair()
    said = b"Welcome to\nadmission hall\n" + BANNER + b"12\nrest"
    async with trio.open_nursery() as nursery:
        found: list[tuple[int, bytes]] = []

        async def read() -> None:
            found.append(await past_banner(ours))

        nursery.start_soon(read)
        for piece in [said] if at_once else [bytes([one]) for one in said]:
            await theirs.send_all(piece)
            await wait_all_tasks_blocked()
    (version, rest) = found[0]
    assert version == 12
    assert rest in (b"rest", b"")


@pytest.mark.parametrize("said", [b"", b"nothing of ours\n", b"x" * NOISE_BYTES_MAX])
async def test_without_a_banner_it_is_somebody_else(said: bytes) -> None:
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        async def say() -> None:
            with suppress(trio.BrokenResourceError):
                await theirs.send_all(said)
                await theirs.aclose()

        nursery.start_soon(say)
        with pytest.raises(Broken):
            await past_banner(ours)
