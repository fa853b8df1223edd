"""docs/faults.md: each fault has a test, and each test that is named there is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "faults.md"
FAULTS = 25
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def rows_of(page: str) -> dict[str, list[tuple[str, str]]]:
    """The faults of the table, each with the files and names of its tests."""
    lines = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    return {fault: NAMED.findall(tests) for fault, _, tests in lines[1:]}


@cache
def names_in(file: str) -> frozenset[str]:
    """The tests of a file below this folder, as pytest would find them; nothing of no file."""
    path = TESTS / file
    if not path.exists():
        return frozenset()
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute(attr="TestCase")):
                names.add(name)  # a state machine of hypothesis
            case _:
                pass
    return frozenset(name for name in names if name.lower().startswith("test"))


ROWS = rows_of(PAGE.read_text(encoding="utf-8"))


def test_every_fault_has_a_row_of_its_own() -> None:
    assert len(ROWS) == FAULTS


@pytest.mark.parametrize("fault", ROWS)
def test_each_fault_has_tests_and_they_are_there(fault: str) -> None:
    assert ROWS[fault]
    missing = [f"{file}::{name}" for file, name in ROWS[fault] if name not in names_in(file)]
    assert missing == []


def test_a_name_that_is_nowhere_is_found() -> None:
    page = "| fault | promise | tests |\n|---|---|---|\n| a | b | `test_faults_map.py::test_it` |\n"
    assert rows_of(page) == {"a": [("test_faults_map.py", "test_it")]}
    assert "test_it" not in names_in("test_faults_map.py")
    assert "test_every_fault_has_a_row_of_its_own" in names_in("test_faults_map.py")
    assert "names_in" not in names_in("test_faults_map.py")
    assert names_in("test_nowhere.py") == frozenset()
