"""What is fuzzed: each target takes bytes, and raises where something does not hold."""

import io
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import inf
from pathlib import Path
from unittest.mock import patch

from admission.core import by_hand
from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor
from admission.core.leases import Bound, Caller, Claim, Class, Holder, Lease, Reason, Waiter
from admission.core.levels import PoolSpec
from admission.core.reserving import Reservation
from admission.protocol import (
    LENGTH_BYTES,
    AdmissionError,
    BadFrame,
    BadRequest,
    Frame,
    Frames,
    decode,
    encode,
)
from admission.service.journal import Journal
from admission_client import granted
from admission_client.dialogue import Dialogue
from admission_client.waiting import Waiting
from tests.fuzz.material import GOLDEN_FRAMES, ODD_VALUES, REQUESTS, TALKS, Dice, raw_frame, raw_map
from tests.fuzz.sessions import FLOODING, STEPS_MAX, play, steps_from, story_of
from tests.fuzz.worlds import live

BOOT = "the boot of this test"


# --- the decoder --------------------------------------------------------------------------------


def decoder(data: bytes) -> None:
    """However a stream is cut, the same frames come of it, or the same refusal."""
    whole = _fed([data])
    cut = [data[at : at + 7] for at in range(0, len(data), 7)]
    assert whole == _fed(cut) or None in (whole, _fed(cut))
    with suppress(BadFrame):
        message = decode(data)
        assert all(isinstance(key, str) for key in message)
        with suppress(BadRequest):  # an extension, or longer as we write it
            again = decode(encode(message)[LENGTH_BYTES:])
            assert repr(again) == repr(message)


def _fed(pieces: list[bytes]) -> list[str] | None:
    frames, found = Frames(), []
    try:
        for piece in pieces:
            found += [repr(frame) for frame in frames.feed(piece)]
    except BadFrame:
        return None
    return found


# --- a session ----------------------------------------------------------------------------------


def session(data: bytes) -> None:
    """The request parser, the dispatch and the core; see `tests.fuzz.sessions`."""
    play(steps_from(data))


# --- the queue in hand --------------------------------------------------------------------------


def hands(data: bytes) -> None:
    """What hands do to the queue, over deaths of the daemon; see `tests.fuzz.worlds`."""
    live(data)


# --- the journal --------------------------------------------------------------------------------

HOLDERS = [Holder(101, 1), Holder(102, 1), Holder(103, 1)]


def _records() -> list[ev.Record]:
    """A daemon's day, with a record of each kind."""
    claims = [
        Claim(holder, secret=b"s" * 16, request=bytes([n]) * 16) for n, holder in enumerate(HOLDERS)
    ]
    tied = Claim(HOLDERS[0], pool="operations", bound=Bound.CONNECTION, task="ä\u202e", ttl_s=9.0)
    return [
        ev.Numbered(3, 4),
        ev.LevelChanged(1, ("memory 75 % is above 70 %",)),
        ev.Granted(Lease(4, claims[0], 5, 1.0, caller=Caller(1, 1))),
        ev.Queued(Waiter(6, claims[1], Caller(2, 1), 2.0)),
        ev.Queued(Waiter(7, claims[2], Caller(3, 1), 2.0, deadline_at=9.0)),
        ev.Left(7, "timeout"),
        ev.Granted(Lease(5, tied, 8, 3.0, caller=Caller(1, 2), expires_at=12.0)),
        ev.Renewed(5, 21.0),
        ev.Yielded(4),
        ev.Regained(4, 9),
        ev.LevelChanged(2, ("by hand",), by_hand_until=60.0),
        ev.Ended(5, Reason.RELEASED),
        by_hand.Reserved(Reservation(1, "agents", 1, 5.0, 600.0, Class.CRITICAL, "g\u202e", True)),
        by_hand.Reserved(Reservation(2, "operations", 1, 90.0, 150.0, group="g")),
        by_hand.Paused("operations", inf),
        by_hand.Paused("agents", 150.0),
        by_hand.Moved(6, 1),
        by_hand.Unpaused("operations"),
        by_hand.Unreserved(1, "taken back by hand"),
        ev.Granted(Lease(6, claims[1], 6, 4.0, caller=Caller(2, 1))),
    ]


@cache
def honest_journal() -> bytes:
    return _written_journal()


def _written_journal() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "a.journal", BOOT)
        records = _records()
        journal.rewrite(records[:3])
        for record in records[3:]:
            assert journal.append(record)
        journal.close()
        return journal.path.read_bytes()


def _read_journal(data: bytes) -> list[ev.Record]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.journal"
        path.write_bytes(data)
        return Journal(path, BOOT).read()


def journal(data: bytes) -> None:
    """Whatever is in the file, the daemon starts, and goes on from records of the right kind."""
    found = _read_journal(data)
    assert all(isinstance(record, ev.Record) for record in found)
    specs = PoolSpec("agents", (5, 3, 2, 1)), PoolSpec("operations", (1, 1, 1, 1))
    core = Admission(specs, Governor())
    core.handle(100.0, ev.Restarted(tuple(found), frozenset(HOLDERS)))
    core.handle(200.0, ev.TimePassed())
    assert list(core.snapshot())


def damaged_journal(data: bytes) -> None:
    """An honest file, damaged: no record is read that was not written."""
    file = _damaged(honest_journal(), Dice(data))
    written = _records()
    for record in _read_journal(file):
        assert record in written or isinstance(record, ev.Numbered)
    journal(file)


def unchecked_journal(data: bytes) -> None:
    """The same, where the damage has the right checksum: what other versions write is whole."""
    with patch("zlib.crc32", lambda *_: 0):
        journal(_damaged(_written_journal(), Dice(data)))


def _damaged(file: bytes, dice: Dice) -> bytes:
    """The file with some bytes changed, lost or put in."""
    found = bytearray(file)
    while not dice.is_over:
        at = (dice.roll(256) << 8 | dice.roll(256)) % max(1, len(found))
        match dice.roll(8):
            case 0:
                del found[at : at + dice.roll(256)]
            case 1:
                found[at:at] = dice.take(32)
            case 2:
                del found[at:]
            case 3 | 4:
                value = dice.choice(ODD_VALUES)
                found[at : at + len(value)] = value
            case _:
                found[at : at + 1] = bytes([dice.roll(256)])
    return bytes(found)


# --- the client ---------------------------------------------------------------------------------


def client(data: bytes) -> None:
    """What a hostile daemon answers ends in an answer, an event or one clear error."""
    dialogue = Dialogue()
    dialogue.ask("acquire", {})
    with suppress(AdmissionError):
        for at in range(0, len(data), 50):
            dialogue.take(data[at : at + 50])
            for event in dialogue.take_events():
                _show(event)
            if (answer := dialogue.answer()) is not None:
                _make_use_of(answer)


def _show(event: Frame) -> None:
    screen = io.StringIO()
    times = iter((0.0, 1.0, 1.0, 1.0, 1.0))
    with Waiting(screen, clock=lambda: next(times)) as waiting:
        waiting(event)


def _make_use_of(answer: Frame) -> None:
    lease = granted.Lease(answer)
    assert all("\0" not in value for value in lease.environment().values())


def _answers() -> bytes:
    """Golden answers and events, under the id that is waited for."""
    found = []
    for frame in GOLDEN_FRAMES:
        message = decode(frame[LENGTH_BYTES:])
        if "op" not in message:
            found.append(encode({**message, "id": 1}))
    return b"".join(found)


def odd_answers(data: bytes) -> None:
    """Golden answers with odd values in the place of theirs."""
    dice, sent = Dice(data), b""
    replies = [decode(one[LENGTH_BYTES:]) for one in GOLDEN_FRAMES]
    replies = [one for one in replies if "op" not in one]
    while not dice.is_over:
        message = {**dice.choice(replies), "id": 1}
        pairs = [(encode_one(key), encode_one(value)) for key, value in message.items()]
        for _ in range(dice.roll(3)):
            index = dice.roll(len(pairs))
            pairs[index] = (pairs[index][0], dice.choice(ODD_VALUES))
        sent += raw_frame(raw_map(pairs))
    client(sent)


def encode_one(value: object) -> bytes:
    return encode({"": value})[LENGTH_BYTES + 2 :]


# --- all of them --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """What is called with bytes, what to begin with, and how many of the runs it gets."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    share: int


ACQUIRE, STATUS = (
    next(index for index, message in enumerate(REQUESTS) if message["op"] == op)
    for op in ("acquire", "status")
)
TALK = range(len(REQUESTS) - TALKS, len(REQUESTS))
BY_HAND = ("reserve", "unreserve", "pause", "unpause", "move", "cancel")
HANDS = [index for index in TALK if REQUESTS[index]["op"] in BY_HAND]
HANG_UP, WAIT_LONG = b"\0\0", b"\0\3\3"
STORIES = (
    b"",
    bytes(range(0, 256, 3)),
    bytes(range(255, 0, -2)),
    *(story_of(range(first, len(REQUESTS))) for first in range(0, len(REQUESTS), STEPS_MAX)),
    # Twice the same, on this line and on another one.
    story_of(TALK) + story_of(TALK[:4], line=1) + story_of(TALK[:4]),
    # All is taken, and many wait; then one asks, hangs up, and asks again.
    story_of([ACQUIRE], line=2, how=FLOODING) + story_of(TALK[:4]) + HANG_UP + story_of(TALK),
    story_of([ACQUIRE], line=2, how=FLOODING) + story_of(TALK[:6]) + WAIT_LONG + story_of(TALK[:3]),
    # Many wait, and a hand reserves, pauses, puts ahead and takes out; then who asked is gone.
    story_of([ACQUIRE], line=2, how=FLOODING) + story_of(HANDS, line=1) + HANG_UP,
    story_of(HANDS, line=1) + story_of([ACQUIRE], how=FLOODING) + WAIT_LONG + story_of(HANDS),
    # Nobody reads.
    story_of([STATUS] * 3, line=1, how=FLOODING),
)

TARGETS = {
    "decoder": Target(decoder, tuple(GOLDEN_FRAMES), 200),
    "session": Target(session, STORIES, 6),
    "hands": Target(hands, (bytes(range(200)), bytes(range(0, 256, 7)) * 4), 30),
    "journal": Target(journal, (honest_journal(),), 4),
    "damaged_journal": Target(damaged_journal, (b"\0\x40\5\1\xff",), 6),
    "unchecked_journal": Target(unchecked_journal, (b"\0\x40\5\1", b"\0\x80\3\5"), 6),
    "client": Target(client, (_answers(),), 60),
    "odd_answers": Target(odd_answers, (bytes(range(0, 250, 7)),), 30),
}
