"""Whatever happens to the file, the daemon goes on, and no more is lost than has to be."""

import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from admission.service.history import history_path, reading, schema, state_folder
from tests.service.notes import Notes, count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.db"


@pytest.fixture
def notes(path: Path) -> Iterator[Notes]:
    notes = Notes(path)
    yield notes
    notes.close()


# --- the file -----------------------------------------------------------------------------------


def test_the_file_and_its_folder_are_this_user_s_alone(notes: Notes) -> None:
    before = os.umask(0)
    try:
        notes.sample()
        assert notes.save()
    finally:
        os.umask(before)
    files = list(notes.path.parent.iterdir())
    assert {file.name for file in files} == {"history.db", "history.db-wal", "history.db-shm"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(notes.path.parent.stat().st_mode) == 0o700


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/x/state")
    assert history_path() == Path("/x/state/admission/history.db")
    monkeypatch.setenv("HOME", "/home/ann")
    for not_absolute in ("", "state"):
        monkeypatch.setenv("XDG_STATE_HOME", not_absolute)
        assert state_folder() == Path("/home/ann/.local/state/admission")


def _noise(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def _noise_in_the_middle(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 8192))


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _another_s(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE samples (x)")


DAMAGE = [_noise, _noise_in_the_middle, _cut, _another_s]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_set_aside_with_its_name_in_the_log(
    path: Path, caplog: pytest.LogCaptureFixture, damage: Any
) -> None:
    notes = Notes(path)
    for _ in range(500):
        notes.sample()
    notes.close()
    damage(path)
    size_bytes = path.stat().st_size
    again = Notes(path)
    again.sample()
    again.close()
    assert count(path) == 1
    assert again.history.problems() == []
    (aside,) = path.parent.glob("history.db.broken-*")
    assert str(aside) in caplog.text
    assert aside.stat().st_size == size_bytes


def test_damage_while_it_is_open_is_found_and_costs_no_row_that_was_not_written(
    path: Path,
) -> None:
    notes = Notes(path)
    for _ in range(500):
        notes.sample()
    notes.close()
    again = Notes(path)
    again.sample()
    assert again.save()
    _noise(path)
    again.history._open()._connection.execute("PRAGMA shrink_memory")  # or it would not look
    again.sample()
    assert not again.save()
    assert len(again.history.problems()) == 1
    assert again.save()
    assert again.history.problems() == []
    assert count(path) == 1
    again.close()


def test_a_disk_that_breaks_each_file_is_not_filled_with_them(path: Path) -> None:
    for number in range(5):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"noise %d" % number * 100)
        os.utime(path, (number, number))
        schema.set_aside(path)
    kept = sorted(one.read_bytes()[:7] for one in path.parent.iterdir())
    assert kept == [b"noise 2", b"noise 3", b"noise 4"]


def test_a_later_version_s_file_is_left_as_it_is(notes: Notes, path: Path) -> None:
    first = Notes(path)
    first.close()
    path.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    notes.sample()
    assert not notes.save()
    assert notes.history.problems() == [
        f"the history can't be written: it has format 99, and this version writes {schema.VERSION}"
    ]
    assert not list(path.parent.glob("*.broken-*"))


@pytest.mark.parametrize("what", ["a file for a folder", "a link"])
def test_a_place_that_can_t_be_written_is_said_and_nothing_else_happens(
    notes: Notes, path: Path, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    if what == "a link":
        path.parent.mkdir()
        path.symlink_to(path.parent / "elsewhere.db")
    else:
        path.parent.write_text("")
    notes.sample()
    for _ in range(3):
        assert not notes.save()
    assert notes.history.problems()[0].startswith("the history can't be written: ")
    assert caplog.text.count("can't be written") == 1, "not once a try"
    (path if what == "a link" else path.parent).unlink()
    assert notes.save()
    assert notes.history.problems() == []
    assert "can be written again" in caplog.text
    assert count(path) == 1


def test_a_full_disk_costs_nothing_that_was_noted(notes: Notes) -> None:
    notes.sample()
    assert notes.save()
    connection = notes.history._open()._connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(600):
        notes.sample()
    assert not notes.save()
    assert notes.history.problems() == ["the history can't be written: database or disk is full"]
    notes.sample()
    assert notes.save()
    assert count(notes.path) == 602


def test_a_file_locked_by_another_waits_for_it(
    notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "BUSY_S", 0.0)
    notes.sample()
    assert notes.save()
    with closing(sqlite3.connect(notes.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        notes.sample()
        assert not notes.save()
        assert notes.history.problems() == ["the history can't be written: database is locked"]
        assert not list(notes.path.parent.glob("*.broken-*")), "its writer would write to that"
        other.execute("COMMIT")
    assert notes.save()
    assert count(notes.path) == 2


def test_a_file_that_was_removed_or_set_aside_by_another_is_made_anew(notes: Notes) -> None:
    notes.sample()
    assert notes.save()
    schema.set_aside(notes.path)
    notes.sample()
    assert notes.save()
    assert count(notes.path) == 1
    for file in notes.path.parent.glob("history.db*"):
        file.unlink()
    notes.sample()
    assert notes.save()
    assert count(notes.path) == 1


def test_two_writers_at_once_lose_nothing(path: Path) -> None:
    both = [Notes(path), Notes(path, "another boot")]

    def write(notes: Notes) -> None:
        for _ in range(40):
            notes.sample()
            while not notes.save():
                pass
        notes.close()

    threads = [threading.Thread(target=write, args=(notes,)) for notes in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(path) == 80


# Says how many samples are safe after each batch of ten, until it is killed.
WRITER = """
import sys
from pathlib import Path
from tests.service.notes import Notes
notes = Notes(Path(sys.argv[1]))
while True:
    for _ in range(10):
        notes.now += 1
        notes.sample()
    assert notes.save()
    print(int(notes.now), flush=True)
"""


@pytest.mark.parametrize("batches", [1, 7, 60])
def test_a_writer_killed_amid_a_write_loses_its_last_batch_at_most(
    path: Path, batches: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=Path(__file__).parents[2],
    ) as writer:
        assert writer.stdout is not None
        safe = 0
        for _ in range(batches):
            safe = int(writer.stdout.readline())
        writer.kill()
    found = [one.sample.at for one in reading.read_samples(path, 0)]
    assert len(found) >= safe
    assert found == list(range(1, len(found) + 1)), "whole batches, in order"
    assert len(found) % 10 == 0
    again = Notes(path)
    again.sample()
    again.close()
    assert count(path) == len(found) + 1
    assert not list(path.parent.glob("*.broken-*"))
