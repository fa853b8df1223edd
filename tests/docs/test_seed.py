"""docs/seed.md: each promise of the user's document has a place that is there and a command."""

import re

import pytest

from tests.docs.pages import DOCS, ROOT, command_lines

Row = tuple[str, str, str, str]


def rows_of(page: str) -> list[Row]:
    """The rows of the page's tables: the promise, what is now, where, seen by."""
    found: list[Row] = []
    for line in page.splitlines():
        if line.startswith("| ") and not line.startswith("| the page says"):
            promise, now, where, seen = line.strip("| ").split(" | ")
            found.append((promise, now, where, seen))
    return found


ROWS = rows_of((DOCS / "seed.md").read_text("utf-8"))


def places(where: str) -> list[str]:
    return re.findall(r"`([^`]+)`", where)


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:40] for row in ROWS])
def test_each_promise_has_a_place_and_a_command(row: Row) -> None:
    _, _, where, seen = row
    assert places(where)
    assert [place for place in places(where) if not (ROOT / place).exists()] == []
    assert list(command_lines(seen))  # which test_snippets.py has read by the command itself


def test_the_five_enhancements_and_the_dashboard_are_among_them() -> None:
    promises = [row[0] for row in ROWS]
    for number in range(1, 6):
        assert any(promise.startswith(f"{number}. ") for promise in promises)
    assert any(promise.startswith("dashboard") for promise in promises)
