"""A journal that can't be written: nothing whole is lost, and nothing half stays."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from admission.core import events as ev
from admission.core.leases import Bound, Claim, Holder, Lease, Waiter
from admission.service import journal as room
from admission.service.journal import FORMAT, Journal, Stamp, encode, frame
from tests.service.children import open_descriptors
from tests.service.conftest import BOOT

CLAIM = Claim(Holder(4711, 8123456), bound=Bound.PROCESS)
STORY: list[ev.Record] = [
    ev.Numbered(0, 0),
    ev.Queued(Waiter(1, CLAIM, None, 100.0)),
    ev.Granted(Lease(1, CLAIM, 1, 100.0)),
    ev.Yielded(1),
]
LEFT = ev.Left(1, "timeout")
LEFT_BYTES = len(encode(1, LEFT))
HEAD_BYTES = len(frame(0, "Stamp", Stamp(FORMAT, BOOT)))


def no_space(*_: object, **__: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_after_a_failed_append_nothing_is_appended_until_all_is_written_anew(
    journal: Journal,
) -> None:
    """What is missing in between may be an end."""
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


@pytest.mark.parametrize("mode", [stat.S_IRUSR | stat.S_IWUSR])
def test_the_file_is_its_owners_alone(journal: Journal, mode: int) -> None:
    journal.rewrite([])
    for path in (journal.path, journal.path.with_suffix(".journal-new")):
        assert stat.S_IMODE(path.stat().st_mode) == mode


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
    fresh = journal.path.with_suffix(".journal-new")
    fresh.unlink()
    fresh.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        journal.rewrite(STORY)
    assert victim.read_text() == "precious"


def test_it_wants_to_be_written_anew_when_it_has_grown(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "REWRITE_BYTES_MIN", 500)
    journal.rewrite([])
    appended = 0
    while not journal.wants_rewrite:
        journal.append(LEFT)
        appended += LEFT_BYTES
    assert 500 < HEAD_BYTES + appended <= 500 + LEFT_BYTES
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
while journal.append(Left(1, "timeout")):
    written += 1
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
assert not journal.append(Left(0, "timeout"))
print(written)
"""


def test_a_file_that_may_not_grow_ends_in_whole_records(journal: Journal) -> None:
    """In a process of its own, as the limit is a process's. The last write was a partial one."""
    words = [sys.executable, "-c", FILL, str(journal.path)]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    written = int(done.stdout)
    assert written > 40
    whole_bytes = HEAD_BYTES + written * LEFT_BYTES
    assert journal.path.stat().st_size == whole_bytes, "a part of a record is left"
    assert 5000 - LEFT_BYTES < whole_bytes <= 5000
    assert journal.read() == [LEFT] * written


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB, where this machine lets us have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
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
    fill(small_disk / "somebody else's")
    written: list[ev.Record] = []
    while journal.append(LEFT):
        written.append(LEFT)
    assert not journal.works
    assert journal.read() == written
    # Room for it was kept.
    journal.rewrite(written)
    assert journal.works
    assert journal.read() == written
    journal.close()


def test_a_disk_that_the_journal_itself_has_filled_has_room_once_it_is_written_anew(
    small_disk: Path,
) -> None:
    journal = Journal(small_disk / "a.journal", BOOT)
    journal.rewrite([])
    while journal.append(LEFT):
        pass
    journal.rewrite([LEFT])
    assert all(journal.append(LEFT) for _ in range(100))
    journal.close()


def test_without_room_for_the_next_one_it_goes_on_with_what_there_is(small_disk: Path) -> None:
    fill(other := small_disk / "somebody else's")
    with other.open("r+b") as file:
        file.truncate(other.stat().st_size - 8192)
    journal = Journal(small_disk / "a.journal", BOOT)
    journal.rewrite([])
    assert journal.append(LEFT)
    while journal.append(LEFT):
        pass
    with pytest.raises(OSError, match=r"No space left|took only a part"):
        journal.rewrite([LEFT] * 1000)
    other.unlink()
    journal.rewrite([LEFT] * 1000)
    assert journal.append(LEFT)
    journal.close()


def fill(path: Path) -> None:
    """Takes what is left of the disk."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
