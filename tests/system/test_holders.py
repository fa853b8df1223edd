"""A slot comes back when its holder is gone, however it went, and not before."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from admission_client.granted import words_of
from tests.system.stage import CALM, COMMAND, Stage, View, stopped

# Forks a child that outlives it, and says its number.
FORKS = "import os,sys,time\nif os.fork(): time.sleep(600)\nprint(os.getpid(), flush=True)\n"


def _fill(stage: Stage, *options: str) -> "list[subprocess.Popen[bytes]]":
    """Five holders, all that level 0 takes."""
    holders = [stage.hold(*options) for _ in range(5)]
    stage.until(lambda view: view.in_use() == 5)
    return holders


def _await_queue(stage: Stage, *waiters: "subprocess.Popen[bytes]") -> View:
    return stage.until(lambda view: view.waiters == [waiter.pid for waiter in waiters])


def _await_grant(stage: Stage, waiter: "subprocess.Popen[bytes]") -> View:
    return stage.until(lambda view: waiter.pid in view.holders)


def _await_end(stage: Stage, holder: "subprocess.Popen[bytes]") -> View:
    return stage.until(lambda view: holder.pid not in view.holders)


def test_a_holder_ended_by_sigkill_lets_the_next_waiter_in(stage: Stage) -> None:
    holders = _fill(stage)
    waiter = stage.hold()
    _await_queue(stage, waiter)
    holders[2].kill()
    view = _await_grant(stage, waiter)
    assert holders[2].pid not in view.holders
    assert view.in_use() == 5


def test_a_holder_whose_parent_is_killed_keeps_its_slot_until_it_ends_itself(stage: Stage) -> None:
    # A shell gives what it puts into the background no standard input, unless told to.
    script = f"exec 3<&0; {shlex.join(COMMAND)} run -- cat <&3 & wait"
    read_end, write_end = os.pipe()
    shell = subprocess.Popen(["/bin/sh", "-c", script], stdin=read_end, env=stage.env)
    os.close(read_end)
    view = stage.until(lambda view: view.in_use() == 1)
    (holder,) = view.holders
    assert holder != shell.pid
    shell.kill()
    shell.wait()
    os.kill(holder, 0)  # it lives on, and so does its lease
    assert stage.look().holders == {holder}
    os.close(write_end)
    stage.until(lambda view: view.in_use() == 0)


def test_a_holder_that_execs_again_keeps_its_lease(stage: Stage) -> None:
    holder = stage.spawn("run", "--", "sh", "-c", "exec sh -c 'exec cat'")
    stage.until(lambda view: view.holders == {holder.pid})
    assert holder.stdin is not None
    holder.stdin.write(b"still here\n")
    holder.stdin.flush()
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"still here\n"
    assert stage.look().holders == {holder.pid}
    holder.kill()
    stage.until(lambda view: view.in_use() == 0)


def test_children_that_outlive_a_holder_do_not_keep_its_slot(stage: Stage) -> None:
    holder = stage.spawn("run", "--", sys.executable, "-c", FORKS)
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    holder.kill()
    stage.until(lambda view: view.in_use() == 0)
    os.kill(child, signal.SIGKILL)


def test_a_stopped_holder_still_holds_and_is_shown_as_stopped(empty_stage: Stage) -> None:
    stage = empty_stage
    stage.config.write_text(f"{CALM}[limits]\nstopped_s = 0.001\n")
    stage.serve()
    holder = stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    with stopped(holder.pid):
        view = _poll(stage, lambda view: bool(view.leases[0]["stopped_s"]))
        assert view.holders == {holder.pid}
        line = stage.run("leases").stdout.splitlines()[1]
        assert (str(holder.pid) in line, "stopped" in line) == (True, True)
        (alarm,) = _stops_told(stage.look())
        assert f"process {holder.pid} has been stopped for" in alarm
        assert f"kill -CONT {holder.pid}" in alarm
    view = _poll(stage, lambda view: view.leases[0]["stopped_s"] is None)
    assert view.holders == {holder.pid}
    assert _stops_told(view) == []


def _stops_told(view: View) -> list[str]:
    return [one for one in words_of(view.status, "degraded") if "stopped" in one]


def _poll(stage: Stage, holds: Callable[[View], bool]) -> View:
    """That a process is stopped is no news that the daemon could tell."""
    while not holds(view := stage.look()):
        time.sleep(0.01)
    return view


def test_a_waiter_killed_in_the_step_of_its_grant_loses_no_slot(stage: Stage) -> None:
    holders = _fill(stage)
    for _ in range(10):
        first = stage.hold()
        _await_queue(stage, first)
        second = stage.hold()
        _await_queue(stage, first, second)
        with stopped(stage.daemon_pid):  # so that it learns of both ends at once
            holders[0].kill()
            first.kill()
            holders[0].wait()
            first.wait()
        _await_grant(stage, second)
        holders = [*holders[1:], second]
    view = stage.look()
    assert view.in_use() == 5
    assert view.waiting == []


def test_a_smaller_capacity_takes_nothing_away_and_grants_nothing_until_it_fits(
    stage: Stage,
) -> None:
    holders = _fill(stage)
    waiter = stage.hold()
    _await_queue(stage, waiter)
    stage.set_level(2)
    view = stage.look()
    assert view.in_use() == 5
    assert view.overcommitted() == 3
    assert "agents is overcommitted by 3" in stage.run("status").stdout
    for _ in range(3):
        holder = holders.pop()
        holder.kill()
        view = _await_end(stage, holder)
        assert view.waiters == [waiter.pid]
    assert view.in_use() == 2
    holders.pop().kill()
    view = _await_grant(stage, waiter)
    assert view.in_use() == 2
    assert view.overcommitted() == 0


def test_a_daemon_killed_and_restarted_finds_its_holders_and_their_ends(stage: Stage) -> None:
    holders = _fill(stage)
    stage.env["ADMISSION_AUTOSTART"] = "0"  # else the waiter would start one itself
    waiter = stage.hold("--wait", "60s")
    _await_queue(stage, waiter)
    stage.kill_daemon()
    holders[0].kill()
    holders[0].wait()
    stage.serve()
    view = _await_grant(stage, waiter)
    assert view.holders == {waiter.pid, *(holder.pid for holder in holders[1:])}


REUSE = Path(__file__).with_name("reuse_pid.py")


def _may_unshare() -> bool:
    command = ["unshare", "-p", "-f", "--mount-proc", "test", "-w", "/proc/sys/kernel/ns_last_pid"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not _may_unshare(), reason="no PID namespace can be had on this machine")
def test_a_reused_pid_is_not_mistaken_for_the_holder_nor_for_an_orphan(empty_stage: Stage) -> None:
    judged = subprocess.run(
        ["unshare", "-p", "-f", "--mount-proc", "--kill-child", sys.executable, str(REUSE)],
        env=empty_stage.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stderr
    assert judged.stdout.splitlines() == ["reused", "gone", "ended, spared"]
