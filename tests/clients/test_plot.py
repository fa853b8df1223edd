"""Charts, bands and axes, as they stand on the terminal."""

import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission_client.plot import ASCII, BLOCKS, MARGIN, ROWS, Glyphs, axis, band, chart
from tests.clients.streams import Terminal

DAY_S = 86_400.0


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    monkeypatch.setenv("TZ", getattr(request, "param", "UTC"))
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


RISING = [None, 0.0, 0.5, 10.0, 25.0, 45.0, 50.0, 72.0, 93.75, 100.0, 130.0]
PEAKS = [None, 0.0, 0.5, 40.0, 25.0, 70.0, 50.0, 100.0, 93.75, 100.0, 130.0]
BOUNDS = [(70.0, "1"), (80.0, "2"), (85.0, "3")]


def test_a_chart_in_blocks() -> None:
    assert chart(RISING, PEAKS, BOUNDS) == [
        "100 │       ░▄██",
        "    │┄┄┄┄┄┄┄░███ > 2,3",
        "    │┄┄┄┄┄░┄▆███ > 1",
        "    │     ░ ████",
        " 50 │   ░ ▅█████",
        "    │   ░ ██████",
        "    │   ░███████",
        "  0 │  ▁▆███████",
    ]


def test_a_chart_in_plain_characters() -> None:
    assert chart(RISING, PEAKS, BOUNDS, ASCII) == [
        "100 |       :.##",
        "    |-------:### > 2,3",
        "    |-----:-#### > 1",
        "    |     : ####",
        " 50 |     .#####",
        "    |   : ######",
        "    |   :#######",
        "  0 |  .########",
    ]


PERCENTS = st.lists(st.none() | st.floats(0, 200), min_size=1, max_size=30)


@given(PERCENTS, st.sampled_from([BLOCKS, ASCII]))
def test_whatever_is_drawn_each_row_has_a_cell_a_column(
    values: list[float | None], glyphs: Glyphs
) -> None:
    lines = chart(values, values, [(50.0, "x")], glyphs)
    assert len(lines) == ROWS
    for line in lines:
        assert len(line.split(" > ")[0]) <= MARGIN + len(values)
        assert line.isprintable()
    if glyphs is ASCII:
        assert "".join(lines).isascii()
    for column, value in enumerate(values):
        bottom = lines[-1].ljust(MARGIN + len(values))[MARGIN + column]
        assert (bottom == " ") is (value is None or value == 0)


@given(st.floats(0, 100), st.floats(0, 100))
def test_the_larger_value_is_never_the_lower_column(one: float, other: float) -> None:
    low, high = sorted((one, other))
    heights = [
        sum(BLOCKS.bars.index(line.ljust(MARGIN + 2)[MARGIN + column]) for line in lines)
        for lines in [chart([low, high], [low, high])]
        for column in (0, 1)
    ]
    assert heights[0] <= heights[1]


def test_a_band_is_the_levels_digits_and_gaps() -> None:
    assert band([0, 0, None, 3, 1, None]) == "     00 31"
    assert band([]) == "     "


def test_a_band_on_a_terminal_has_each_level_s_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert band([0, 0, 3]) == "     \x1b[32m00\x1b[0m\x1b[31m3\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert band([0, 0, 3]) == "     003"


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("since", "long_s", "lines"),
    [
        (
            600.0,
            7200.0,
            [
                "    └─────────┴─────────────┴─────────────┴─────────────┴────",
                "            00:30         01:00         01:30         02:00",
            ],
        ),
        (
            0.0,
            60.0,
            [
                "    └┴─────────────┴─────────────┴─────────────┴─────────────",
                " 00:00:00      00:00:15      00:00:30      00:00:45",
            ],
        ),
        (
            12.5 * DAY_S,
            30 * DAY_S,
            [
                "    └────────────┴────────────┴────────────┴────────────┴────",
                "               01-20        01-27        02-03        02-10",
            ],
        ),
    ],
)
def test_an_axis_has_ticks_at_times_that_people_know(
    since: float, long_s: float, lines: list[str]
) -> None:
    assert axis(since, since + long_s, 56) == lines


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kathmandu"], indirect=True)
@pytest.mark.usefixtures("zone")
def test_ticks_stand_at_whole_hours_of_the_local_clock() -> None:
    labels = axis(1_700_049_600.0, 1_700_049_600.0 + 6 * 3600, 60, ASCII)[1].split()
    assert labels
    assert all(label.endswith(":00") for label in labels)


@pytest.mark.usefixtures("zone")
@given(st.floats(0, 4e9), st.floats(1, 3e9), st.integers(1, 200))
def test_any_axis_is_two_lines_of_its_width(since: float, long_s: float, columns: int) -> None:
    line, labels = axis(since, since + long_s, columns, ASCII)
    assert len(line) == MARGIN + columns
    assert len(labels) <= MARGIN + columns
    assert (line + labels).isascii()
