"""Hours on the wall clock of the place, over the days on which summer time begins and ends."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from admission.service.local_hours import local_hours, local_hours_now


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # By its rule, as the machine may have no table of zones.
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def hour_of_week(*utc: int) -> float:
    at = datetime(*utc, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]
    return local_hours(at) % 168


def test_a_week_begins_on_monday_at_midnight_where_the_machine_is() -> None:
    assert hour_of_week(2024, 1, 7, 23) == 0.0
    assert hour_of_week(2024, 1, 8, 8, 30) == 9.5
    assert hour_of_week(2024, 1, 7, 22, 59) == pytest.approx(167 + 59 / 60)


def test_nine_in_the_morning_is_nine_in_summer_as_well() -> None:
    assert hour_of_week(2024, 7, 1, 7) == 9.0


def test_an_hour_is_skipped_where_summer_time_begins() -> None:
    before, after = hour_of_week(2024, 3, 31, 0, 59), hour_of_week(2024, 3, 31, 1, 0)
    assert (int(before), int(after)) == (144 + 1, 144 + 3)


def test_an_hour_comes_twice_where_it_ends() -> None:
    first, second = hour_of_week(2024, 10, 27, 0, 30), hour_of_week(2024, 10, 27, 1, 30)
    assert first == second == 144 + 2.5


def test_now_is_now() -> None:
    assert local_hours_now() == pytest.approx(local_hours(time.time()), abs=0.01)
