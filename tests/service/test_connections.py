"""Real sockets: what a client may do to itself, and that it does it to nobody else."""

import os
import socket
import struct
from contextlib import suppress

import msgpack
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from admission.core.levels import LEVELS, PoolSpec, pools_of
from admission.protocol import FRAME_BYTES_MAX, Frame, encode
from admission.service import connections
from admission.service.config import Config
from admission.service.daemon import Daemon
from admission.service.dispatch import dispatch
from admission.service.telling import Line
from tests.service.children import open_descriptors
from tests.service.client import until
from tests.service.house import House, Open
from tests.service.stage import code_of, error_of

pytestmark = pytest.mark.trio
FULL = {"weight": 5}


# --- good clients -------------------------------------------------------------------------------


async def test_a_request_is_answered(serve: Open) -> None:
    house = await serve()
    client = await house.connect()
    assert (await client.ask("hello"))["pid"] == os.getpid()
    lease = await client.ask("acquire", task="tests")
    assert lease["pid"] == os.getpid(), "the peer, as the kernel knows it"
    assert await client.ask("release", lease=lease["lease"]) == {"id": 3, "ok": True}


async def test_a_waiting_acquire_blocks_no_other_request(serve: Open) -> None:
    house = await serve()
    client = await house.connect()
    lease = (await client.ask("acquire", **FULL))["lease"]
    waiting = await client.request("acquire")
    assert (await client.ask("status"))["waiting"] == {"agents": 1, "operations": 0}
    assert (await client.ask("level"))["level"] == 0
    await client.request("release", lease=lease)
    assert (await client.answer(waiting))["ok"] is True


async def test_a_client_that_is_gone_has_taken_back_what_it_asked_for(serve: Open) -> None:
    """The lease would be its process's, which lives, and nobody would know of it."""
    house = await serve()
    client = await house.connect()
    once = b"o" * 16
    asked = {"id": 1, "op": "acquire", "bound": "process", "request": once}
    more = [encode({"id": number, "op": "status"}) for number in range(2, 1000)]
    taken_back = encode({"id": 1000, "op": "cancel", "request": once})
    await client.send(b"".join([encode(asked), *more, taken_back]))
    await client.close()
    await until(lambda: house.lines == 0)
    assert house.stage.core.ledger.granted == 1
    assert house.held == 0


async def test_many_requests_in_one_piece_are_answered_in_order(serve: Open) -> None:
    house = await serve()
    client = await house.connect()
    await client.send(b"".join(encode({"id": number, "op": "level"}) for number in range(500)))
    assert [(await client.frame())["id"] for _ in range(500)] == list(range(500))


async def test_a_frame_may_come_byte_by_byte(serve: Open) -> None:
    house = await serve()
    client = await house.connect()
    for byte in encode({"id": 1, "op": "hello"}) + encode({"id": 2, "op": "level"}):
        await client.send(bytes([byte]))
        await trio.lowlevel.checkpoint()
    assert [(await client.frame())["id"] for _ in range(2)] == [1, 2]


async def test_a_frame_of_the_greatest_length_is_read(serve: Open) -> None:
    house = await serve()
    client = await house.connect()
    room = FRAME_BYTES_MAX - len(msgpack.packb({"id": 1, "op": "hello", "x": "x" * 60_000}))
    frame = encode({"id": 1, "op": "hello", "x": "x" * (60_000 + room)})
    assert len(frame) == 4 + FRAME_BYTES_MAX
    await client.send(frame)
    assert (await client.frame())["ok"] is True


async def test_answers_that_are_read_late_come_whole_and_in_order(serve: Open) -> None:
    """What the socket does not take at once is kept, up to the limit."""
    house = await serve(Config(unanswered_bytes_max=4_000_000))
    client = await house.connect()
    for number in range(1000):
        await client.send(encode({"id": number, "op": "status"}))
    await until(lambda: house.backlog_bytes > 0)
    assert [(await client.frame())["id"] for _ in range(1000)] == list(range(1000))


async def test_what_a_connection_holds_ends_with_it(serve: Open) -> None:
    house = await serve()
    client, next_one = await house.connect(), await house.connect()
    await client.ask("acquire", **FULL)
    waiting = await next_one.request("acquire")
    await client.close()
    assert (await next_one.answer(waiting))["ok"] is True


async def test_connections_that_come_and_go_leave_nothing_behind(serve: Open) -> None:
    house = await serve()
    open_after: list[int] = []
    for _ in range(3):
        clients = [await house.connect() for _ in range(20)]
        for client in clients:
            await client.ask("hello")
        for client in clients:
            await client.close()
        await until(lambda: house.lines == 0)
        open_after.append(open_descriptors())
    assert len(set(open_after)) == 1


# --- deadlines: ten seconds, on a clock that moves only when the test moves it --------------------

BEGUN = encode({"id": 7, "op": "hello"})[:-1]
REST = encode({"id": 7, "op": "hello"})[-1:]


async def is_open_after(house: House, clock: MockClock, seconds: float) -> bool:
    """Whether the one connection there is outlives this time."""
    await wait_all_tasks_blocked()
    clock.jump(seconds)
    await wait_all_tasks_blocked()
    return house.lines == 1


@pytest.mark.parametrize("said", [b"", b"\x00", BEGUN[:4], BEGUN])
async def test_one_who_says_nothing_whole_is_told_so_and_closed(
    serve: Open, mock_clock: MockClock, said: bytes
) -> None:
    house = await serve()
    client = await house.connect()
    await client.send(said)
    assert await is_open_after(house, mock_clock, 9.999)
    assert not await is_open_after(house, mock_clock, 0.001)
    (frame,) = await client.until_closed()
    assert frame["id"] == 0
    assert error_of(frame) == (
        "bad_frame",
        "no whole frame came within 10 s; the connection is closed",
    )


async def test_how_long_one_may_be_silent_is_configuration(
    serve: Open, mock_clock: MockClock
) -> None:
    house = await serve(Config(first_frame_s=3.0))
    client = await house.connect()
    assert await is_open_after(house, mock_clock, 2.999)
    assert not await is_open_after(house, mock_clock, 0.001)
    (frame,) = await client.until_closed()
    assert "within 3 s" in error_of(frame)[1]


async def test_half_of_a_later_frame_has_the_same_deadline(
    serve: Open, mock_clock: MockClock
) -> None:
    house = await serve()
    client = await house.connect()
    await client.ask("acquire")
    assert await is_open_after(house, mock_clock, 1000)
    await client.send(encode({"id": 8, "op": "level"}) + BEGUN)
    assert await is_open_after(house, mock_clock, 9.999)
    assert not await is_open_after(house, mock_clock, 0.001)
    level, refused = await client.until_closed()
    assert (level["id"], code_of(refused)) == (8, "bad_frame")
    assert house.held == 0


async def test_more_bytes_of_one_frame_buy_no_more_time(serve: Open, mock_clock: MockClock) -> None:
    house = await serve()
    client = await house.connect()
    for byte in BEGUN[:9]:
        await client.send(bytes([byte]))
        assert await is_open_after(house, mock_clock, 1)
    await client.send(BEGUN[9:10])
    assert not await is_open_after(house, mock_clock, 1)


async def test_every_whole_frame_buys_time_for_the_next(serve: Open, mock_clock: MockClock) -> None:
    """A busy client's reads hardly ever end where a frame does."""
    house = await serve()
    client = await house.connect()
    await client.send(BEGUN)
    for _ in range(5):
        assert await is_open_after(house, mock_clock, 6)
        await client.send(REST + BEGUN)
    assert not await is_open_after(house, mock_clock, 10)
    assert len(await client.until_closed()) == 6


@pytest.mark.parametrize("whole_in_time", [True, False])
async def test_a_daemon_that_slept_reads_what_came_meanwhile_before_it_closes(
    serve: Open, mock_clock: MockClock, whole_in_time: bool
) -> None:
    """It was suspended, say: what stands in the socket by then was not late."""
    house = await serve()
    client = await house.connect()
    await until(lambda: house.lines == 1)
    await wait_all_tasks_blocked()
    os.write(client.stream.socket.fileno(), BEGUN + REST if whole_in_time else BEGUN)
    mock_clock.jump(10.001)  # with no turn for the daemon in between
    if whole_in_time:
        assert (await client.frame())["ok"] is True
        assert await is_open_after(house, mock_clock, 1000)
    else:
        (refused,) = await client.until_closed()
        assert code_of(refused) == "bad_frame"


# --- bad clients --------------------------------------------------------------------------------

DEEP: Frame = {"id": 1, "op": "hello", "x": [[[[[[[[]]]]]]]]}


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        struct.pack(">I", 0),
        struct.pack(">I", FRAME_BYTES_MAX + 1),
        struct.pack(">I", 2**32 - 1),
        struct.pack(">I", 4) + b"\xc1\xc1\xc1\xc1",
        struct.pack(">I", 1) + b"\x90",
        struct.pack(">I", 3) + b"\x81\x01\x01",
        encode(DEEP),
    ],
)
async def test_garbage_is_answered_with_an_error_and_the_end(serve: Open, garbage: bytes) -> None:
    house = await serve()
    bad, good = await house.connect(), await house.connect()
    await bad.ask("acquire", **FULL)
    waiting = await good.request("acquire")
    await bad.send(garbage)
    (frame,) = await bad.until_closed()
    assert (frame["id"], code_of(frame)) == (0, "bad_frame")
    assert (await good.answer(waiting))["ok"] is True


async def test_bytes_at_random_hurt_nobody_else(serve: Open) -> None:
    house = await serve()
    good = await house.connect()
    for seed in range(40):
        bad = await house.connect()
        noise = bytes((seed * 7919 + index * index * 31) % 251 for index in range(300))
        await bad.send(struct.pack(">I", 300) + noise if seed % 2 else noise)
        assert [code_of(frame) for frame in await bad.until_closed()] == ["bad_frame"]
        assert (await good.ask("hello"))["ok"] is True
    assert house.lines == 1


async def test_one_who_never_reads_is_closed_beyond_the_limit(serve: Open) -> None:
    house = await serve(Config(unanswered_bytes_max=70_000))
    deaf, good = await house.connect(), await house.connect()
    await deaf.ask("acquire")
    largest = 0

    async def shout() -> None:
        nonlocal largest
        for number in range(5000):
            await deaf.send(encode({"id": number, "op": "status"}))
            largest = max(largest, house.backlog_bytes)

    with pytest.raises(trio.BrokenResourceError):
        await shout()
    await until(lambda: house.lines == 1)
    assert 60_000 < largest < 70_000 + 4 + FRAME_BYTES_MAX
    assert house.held == 0
    assert (await good.ask("hello"))["ok"] is True


async def test_the_last_word_never_stands_in_the_middle_of_another(serve: Open) -> None:
    """An answer that is half sent can't be followed by an error, only by the end."""
    house = await serve(Config(unanswered_bytes_max=4_000_000))
    for _ in range(8):  # which of its two tasks the daemon runs first is left to chance
        client = await house.connect()
        while house.backlog_bytes < 1_000_000:
            await client.send(encode({"id": 1, "op": "status"}) * 50)
            await wait_all_tasks_blocked()
        with socket.socket(fileno=os.dup(client.stream.socket.fileno())) as same:
            heard = same.recv(200_000)
            await wait_all_tasks_blocked()  # by now a part of the backlog is sent
            # Room for more, and the end of all sense, with no turn for the daemon in between.
            heard += same.recv(200_000)
            same.send(struct.pack(">I", 0))
            await until(lambda: house.lines == 0)
            with suppress(ConnectionResetError):
                while data := same.recv(200_000):
                    heard += data
        assert len(heard) > 200_000
        assert b"bad_frame" not in heard


async def test_one_who_never_stops_talking_lets_the_others_speak(
    serve: Open, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time stands still, so no request is dear: it is the reading that takes turns."""
    turns: list[int] = []

    def noting(daemon: Daemon, line: Line, body: bytes) -> None:
        turns.append(line.number)
        dispatch(daemon, line, body)

    monkeypatch.setattr(connections, "dispatch", noting)
    house = await serve()
    loud, good = await house.connect(), await house.connect()
    await good.ask("hello")
    (number,) = turns
    frame = encode({"id": 1, "op": "cancel", "target": 0})
    for _ in range(6):  # which of the two is read first is left to chance
        turns.clear()
        # As much as the socket takes, at once; and a word of the other's behind it.
        said = 0
        with socket.socket(fileno=os.dup(loud.stream.socket.fileno())) as same, suppress(OSError):
            while True:
                said += same.send(frame * 100, socket.MSG_DONTWAIT)
        assert said > 3000 * len(frame)
        await good.ask("hello")
        # A turn is what fits one read, however much there is to be read.
        assert turns.index(number) < 1000
        for _ in range(said // len(frame)):
            await loud.frame()


async def test_one_who_asks_for_much_in_few_words_lets_the_others_speak(
    serve: Open, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `leases` of a long queue: each takes a while, and many fit one read."""
    handled: list[int] = []

    def taking_long(daemon: Daemon, line: Line, body: bytes) -> None:
        handled.append(line.number)
        mock_clock.jump(0.04)
        dispatch(daemon, line, body)

    house = await serve()
    loud, good = await house.connect(), await house.connect()
    await good.ask("hello")
    monkeypatch.setattr(connections, "dispatch", taking_long)
    await loud.send(encode({"id": 1, "op": "leases"}) * 100)
    await good.ask("hello")
    assert len(handled) < 10


async def test_an_answer_that_fits_no_frame_is_an_error_of_that_request_alone(serve: Open) -> None:
    pools = [PoolSpec(f"{number:03}" + "x" * 197, (1, 1, 1, 1)) for number in range(100)]
    house = await serve(Config(pools=(*pools_of(LEVELS), *pools)))
    client = await house.connect()
    frame = await client.ask("status")
    assert code_of(frame) == "bad_request"
    assert error_of(frame)[1].startswith("the answer is too long: ")
    assert (await client.ask("hello"))["ok"] is True
