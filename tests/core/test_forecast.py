"""Where a figure is going: the line, what it is sure enough of, and what came of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.core.forecast import Forecast, Trend

BOUNDS = (70.0, 80.0, 90.0)


def trend_of(*readings: tuple[float, float | None]) -> Trend:
    trend = Trend(horizon_s=60.0, window_s=60.0)
    feed(trend, *readings)
    return trend


def feed(trend: Trend, *readings: tuple[float, float | None]) -> None:
    for at, pct in readings:
        trend.take(at, pct, BOUNDS, 10.0, 150.0)


def ramp(
    per_s: float, *, start_pct: float = 50.0, seconds: int = 60, from_at: int = 0
) -> list[tuple[float, float | None]]:
    return [(float(from_at + s), start_pct + per_s * s) for s in range(0, seconds + 1, 5)]


def ahead(trend: Trend) -> Forecast:
    assert trend.forecast is not None
    return trend.forecast


def test_a_straight_line_goes_on() -> None:
    forecast = ahead(trend_of(*ramp(0.3)))
    assert forecast.per_s == pytest.approx(0.3)
    assert forecast.value_pct == pytest.approx(68 + 18)
    assert [(bound, round(in_s, 3)) for bound, in_s in forecast.reaches] == [
        (70.0, 6.667),
        (80.0, 40.0),
    ]


def test_too_few_readings_say_nothing() -> None:
    assert trend_of((0.0, 50.0), (30.0, 60.0)).forecast is None
    assert trend_of((0.0, 50.0), (1.0, 51.0), (2.0, 52.0)).forecast is None


def test_a_figure_that_falls_reaches_nothing() -> None:
    forecast = ahead(trend_of(*ramp(-0.3, start_pct=95.0)))
    assert (forecast.per_s < 0, forecast.reaches) == (True, ())


def test_no_more_than_all_of_it_is_foreseen() -> None:
    assert ahead(trend_of(*ramp(2.0, seconds=20))).value_pct == 100.0
    assert ahead(trend_of(*ramp(-2.0, seconds=20))).value_pct == 0.0


def test_what_is_older_than_the_window_bends_no_line() -> None:
    steep = [(-100.0 + s, 10.0 + s / 2) for s in range(0, 80, 5)]
    assert ahead(trend_of(*steep, *ramp(0.1, seconds=90))).per_s == pytest.approx(0.1)


def test_how_often_one_looks_does_not_change_what_one_foresees() -> None:
    often = [(s / 4, 50 + 0.3 * s / 4) for s in range(4 * 60 + 1)]
    assert ahead(trend_of(*often)).value_pct == pytest.approx(86.0)


def test_a_reading_that_is_missing_ends_the_line() -> None:
    trend = trend_of(*ramp(0.3), (65.0, None))
    assert trend.forecast is None
    feed(trend, (70.0, 71.0), (75.0, 73.0))
    assert trend.forecast is None


def test_what_was_foreseen_is_compared_with_what_came() -> None:
    trend = trend_of(*ramp(0.3, seconds=150))
    assert trend.errors.mae == pytest.approx(0.0, abs=1e-9)
    assert trend.errors.persistence_mae == pytest.approx(18.0)


def test_a_forecast_that_nobody_looked_at_in_time_is_not_judged() -> None:
    trend = trend_of(*ramp(0.3, seconds=30), (200.0, 50.0))
    assert len(trend.errors) == 0


def sawtooth(times: int, *, to_pct: float, per_s: float = 0.3) -> list[tuple[float, float | None]]:
    """Rises from 40 % and falls back at once, then rests for ten minutes; so often."""
    points: list[tuple[float, float | None]] = []
    for number in range(times):
        begins_at = number * 1200
        rise_s = int((to_pct - 40) / per_s)
        points += ramp(per_s, start_pct=40.0, seconds=rise_s, from_at=begins_at)
        points += [(float(begins_at + s), 40.0) for s in range(rise_s + 5, 1200, 5)]
    return points


def test_rises_that_go_on_prove_it_and_rises_that_break_off_do_not() -> None:
    steady = trend_of(*sawtooth(12, to_pct=95.0)).warnings.record
    assert steady.is_proven(judged_min=10, right_min=0.7)
    assert steady.misses == 0
    assert steady.lead_s == pytest.approx(45, abs=15)
    broken = trend_of(*sawtooth(12, to_pct=66.0)).warnings.record
    assert (broken.hits, broken.is_proven(10, 0.7)) == (0, False)


def test_who_was_wrong_so_far_is_surer_before_it_warns() -> None:
    """It counts with its own errors: a bound is foreseen where even they leave it reached."""
    burnt = trend_of(*sawtooth(6, to_pct=60.0))
    rise = ramp(0.3, seconds=30, from_at=8000)
    feed(burnt, *rise)
    assert [bound for bound, _ in ahead(trend_of(*rise)).reaches] == [70.0]
    assert ahead(burnt).reaches == ()


@given(st.lists(st.tuples(st.floats(0.25, 30.0), st.none() | st.floats(0, 100)), max_size=60))
def test_whatever_is_read_the_forecast_is_within_what_can_be(
    story: list[tuple[float, float | None]],
) -> None:
    trend, now = Trend(60.0, 60.0), 0.0
    for wait_s, pct in story:
        now += wait_s
        trend.take(now, pct, BOUNDS, 10.0, 150.0)
        if trend.forecast is None:
            continue
        forecast = trend.forecast
        assert 0 <= forecast.value_pct <= 100
        assert forecast.low_pct <= forecast.high_pct
        for bound, in_s in forecast.reaches:
            assert pct is not None
            assert pct < bound <= forecast.value_pct
            assert in_s > 0
