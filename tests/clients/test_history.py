"""`admission history`, on files that the real store wrote; no daemon runs."""

import json
import os
import sys
import time
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from admission_client.cli import main
from admission_client.history import document, quantile, summary
from tests.clients.streams import Terminal
from tests.service.notes import NOON, Notes

LOOK = """\
memory used, % (full: mean, light: peak; > 1: level 1)
100 │┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ > 3
    │┄┄┄┄┄┄┄┄┄┄┄┄┄▆▆▆▆▆▆▆▆▆▆▆▆▆░┄┄┄┄┄┄┄┄┄┄┄┄┄ > 2
    │┄┄┄┄┄┄┄┄┄┄┄┄┄█████████████░┄┄┄┄┄┄┄┄┄┄┄┄┄ > 1
    │             ██████████████
 50 │▂▂▂▂▂▂▂▂▂▂▂▂▂██████████████▂▂▂▂     ▂▂▂▂
    │███████████████████████████████     ████
    │███████████████████████████████     ████
  0 │███████████████████████████████     ████
CPU used, %
100 │░┄░┄┄▅┄┄░┄░┄┄▅┄┄░┄░┄┄▅┄┄░┄░┄┄▅▅┄┄┄┄┄┄▅┄┄ > 3
    │▅┄▅┄┄█┄┄▅┄▅┄┄█┄┄▅┄▅┄┄█┄┄▅┄▅┄┄██┄┄┄┄┄┄█┄┄ > 2
    │█▆█▆▆█▆▆█▆█▆▆█▆▆█▆█▆▆█▆▆█▆█▆▆██     ▆█▆▆
    │███████████████████████████████┄┄┄┄┄████ > 1
 50 │███████████████████████████████     ████
    │███████████████████████████████     ████
    │███████████████████████████████     ████
  0 │███████████████████████████████     ████
lev  0000000000000222222222222220000     0000
    └┴───────────────────┴───────────────────
   12:00               12:30

TIME      LEVEL  WHY
12:20:00      2  memory 85 % is above 80 %
12:40:00      0  set by hand

6 leases, 1 without an end yet; waited 20 s (median), 50 s (19 of 20)
TASK    LEASES  WAITED  19 OF 20  HELD
task 0       2  0.0 s   30 s      30 s
task 1       2  10 s    40 s      30 s
task 2       2  20 s    50 s      30 s
"""
PLAIN_LOOK = """\
memory used, % (full: mean, light: peak; > 1: level 1)
100 |---------------------------------------- > 3
    |---------------------------------------- > 2
    |---------------------------------------- > 1
    |
 50 |
    |                    ####################
    |                    ####################
  0 |                    ####################
CPU used, %
100 |------------------------....------------ > 3
    |------------------------####------------ > 2
    |                    ####################
    |--------------------#################### > 1
 50 |                    ####################
    |                    ####################
    |                    ####################
  0 |                    ####################
lev                      00000000000000000000
    ++-------------------+-------------------
   12:50               12:55

the level did not change

1 lease; waited 50 s (median), 50 s (19 of 20)
TASK    LEASES  WAITED  19 OF 20  HELD
task 2       1  50 s    50 s      30 s
"""

HOSTILE = "a\x1b[2J\n\u202eb"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("ADMISSION_CONFIG", os.devnull)
    monkeypatch.setenv("COLUMNS", "53")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "admission" / "history.db"


@pytest.fixture
def at_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An hour from noon on, seen at its end: calm, then busy, then nothing, then calm."""
    notes = Notes(path)
    for minute in range(60):
        notes.now = minute * 60.0
        is_busy = 20 <= minute < 40
        if not 45 <= minute < 55:
            notes.sample(85.0 if is_busy else 40.0, 72.0 if minute % 4 else 95.0, level=2 * is_busy)
        if minute == 20:
            notes.level(2, "memory 85 % is above 80 %")
        if minute == 40:
            notes.level(0, by_hand_until=float("inf"))
        if minute % 10 == 0:
            lease = notes.lease(minute + 1, f"task {minute % 3}", waited_s=float(minute))
            if minute:
                notes.now += 30
                notes.end(lease)
    notes.close()
    monkeypatch.setattr(time, "time", lambda: NOON + 3600)
    return path


def shown(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(["history", *words]) == status
    return capsys.readouterr().out


@pytest.mark.usefixtures("at_one")
def test_what_people_see(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys) == LOOK


@pytest.mark.usefixtures("at_one")
def test_what_people_see_in_plain_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "--ascii", "--since", "10m") == PLAIN_LOOK


@pytest.mark.usefixtures("at_one")
def test_a_terminal_that_is_not_utf_8_gets_plain_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(raw, encoding="iso-8859-1"))
    assert main(["history"]) == 0
    assert b"100 |" in raw.getvalue()
    assert raw.getvalue().isascii()


@pytest.mark.usefixtures("at_one")
def test_colours_stand_on_a_terminal_only_and_only_for_who_wants_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for no_color, is_coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", no_color)
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main(["history"]) == 0
        assert ("\x1b[33m22222" in terminal.getvalue()) is is_coloured
        assert ("\x1b" in terminal.getvalue()) is is_coloured


@pytest.mark.usefixtures("at_one")
def test_the_drawing_is_as_wide_as_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns in (40, 80, 120):
        monkeypatch.setenv("COLUMNS", str(columns))
        charts = shown(capsys).split("\n\n")[0].splitlines()
        assert columns - 8 <= max(map(len, charts[1:])) <= columns


@pytest.mark.usefixtures("at_one")
def test_without_a_configuration_that_can_be_read_no_bounds_are_drawn(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    monkeypatch.setenv("ADMISSION_CONFIG", str(config))
    config.write_text("nonsense")
    assert "┄" not in shown(capsys)
    config.write_text("[[throttle.levels]]\nlevel = 0\nmemory_below_pct = 55")
    assert shown(capsys).splitlines()[4].endswith(" > 1")


@pytest.mark.usefixtures("at_one")
def test_json_is_one_document(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    found = json.loads(shown(capsys, "--json", "--points", "6"))
    assert set(found) == {
        *("path", "since", "until", "newest", "step_s", "series", "levels", "leases", "summary")
    }
    assert (found["path"], found["since"], found["until"]) == (str(path), NOON, NOON + 3600)
    assert found["step_s"] == 600
    assert [point["samples"] for point in found["series"]] == [10, 10, 10, 10, 5, 5]
    assert [point["level"] for point in found["series"]] == [0, 0, 2, 2, 0, 0]
    assert found["series"][2] == {
        "at": NOON + 1200,
        "samples": 10,
        "memory_used_pct": 85.0,
        "memory_used_pct_max": 85.0,
        "cpu_used_pct": 78.9,
        "cpu_used_pct_max": 95.0,
        "in_use": 3.0,
        "in_use_max": 3,
        "waiting": 1,
        "level": 2,
    }
    assert found["levels"] == [
        {
            "at": NOON + 1200,
            "level": 2,
            "by_hand": False,
            "reasons": ["memory 85 % is above 80 %"],
        },
        {"at": NOON + 2400, "level": 0, "by_hand": True, "reasons": []},
    ]
    assert [lease["held_s"] for lease in found["leases"]] == [None, 30, 30, 30, 30, 30]
    assert found["leases"][1]["class"] == "batch"
    assert found["summary"]["leases"] == 6


def test_a_history_begins_where_it_does(at_one: Path) -> None:
    assert document(at_one, 1e6, NOON + 3600, 10)["since"] == NOON
    assert document(at_one, 60.0, NOON + 3600, 10)["since"] == NOON + 3540


def test_hostile_labels_and_reasons_draw_nothing(
    capsys: pytest.CaptureFixture[str], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes(path)
    notes.end(notes.lease(1, HOSTILE))
    notes.level(1, HOSTILE)
    notes.close()
    monkeypatch.setattr(time, "time", lambda: NOON + 60)
    out = shown(capsys)
    assert all(line.isprintable() for line in out.splitlines())
    assert out.startswith("no samples\n")
    assert json.loads(shown(capsys, "--json"))["leases"][0]["task"] == HOSTILE


# --- nothing to show, and wrong words -----------------------------------------------------------


def test_no_history_is_one_sentence(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    sentence = f"there is no history at {path} yet; the daemon writes it while it runs\n"
    assert shown(capsys) == sentence
    notes = Notes(path)
    assert notes.save()
    notes.close()
    assert shown(capsys) == sentence
    found = json.loads(shown(capsys, "--json"))
    assert (found["series"], found["levels"], found["leases"]) == ([], [], [])
    assert found["summary"]["waited_s_median"] is None


def test_nothing_of_late_is_one_sentence(
    capsys: pytest.CaptureFixture[str], at_one: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOON + 86_400)
    assert shown(capsys, "--since", "30m") == (
        "nothing was seen in the last 30 min; the newest is of 2023-11-15 12:59\n"
    )


def test_noise_is_one_sentence_and_a_status(capsys: pytest.CaptureFixture[str], path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"noise" * 1000)
    assert main(["history"]) == 69
    said = capsys.readouterr().err
    assert said.startswith(f"admission: the history {path} can't be read: file is not a database;")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "soon"], '"soon" is no duration; write 500ms, 30s, 10m, 2h'),
        (["--since", "-1h"], "--since"),
        (["--since", "0"], "--since 0 leaves nothing to show; write 10m, 2h, 1d"),
        (["--points", "0"], '"0" is no whole number from 1 up'),
        (["--points", "10001"], "--points 10001 is too many; 10000 at most"),
        (["2h"], '"2h" is one word too many'),
    ],
)
def test_wrong_words_are_told_in_one_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        sys.exit(main(["history", *words]))
    assert said in capsys.readouterr().err.splitlines()[-1]


# --- the summary --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "share", "value"),
    [
        ([], 0.5, None),
        ([7.0], 0.95, 7.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([float(n) for n in range(1, 101)], 0.95, 95.0),
        ([float(n) for n in range(1, 21)], 0.95, 19.0),
    ],
)
def test_a_quantile_is_a_value_that_was_seen(
    values: list[float], share: float, value: float | None
) -> None:
    assert quantile(values, share) == value


def test_tasks_are_summed_up_the_most_frequent_first() -> None:
    leases = [
        {"task": task, "waited_s": float(number), "held_s": None if task == "e" else 10.0}
        for task in "abcdef"
        for number in range("fedcba".index(task) + 1)
    ]
    found = summary([dict(lease) for lease in leases])
    by_task = found.pop("by_task")
    assert found == {
        "leases": 21,
        "ended": 19,
        "waited_s_median": 1.0,
        "waited_s_p95": 4.0,
        "held_s_median": 10.0,
        "tasks": 6,
    }
    assert isinstance(by_task, list)
    assert [(one["task"], one["leases"]) for one in by_task] == [
        *(("a", 6), ("b", 5), ("c", 4), ("d", 3), ("e", 2))
    ]
    assert by_task[4]["held_s_median"] is None


def test_a_long_list_of_changes_shows_the_last_and_says_how_many_more(
    capsys: pytest.CaptureFixture[str], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes(path)
    for number in range(25):
        notes.now = float(number)
        notes.level(number % 4, f"reason {number}")
    notes.close()
    monkeypatch.setattr(time, "time", lambda: NOON + 60)
    out = shown(capsys)
    assert "reason 4" not in out
    assert "reason 5" in out
    assert "and 5 changes before these; --json has all" in out
