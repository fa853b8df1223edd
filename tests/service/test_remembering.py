"""What a history says of each hour: read once, at the start, and told to the core."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

from admission.core.estimates import Recalled
from admission.core.foresight import Remembered
from admission.core.profile import Hour
from admission.core.sample import Sample
from admission.service.history.recorder import History
from admission.service.history.remembering import Minute, hours_of, recalled, remembered
from admission.service.local_hours import local_hours

# A full hour of UTC; where it is one in the place as well, hours can be compared.
HOUR_S = 3600
BEGIN = 1_700_000_000 // HOUR_S * HOUR_S


def minutes(count: int, memory_pct: float | None, from_at: int = BEGIN) -> list[Minute]:
    return [(from_at // 60 + n, memory_pct, 20.0) for n in range(count)]


def test_each_hour_has_the_mean_of_its_minutes_and_its_place_on_the_wall_clock() -> None:
    number = int(local_hours(BEGIN))
    found = hours_of([*minutes(60, 30.0), *minutes(60, 50.0, BEGIN + HOUR_S)])
    if local_hours(BEGIN) % 1 == 0:  # else the place is half an hour off, and so are its hours
        assert found.memory == (Hour(number, 30.0, 30.0), Hour(number + 1, 50.0, 50.0))
    assert sum(one.mean_pct for one in found.cpu) == 20.0 * len(found.cpu)


def test_an_hour_of_which_little_was_seen_is_left_out() -> None:
    assert hours_of(minutes(10, 30.0)) == Remembered()
    assert hours_of(minutes(60, None)).memory == ()


def history_at(path: Path, wall: float) -> History:
    return History(path, "this boot", clock=lambda: 0.0, wall=lambda: wall, batch_s=0.01)


def fill(path: Path, begin: float, minutes: int) -> None:
    """A history of a sample a minute, CPUs busy and nobody waiting for one."""
    history = history_at(path, begin)
    for minute in range(minutes):
        sample = Sample(minute * 60.0, 40.0, 90.0, cpu_stall_pct=5.0)
        history.note_sample(sample, 0, 0, 0)
        if minute % 400 == 399:
            history._save()
    history.end()
    history.work()


def test_a_busy_cpu_counts_as_far_as_the_governor_lets_it(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    fill(path, BEGIN, 120)
    found = remembered(path, cpu_unstalled_pct=20.0)
    assert {hour.mean_pct for hour in found.memory} == {40.0}
    assert {hour.mean_pct for hour in found.cpu} == {25.0}


@pytest.mark.trio
async def test_a_daemon_that_starts_is_told_what_the_last_one_saw(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    fill(path, time.time() - 3 * HOUR_S, 180)
    told: list[Remembered] = []
    has_come = trio.Event()

    def remember(event: Remembered) -> None:
        told.append(event)
        has_come.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(history_at(path, time.time()).run, remember, 20.0)
        with trio.fail_after(30):
            await has_come.wait()
        nursery.cancel_scope.cancel()
    assert len(told) == 1
    assert 2 <= len(told[0].memory) <= 4


def test_a_time_that_no_clock_can_show_ends_no_thread(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    fill(path, 1e17, 2)
    assert history_at(path, BEGIN).remembered(20.0) is None


def test_without_a_history_or_with_a_damaged_one_there_is_nothing_to_tell(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    assert history_at(path, BEGIN).remembered(20.0) is None
    path.write_bytes(b"no database" * 1000)
    assert history_at(path, BEGIN).remembered(20.0) is None


def test_a_file_without_tables_says_nothing_and_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.touch()
    assert remembered(path, 60.0) == Remembered((), ())
    assert recalled(path) == Recalled(())


def test_what_a_killed_daemon_had_begun_to_make_is_undone_and_keeps_nobody_from_reading(
    tmp_path: Path,
) -> None:
    path = tmp_path / "history.db"
    kill = "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1]); run = db.execute; "
    kill += "run('PRAGMA cache_size = 1'); run('CREATE TABLE one (x)'); run('BEGIN'); "
    kill += "run('CREATE TABLE minutes (x)'); "
    kill += "db.executemany('INSERT INTO one VALUES (?)', [('x' * 9000,)] * 99); os._exit(0)"
    subprocess.run([sys.executable, "-c", kill, str(path)], check=True)
    assert path.with_name("history.db-journal").stat().st_size
    assert recalled(path) == Recalled(())
    assert remembered(path, 20.0) == Remembered((), ())
