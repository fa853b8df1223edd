"""Pressure that remains, on real processes: who is stopped goes on whatever happens, and who is
parked comes back. The bounds are such that the machine is under pressure at all times.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from admission_client import lease
from admission_client.granted import mapping
from tests.system.stage import CALM, Stage, View
from tests.system.test_doctor import examine, unwell

linux = pytest.mark.skipif(
    not os.path.exists("/proc/pressure/cpu"), reason="there is no /proc/pressure here"
)
# The shell, what it starts, and what that starts.
FAMILY = 'sh -c "sleep 600 & wait" & wait'
QUICK = "[throttle]\ninterval_s = 0.2\nfast_interval_s = 0.2\n"
FREEZE = f'{QUICK}[shed]\npolicy = ["freeze"]\nfreeze_cpu_stall_pct = 0\n'
LADDER = f'{QUICK}[shed]\npolicy = ["advise", "park"]\npark_every_s = 1\n'
PARK = f"{LADDER}advise_pct = 0.1\npark_pct = 0.1\n"
CALM_NOW = f"{LADDER}advise_pct = 100\npark_pct = 100\n"


def serve(stage: Stage, settings: str) -> None:
    stage.config.write_text(settings + CALM)
    stage.serve()


def reload(stage: Stage, settings: str) -> None:
    stage.config.write_text(settings + CALM)
    assert stage.run("reload").returncode == 0


def shed(view: View, name: str) -> list[object]:
    found = mapping(view.status, "shed")[name]
    assert isinstance(found, list)
    return found


def until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.02)


@contextmanager
def two(stage: Stage) -> Iterator[tuple[int, set[int]]]:
    """The older of two holders, and the tree of three of the younger one, which stands still."""
    serve(stage, QUICK)
    older = stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    younger = stage.spawn("run", "--", "sh", "-c", FAMILY)
    stage.until(lambda view: view.in_use() == 2)
    tree = psutil.Process(younger.pid)
    until(lambda: len(tree.children(recursive=True)) == 2)
    pids = {younger.pid, *(one.pid for one in tree.children(recursive=True))}
    reload(stage, FREEZE)
    until(lambda: are_stopped(pids))
    yield older.pid, pids


def are_stopped(pids: set[int]) -> bool:
    return all(psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in pids)


def run_again(pids: set[int]) -> bool:
    return all(psutil.Process(pid).status() != psutil.STATUS_STOPPED for pid in pids)


@linux
@pytest.mark.parametrize("how", ["SIGTERM", "SIGKILL"])
def test_a_tree_is_stopped_and_runs_again_whatever_becomes_of_the_daemon(
    empty_stage: Stage, how: str
) -> None:
    stage = empty_stage
    with two(stage) as (older, tree):
        assert run_again({older})
        if how == "SIGTERM":
            assert "stands still" in stage.run("status").stdout
        stage.kill_daemon(signal.Signals[how])
        until(lambda: run_again(tree))


def _killed_with_its_guardian(stage: Stage, tree: set[int]) -> None:
    """As a whole cgroup is: nobody is left who could have anybody go on."""
    guardian = psutil.Process(stage.daemon_pid).children()
    os.kill(stage.daemon_pid, signal.SIGSTOP)
    for one in guardian:
        one.kill()
    stage.kill_daemon()
    assert are_stopped(tree)


@linux
def test_what_nobody_was_left_for_is_named_by_the_doctor_and_runs_again(empty_stage: Stage) -> None:
    stage = empty_stage
    with two(stage) as (_, tree):
        _killed_with_its_guardian(stage, tree)
        assert "stopped 3 processes" in unwell(examine(stage)[1])["stopped"]
        assert are_stopped(tree)
        serve(stage, QUICK)
        until(lambda: run_again(tree))
        assert stage.look().in_use() == 2
        assert not stage.socket.with_suffix(".stopped").exists()


def test_a_task_of_the_autopilot_is_parked_and_goes_on_and_the_oldest_stays(
    empty_stage: Stage,
) -> None:
    """It ends by SIGTERM, with all that it started, and its second command has the third lease."""
    stage = empty_stage
    serve(stage, CALM_NOW)
    os.mkfifo(stage.folder / "end")
    lasting = "echo $ADMISSION_LEASE >> ran; sh -c 'read line < end'"
    tasks = [
        {"task": name, "command": lasting, "resume_command": f"echo {name} again >> ran"}
        for name in ("this", "that")
    ]
    (stage.folder / "tasks.txt").write_text("\n".join(map(json.dumps, tasks)))
    pilot = stage.spawn("autopilot", "--agents=2", "--results=results.jsonl", "tasks.txt")
    stage.until(lambda view: view.in_use() == 2)
    until(lambda: sorted(_lines(stage, "ran")) == ["1", "2"])
    reload(stage, PARK)
    until(lambda: len(_lines(stage, "ran")) == 3)
    parked = _lines(stage, "ran")[2].removesuffix(" again")
    assert stage.socket.with_suffix(".advice").read_text().endswith("begin nothing large\n")
    with open(stage.folder / "end", "w") as end:
        end.write("\n")
    said = pilot.communicate()[1].decode()
    assert pilot.returncode == 0, said
    assert f"{parked}: parked, as memory is short; it goes on" in said
    results = {one["task"]: one["lease"] for one in map(json.loads, _lines(stage, "results.jsonl"))}
    assert results[parked] == 3
    assert sorted(results.values()) == [1, 3]
    assert shed(stage.look(), "parked") == []  # it was come back for


def _lines(stage: Stage, name: str) -> list[str]:
    path = stage.folder / name
    return path.read_text().splitlines() if path.exists() else []


def test_a_command_gets_the_signal_that_it_asked_for_and_an_interactive_one_none(
    empty_stage: Stage,
) -> None:
    stage = empty_stage
    serve(stage, CALM_NOW)
    older = stage.spawn("run", "--park-signal=TERM", "--", "cat")
    stage.until(lambda view: view.in_use() == 1)
    younger = stage.spawn("run", "--park-signal=USR1", "--", "cat")
    stage.until(lambda view: view.in_use() == 2)
    with stage.client() as client:
        client.ask("acquire", {"interactive": True, "parkable": True})
        critical = client.ask("acquire", {"class": "critical", "parkable": True})
        reload(stage, PARK)
        assert younger.wait() == -signal.SIGUSR1
        assert older.wait() == -signal.SIGTERM
        # Of those that are left one has nobody beside it, and the other is interactive.
        stage.until(lambda view: shed(view, "parked") == [2, 1])
        assert shed(stage.look(), "parking") in ([], [critical["lease"]])


def test_the_body_of_a_lease_is_told_to_end_and_its_lease_is_parked(
    empty_stage: Stage,
) -> None:
    stage = empty_stage
    serve(stage, PARK)
    stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    asked, why = threading.Event(), []

    def note(reason: str) -> None:
        why.append(reason)
        asked.set()

    with lease(socket=str(stage.socket), on_park=note) as held:
        asked.wait()
    assert "is at or above 0.1 %" in why[0]
    assert shed(stage.look(), "parked") == [held.id]
    with lease(socket=str(stage.socket), resumes=held.id):
        assert shed(stage.look(), "parked") == []
