"""What survives the daemon, and what survives damage to it."""

import stat
import zlib
from dataclasses import replace
from itertools import accumulate
from math import inf
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.core import by_hand, shedding
from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.deferral import Undeferred
from admission.core.governor import Governor
from admission.core.leases import Bound, Caller, Claim, Class, Holder, Lease, Reason, State, Waiter
from admission.core.levels import LEVELS, pools_of
from admission.core.reserving import Reservation
from admission.service import journal as room
from admission.service.journal import (
    FORMAT,
    Journal,
    Stamp,
    boot_id,
    encode,
    frame,
    read,
)
from tests.service.conftest import BOOT

ANN, BOB = Holder(4711, 8123456), Holder(4712, 2**53)
PLAIN = Claim(ANN, bound=Bound.PROCESS)
FULL = Claim(
    holder=BOB,
    pool="operations",
    weight=2,
    task="タスク 🦆\n",
    rank=Class.BATCH,
    group="autopilot-7",
    bound=Bound.TREE,
    ttl_s=60.5,
    request=bytes(range(16)),
    secret=bytes(range(240, 256)),
    max_hold_s=800.0,
    end_after_max=True,
)
CALLER = Caller(3, 2**63 - 1)
WAITER = Waiter(2, FULL, CALLER, 100.25, 160.0, 170.0, keeps_place=True)
LEASE = Lease(2, FULL, 2, 100.25, 7.125, State.YIELDED, CALLER, 160.75, 200.0, over_at=900.25)

# A story with every kind of record: lease 1 ends, lease 2 stays.
STORY: list[ev.Record] = [
    ev.Numbered(0, 0, 6),
    ev.LevelChanged(2, ("memory 85 % is at or above 80 %", "CPU 91 %"), inf),
    ev.Queued(Waiter(1, PLAIN, None, 100.0)),
    ev.Granted(Lease(1, PLAIN, 1, 100.0)),
    ev.Queued(WAITER),
    ev.Granted(replace(LEASE, state=State.HELD)),
    ev.Yielded(2),
    ev.Queued(Waiter(3, replace(FULL, request=None), CALLER, 101.0, lease=2)),
    ev.Regained(2, 3, over_at=900.5),
    ev.Renewed(2, 161.5),
    ev.Followed(2, (Holder(4713, 9), Holder(4714, 10))),
    ev.Ended(1, Reason.HOLDER_EXITED),
    ev.Queued(Waiter(4, PLAIN, None, 102.0)),
    ev.Left(4, "timeout"),
    by_hand.Moved(4, 2),
    Undeferred(4),
    by_hand.Reserved(
        Reservation(7, "agents", 2, 103.0, 163.5, Class.CRITICAL, "ci", is_whole=True, uid=1000)
    ),
    by_hand.Reserved(Reservation(8, "operations", 1, 103.0, 163.5, group="ci")),
    by_hand.Unreserved(7, "taken back by hand"),
    by_hand.Paused("agents", inf),
    by_hand.Unpaused("agents"),
    shedding.Frozen(2, 104.0),
    shedding.Thawed(2),
    shedding.Parking(2),
    shedding.Parked(2, 1000),
    ev.LevelChanged(0, (), None),
]
HEAD = frame(0, "Stamp", Stamp(FORMAT, BOOT))
PIECES = [HEAD, *(encode(number, record) for number, record in enumerate(STORY, 1))]
DATA = b"".join(PIECES)
# Where the head and each record end.
ENDS = list(accumulate(map(len, PIECES)))


# Where the first copy of each ends.
FIRST_ENDS = [end - len(piece) // 2 for end, piece in zip(ENDS, PIECES, strict=True)]
NEXT = len(PIECES)


def decode(data: bytes, boot: str) -> list[ev.Record]:
    """What a daemon of this boot goes by."""
    return read(data).for_boot(boot)


def whole_before(position: int) -> int:
    """Of how many records a whole copy stands in front of this byte."""
    return max(sum(end <= position for end in FIRST_ENDS) - 1, 0)


# --- what is written is read --------------------------------------------------------------------


def test_the_story_has_every_kind_of_record() -> None:
    assert {type(record) for record in STORY} == set(get_args(ev.Record))


def test_every_record_is_read_as_it_was_written(journal: Journal) -> None:
    journal.rewrite([])
    assert all(journal.append(record) for record in STORY)
    assert Journal(journal.path, BOOT).read() == STORY
    journal.rewrite(STORY)
    assert Journal(journal.path, BOOT).read() == STORY
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_a_journal_from_before_there_were_reservations_is_read_as_it_was_meant() -> None:
    new = {
        "claim": ("max_hold_s", "end_after_max"),
        "lease": ("over_at",),
        "waiter": ("ahead",),
        "record": ("reservation", "over_at"),
    }

    def older(value: object, kind: str) -> object:
        if not isinstance(value, dict):
            return value
        return {key: older(one, key) for key, one in value.items() if key not in new.get(kind, ())}

    records = [ev.Numbered(5, 6), ev.Granted(Lease(7, PLAIN, 7, 1.0)), ev.Regained(7, 8)]
    records.append(ev.Queued(Waiter(9, PLAIN, None, 2.0)))
    pieces = [HEAD]
    for number, record in enumerate(records, 1):
        fields = msgspec.msgpack.decode(msgspec.msgpack.encode(record))
        fields.pop("waiter" if isinstance(record, ev.Granted | ev.Regained) else "", None)
        pieces.append(frame(number, type(record).__name__, older(fields, "record")))
    assert decode(b"".join(pieces), BOOT) == records
    assert b"over_at" not in b"".join(pieces)


def test_what_nobody_needs_after_the_write_is_not_written() -> None:
    told: list[ev.Record] = [
        ev.Granted(LEASE, WAITER),
        ev.Regained(2, 3, WAITER),
        ev.Ended(2, Reason.REVOKED, LEASE),
    ]
    bare: list[ev.Record] = [ev.Granted(LEASE), ev.Regained(2, 3), ev.Ended(2, Reason.REVOKED)]
    written = [encode(number, record) for number, record in enumerate(told, 1)]
    assert written == [encode(number, record) for number, record in enumerate(bare, 1)]
    assert decode(HEAD + b"".join(written), BOOT) == bare


def test_no_journal_is_an_empty_one_and_one_that_can_not_be_read_is_an_error(
    journal: Journal,
) -> None:
    assert journal.read() == []
    journal.path.mkdir()
    with pytest.raises(OSError, match="directory"):
        journal.read()


def test_another_boots_journal_keeps_only_the_numbers() -> None:
    assert decode(DATA, "another boot") == [ev.Numbered(lease=2, ticket=4, reservation=8)]
    assert decode(HEAD, "another boot") == [ev.Numbered(0, 0)]
    head = HEAD + encode(1, ev.Numbered(70, 90))
    assert decode(head, "another boot") == [ev.Numbered(70, 90)]
    assert decode(head + b"".join(PIECES[2:]), "another boot") == [ev.Numbered(70, 90, 8)]


def test_fences_go_on_growing_after_a_boot() -> None:
    core = Admission(pools_of(LEVELS), Governor())
    records = tuple(decode(DATA, "another boot"))
    core.handle(5.0, ev.Restarted(records, frozenset({ANN, BOB})))
    assert core.ledger.held == 0
    (*_, told) = core.handle(6.0, ev.Acquire(CALLER, PLAIN))
    assert isinstance(told, ev.Told)
    assert told.lease.id == 3


def test_the_boot_has_a_name_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert boot_id() == boot_id() != ""

    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert boot_id().isdigit()


# --- damage -------------------------------------------------------------------------------------


def held_after(data: bytes) -> set[int]:
    """The leases that a new daemon takes over from this journal."""
    core = Admission(pools_of(LEVELS), Governor())
    core.handle(100.0, ev.Restarted(tuple(decode(data, BOOT)), frozenset({ANN, BOB})))
    return {lease for pool in core.pools.values() for lease in pool.leases}


def test_cut_at_any_byte_what_is_whole_counts() -> None:
    for cut in range(len(DATA) + 1):
        assert decode(DATA[:cut], BOOT) == STORY[: whole_before(cut)]


def test_with_any_byte_flipped_nothing_is_lost() -> None:
    for position in range(len(DATA)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(DATA)
            damaged[position] ^= flip
            found = read(bytes(damaged))
            assert (list(found.records), found.boot, found.lost) == (STORY, BOOT, 0)
            assert 0 < found.damaged_bytes <= len(max(PIECES, key=len)) // 2


def test_of_a_record_that_is_lost_whole_the_loss_is_known() -> None:
    for index in range(1, len(PIECES)):
        torn = b"".join(PIECES[:index] + PIECES[index + 1 :])
        found = read(torn)
        assert list(found.records) == STORY[: index - 1] + STORY[index:]
        assert found.lost == (index < len(PIECES) - 1), "the last one can't be missed"


def test_without_its_stamp_a_journal_still_counts_and_the_loss_is_known() -> None:
    """Both copies of it were damaged; else the slots of the living would be granted again."""
    for head in (b"", bytes([HEAD[0] ^ 1]) + HEAD[1:-1] + bytes([HEAD[-1] ^ 1])):
        found = read(head + DATA[len(HEAD) :])
        assert (list(found.records), found.boot, found.lost) == (STORY, "", 1)
        assert held_after(head + DATA[len(HEAD) :]) == {2}


def test_a_lease_that_ended_stays_ended_and_one_that_did_not_stays_whatever_byte_is_flipped() -> (
    None
):
    for position in range(len(DATA)):
        damaged = bytearray(DATA)
        damaged[position] ^= 0xFF
        assert held_after(bytes(damaged)) == {2}


def test_a_lease_is_taken_over_from_its_grant_to_its_end_wherever_the_journal_is_cut() -> None:
    granted = {1: 3, 2: 5}
    for cut in range(len(DATA) + 1):
        whole = whole_before(cut)
        held = {lease for lease, index in granted.items() if index < whole}
        if whole > 11:
            held.remove(1)
        assert held_after(DATA[:cut]) == held


def checked(body: bytes) -> bytes:
    """This as the next record, with the right checksum."""
    payload = NEXT.to_bytes(room.NUMBER_BYTES, "big") + body
    length, checksum = len(payload), zlib.crc32(payload)
    return room.MARK + length.to_bytes(4, "big") + checksum.to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    "tail",
    [
        frame(NEXT, "Invented", (1, 2)),  # a newer daemon's
        frame(NEXT, "Granted", {"lease": "none"}),
        frame(NEXT, "Queued", 5),
        checked(b"\x92\xa2\xc3\x28\xc0"),  # its kind is no text
        checked(b"\x92\xa4Left" + b"\x91" * 5000),  # without end
    ],
)
def test_what_can_not_be_understood_ends_the_reading(tail: bytes) -> None:
    """It is whole, so it was meant, and what follows from it is not known."""
    assert decode(DATA + tail + encode(NEXT + 1, ev.Left(9, "timeout")), BOOT) == STORY


@pytest.mark.parametrize(
    "noise",
    [
        bytes(4096),  # what a file system may leave behind a crash
        b"\xff" * 64,
        room.MARK * 64,
        room.MARK + b"\xff\xff\xff\xff" + bytes(4),  # 4 GB announced
        room.MARK + (room.RECORD_BYTES_MAX + 1).to_bytes(4, "big") + bytes(4),
        HEAD[:8] + bytes(len(HEAD) - 8),
        HEAD,
        DATA,  # numbers that were read already
    ],
)
def test_noise_between_records_hides_none(noise: bytes) -> None:
    last = ev.Left(9, "timeout")
    assert decode(DATA + noise + encode(NEXT, last), BOOT) == [*STORY, last]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(100),
        frame(0, "Stamp", Stamp(FORMAT + 1, BOOT)) + DATA[len(HEAD) :],
        frame(0, "Stamp", {"boot": BOOT}) + DATA[len(HEAD) :],
        b"SQLite format 3\x00" * 100,
    ],
)
def test_what_is_no_journal_of_ours_is_an_empty_one(data: bytes) -> None:
    assert decode(data, BOOT) == []
    assert decode(data, "another boot") in ([], [ev.Numbered(0, 0)])


@given(
    keep=st.integers(0, len(PIECES)),
    tail=st.lists(st.binary(max_size=60) | st.sampled_from(PIECES), max_size=4).map(b"".join),
    body=st.binary(max_size=60),
)
def test_no_bytes_make_the_reading_fail(keep: int, tail: bytes, body: bytes) -> None:
    """Even where the checksum is right, as if the writer itself had gone mad."""
    found = decode(b"".join(PIECES[:keep]) + checked(body) + tail, BOOT)
    assert found[: max(keep - 1, 0)] == STORY[: max(keep - 1, 0)]
