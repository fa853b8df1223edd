"""A stretch of the history as columns: no peak is lost, whatever it is thinned to."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from admission.protocol import Unavailable
from admission.service.history import columns
from admission.service.history.thinning import DAY_S, Keep
from tests.service.notes import Notes
from tests.service.test_history_reading import thin


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    notes = Notes(tmp_path / "history.db")
    yield notes
    notes.close()


def of(notes: Notes, since: float, points: int) -> dict[str, object]:
    return columns.series(notes.path, since, notes.wall(), points)


def test_each_interval_has_its_mean_and_its_extremes(notes: Notes) -> None:
    since = notes.wall()
    for memory in (10.0, 90.0, None, 20.0):
        notes.sample(memory, level=0 if memory is None or memory < 50 else 3)
        notes.now += 5.0
    notes.now += 20.0  # nothing is seen
    notes.sample(40.0, level=1)
    notes.now += 5.0
    assert notes.save()
    found = of(notes, since, points=3)  # of 15 s each
    assert found["at"] == [since, since + 15, since + 30]
    assert columns.series(notes.path, since, since + 10, 1)["samples"] == [2]
    assert found["samples"] == [3, 1, 1]
    assert found["level"] == [3, 0, 1]
    assert found["memory_used_pct"] == {
        "mean": [50.0, 20.0, 40.0],
        "min": [10.0, 20.0, 40.0],
        "max": [90.0, 20.0, 40.0],
    }


def test_a_peak_is_still_seen_in_a_month(notes: Notes) -> None:
    since = notes.wall()
    for number in range(600):
        notes.sample(99.0 if number == 7 else 11.0, level=0)
        if number == 7:
            for _ in range(3):
                notes.now += 1.0
                notes.sample(11.0, level=0)
            notes.now -= 3.0
        notes.now += 60.0
    assert notes.save()
    notes.now += 3 * DAY_S
    thin(notes.path, Keep(), notes.wall())
    found = columns.series(notes.path, since, since + 30 * DAY_S, 100)
    memory = found["memory_used_pct"]
    assert isinstance(memory, dict)
    assert memory["max"] == [99.0, 11.0]
    assert memory["min"] == [11.0, 11.0]
    assert found["samples"] == [435, 168]
    # Four readings in one minute count as four.
    assert memory["mean"] == [round(11 + 88 / 435, 2), 11.0]


def test_nothing_is_no_interval_and_all_columns_are_as_long(notes: Notes) -> None:
    assert notes.save()
    found = of(notes, notes.wall() - 60, points=10)
    for name in columns.FIGURES:
        assert found[name] == {"mean": [], "min": [], "max": []}
    assert found["at"] == found["samples"] == found["level"] == []


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="there is no history"):
        columns.series(tmp_path / "none.db", 0.0, 1.0, 1)


def test_changes_are_those_of_the_stretch_and_what_was_before(notes: Notes) -> None:
    begun = notes.wall()
    for level in (1, 2, 3, 0):
        notes.level(level)
        notes.now += 10.0
    assert notes.save()
    before, found = columns.changes(notes.path, begun + 5, begun + 25, 100)
    assert before == 1
    assert [one["level"] for one in found] == [2, 3]
    assert columns.changes(notes.path, begun - 5, begun + 5, 100)[0] is None
    before, found = columns.changes(notes.path, begun - 5, begun + 60, 2)  # too many
    assert before == 2
    assert [one["level"] for one in found] == [3, 0]


def test_leases_are_those_that_waited_or_were_held_then(notes: Notes) -> None:
    begun = notes.wall()
    for number in range(5):
        lease = notes.lease(number)
        notes.now += 10.0
        notes.end(lease)
        notes.now += 90.0
    assert notes.save()
    found, left_out = columns.leases(notes.path, begun + 150, begun + 350, 100)
    assert [one["lease"] for one in found] == [2, 3]
    assert left_out == 0
    found, left_out = columns.leases(notes.path, begun - 100, begun + 1000, 2)
    assert [one["lease"] for one in found] == [3, 4]
    assert left_out == 3
