"""What survives the daemon, and what survives damage to it."""

import errno
import os
import stat
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate, pairwise
from math import inf
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor
from admission.core.leases import Bound, Caller, Claim, Class, Holder, Lease, Reason, State, Waiter
from admission.core.levels import LEVELS, pools_of
from admission.service import journal as room
from admission.service.journal import FORMAT, Journal, Stamp, boot_id, decode, encode, frame
from tests.service.children import open_descriptors

BOOT = "this boot"
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
)
CALLER = Caller(3, 2**63 - 1)
WAITER = Waiter(2, FULL, CALLER, 100.25, 160.0, 170.0, keeps_place=True)
LEASE = Lease(2, FULL, 2, 100.25, 7.125, State.YIELDED, CALLER, 160.75, 200.0)

# A story with every kind of record: lease 1 ends, lease 2 stays.
STORY: list[ev.Record] = [
    ev.Numbered(0, 0),
    ev.LevelChanged(2, ("memory 85 % is at or above 80 %", "CPU 91 %"), inf),
    ev.Queued(Waiter(1, PLAIN, None, 100.0)),
    ev.Granted(Lease(1, PLAIN, 1, 100.0)),
    ev.Queued(WAITER),
    ev.Granted(replace(LEASE, state=State.HELD)),
    ev.Yielded(2),
    ev.Queued(Waiter(3, replace(FULL, request=None), CALLER, 101.0, lease=2)),
    ev.Regained(2, 3),
    ev.Renewed(2, 161.5),
    ev.Followed(2, (Holder(4713, 9), Holder(4714, 10))),
    ev.Ended(1, Reason.HOLDER_EXITED),
    ev.Queued(Waiter(4, PLAIN, None, 102.0)),
    ev.Left(4, "timeout"),
    ev.LevelChanged(0, (), None),
]
HEAD = frame("Stamp", Stamp(FORMAT, BOOT))
PIECES = [HEAD, *(encode(record) for record in STORY)]
DATA = b"".join(PIECES)
# Where the head and each record end.
ENDS = list(accumulate(map(len, PIECES)))


def whole_before(position: int) -> int:
    """How many records are whole in front of this byte."""
    return max(sum(end <= position for end in ENDS) - 1, 0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    before = open_descriptors()
    journal = Journal(tmp_path / "a.journal", BOOT)
    yield journal
    journal.close()
    assert open_descriptors() == before


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


def test_what_nobody_needs_after_the_write_is_not_written() -> None:
    told: list[ev.Record] = [
        ev.Granted(LEASE, WAITER),
        ev.Regained(2, 3, WAITER),
        ev.Ended(2, Reason.REVOKED, LEASE),
    ]
    bare: list[ev.Record] = [ev.Granted(LEASE), ev.Regained(2, 3), ev.Ended(2, Reason.REVOKED)]
    assert list(map(encode, told)) == list(map(encode, bare))
    assert decode(HEAD + b"".join(map(encode, told)), BOOT) == bare


def test_no_journal_is_an_empty_one_and_one_that_can_not_be_read_is_an_error(
    journal: Journal,
) -> None:
    assert journal.read() == []
    journal.path.mkdir()
    with pytest.raises(OSError, match="directory"):
        journal.read()


def test_another_boots_journal_keeps_only_the_numbers() -> None:
    assert decode(DATA, "another boot") == [ev.Numbered(lease=2, ticket=4)]
    assert decode(HEAD, "another boot") == [ev.Numbered(0, 0)]
    head = HEAD + encode(ev.Numbered(70, 90))
    assert decode(head, "another boot") == [ev.Numbered(70, 90)]
    assert decode(head + DATA[len(HEAD) :], "another boot") == [ev.Numbered(70, 90)]


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


def test_with_any_byte_flipped_what_stood_before_it_counts_and_nothing_after() -> None:
    for position in range(len(DATA)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(DATA)
            damaged[position] ^= flip
            assert decode(bytes(damaged), BOOT) == STORY[: whole_before(position)]


def test_a_record_lost_in_the_middle_ends_the_story_there() -> None:
    for start, end in pairwise(ENDS):
        torn = DATA[: start + 1] + DATA[end:]
        assert decode(torn, BOOT) == STORY[: whole_before(start)]


def test_a_lease_is_taken_over_from_its_grant_to_its_end_wherever_the_journal_is_cut() -> None:
    granted = {1: 3, 2: 5}
    for cut in range(len(DATA) + 1):
        whole = whole_before(cut)
        held = {lease for lease, index in granted.items() if index < whole}
        if whole > 11:
            held.remove(1)
        assert held_after(DATA[:cut]) == held


@pytest.mark.parametrize(
    "tail",
    [
        bytes(4096),  # what a file system may leave behind a crash
        b"\xff" * 64,
        b"\xff\xff\xff\xff" + bytes(4),  # 4 GB announced
        (room.RECORD_BYTES_MAX + 1).to_bytes(4, "big") + bytes(4),
        frame("Invented", (1, 2)),  # a newer daemon's
        frame("Granted", {"lease": "none"}),
        frame("Queued", 5),
        HEAD[:8] + bytes(len(HEAD) - 8),
    ],
)
def test_what_can_not_be_understood_ends_the_reading(tail: bytes) -> None:
    assert decode(DATA + tail + encode(ev.Left(9, "timeout")), BOOT) == STORY


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(100),
        DATA[len(HEAD) :],
        frame("Stamp", Stamp(FORMAT + 1, BOOT)) + DATA[len(HEAD) :],
        frame("Stamp", {"boot": BOOT}) + DATA[len(HEAD) :],
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
    mad = len(body).to_bytes(4, "big") + zlib.crc32(body).to_bytes(4, "big") + body
    found = decode(b"".join(PIECES[:keep]) + mad + tail, BOOT)
    assert found[: max(keep - 1, 0)] == STORY[: max(keep - 1, 0)]


# --- when it can't be written --------------------------------------------------------------------

LEFT = ev.Left(1, "timeout")


def no_space(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_after_a_failed_append_nothing_is_appended_until_all_is_written_anew(
    journal: Journal,
) -> None:
    """A record behind a torn one would never be read."""
    journal.rewrite(STORY[:3])
    good = journal._file
    journal._file = os.open("/dev/full", os.O_WRONLY)
    os.close(good)
    assert not journal.append(LEFT)
    assert not journal.works
    assert not journal.append(LEFT)
    assert journal.read() == STORY[:3]
    journal.rewrite(STORY[:4])
    assert journal.works
    assert journal.append(LEFT)
    assert journal.read() == [*STORY[:4], LEFT]


def test_before_the_first_rewrite_nothing_can_be_appended(journal: Journal) -> None:
    assert not journal.works
    assert not journal.append(LEFT)
    assert not journal.path.exists()


@pytest.mark.parametrize("failing", ["open", "write", "half a write", "replace"])
def test_a_rewrite_that_fails_leaves_the_old_file_and_it_goes_on(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    journal.rewrite(STORY[:3])
    before = open_descriptors()
    write = os.write
    with monkeypatch.context() as patch:
        if failing == "half a write":
            patch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
        else:
            patch.setattr(os, failing, no_space)
        with pytest.raises(OSError, match=r"No space left|took only a part"):
            journal.rewrite(STORY)
    assert open_descriptors() == before
    assert journal.append(STORY[3])
    assert journal.read() == STORY[:4]


def test_a_link_planted_where_the_new_file_goes_is_not_followed(
    journal: Journal, tmp_path: Path
) -> None:
    journal.rewrite([])
    victim = tmp_path / "victim"
    victim.write_text("precious")
    journal.path.with_suffix(".journal-new").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        journal.rewrite(STORY)
    assert victim.read_text() == "precious"


def test_it_wants_to_be_written_anew_when_it_has_grown(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "REWRITE_BYTES_MIN", 500)
    journal.rewrite([])
    size = len(encode(LEFT))
    appended = 0
    while not journal.wants_rewrite:
        journal.append(LEFT)
        appended += size
    assert 500 < len(HEAD) + appended <= 500 + size
    # One that stays large is not written anew at every step.
    journal.rewrite([LEFT] * 100)
    assert not journal.wants_rewrite
    for _ in range(300):
        journal.append(LEFT)
    assert not journal.wants_rewrite
    journal.append(ev.LevelChanged(0, ("x" * 500,)))
    assert journal.wants_rewrite


def test_a_rewrite_that_failed_is_not_tried_again_at_every_step(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "REWRITE_BYTES_MIN", 500)
    journal.rewrite([])
    while not journal.wants_rewrite:
        journal.append(LEFT)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", no_space)
        with pytest.raises(OSError, match="No space left"):
            journal.rewrite([])
    assert not journal.wants_rewrite


FILL = """
import resource, sys
from pathlib import Path
from admission.core.events import Left
from admission.service.journal import Journal

journal = Journal(Path(sys.argv[1]), "this boot")
journal.rewrite([])
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, limits[1]))
written = 0
while journal.append(Left(written, "timeout")):
    written += 1
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
assert not journal.append(Left(0, "timeout"))
print(written)
"""


def test_a_file_that_may_not_grow_ends_in_whole_records(journal: Journal) -> None:
    """In a process of its own, as the limit is a process's; the last write is a partial one."""
    words = [sys.executable, "-c", FILL, str(journal.path)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    assert journal.path.stat().st_size == 5000, "torn in the middle of a record"
    written = int(done.stdout)
    assert written > 100
    assert journal.read() == [ev.Left(number, "timeout") for number in range(written)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB, where this machine lets us have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True, timeout=60)


def test_a_full_disk_is_outlived_and_nothing_whole_is_lost(small_disk: Path) -> None:
    journal = Journal(small_disk / "a.journal", BOOT)
    journal.rewrite([])
    (small_disk / "somebody else's").write_bytes(bytes(40_000))
    written: list[ev.Record] = []
    while journal.append(LEFT):
        written.append(LEFT)
    assert len(written) > 100
    assert journal.read() == written
    with pytest.raises(OSError, match="No space left"):
        journal.rewrite(written)
    assert not journal.works
    assert journal.read() == written
    (small_disk / "somebody else's").unlink()
    journal.rewrite(written)
    assert journal.append(LEFT)
    assert journal.read() == [*written, LEFT]
    journal.close()
