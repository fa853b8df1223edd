"""What is noted comes back, and whatever happens to the file, the daemon goes on."""

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from admission.core import events as ev
from admission.core.leases import Reason
from admission.core.sample import Sample
from admission.service.history import reading, recorder, schema
from admission.service.history.recorder import RECORDS_MAX, SAMPLES_MAX
from admission.service.history.rows import LEASES_AT_ONCE, LEASES_PER_S
from admission.service.history.store import Store
from tests.service.notes import NOON, Notes, count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.db"


@pytest.fixture
def notes(path: Path) -> Iterator[Notes]:
    notes = Notes(path)
    yield notes
    notes.close()


# --- what is noted ------------------------------------------------------------------------------


def test_every_source_of_a_sample_has_its_column() -> None:
    fields = {field.name for field in dataclasses.fields(Sample)}
    assert set(schema.SAMPLE_COLUMNS) == fields - {"at", "failed"}
    assert set(schema.FIGURES) <= set(schema.SAMPLE_COLUMNS) | {"level", "in_use", "waiting"}


def test_a_sample_comes_back_as_it_was(notes: Notes) -> None:
    notes.now = 12.5
    taken = [notes.sample(85.25, None, level=2)]
    notes.now = 14.5
    taken.append(notes.sample(None, 3.0))
    assert notes.save()
    found = list(reading.read_samples(notes.path, 0))
    assert [one.sample for one in found] == taken
    assert [one.at for one in found] == [NOON + 12.5, NOON + 14.5]
    assert [(one.level, one.in_use, one.waiting) for one in found] == [(2, 3, 1), (0, 3, 1)]
    assert [one.sample for one in reading.read_samples(notes.path, NOON + 13)] == taken[1:]


def test_little_of_a_long_history_is_kept_in_memory(path: Path) -> None:
    connection = schema.connect(path)
    assert connection.execute("PRAGMA cache_size").fetchone() == (-schema.CACHE_KIB,)
    connection.close()


def test_a_sample_is_dated_by_when_it_was_taken_and_not_by_when_it_was_noted(notes: Notes) -> None:
    notes.now = 100.0
    notes.history.note_sample(Sample(97.0), 0, 0, 0)
    assert notes.save()
    (found,) = reading.read_samples(notes.path, 0)
    assert found.at == NOON + 97


def test_a_wall_clock_that_jumps_changes_no_order(notes: Notes) -> None:
    for offset in (NOON, NOON + 1e8, NOON - 1e4, NOON):
        notes.wall_offset = offset
        notes.now += 2
        notes.sample()
        notes.level(int(notes.now))
    assert notes.save()
    found = list(reading.read_samples(notes.path, 0))
    assert [one.sample.at for one in found] == [2, 4, 6, 8]
    assert [one.level for one in reading.level_changes(notes.path, 0)] == [2, 4, 6, 8]
    assert len({one.boot for one in found}) == 1


def test_another_boot_is_told_apart(notes: Notes, path: Path) -> None:
    notes.sample()
    assert notes.save()
    for boot in ("the next boot", "this boot"):
        later = Notes(path, boot)
        later.sample()
        later.close()
    first, second, third = (one.boot for one in reading.read_samples(path, 0))
    assert first == third != second


def test_more_samples_than_a_page_come_back_once_each(notes: Notes) -> None:
    most = SAMPLES_MAX
    for number in range(2 * reading.PAGE_ROWS + 1):
        notes.now = float(number)
        notes.sample()
        if number % most == most - 1:
            assert notes.save()
    assert notes.save()
    found = [one.sample.at for one in reading.read_samples(notes.path, NOON + 1)]
    assert found == list(range(1, 2 * reading.PAGE_ROWS + 1))


def test_a_grant_and_its_end_are_one_lease(notes: Notes) -> None:
    notes.now = 10.0
    lease = notes.lease(7, "refactor", waited_s=4.0)
    assert notes.save()
    (found,) = reading.leases(notes.path, 0)
    assert (found.ended_at, found.held_s, found.reason) == (None, None, None)
    notes.now = 40.0
    notes.end(lease, Reason.HOLDER_EXITED)
    assert notes.save()
    (found,) = reading.leases(notes.path, 0)
    assert found == reading.Held(
        lease=7,
        pool="agents",
        task="refactor",
        class_="batch",
        group="a session",
        pid=4711,
        weight=1,
        queued_at=NOON + 6,
        granted_at=NOON + 10,
        waited_s=4.0,
        ended_at=NOON + 40,
        held_s=30.0,
        reason="holder exited",
    )


def test_an_end_whose_grant_was_never_written_is_a_whole_lease(notes: Notes) -> None:
    lease = notes.lease(7)
    notes.history._records.take(1).__next__()  # it was dropped
    notes.now = 5.0
    notes.end(lease)
    assert notes.save()
    (found,) = reading.leases(notes.path, 0)
    assert (found.task, found.held_s, found.reason) == ("refactor", 5.0, "released")


def test_the_same_number_granted_at_another_time_is_another_lease(notes: Notes) -> None:
    notes.end(notes.lease(1))
    notes.now = 60.0  # the journal was lost, and numbers began anew
    notes.end(notes.lease(1, "docs"))
    assert notes.save()
    assert [one.task for one in reading.leases(notes.path, 0)] == ["refactor", "docs"]


def test_changes_of_the_level_keep_their_reasons_and_whose_they_were(notes: Notes) -> None:
    notes.level(2, "memory 85 % is above 80 %", "CPU 91 %")
    notes.level(0, by_hand_until=float("inf"))
    notes.history.note_record(ev.Yielded(3))
    assert notes.save()
    assert reading.level_changes(notes.path, 0) == [
        reading.Change(NOON, 2, False, ("memory 85 % is above 80 %", "CPU 91 %")),
        reading.Change(NOON, 0, True, ()),
    ]
    assert reading.level_changes(notes.path, NOON + 1) == []


@pytest.mark.parametrize("task", ["", "タスク 🦆", "a\x00b\x1b[2J", "'; DROP TABLE leases; --"])
def test_any_label_comes_back(notes: Notes, task: str) -> None:
    notes.lease(1, task)
    assert notes.save()
    assert [one.task for one in reading.leases(notes.path, 0)] == [task]


def test_half_a_character_is_replaced_and_costs_no_other_row(notes: Notes) -> None:
    notes.lease(1, "a\ud800b")
    notes.lease(2)
    assert notes.save()
    assert [one.task for one in reading.leases(notes.path, 0)] == ["a?b", "refactor"]


# --- the queue ----------------------------------------------------------------------------------


def test_a_full_queue_drops_the_oldest_samples_and_says_how_many(notes: Notes) -> None:
    for number in range(SAMPLES_MAX + 3):
        notes.now = float(number)
        notes.sample()
    notes.lease(1)
    assert notes.history.problems() == [
        "the history lags behind: 3 samples and 0 leases and level changes were dropped"
    ]
    assert notes.save()
    found = list(reading.read_samples(notes.path, 0))
    assert len(found) == SAMPLES_MAX
    assert found[0].sample.at == 3
    assert len(reading.leases(notes.path, 0)) == 1, "samples cost no lease its place"
    notes.now += recorder.DROPPED_SHOWN_S
    assert notes.history.problems() == []


def test_a_flood_of_level_changes_is_bounded_as_well(notes: Notes) -> None:
    for number in range(RECORDS_MAX + 2):
        notes.level(number % 4)
    assert len(notes.history._records) == RECORDS_MAX
    assert "2 leases and level changes" in notes.history.problems()[0]


def test_leases_that_come_too_fast_are_listed_up_to_a_bound(notes: Notes) -> None:
    kept = notes.lease(0)
    for number in range(1, LEASES_AT_ONCE + 50):
        notes.end(notes.lease(number))
    notes.end(kept)
    assert notes.save()
    found = reading.leases(notes.path, 0)
    assert len(found) == LEASES_AT_ONCE
    assert all(one.ended_at is not None for one in found), "what is listed ends in the list"
    assert notes.history.problems() == [
        "leases come too fast for the history to list each: 50 are left out"
    ]
    notes.now += recorder.DROPPED_SHOWN_S
    assert notes.history.problems() == []
    notes.lease(5000)
    assert notes.save()
    assert len(reading.leases(notes.path, 0)) == LEASES_AT_ONCE + 1


def test_a_lease_that_was_left_out_is_listed_at_its_end_if_there_is_room_by_then(
    notes: Notes,
) -> None:
    leases = [notes.lease(number) for number in range(LEASES_AT_ONCE + 1)]
    notes.now += 1 / LEASES_PER_S
    notes.end(leases[-1])
    assert notes.save()
    assert len(reading.leases(notes.path, 0)) == LEASES_AT_ONCE + 1


# --- the thread ---------------------------------------------------------------------------------


@pytest.mark.trio
async def test_what_was_noted_until_the_end_is_written(path: Path) -> None:
    notes = Notes(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(notes.history.run)
        for _ in range(700):
            notes.sample()
        notes.lease(1)
        nursery.cancel_scope.cancel()
    assert count(path) == 700
    assert count(path, "leases") == 1
    assert [file.name for file in path.parent.iterdir()] == ["history.db"], "closed tidily"


@pytest.mark.trio
async def test_a_disk_that_hangs_does_not_keep_the_daemon(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        hangs.set()
        goes_on.wait()

    monkeypatch.setattr(Store, "write", hang)
    monkeypatch.setattr(recorder, "FAREWELL_S", 0.0)
    notes = Notes(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(notes.history.run)
        notes.sample()
        await trio.to_thread.run_sync(hangs.wait)
        for _ in range(2 * SAMPLES_MAX):
            notes.sample()
        nursery.cancel_scope.cancel()
    assert notes.history._samples.dropped == SAMPLES_MAX
    goes_on.set()


@pytest.mark.trio
async def test_a_bug_in_a_write_ends_neither_the_thread_nor_the_daemon(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = Store.write, []

    def fail_once(store: Store, rows: Any) -> None:
        calls.append(len(rows))
        if len(calls) == 1:
            raise RuntimeError("a bug")
        write(store, rows)

    monkeypatch.setattr(Store, "write", fail_once)
    notes = Notes(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(notes.history.run)
        notes.sample()
        nursery.cancel_scope.cancel()
    notes.close()
    assert count(path) == 1


def test_rows_that_no_table_takes_are_lost_and_said_and_not_in_the_way(
    notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    notes.history.note_sample(Sample(0.0, load_1min=2**70), 0, 0, 0)
    assert notes.save()
    assert "1 rows of the history are lost" in caplog.text
    notes.sample()
    assert notes.save()
    assert count(notes.path) == 1
