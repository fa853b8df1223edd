"""What the machine took by itself, as the history knows it: without what leases took."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from admission.core.estimates import Learnt, Run
from admission.core.sample import Sample
from admission.service.history.own_use import own_samples
from tests.service.notes import NOON, Notes

GIB = 1 << 30
MACHINE = Sample(0.0, 50.0, 40.0, memory_total_bytes=16 * GIB, cpus=8.0)


def recorded(folder: Path, *runs: tuple[float, Run]) -> list[tuple[float | None, float | None]]:
    """A sample every 10 s for a minute, and runs that ended then; what is left of the samples."""
    notes = Notes(folder / "h.db")
    for number in range(7):
        notes.now = 10.0 * number
        notes.history.note_sample(replace(MACHINE, at=notes.now), 0, in_use=1, waiting=0)
    for number, (ended_at, run) in enumerate(runs, 1):
        notes.now = ended_at
        notes.history.note_run(Learnt(number, run))
    notes.close()
    found = own_samples(folder / "h.db", NOON)
    assert [one.at - NOON for one in found] == [10.0 * number for number in range(7)]
    return [(one.memory_used_pct, one.cpu_used_pct) for one in found]


def run(mean_gib: float, cpu_s: float, lasted_s: float) -> Run:
    mean_bytes = int(mean_gib * GIB)
    return Run("t", "", "", 0, mean_bytes, 2 * mean_bytes, cpu_s, lasted_s)


def test_a_run_is_taken_off_while_it_lasted(tmp_path: Path) -> None:
    found = recorded(tmp_path, (45.0, run(4.0, 40.0, 20.0)))
    assert found == [(50.0, 40.0)] * 3 + [(25.0, 15.0)] * 2 + [(50.0, 40.0)] * 2


def test_several_at_once_add_up_and_nothing_is_less_than_none(tmp_path: Path) -> None:
    found = recorded(tmp_path, (60.0, run(4.0, 0.0, 60.0)), (35.0, run(6.0, 100.0, 10.0)))
    assert found == [(25.0, 40.0)] * 3 + [(0.0, 0.0)] + [(25.0, 40.0)] * 2 + [(50.0, 40.0)]


def test_a_run_of_no_time_takes_nothing_off(tmp_path: Path) -> None:
    assert recorded(tmp_path, (30.0, run(4.0, 9.0, 0.0))) == [(50.0, 40.0)] * 7


def test_where_it_is_not_known_how_much_there_is_the_reading_stays(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "h.db")
    notes.history.note_sample(Sample(0.0, 50.0, None), 0, in_use=1, waiting=0)
    notes.now = 5.0
    notes.history.note_run(Learnt(1, run(4.0, 40.0, 20.0)))
    notes.close()
    (found,) = own_samples(tmp_path / "h.db", NOON)
    assert (found.memory_used_pct, found.cpu_used_pct) == (50.0, None)


def test_a_number_that_became_text_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    recorded(tmp_path, (45.0, run(4.0, 40.0, 20.0)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE runs SET mean_bytes = 'x'")
    assert {one.memory_used_pct for one in own_samples(path, NOON)} == {50.0}
