"""Durations as people write them, and as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission_client.durations import DURATION_MAX_S, parse_duration, said


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30.0),
        ("10m", 600.0),
        ("2h", 7200.0),
        ("1d", 86_400.0),
        ("1.5h", 5400.0),
        ("90", 90.0),
        ("0", 0.0),
        ("0ms", 0.0),
        ("1000000000", DURATION_MAX_S),
    ],
)
def test_a_duration_is_a_number_and_a_unit_or_plain_seconds(written: str, seconds: float) -> None:
    assert parse_duration(written) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "written",
    [
        *("", "s", "soon", "5 minutes", "5S", "1h30m", "5µs", "0x10", "--", "-1", "-5s"),
        *("1000000001", "12000d", "1e400", "inf", "infs", "nan"),
    ],
)
def test_anything_else_is_refused_with_what_to_write_instead(written: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write 500ms, 30s, 10m, 2h") as problem:
        parse_duration(written)
    assert f'"{written}"' in str(problem.value)


@given(st.text(max_size=12))
def test_any_text_is_a_duration_within_bounds_or_is_refused(written: str) -> None:
    try:
        seconds = parse_duration(written)
    except ValueError:
        return
    assert 0 <= seconds <= DURATION_MAX_S


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (0.44, "0.4 s"),
        (1, "1 s"),
        (38.4, "38 s"),
        (89, "89 s"),
        (90, "2 min"),
        (300, "5 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (11_520, "3.2 h"),
        (129_599, "36.0 h"),
        (129_600, "2 d"),
        (345_600, "4 d"),
    ],
)
def test_a_duration_is_said_in_the_unit_that_a_person_would_take(
    seconds: float, words: str
) -> None:
    assert said(seconds) == words


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_the_longer_one_is_never_said_to_be_shorter(one: float, other: float) -> None:
    shorter, longer = sorted((one, other))
    assert _heard(said(shorter)) <= _heard(said(longer))


@given(st.floats(0, 1e9))
def test_what_is_said_is_near_what_it_was(seconds: float) -> None:
    assert _heard(said(seconds)) == pytest.approx(seconds, rel=0.34, abs=0.06)


def _heard(words: str) -> float:
    number, unit = words.split()
    return parse_duration(number + {"min": "m"}.get(unit, unit))
