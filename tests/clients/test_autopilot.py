"""The parts of the autopilot that need no process: what it shows, and what it takes next."""

import json
import sys
from io import StringIO
from pathlib import Path

import pytest

from admission.protocol import Frame
from admission_client.autopilot import Autopilot, _file_name
from admission_client.granted import Params
from admission_client.runs import Outcome
from admission_client.screen import Screen
from admission_client.tasks import Task
from admission_client.waiting import CLEAR_LINE
from tests.clients.answers import PARAMS
from tests.clients.streams import Terminal

NAMES = ("normal", "light", "medium", "heavy")


def params(level: int, **changes: int) -> Params:
    return Params({**PARAMS, "level": level, "name": NAMES[level], **changes})


def outcome(
    name: str = "tests", status: int = 0, *, waited_s: float = 0.0, log: Path = Path("a.log")
) -> Outcome:
    return Outcome(Task(1, "make test", name), status, 42, waited_s, 2.3456, log)


def become_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Makes standard error one, without colours. Not a fixture: pytest puts its own back."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    return stream


Captured = pytest.CaptureFixture[str]


# --- the level ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "level", "reasons", "line"),
    [
        (0, 2, [], "⚡ Resource pressure detected: medium throttle (level 2)"),
        (
            1,
            3,
            ["memory 91 % is above 90 %", "CPU 95 % is above 90 %"],
            "⚡ Resource pressure detected: heavy throttle (level 3): "
            "memory 91 % is above 90 %; CPU 95 % is above 90 %",
        ),
        (3, 1, [], "✅ Resource pressure eased: light throttle (level 1)"),
        (1, 0, [], "✅ Resource pressure gone: normal (level 0)"),
    ],
)
def test_a_change_of_level_is_said_in_the_words_of_the_document(
    before: int, level: int, reasons: list[str], line: str, capsys: Captured
) -> None:
    Screen(3).level(before, params(level), reasons)
    assert capsys.readouterr().err == line + "\n"


# --- the tasks ----------------------------------------------------------------------------------


def test_a_task_that_went_well_is_one_line(capsys: Captured) -> None:
    screen = Screen(12)
    screen.ended(outcome(), 3)
    screen.ended(outcome(waited_s=75), 12)
    assert capsys.readouterr().err.splitlines() == [
        "✓  3/12 tests: 2 s",
        "✓ 12/12 tests: 2 s, waited 75 s",
    ]


def test_a_task_that_failed_shows_its_status_its_log_and_the_end_of_it(
    capsys: Captured, tmp_path: Path
) -> None:
    log = tmp_path / "001-tests.log"
    log.write_text("".join(f"line {number}\n\n" for number in range(20)) + "\x1b[31mred\x07\n")
    Screen(1).ended(outcome(status=2, log=log), 1)
    assert capsys.readouterr().err.splitlines() == [
        f"✗ 1/1 tests: exit status 2 after 2 s; {log}",
        "    line 16",
        "    line 17",
        "    line 18",
        "    line 19",
        "    [31mred",
    ]


@pytest.mark.parametrize("written", [b"", b"\xff\xfe" * 5000, None])
def test_whatever_is_in_the_log_a_failure_can_be_shown(
    written: bytes | None, capsys: Captured, tmp_path: Path
) -> None:
    log = tmp_path / "a.log"
    if written is not None:
        log.write_bytes(written)
    Screen(1).ended(outcome(status=1, log=log), 1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("✗ 1/1 tests: exit status 1")
    assert all(line.isprintable() and len(line) <= 204 for line in lines[1:])


@pytest.mark.parametrize("status", [0, 1])
def test_a_hostile_label_draws_nothing_and_a_long_one_is_cut(status: int, capsys: Captured) -> None:
    Screen(1).ended(outcome("a\x1b[2J\rb" + "c" * 100, status), 1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert len(line) < 120


def test_the_summary_counts_what_went_well_what_failed_and_what_never_began(
    capsys: Captured,
) -> None:
    Screen(4).summary([outcome(), outcome(status=1), outcome(waited_s=10)], Path("logs"))
    assert capsys.readouterr().err == (
        "2 of 4 tasks done, 1 failed, 1 not begun in 0.0 s "
        "(7 s of work, 10 s of waiting); output in logs\n"
    )


def test_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = become_terminal(monkeypatch)
    with Screen(1, quiet=True) as screen:
        screen.draw(0, 1, 0, params(1))
        screen.level(0, params(2), [])
        screen.ended(outcome(), 1)
        screen.summary([outcome()], Path("logs"))
    assert terminal.getvalue() == ""


# --- the line that moves ------------------------------------------------------------------------


def test_a_terminal_has_a_line_that_moves_out_of_the_way_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = become_terminal(monkeypatch)
    with Screen(9) as screen:
        screen.draw(3, 2, 1, params(2))
        screen.say("a word")
        screen.say("another")
        screen.draw(4, 1, 0, None)
    assert terminal.getvalue() == (
        f"{CLEAR_LINE}3/9 done · 2 running · 1 waiting · level 2 (medium) · 0.0 s"
        f"{CLEAR_LINE}a word\nanother\n"
        f"{CLEAR_LINE}4/9 done · 1 running · 0 waiting · 0.0 s{CLEAR_LINE}"
    )


def test_elsewhere_nothing_moves(capsys: Captured) -> None:
    with Screen(9) as screen:
        screen.draw(3, 2, 1, params(2))
    assert capsys.readouterr().err == ""


def test_an_agent_that_reads_a_terminal_gets_no_line_that_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = become_terminal(monkeypatch)
    monkeypatch.setenv("CLAUDECODE", "1")
    with Screen(9) as screen:
        screen.draw(3, 2, 1, params(2))
    assert terminal.getvalue() == ""


# --- outcomes and logs --------------------------------------------------------------------------


def test_an_outcome_is_a_line_of_json() -> None:
    line = outcome("naïve 日本", waited_s=0.12345).line()
    assert "\n" not in line
    assert json.loads(line) == {
        "task": "naïve 日本",
        "command": "make test",
        "exit_status": 0,
        "lease": 42,
        "log": "a.log",
        "waited_s": 0.123,
        "ran_s": 2.346,
    }


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("make test", "make-test"),
        ("  Fix: the Parser!  ", "fix-the-parser"),
        ("../../etc/passwd", "etc-passwd"),
        ("naïve 日本", "naïve-日本"),
        ("--", "task"),
        ("", "task"),
        ("x" * 99, "x" * 40),
    ],
)
def test_a_log_is_named_after_its_task_and_stays_in_its_folder(label: str, name: str) -> None:
    assert _file_name(label) == name


# --- what comes next ----------------------------------------------------------------------------


def of_twelve_tasks(folder: Path, results: StringIO | None = None) -> Autopilot:
    tasks = [Task(number, f"task {number}", f"task {number}") for number in range(1, 13)]
    return Autopilot(tasks, 5, str(folder / "a.sock"), folder, results, Screen(12))


def level_news(level: int, batch_size: int) -> Frame:
    given = {**PARAMS, "level": level, "name": NAMES[level], "batch_size": batch_size}
    return {"event": "level", "level": level, "params": given, "reasons": []}


def taken(pilot: Autopilot, count: int) -> list[int]:
    tasks = (pilot._next_task() for _ in range(count))
    return [task.number for task in tasks if task is not None]


def test_tasks_are_taken_in_order_and_each_once(tmp_path: Path) -> None:
    pilot = of_twelve_tasks(tmp_path)
    pilot._adopt_level(level_news(0, 5))
    assert taken(pilot, 20) == list(range(1, 13))
    assert pilot._next_task() is None


def test_a_batch_is_as_large_as_the_level_says(tmp_path: Path) -> None:
    pilot = of_twelve_tasks(tmp_path)
    pilot._adopt_level(level_news(2, 5))
    assert taken(pilot, 1) == [1]
    assert [task.number for task in pilot._batch] == [2, 3, 4, 5]
    assert taken(pilot, 5) == [2, 3, 4, 5, 6]
    assert [task.number for task in pilot._batch] == [7, 8, 9, 10]


def test_a_new_level_counts_from_the_next_batch_on(tmp_path: Path) -> None:
    pilot = of_twelve_tasks(tmp_path)
    pilot._adopt_level(level_news(0, 5))
    assert taken(pilot, 1) == [1]
    pilot._adopt_level(level_news(3, 2))
    assert taken(pilot, 5) == [2, 3, 4, 5, 6]
    assert [task.number for task in pilot._batch] == [7]
    pilot._adopt_level(level_news(0, 100))
    assert taken(pilot, 2) == [7, 8]
    assert [task.number for task in pilot._batch] == [9, 10, 11, 12]


def test_once_told_to_stop_it_takes_nothing_more(tmp_path: Path) -> None:
    pilot = of_twelve_tasks(tmp_path)
    pilot._adopt_level(level_news(0, 5))
    assert taken(pilot, 2) == [1, 2]
    pilot._stop_taking()
    assert pilot._next_task() is None


def test_a_change_of_level_is_said_once(tmp_path: Path, capsys: Captured) -> None:
    pilot = of_twelve_tasks(tmp_path)
    for level in (0, 2, 2, 1, 0):
        pilot._adopt_level(level_news(level, 5))
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == [
        "⚡ Resource pressure detected",
        "✅ Resource pressure eased",
        "✅ Resource pressure gone",
    ]


def test_each_outcome_is_written_as_it_comes(tmp_path: Path) -> None:
    pilot = of_twelve_tasks(tmp_path, results := StringIO())
    pilot._end(outcome())
    assert json.loads(results.getvalue())["task"] == "tests"
    pilot._end(outcome(status=1))
    assert [json.loads(line)["exit_status"] for line in results.getvalue().splitlines()] == [0, 1]
    assert len(pilot.outcomes) == 2
