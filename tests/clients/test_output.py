"""What the commands print: tables, JSON, and colours where a terminal shows them."""

import json
import sys
from io import StringIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.protocol import Frame
from admission_client.look import _event_text
from admission_client.options import Options
from admission_client.output import as_json, coloured, print_reply, table
from tests.clients.streams import Terminal

# Draws elsewhere, in another colour, backwards, over the line before, and as a link.
HOSTILE = "a\x1b[2J\x1b[31m\rb\x9b1A\n\t\x07c\x08\x7f\u202ed\u2028\x1b]8;;http://x\x1b\\"


# --- tables -------------------------------------------------------------------------------------


def test_columns_are_as_wide_as_they_must_be_and_numbers_stand_to_the_right() -> None:
    shown = table(("LEASE", "TASK", "AGE"), [(7, "refactor", "4 s"), (1234567, "b", "12 min")])
    assert shown.splitlines() == [
        "  LEASE  TASK      AGE",
        "      7  refactor  4 s",
        "1234567  b         12 min",
    ]


def test_a_column_with_one_word_among_numbers_stands_to_the_left() -> None:
    assert table(("N", "X"), [(100, "a"), ("-", "b")]).splitlines() == [
        "N    X",
        "100  a",
        "-    b",
    ]


def test_a_table_without_rows_is_its_head() -> None:
    assert table(("LEASE", "TASK"), []) == "LEASE  TASK"


def test_a_row_of_another_length_is_a_bug_and_says_so() -> None:
    with pytest.raises((ValueError, IndexError)):
        table(("LEASE", "TASK"), [("7",)])


TEXTS = st.text(max_size=12)


@settings(max_examples=100)
@given(st.lists(st.tuples(TEXTS, st.integers(), TEXTS), max_size=6))
def test_whatever_is_in_the_cells_a_row_is_a_line_and_columns_stand_straight(
    rows: list[tuple[str, int, str]],
) -> None:
    lines = table(("FIRST", "SECOND", "LAST"), rows).split("\n")
    assert len(lines) == 1 + len(rows)
    assert all(line.isprintable() for line in lines)
    assert all(line == line.rstrip() for line in lines)
    edge = lines[0].index("SECOND") + len("SECOND")
    for line, (first, second, _) in zip(lines[1:], rows, strict=True):
        assert line.endswith(str(second), 0, edge)
        assert len(line) >= len(first.rstrip())


def test_a_hostile_label_draws_nothing_in_a_table() -> None:
    shown = table(("TASK", "PID"), [(HOSTILE, 1)])
    assert len(shown.split("\n")) == 2
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert "http://x" in shown


@pytest.mark.parametrize("kind", ["granted", "level"])
def test_a_hostile_label_draws_nothing_in_the_news(kind: str) -> None:
    news: Frame = {
        "event": kind,
        "lease": 5,
        "task": HOSTILE,
        "name": HOSTILE,
        "reasons": [HOSTILE],
    }
    shown = _event_text(news)
    assert shown.isprintable()
    assert "http://x" in shown


# --- JSON ---------------------------------------------------------------------------------------


def test_json_is_the_answer_less_what_the_connection_needed() -> None:
    reply: Frame = {"id": 3, "ok": True, "lease": 42, "params": {"id": 1}, "secret": b"\x00\xff"}
    assert as_json(reply) == '{"lease": 42, "params": {"id": 1}, "secret": "00ff"}'
    assert json.loads(as_json(reply, indent=2))["lease"] == 42
    assert as_json({"task": "naïve 日本"}) == '{"task": "naïve 日本"}'


def test_a_hostile_label_draws_nothing_in_json_and_comes_back_whole() -> None:
    shown = as_json({"task": HOSTILE})
    assert shown.isprintable()
    assert json.loads(shown) == {"task": HOSTILE}


@settings(max_examples=100)
@given(st.dictionaries(TEXTS, TEXTS | st.lists(TEXTS)))
def test_whatever_is_in_an_answer_json_gives_it_back(reply: Frame) -> None:
    shown = as_json(reply, indent=2)
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert json.loads(shown) == {k: v for k, v in reply.items() if k not in ("id", "ok")}


@pytest.mark.parametrize(
    ("is_json", "is_quiet", "printed"),
    [
        (False, False, "lease 42 released\n"),
        (False, True, ""),
        (True, False, '{"lease": 42}\n'),
        (True, True, '{"lease": 42}\n'),
    ],
)
def test_a_reply_is_a_line_or_json_or_nothing(
    is_json: bool, is_quiet: bool, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options()
    options.json, options.quiet = is_json, is_quiet
    print_reply({"id": 1, "ok": True, "lease": 42}, "lease 42 released", options)
    assert capsys.readouterr() == (printed, "")


# --- colours ------------------------------------------------------------------------------------


def test_a_terminal_shows_colours_and_anything_else_none() -> None:
    assert coloured("level 3", "red", Terminal()) == "\x1b[31mlevel 3\x1b[0m"
    assert coloured("level 3", "red", StringIO()) == "level 3"


@pytest.mark.parametrize(
    ("name", "value", "is_coloured"),
    [
        ("NO_COLOR", "1", False),
        ("NO_COLOR", "0", False),
        ("NO_COLOR", "", True),
        ("TERM", "dumb", False),
        ("TERM", "xterm", True),
    ],
)
def test_who_wants_no_colours_gets_none(
    name: str, value: str, is_coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert (coloured("x", "bold", Terminal()) != "x") is is_coloured


def test_only_the_head_of_a_table_is_bold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert table(("N",), [(1,)]) == "\x1b[1mN\x1b[0m\n1"
