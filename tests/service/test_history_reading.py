"""What is kept for how long, exactly; and what readers make of it."""

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import fmean

import pytest

from admission.protocol import Unavailable
from admission.service.history import reading
from admission.service.history.store import Store
from admission.service.history.thinning import DAY_S, STEP_MINUTES, Keep
from tests.service.notes import NOON, Notes, count

HOUR_S = 3600.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def notes(path: Path) -> Iterator[Notes]:
    notes = Notes(path)
    yield notes
    notes.close()


def fill(notes: Notes, until: float, every_s: float) -> list[tuple[float, float | None]]:
    """Samples from now until then; each one's time and memory. One in seven has no memory."""
    rnd = random.Random(0)
    found: list[tuple[float, float | None]] = []
    while notes.now < until:
        memory = None if rnd.random() < 1 / 7 else rnd.uniform(0, 100)
        notes.sample(memory, level=rnd.choice((0, 0, 0, 3)))
        found.append((notes.wall(), memory))
        notes.now += every_s
        if len(found) % 900 == 0:
            assert notes.save()
    assert notes.save()
    return found


def thin(path: Path, keep: Keep, now: float) -> int:
    """Thins until nothing is left to be done; in how many steps."""
    store = Store(path, "this boot", keep)
    steps = 1
    while store.thin(now):
        steps += 1
    store.close()
    return steps


def minutes(path: Path) -> dict[float, tuple[int, float | None, float | None]]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT minute * 60, n, memory_used_pct, memory_used_pct_max FROM minutes"
        )
        return {minute: tuple(row) for minute, *row in rows}


def pages(path: Path) -> int:
    """How large the file is, its log included."""
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute("PRAGMA page_count").fetchone()[0]
    return found


# --- thinning -----------------------------------------------------------------------------------


def test_a_day_stays_in_full_and_what_is_older_becomes_minutes(notes: Notes) -> None:
    fed = fill(notes, DAY_S + 2 * HOUR_S, every_s=7.0)
    now = notes.wall()
    thin(notes.path, Keep(), now)
    begin = (now - DAY_S) // 60 * 60
    assert [one.at for one in reading.read_samples(notes.path, 0)] == pytest.approx(
        [at for at, _ in fed if at >= begin]
    )
    by_minute: dict[float, list[float | None]] = {}
    for at, memory in fed:
        if at < begin:
            by_minute.setdefault(at // 60 * 60, []).append(memory)
    found = minutes(notes.path)
    assert found.keys() == by_minute.keys()
    assert sum(n for n, _, _ in found.values()) + count(notes.path) == len(fed)
    for minute, values in by_minute.items():
        seen = [value for value in values if value is not None]
        n, mean, most = found[minute]
        assert n == len(values)
        assert mean == (pytest.approx(fmean(seen)) if seen else None)
        assert most == (max(seen) if seen else None)


def test_thinning_again_changes_nothing(notes: Notes) -> None:
    fill(notes, DAY_S + HOUR_S, every_s=20.0)
    now = notes.wall()
    thin(notes.path, Keep(), now)
    before = minutes(notes.path), count(notes.path)
    assert thin(notes.path, Keep(), now) == 1
    assert (minutes(notes.path), count(notes.path)) == before


def test_a_week_s_pile_is_worked_off_in_small_steps(notes: Notes, path: Path) -> None:
    fill(notes, 4 * HOUR_S, every_s=10.0)
    store = Store(path, "this boot", Keep())
    assert store.thin(notes.wall() + 7 * DAY_S)
    store.close()
    assert count(path) == 4 * 360 - STEP_MINUTES * 6
    assert thin(path, Keep(), notes.wall() + 7 * DAY_S) == 7 + 1, "the last finds nothing"
    assert count(path) == 0
    assert count(path, "minutes") == 240


def test_a_minute_that_the_clock_went_over_twice_is_one_minute_of_all_samples(
    notes: Notes,
) -> None:
    keep = Keep(samples_s=HOUR_S)
    for memory in (10.0, 20.0, None):
        notes.sample(memory)
        notes.now += 1
    assert notes.save()
    thin(notes.path, keep, NOON + 2 * HOUR_S)
    notes.wall_offset -= notes.now  # back to noon
    for memory in (60.0, 70.0):
        notes.sample(memory)
        notes.now += 1
    assert notes.save()
    thin(notes.path, keep, NOON + 2 * HOUR_S)
    ((n, mean, most),) = minutes(notes.path).values()
    # The mean of a part counts by that part's samples, those without a reading included.
    assert (n, most) == (5, 70.0)
    assert mean == pytest.approx((15 * 3 + 65 * 2) / 5)


def test_after_a_month_it_is_gone_and_a_lease_that_is_still_out_comes_back_at_its_end(
    notes: Notes,
) -> None:
    notes.sample()
    notes.level(1, "memory 71 % is above 70 %")
    notes.end(notes.lease(1))
    lease = notes.lease(2)
    notes.now = 29 * DAY_S
    notes.level(0)
    assert notes.save()
    for _ in range(2):
        thin(notes.path, Keep(), notes.wall())
    assert [count(notes.path, table) for table in ("minutes", "levels", "leases")] == [1, 2, 2]
    notes.now = 30 * DAY_S + 60
    thin(notes.path, Keep(), notes.wall())
    assert [count(notes.path, table) for table in ("minutes", "levels", "leases")] == [0, 1, 0]
    notes.end(lease)
    assert notes.save()
    assert [one.held_s for one in reading.leases(notes.path, 0)] == [30 * DAY_S + 60]


def test_the_counts_hold_whatever_the_clock_says(notes: Notes, path: Path) -> None:
    keep = Keep(samples_max=100, minutes_max=10, records_max=20)
    notes.wall_offset += 1000 * DAY_S  # all of it is of the future, and never old enough
    for number in range(1500):
        notes.now += 2
        notes.sample()
        notes.end(notes.lease(number))
        notes.level(number % 4)
        if number % 500 == 499:
            assert notes.save()
    thin(path, keep, NOON)
    assert count(path) == 100
    assert count(path, "minutes") == 10
    assert count(path, "leases") == count(path, "levels") == 20
    assert [one.lease for one in reading.leases(path, 0)] == list(range(1480, 1500))


def test_the_file_stops_growing(path: Path) -> None:
    keep = Keep(samples_s=HOUR_S, minutes_s=6 * HOUR_S, records_s=6 * HOUR_S)
    notes = Notes(path, keep=keep)
    sizes = []
    for hour in range(24):
        while notes.now < (hour + 1) * HOUR_S:
            notes.sample()
            notes.now += 10
            notes.end(notes.lease(int(notes.now), f"task {notes.now:.0f}"))
        assert notes.save()
        thin(path, keep, notes.wall())
        sizes.append(pages(path))
    assert max(sizes[12:]) <= 1.1 * max(sizes[:12])
    assert count(path) <= 361 + 6
    notes.close()


def test_the_store_thins_by_itself(notes: Notes) -> None:
    notes.sample()
    notes.now = 2 * DAY_S
    notes.sample()
    assert notes.save()
    assert (count(notes.path), count(notes.path, "minutes")) == (1, 1)


# --- series -------------------------------------------------------------------------------------


def test_a_series_has_the_mean_and_the_peak_of_each_interval(notes: Notes) -> None:
    for at, memory, level in [(0, 10.0, 0), (9, 30.0, 2), (10, None, 0), (25, 80.0, 1)]:
        notes.now = float(at)
        notes.sample(memory, memory, level=level)
    assert notes.save()
    first, second, third = reading.series(notes.path, NOON, NOON + 30, 3)
    assert first == reading.Bucket(NOON, 2, 20.0, 30.0, 20.0, 30.0, 3.0, 3, 1, 2)
    assert second == reading.Bucket(NOON + 10, 1, None, None, None, None, 3.0, 3, 1, 0)
    assert (third.at, third.memory_used_pct, third.level) == (NOON + 20, 80.0, 1)
    assert reading.series(notes.path, NOON + 26, NOON + 90, 5) == []


def test_minutes_and_full_samples_count_alike_by_their_samples(notes: Notes) -> None:
    keep = Keep(samples_s=HOUR_S)
    fed = fill(notes, 2 * HOUR_S, every_s=5.0)
    (full,) = reading.series(notes.path, NOON, notes.wall(), 1)
    thin(notes.path, keep, notes.wall())
    assert count(notes.path, "minutes") == 60
    (mixed,) = reading.series(notes.path, NOON, notes.wall(), 1)
    assert mixed.samples == full.samples == len(fed)
    assert mixed.memory_used_pct_max == full.memory_used_pct_max
    assert (mixed.level, mixed.in_use, mixed.waiting) == (3, 3.0, 1)
    assert isinstance(mixed.level, int)
    # A mean of a minute that lacks some readings is taken to stand for all of it.
    assert mixed.memory_used_pct == pytest.approx(full.memory_used_pct, abs=1)


def test_the_oldest_and_the_newest_are_known(notes: Notes) -> None:
    assert notes.save()
    assert reading.ends(notes.path) is None
    notes.now = 5.0
    notes.lease(1)
    notes.now = 60.0
    notes.sample()
    assert notes.save()
    assert reading.ends(notes.path) == (NOON + 5, NOON + 60)


# --- files that are none ------------------------------------------------------------------------


def test_no_history_is_one_clear_sentence(path: Path) -> None:
    sentence = f"there is no history at {path} yet; the daemon writes it while it runs"
    for _ in range(2):
        with pytest.raises(Unavailable) as problem:
            reading.leases(path, 0)
        assert str(problem.value) == sentence
        path.touch()  # the daemon is about to make it


def test_noise_is_one_clear_sentence(path: Path) -> None:
    path.write_bytes(b"noise" * 1000)
    with pytest.raises(Unavailable, match="can't be read: file is not a database"):
        list(reading.read_samples(path, 0))
    assert path.read_bytes() == b"noise" * 1000


def test_a_flipped_bit_that_nobody_can_see_costs_one_sample(notes: Notes) -> None:
    for _ in range(3):
        notes.sample()
    notes.level(1, "calm")
    assert notes.save()
    with closing(sqlite3.connect(notes.path)) as connection:
        connection.execute("UPDATE samples SET cpu_used_pct = 'x' WHERE id = 2")
        connection.execute("UPDATE levels SET reasons = x'ff7b'")
        connection.commit()
    assert len(list(reading.read_samples(notes.path, 0))) == 2
    assert len(reading.level_changes(notes.path, 0)) == 1


def test_any_path_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=rwc#%41 ü'" / "history.db"
    notes = Notes(path)
    notes.sample()
    notes.close()
    assert len(list(reading.read_samples(path, 0))) == 1
    assert list(tmp_path.iterdir()) == [path.parent], "and nothing was made elsewhere"


def test_reading_does_not_hold_up_the_writer(notes: Notes) -> None:
    for number in range(reading.PAGE_ROWS + 10):
        notes.now = float(number)
        notes.sample()
        if number % 500 == 0:
            assert notes.save()
    assert notes.save()
    samples = reading.read_samples(notes.path, 0)
    next(samples)
    with closing(sqlite3.connect(notes.path)) as other:
        busy, _, _ = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy
    assert len(list(samples)) == reading.PAGE_ROWS + 9


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_copy_in_a_folder_that_can_t_be_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "copy" / "history.db"
    notes = Notes(path)
    notes.sample()
    notes.close()
    path.parent.chmod(0o500)
    try:
        assert len(list(reading.read_samples(path, 0))) == 1
    finally:
        path.parent.chmod(0o700)
