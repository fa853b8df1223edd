"""What usually happens at an hour of the week, and when that is believed."""

from collections.abc import Callable, Iterable
from math import sin
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.core.profile import (
    HOURS,
    JUDGED_H,
    Hour,
    Profile,
    Standing,
    hour_of,
)

Reading = Callable[[int], float]


def rhythm(hour: int) -> float:
    """Busy from nine to five, but for the weekend."""
    return 80.0 if hour % 24 in range(9, 17) and hour % HOURS < 120 else 30.0


def slow_wave(hour: int) -> float:
    """Changes little from hour to hour, and with no week."""
    return 50 + 20 * sin(hour / 47)


def hours(reading: Reading, weeks: float, first: int = 0) -> tuple[Hour, ...]:
    numbers = range(first, first + int(weeks * HOURS))
    return tuple(Hour(number, reading(number), reading(number) + 5) for number in numbers)


def profile_of(past: Iterable[Hour]) -> Profile:
    profile = Profile()
    profile.remember(tuple(past))
    return profile


def standing(profile: Profile) -> Standing:
    found = profile.standing()
    assert found is not None
    return found


def live(profile: Profile, reading: Reading, numbers: Iterable[int]) -> None:
    for number in numbers:
        for minute in range(0, 60, 5):
            profile.take(number + minute / 60, reading(number))


def test_an_hour_is_its_mean_and_what_a_tenth_of_it_was_above() -> None:
    assert hour_of(5, [float(n) for n in range(60, 0, -1)]) == Hour(5, 30.5, 54.0)
    assert hour_of(5, [7.0]) == Hour(5, 7.0, 7.0)


def test_the_first_hour_is_foreseen_a_week_after_it_was_seen() -> None:
    profile = profile_of(hours(rhythm, 1.0))
    assert profile.foreseen is None
    profile = profile_of(hours(rhythm, 1.0 + 9 / HOURS))
    assert profile.foreseen is not None
    assert (profile.foreseen.number, profile.foreseen.mean_pct) == (HOURS + 9, 80.0)
    assert profile.foreseen.p90_pct == 85.0


def test_today_is_taken_into_account() -> None:
    today = [Hour(number, 41.0, 45.0) for number in (HOURS, HOURS + 1)]
    profile = profile_of([*hours(rhythm, 1.0), *today])
    assert profile.foreseen is not None
    assert profile.foreseen.mean_pct == 41.0  # eleven more than is usual, as in the hour before


def test_a_rhythm_is_believed_after_two_weeks_and_not_before() -> None:
    assert not standing(profile_of(hours(rhythm, 1.9))).is_proven
    found = standing(profile_of(hours(rhythm, 2.0)))
    assert (found.is_proven, found.mae, found.weeks) == (True, 0.0, 2.0)


def test_where_there_is_no_rhythm_it_stays_in_shadow() -> None:
    found = standing(profile_of(hours(slow_wave, 6)))
    assert not found.is_proven
    assert found.mae > found.persistence_mae


def test_a_rhythm_that_ends_is_believed_no_longer() -> None:
    profile = profile_of(hours(rhythm, 4))
    assert standing(profile).is_proven
    noise = Random(7)
    after = [Hour(4 * HOURS + n, noise.uniform(20, 80), 85.0) for n in range(2 * HOURS)]
    assert not standing(profile_of([*hours(rhythm, 4), *after])).is_proven


def test_what_was_seen_weeks_ago_counts_less() -> None:
    past = [*hours(lambda _: 20.0, 1), *hours(lambda _: 80.0, 1, first=3 * HOURS)]
    usual = profile_of(past).usual[0]
    assert usual.mean_pct == pytest.approx(20 + 60 / 1.5)  # three weeks are one half-life


def test_live_readings_teach_what_hours_of_the_history_teach() -> None:
    fed, told = Profile(), profile_of(hours(rhythm, 2))
    live(fed, rhythm, range(2 * HOURS + 1))
    assert {n: one.mean_pct for n, one in fed.usual.items()} == {
        n: one.mean_pct for n, one in told.usual.items()
    }
    assert fed.foreseen == told.foreseen or fed.foreseen is not None
    assert standing(fed).is_proven


def test_a_minute_that_was_looked_at_often_counts_once() -> None:
    profile = Profile()
    for second in range(60):
        profile.take(second / 3600, 90.0)
    for minute in range(1, 60):
        profile.take(minute / 60, 30.0)
    profile.take(1.0, 30.0)
    assert profile.usual[0].mean_pct == pytest.approx(31.0)


def test_an_hour_of_which_little_was_seen_teaches_nothing() -> None:
    profile = Profile()
    live(profile, rhythm, [0])
    profile.take(1.9, 99.0)
    profile.take(1.95, 99.0)
    profile.take(2.0, 30.0)
    assert set(profile.usual) == {0}


def test_after_hours_that_nobody_saw_nothing_is_foreseen() -> None:
    profile = profile_of(hours(rhythm, 2))
    profile.take(2 * HOURS + 5.0, 30.0)
    assert profile.foreseen is None
    before = standing(profile).hours
    live(profile, rhythm, [2 * HOURS + 5, 2 * HOURS + 6])
    assert standing(profile).hours == before


def test_a_reading_that_is_missing_teaches_nothing() -> None:
    profile = Profile()
    for minute in range(60):
        profile.take(minute / 60, None)
    profile.take(1.0, 30.0)
    assert profile.usual == {}


def test_the_hour_under_way_goes_on_when_the_past_is_remembered() -> None:
    profile = Profile()
    live(profile, rhythm, [2 * HOURS])
    profile.remember((*hours(rhythm, 2), Hour(2 * HOURS, 99.0, 99.0)))
    assert profile.usual[0].mean_pct == 30.0
    assert profile.foreseen is not None
    profile.take(2 * HOURS + 1.0, 30.0)
    assert profile.usual[0].weight > 2


def test_an_hour_that_summer_time_repeats_is_learnt_and_foresees_on() -> None:
    profile = profile_of([*hours(rhythm, 2), Hour(2 * HOURS - 1, 30.0, 35.0)])
    assert profile.foreseen is not None
    assert profile.foreseen.number == 2 * HOURS


def test_a_clock_that_was_wrong_makes_nobody_old() -> None:
    """A machine without a clock starts in 1970; a year later it is two weeks old, and not fifty."""
    profile = profile_of([*hours(rhythm, 0.5), *hours(rhythm, 1.5, first=500_000 // HOURS * HOURS)])
    assert profile.weeks == 1.5
    assert not (profile.standing() or Standing(0, 0, 1, 0, 0)).is_proven


def test_only_the_last_two_weeks_are_judged() -> None:
    found = standing(profile_of(hours(rhythm, 8)))
    assert found.hours == JUDGED_H


@given(st.lists(st.tuples(st.floats(-200, 2000), st.none() | st.floats(0, 100)), max_size=60))
def test_whatever_the_clock_says_what_is_foreseen_can_be(
    story: list[tuple[float, float | None]],
) -> None:
    profile = profile_of(hours(rhythm, 2))
    for local_h, pct in story:
        profile.take(local_h, pct)
        assert len(profile.usual) <= HOURS
        if profile.foreseen is not None:
            assert 0 <= profile.foreseen.mean_pct <= 100
            assert 0 <= profile.foreseen.p90_pct <= 100


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 100)), max_size=40))
def test_what_is_usual_is_the_mean_of_all_that_was_seen_by_its_age(
    story: list[tuple[int, int]],
) -> None:
    """Worked out once more from the whole past, hour by hour of the week."""
    past: list[Hour] = []
    number = 0
    for hours_on, pct in story:
        number += hours_on if hours_on < 150 else HOURS
        past.append(Hour(number, float(pct), float(pct)))
    profile = profile_of(past)
    for place in {hour.number % HOURS for hour in past}:
        seen = [hour for hour in past if hour.number % HOURS == place]
        weights = [0.5 ** ((seen[-1].number - hour.number) / (3 * HOURS)) for hour in seen]
        total = sum(w * hour.mean_pct for w, hour in zip(weights, seen, strict=True))
        assert profile.usual[place].mean_pct == pytest.approx(total / sum(weights))
        assert profile.usual[place].weight == pytest.approx(sum(weights))
