"""What one sees of waiting, in the time of a clock that is handed in."""

import os
import pty
from collections.abc import Iterator
from io import StringIO
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.protocol import Frame
from admission_client.granted import Lease
from admission_client.waiting import (
    CLEAR_LINE,
    READER_VARIABLES,
    REDRAW_S,
    REPEAT_S,
    SILENT_S,
    Waiting,
    describe_place,
    is_live,
)
from tests.clients.answers import GRANTED
from tests.clients.streams import Terminal


def place(position: int, of: int = 9, eta_s: float | None = None) -> Frame:
    return {"position": position, "of": of, "reason": "5 of 5 agents run", "eta_s": eta_s}


def sorted_by_time(events: dict[float, Frame]) -> list[tuple[float, Frame]]:
    return sorted(events.items(), key=lambda item: item[0])


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A client that waits, as `Client.acquire` does: it calls at once, with each event, and when
    the time that was asked for has passed. `shown` is what was written, and when.
    """

    def __init__(self, stream: StringIO, *, quiet: bool = False) -> None:
        self.clock = Clock()
        self.stream = stream
        self.waiting = Waiting(stream, quiet=quiet, clock=self.clock)
        self.shown: list[tuple[float, str]] = []
        self.calls = 0

    def wait(self, until_s: float, events: dict[float, Frame] | None = None) -> None:
        """Until so many seconds after the start. `events`: what comes, and when."""
        start = 1000.0
        ahead = [(start + at, event) for at, event in sorted_by_time(events or {})]
        again_s = self._call(None)
        while True:
            again_at = start + until_s if again_s is None else self.clock.now + again_s
            next_at = min([again_at, start + until_s, *(at for at, _ in ahead[:1])])
            self.clock.now = next_at
            if next_at >= start + until_s:
                return
            again_s = self._call(ahead.pop(0)[1] if ahead and ahead[0][0] == next_at else None)

    def admit(self) -> None:
        self.waiting.admitted(Lease(GRANTED))
        self._note()

    def _call(self, event: Frame | None) -> float | None:
        self.calls += 1
        again_s = self.waiting(event)
        assert again_s is None or again_s > 0
        self._note()
        return again_s

    def _note(self) -> None:
        written = self.stream.getvalue()
        if written:
            self.shown.append((self.clock.now - 1000.0, written))
            self.stream.seek(0)
            self.stream.truncate()

    @property
    def lines(self) -> list[str]:
        return [line for _, line in self.shown]

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.shown]


# --- the first half second ----------------------------------------------------------------------


@pytest.mark.parametrize("stream", [StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_a_short_wait_is_silent(stream: StringIO) -> None:
    scene = Scene(stream)
    with scene.waiting:
        scene.wait(SILENT_S - 0.001, {0.0: place(2), 0.3: place(1)})
        scene.admit()
    assert stream.getvalue() == ""
    assert scene.shown == []


@pytest.mark.parametrize("stream", [StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_what_came_in_the_silence_is_shown_right_after_it(stream: StringIO) -> None:
    scene = Scene(stream)
    scene.wait(0.6, {0.1: place(7), 0.2: place(3)})
    assert scene.times == [pytest.approx(SILENT_S)]
    assert "place 3 of 9, 5 of 5 agents run" in scene.lines[0]


def test_while_no_place_is_known_nothing_is_shown() -> None:
    scene = Scene(Terminal())
    scene.wait(10)
    assert scene.shown == []


# --- on a terminal ------------------------------------------------------------------------------


def test_a_terminal_shows_one_line_that_is_redrawn() -> None:
    scene = Scene(Terminal())
    with scene.waiting:
        scene.wait(2.1, {0.1: place(3, eta_s=40.0)})
        assert scene.times == pytest.approx([0.5, 1.0, 1.5, 2.0])
        assert scene.lines[0] == (
            f"{CLEAR_LINE}waiting 0.5 s: place 3 of 9, 5 of 5 agents run, about 40 s; "
            "Ctrl-C gives up"
        )
        assert "waiting 2 s: " in scene.lines[3]
    assert "\n" not in "".join(scene.lines)
    assert scene.stream.getvalue() == CLEAR_LINE


def test_a_flood_of_news_redraws_a_terminal_at_most_twice_a_second() -> None:
    scene = Scene(Terminal())
    scene.wait(10, {tick / 50: place(600 - tick) for tick in range(500)})
    assert min(later - sooner for sooner, later in pairwise(scene.times)) >= REDRAW_S - 1e-6
    assert 18 <= len(scene.shown) <= 20
    assert "place 101 of 9" not in scene.lines[0]


def test_admission_leaves_a_whole_line_on_a_terminal_and_clears_nothing_after_it() -> None:
    scene = Scene(Terminal())
    with scene.waiting:
        scene.wait(1.4, {0.1: place(1)})
        scene.admit()
    assert scene.lines[-1] == f"{CLEAR_LINE}admission: admitted after 1 s (lease 42)\n"
    assert scene.stream.getvalue() == ""


# --- elsewhere ----------------------------------------------------------------------------------


def test_elsewhere_there_is_a_line_when_queued_and_one_when_admitted() -> None:
    scene = Scene(StringIO())
    with scene.waiting:
        scene.wait(29, {0.1: place(3), 5.0: place(2), 20.0: place(1)})
        scene.admit()
    assert scene.lines == [
        "admission: waiting: place 3 of 9, 5 of 5 agents run\n",
        "admission: admitted after 29 s (lease 42)\n",
    ]
    assert scene.stream.getvalue() == ""


def test_elsewhere_news_come_at_most_every_thirty_seconds() -> None:
    scene = Scene(StringIO())
    scene.wait(95, {float(second): place(200 - second) for second in range(95)})
    assert scene.times == pytest.approx([0.5, 30.5, 60.5, 90.5])


def test_elsewhere_nothing_is_said_twice() -> None:
    scene = Scene(StringIO())
    scene.wait(300, {0.1: place(3), 100.0: place(2)})
    assert [line.split(",")[0] for line in scene.lines] == [
        "admission: waiting: place 3 of 9",
        "admission: waiting: place 2 of 9",
    ]


@settings(max_examples=100)
@given(
    st.dictionaries(st.floats(0, 199), st.integers(1, 9).map(place), max_size=30),
    st.booleans(),
)
def test_whatever_comes_and_when_nobody_is_told_too_soon_or_too_often(
    events: dict[float, Frame], on_terminal: bool
) -> None:
    scene = Scene(Terminal() if on_terminal else StringIO())
    scene.wait(200, events)
    pause_s = REDRAW_S if on_terminal else REPEAT_S
    assert all(at >= SILENT_S - 1e-6 for at in scene.times)
    assert all(later - sooner >= pause_s - 1e-6 for sooner, later in pairwise(scene.times))
    assert bool(scene.shown) == bool(events)
    assert scene.calls <= 2 * 200 / SILENT_S + len(events) + 2, "it asks to be called too often"


# --- who reads it -------------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[int]:
    master, slave = pty.openpty()
    yield slave
    os.close(master)
    os.close(slave)


def test_a_real_terminal_is_live_and_a_pipe_is_not(terminal: int) -> None:
    with open(terminal, "w", closefd=False) as stream:
        assert is_live(stream)
    reading, writing = os.pipe()
    with open(reading), open(writing, "w") as stream:
        assert not is_live(stream)


@pytest.mark.parametrize("variable", READER_VARIABLES)
def test_where_an_agent_or_ci_reads_a_terminal_gets_plain_lines(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    scene = Scene(Terminal())
    with scene.waiting:
        scene.wait(10, {0.1: place(3)})
        scene.admit()
    assert "".join(scene.lines) == (
        "admission: waiting: place 3 of 9, 5 of 5 agents run\n"
        "admission: admitted after 10 s (lease 42)\n"
    )
    monkeypatch.setenv(variable, "")
    assert is_live(Terminal())


def test_quiet_is_quiet_and_does_not_ask_to_be_called_again() -> None:
    scene = Scene(Terminal(), quiet=True)
    with scene.waiting:
        scene.wait(100, {0.1: place(3)})
        scene.admit()
    assert scene.shown == []
    assert scene.calls == 2


def test_where_nobody_reads_it_any_more_waiting_goes_on() -> None:
    reading, writing = os.pipe()
    stream = open(writing, "w")  # noqa: SIM115 -- closing it fails, as it should
    waiting = Waiting(stream, clock=(clock := Clock()))
    with waiting:
        waiting(place(3))
        clock.now += 1
        waiting(None)
        os.close(reading)
        clock.now += REPEAT_S
        waiting(place(2))
        assert waiting(place(1)) is None
        waiting.admitted(Lease(GRANTED))
    with pytest.raises(BrokenPipeError):
        stream.close()


# --- a place in words ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("eta_s", "words"),
    [(None, ""), (0.4, ""), (1, ", about 1 s"), (40.2, ", about 40 s"), (600, ", about 10 min")],
)
def test_a_place_is_told_with_its_reason_and_an_estimate_where_there_is_one(
    eta_s: float | None, words: str
) -> None:
    assert describe_place(place(3, 7, eta_s)) == f"place 3 of 7, 5 of 5 agents run{words}"
