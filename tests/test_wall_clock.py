"""Whatever ends a lease or a wait goes by monotonic time: the clock on the wall is set, by people
and by the network. Who looks at it does so for people to read, or for the record, and is named.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ADMISSION = Path(__file__).parent.parent / "admission"
# In which function of which file, and what for.
MAY_LOOK = {
    (
        "service/checkup/machine.py",
        "check_clock",
    ): "whether files come from the future, for `doctor`",
    ("service/daemon.py", "_note_metrics"): "the time of a sample in the user's document",
    ("service/evidence.py", "now_ticks"): "macOS counts a process's start so; what it proves is "
    "checked again before anything is ended",
    ("service/fleet/fleet.py", "_written"): "when an offer was written, which is shown",
    ("service/history/recorder.py", "__init__"): "the record",
    ("service/history/schema.py", "set_aside"): "the name of a file",
    ("service/logs.py", ""): "the time of a line in the log",
    ("service/local_hours.py", "local_hours_now"): "the hour of the week, for what is usual in it",
    ("service/facts.py", "_habits"): "of how long ago tasks count, for recommendations",
    ("service/facts.py", "_minutes"): "the last day of the history, likewise",
    ("service/trials.py", "_tried"): "the same, for what is tried on it",
    ("service/tasks.py", "_answer"): "how long ago a task was seen, which is shown",
    ("service/once.py", "decide_now"): "the time of a reading that is printed",
    ("service/journal.py", "boot_id"): "macOS: what differs from boot to boot",
}
# Without an argument, the last two mean the present.
CLOCKS = {"time", "time_ns", "gmtime", "localtime"}


def looks(source: str) -> Iterator[str]:
    """The innermost function around each look at the wall clock; empty outside of any."""
    yield from _looks_below(ast.parse(source), "")


def _looks_below(node: ast.AST, function: str) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        function = node.name
    if _is_look(node):
        yield function
    if isinstance(node, ast.Call) and node.args and _is_conversion(node.func):
        yield from (look for arg in node.args for look in _looks_below(arg, function))
        return
    for child in ast.iter_child_nodes(node):
        yield from _looks_below(child, function)


def _is_conversion(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr in ("gmtime", "localtime")


def _is_look(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="time"), attr=name):
            return name in CLOCKS or name == "CLOCK_REALTIME"
        case ast.Attribute(attr="boot_time"):  # the clock's now less how long the machine has run
            return True
        case ast.ImportFrom(module="time", names=names):
            return any(one.name in CLOCKS | {"CLOCK_REALTIME"} for one in names)
        case ast.Import(names=names):
            return any(one.name == "datetime" for one in names)
        case ast.ImportFrom(module="datetime"):
            return True
        case _:
            return False


def test_nothing_that_ends_a_lease_looks_at_the_wall_clock() -> None:
    found = {
        (str(path.relative_to(ADMISSION)), function)
        for room in ("core", "service")
        for path in (ADMISSION / room).rglob("*.py")
        for function in looks(path.read_text(encoding="utf-8"))
    }
    assert found == set(MAY_LOOK)


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        ("def f():\n    return time.time() + 5", ["f"]),
        ("def f(clock=time.time):\n    pass", ["f"]),
        ("from time import time", [""]),
        ("import datetime", [""]),
        ("from datetime import datetime", [""]),
        ("now = time.clock_gettime(time.CLOCK_REALTIME)", [""]),
        ("name = time.strftime('%Y', time.gmtime())", [""]),
        ("def f(at):\n    return time.strftime('%Y', time.gmtime(at))", []),
        ("def f():\n    return time.gmtime(time.time())", ["f"]),
        ("def f():\n    return time.monotonic() + time.clock_gettime(time.CLOCK_BOOTTIME)", []),
    ],
)
def test_a_look_is_found(planted: str, found: list[str]) -> None:
    assert list(looks(planted)) == found
