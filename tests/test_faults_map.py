"""docs/faults.md names tests that are there, and each fault has at least one."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
ROWS = [
    line
    for line in (ROOT / "docs" / "faults.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| fault ")
]
# What may look at the wall clock: it is shown to people, or on record for them.
MAY_LOOK = {"daemon.py", "once.py", "evidence.py", "machine.py"}


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    names = {node.name for node in ast.walk(tree) if isinstance(node, kinds)}
    return names | {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_each_fault_has_a_test_that_is_there(row: str) -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)", row)
    assert named
    for file, name in named:
        assert name in names_in(TESTS / file), f"{file} has no {name}"


def test_every_fault_is_there() -> None:
    assert len(ROWS) == 23


def test_no_wall_clock_ends_a_lease() -> None:
    """Whatever the clock on the wall is set to: time is that of the events, which is monotonic."""
    looking = {
        path.name
        for folder in ("core", "service")
        for path in (ROOT / "admission" / folder).rglob("*.py")
        if looks_at_the_wall(path.read_text(encoding="utf-8"))
    }
    assert looking <= MAY_LOOK


def looks_at_the_wall(source: str) -> bool:
    return re.search(r"\btime\.time(_ns)?\(|datetime\.(now|utcnow|today)\(", source) is not None


def test_a_look_at_the_wall_is_seen() -> None:
    assert looks_at_the_wall("due = time.time() + 5")
    assert not looks_at_the_wall("due = time.monotonic() + 5")
