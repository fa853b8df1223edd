"""The Python examples, each run as somebody would who copied it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from admission_client.granted import mapping, whole
from tests.clients.daemons import CONFIG, Daemon

EXAMPLES = Path(__file__).parents[2] / "examples" / "python"
# The pool `agents`, on machines of any size.
NO_BUDGET = "[throttle.budget]\nenabled = false\n"

Program = subprocess.Popen[str]
Start = Callable[..., Program]


@pytest.fixture
def daemon(folder: Path) -> Iterator[Daemon]:
    daemon = Daemon(folder)
    daemon.config.write_text(CONFIG + NO_BUDGET)
    daemon.start()
    daemon.ask("level", set=2)
    yield daemon
    daemon.end()
    assert "Traceback" not in "".join(daemon.said)


@pytest.fixture
def start(daemon: Daemon, folder: Path) -> Iterator[Start]:
    """Starts an example by its name."""
    with ExitStack() as stack:

        def started(name: str, *words: str) -> Program:
            program = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-P", EXAMPLES / name, *words],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=os.environ | {"ADMISSION_SOCKET": daemon.path},
                    cwd=folder,
                )
            )
            stack.callback(program.kill)
            return program

        yield started


def line_of(program: Program) -> str:
    assert program.stdout is not None
    return program.stdout.readline().rstrip("\n")


def ends(program: Program) -> tuple[int, list[str]]:
    """Its status, and what it still printed."""
    said, _ = program.communicate()
    return program.returncode, said.splitlines()


def test_an_autopilot_starts_once_the_machine_can_bear_it(daemon: Daemon, start: Start) -> None:
    assert ends(start("startup_check.py", ".", "0", "1")) == (75, ["not now: level 2 (medium)"])
    patient = start("startup_check.py", ".")
    daemon.ask("level", set=1)
    assert ends(patient) == (0, ["start up to 3 agents"])


@pytest.mark.usefixtures("ctrl_c")
def test_an_orchestrator_that_looks_now_and_then_follows_the_level(
    daemon: Daemon, start: Start
) -> None:
    program = start("periodic_check.py", ".", "0.01")
    assert line_of(program) == "level 2 (medium): run 2 agents"
    daemon.ask("level", set=0)
    assert line_of(program) == "level 0 (normal): run 5 agents"
    program.send_signal(signal.SIGINT)
    assert ends(program) == (0, ["stopped"])


def test_tasks_are_run_with_pauses_between_them(daemon: Daemon, start: Start) -> None:
    daemon.ask("level", set=3)
    said = ["lint, with low effort", "test, with low effort"]
    assert ends(start("task_delays.py", ".", "lint", "test")) == (0, said)


def test_no_more_agents_run_than_the_level_allows(daemon: Daemon, start: Start) -> None:
    program = start("agent_spawn.py", "3", "cat")

    def is_full() -> bool:
        status = daemon.ask("status")
        in_use = whole(mapping(status, "in_use"), "agents")
        assert in_use <= 2
        return in_use == 2 and whole(mapping(status, "waiting"), "agents") == 1

    daemon.wait_until(is_full)
    status, said = ends(program)
    starts = [f"agent {number} starts at level 2" for number in (1, 2, 3)]
    assert (status, sorted(said[:3]), said[3:]) == (0, starts, ["3 of 3 went well"])
