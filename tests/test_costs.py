"""What things cost, by counts that are the same on any machine, so that a change that makes them
dearer is seen by whoever makes it. What they cost in time, `make bench` says.

Each bound is a little above what is counted today. Who comes below it by much lowers it.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

import pytest

from scripts.bench.decision import Queue
from tests.clients.commands import PROGRAM
from tests.system.stage import Stage
from tests.system.tracing import traced

# --- the core -------------------------------------------------------------------------------------

TURNS = 20
# Functions called, Python's and those written in C, and bytecode instructions.
LONE_CALLS_MAX = 235
LONE_STEPS_MAX = 2_860
QUEUED_CALLS_MAX = 400
QUEUED_STEPS_MAX = 4_900


class Steps:
    """Counts the bytecode instructions, and the calls, of what runs while it is entered."""

    def __init__(self) -> None:
        self.instructions = 0
        self.calls = 0

    def __enter__(self) -> "Steps":
        self._before = sys.gettrace(), sys.getprofile()
        sys.setprofile(self._profile)
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before[0])
        sys.setprofile(self._before[1])

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self.instructions += event == "opcode"
        return self._trace

    def _profile(self, _: FrameType, event: str, __: object) -> None:
        self.calls += event in ("call", "c_call")


def steps_of_turns(waiting: int, groups: int) -> Steps:
    queue = Queue(waiting, groups)
    queue.turn()  # what is only looked up once
    with Steps() as steps:
        for _ in range(TURNS):
            queue.turn()
    return steps


@pytest.mark.parametrize("groups", [1, 100])
def test_who_is_next_is_not_searched_for_among_those_who_wait(groups: int) -> None:
    few, many = steps_of_turns(10, groups), steps_of_turns(10_000, groups)
    assert few.calls / TURNS <= QUEUED_CALLS_MAX
    assert few.instructions / TURNS <= QUEUED_STEPS_MAX
    assert many.instructions <= 1.5 * few.instructions
    assert many.calls <= 1.5 * few.calls


def test_a_lease_that_nobody_waits_for_takes_the_core_few_steps() -> None:
    queue = Queue(0, 1)
    queue.pair()
    with Steps() as steps:
        for _ in range(TURNS):
            queue.pair()
    assert steps.calls / TURNS <= LONE_CALLS_MAX
    assert steps.instructions / TURNS <= LONE_STEPS_MAX


# --- the daemon -----------------------------------------------------------------------------------

PAIRS = 200
PAIR_SYSCALLS_MAX = 14
# Whatever is imported stays in memory for as long as the daemon lives. So much is neither its own
# nor brought along by what it is built on.
BUILT_ON = "import msgspec, psutil, sqlite3, tomllib, trio"
DAEMON_MODULES_MAX = 13
DAEMON_NEEDS_NOT = "anyio argparse asyncio concurrent.futures difflib doctest email"
DAEMON_NEEDS_NOT += " fractions http http.client importlib.metadata importlib.resources"
DAEMON_NEEDS_NOT += " logging.config logging.handlers mcp multiprocessing optparse pdb pickle"
DAEMON_NEEDS_NOT += " pkg_resources pydoc pytest statistics unittest urllib.request xml zipfile"
DAEMON_NEEDS_NOT += " admission.service.checkup admission.simulation"

# Names of the machine's own: the C library and the interpreter wait for locks as chance has it.
BY_CHANCE = ("futex(", "sched_yield(", "restart_syscall(")


@contextmanager
def staged() -> Iterator[Stage]:
    """A folder whose path is short enough for a Unix socket, which pytest's own is not."""
    made = tempfile.TemporaryDirectory(prefix="adm-", dir="/tmp")
    with made as folder, Stage(Path(folder)) as stage:
        yield stage


def pair_counts(log: str) -> list[int]:
    """The system calls of each pair, from one answer to a release to the next."""
    counts: list[int] = []
    calls = answers = 0
    for line in log.splitlines():
        if line.startswith(BY_CHANCE) or "(" not in line:
            continue
        calls += 1
        answers += line.startswith(("sendto(", "sendmsg("))
        if answers == 2:
            counts.append(calls)
            calls = answers = 0
    return counts


@pytest.mark.skipif(sys.platform != "linux", reason="strace is Linux's")
def test_a_pair_takes_the_daemon_few_system_calls() -> None:
    """Of the thread of the event loop, at the median: a sample now and then is none of them."""
    with staged() as stage:
        stage.serve()
        log = stage.folder / "calls"
        with stage.client() as client:
            client.ask("hello")
            with traced(stage, log=str(log), threads=False) as tracer:
                for _ in range(PAIRS):
                    client.ask("release", {"lease": client.ask("acquire")["lease"]})
                tracer.terminate()
                tracer.wait()
        counts = pair_counts(log.read_text())
    assert len(counts) >= PAIRS - 2
    assert median(counts) <= PAIR_SYSCALLS_MAX


# --- imports --------------------------------------------------------------------------------------

# What is in the script that an installation makes is not ours: see `run` in docs/performance.md.
RUN_MODULES_MAX = 30


def imported(said: str) -> set[str]:
    """What Python imports, as `-X importtime` says."""
    rows = [row.split("|") for row in said.splitlines() if row.startswith("import time:")]
    return {row[-1].strip() for row in rows}


def imports_of(*words: str, env: dict[str, str] | None = None) -> set[str]:
    line = [sys.executable, "-P", "-X", "importtime", *words]
    done = subprocess.run(line, capture_output=True, text=True, check=True, env=env)
    return imported(done.stderr)


def bare() -> set[str]:
    """An installation may import by itself, so what is counted is what we add to nothing."""
    return imports_of("-c", "pass")


def test_run_imports_few_modules() -> None:
    with staged() as stage:
        stage.serve()
        ours = imports_of("-c", PROGRAM, "run", "--", "true", env=stage.env) - bare()
    assert "admission_client.hold" in ours
    assert len(ours) <= RUN_MODULES_MAX, sorted(ours)


def test_the_daemon_imports_nothing_that_it_does_not_need() -> None:
    """By what it has imported a lease later."""
    with staged() as stage:
        started = stage.run("serve", "--detach", PYTHONPROFILEIMPORTTIME="1")
        stage.daemon_pid = int(stage.socket.with_suffix(".lock").read_text())
        with stage.client() as client:
            client.ask("release", {"lease": client.ask("acquire")["lease"]})
            client.ask("status")
        ours = imported(started.stderr + stage.log.read_text())
    assert "admission.service.daemon" in ours
    of_a_fleet = [one for one in ours if one.startswith(("admission.service.fleet", "httpx2"))]
    assert of_a_fleet == [], "it is alone"
    assert sorted((ours - bare()) & {*DAEMON_NEEDS_NOT.split()}) == []
    extra = {one for one in ours - imports_of("-c", BUILT_ON) if not one.startswith("admission")}
    assert len(extra) <= DAEMON_MODULES_MAX, sorted(extra)
