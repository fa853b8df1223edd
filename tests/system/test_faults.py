"""Faults of the machine, provoked for real: a full disk, no descriptors left, a daemon that is
suspended, killed at any system call, started ten times at once, or told to end in the middle.
"""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from admission.protocol import Unavailable, Unreachable
from admission_client.granted import words_of
from tests.system.stage import Stage, View, end_process, stopped

DISK_BYTES = 256 * 1024


def _degraded(view: View) -> str:
    return "; ".join(words_of(view.status, "degraded"))


# --- the disk -------------------------------------------------------------------------------------


@pytest.fixture
def on_a_small_disk(empty_stage: Stage) -> Iterator[Stage]:
    """A daemon whose folder is a file system of its own, which can be filled."""
    folder = empty_stage.socket.parent
    folder.mkdir(mode=0o700)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here; tests/service/test_journal_writing.py is")
    try:
        empty_stage.serve()
        yield empty_stage
    finally:
        empty_stage.__exit__()
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(folder: Path) -> Path:
    other = folder / "somebody else's"
    with other.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(512)):
            pass
    return other


def _fill_until_refused(stage: Stage) -> Path:
    """The journal is written anew where it does not fit, and what it took before is room again."""
    while True:
        other = _fill(stage.socket.parent)
        if stage.run("run", "--no-wait", "--", "true").returncode:
            return other


def test_on_a_full_disk_nothing_is_granted_and_releases_go_on_and_it_recovers_by_itself(
    on_a_small_disk: Stage,
) -> None:
    stage = on_a_small_disk
    holders = [stage.hold("--task", f"holder {number}") for number in range(3)]
    stage.until(lambda view: view.in_use() == 3)
    other = _fill_until_refused(stage)
    refused = stage.run("run", "--no-wait", "--", "true")
    assert refused.returncode == 69
    assert "the journal can't be written" in refused.stderr
    waiter = stage.hold("--task", "waiter")
    view = stage.until(lambda view: view.waiters == [waiter.pid])
    assert "can't be written: no lease is granted" in _degraded(view)
    holders[0].kill()
    view = stage.until(lambda view: view.in_use() == 2)
    assert view.waiters == [waiter.pid]
    other.unlink()
    view = stage.until(lambda view: waiter.pid in view.holders)
    assert "journal" not in _degraded(view)
    stage.kill_daemon()
    stage.serve()
    assert stage.look().holders == {holders[1].pid, holders[2].pid, waiter.pid}


# --- descriptors ----------------------------------------------------------------------------------


def _limit(pid: int, limits: tuple[int, int] | None = None) -> tuple[int, int]:
    """Sets how many descriptors a process may have; what it was before."""
    if sys.platform != "linux":
        raise NotImplementedError
    if limits is None:
        return resource.prlimit(pid, resource.RLIMIT_NOFILE)
    return resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@pytest.mark.skipif(sys.platform != "linux", reason="another process's limits are Linux's to set")
def test_without_descriptors_nobody_is_let_in_and_all_goes_on_when_there_are_some(
    stage: Stage,
) -> None:
    holder = stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    before = _limit(stage.daemon_pid)
    with ExitStack() as stack:
        inside = stack.enter_context(stage.client())
        inside.ask("hello")
        numbers = map(int, os.listdir(f"/proc/{stage.daemon_pid}/fd"))
        _limit(stage.daemon_pid, (max(numbers) + 1, before[1]))
        outside = [stack.enter_context(stage.client()) for _ in range(20)]
        refused = 0
        for client in outside:  # some fit into the gaps
            try:
                client.ask("hello")
            except Unavailable:
                refused += 1
        assert refused
        assert inside.ask("status")["held"] == 1
        _limit(stage.daemon_pid, before)
        for client in outside:
            client.ask("hello")
    holder.kill()
    stage.until(lambda view: view.in_use() == 0)
    assert stage.log.read_text().count("no connection can be taken") < 100, "it spins"


# --- a daemon that is suspended -------------------------------------------------------------------


def test_a_daemon_that_was_suspended_has_missed_nothing(stage: Stage) -> None:
    assert stage.run("level", "2").returncode == 0
    holders = [stage.hold("--task", name) for name in ("dies", "lives")]
    stage.until(lambda view: view.in_use() == 2)
    first = stage.hold("--task", "first")
    stage.until(lambda view: view.waiters == [first.pid])
    with stopped(stage.daemon_pid):
        end_process(holders[0].pid, signal.SIGKILL)
        second = stage.hold("--task", "second")
        gone = stage.hold("--task", "gone")
        end_process(gone.pid, signal.SIGKILL)
    view = stage.until(lambda view: view.waiters == [second.pid])
    assert view.holders == {holders[1].pid, first.pid}
    assert "sensors" not in _degraded(view)


# --- a daemon that is killed at any system call ---------------------------------------------------


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace on this machine")
@pytest.mark.parametrize("call", ["write", "sendto"])
def test_a_daemon_killed_at_any_call_has_granted_no_slot_twice_and_lost_none(
    empty_stage: Stage, call: str
) -> None:
    """What the client was told holds; a lease that it was not told of ends with it."""
    stage = empty_stage
    fences: list[int] = []
    for number in (1, 2, 3, 5, 8):
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        # Only from when it serves: so it is attached to, and not started by it.
        stage.serve()
        tracer = stage.start(
            "strace", "-f", "-q", "-o", os.devnull, "-e", f"trace={call}", "-e", inject,
            "-p", str(stage.daemon_pid), stderr=subprocess.PIPE,
        )  # fmt: skip
        _wait_until_traced(stage.daemon_pid)
        daemon = stage.daemon_pid
        with stage.client() as client:
            try:
                while True:
                    reply = client.ask("acquire", {"bound": "process"})
                    fences.append(int(str(reply["fence"])))
                    client.ask("release", {"lease": reply["lease"]})
            except Unreachable:
                pass
        tracer.wait()
        assert not Path(f"/proc/{daemon}/fd").exists() or not os.listdir(f"/proc/{daemon}/fd")
        stage.serve()
        view = stage.look()
        assert view.in_use() <= 1
        with stage.client() as client:
            for lease in view.leases:
                client.ask("release", {"lease": lease["lease"]})
            reply = client.ask("acquire", {"weight": 5, "wait_s": 0})
            fences.append(int(str(reply["fence"])))
        stage.until(lambda view: view.in_use() == 0)
        stage.kill_daemon()
    assert fences == sorted(set(fences)), "a fence came twice, or went back"


def _wait_until_traced(pid: int) -> None:
    while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
        os.sched_yield()


# --- many daemons ---------------------------------------------------------------------------------


@pytest.mark.parametrize("start", range(2))
def test_of_ten_daemons_at_once_one_serves(empty_stage: Stage, start: int) -> None:
    stage = empty_stage
    for _ in range(2):
        daemons = [stage.spawn("serve") for _ in range(10)]
        statuses = []
        serving = list(daemons)
        while len(serving) > 1:
            pid, status = os.waitpid(-1, 0)
            ended = next((one for one in serving if one.pid == pid), None)
            if ended is not None:
                ended.returncode = os.waitstatus_to_exitcode(status)
                statuses.append(ended.returncode)
                serving.remove(ended)
        assert statuses == [75] * 9
        (winner,) = serving
        while True:
            with suppress(Unreachable), stage.client() as client:
                assert client.ask("hello")["pid"] == winner.pid
                break
        end_process(winner.pid, signal.SIGKILL if start else signal.SIGTERM)
        winner.wait()


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_told_to_end_under_load_keeps_its_leases_for_the_next(
    empty_stage: Stage, number: int
) -> None:
    stage = empty_stage
    daemon = stage.spawn("serve", stderr=subprocess.DEVNULL)
    while True:
        with suppress(Unreachable), stage.client() as client:
            client.ask("hello")
            break
    stage.daemon_pid = daemon.pid
    holders = [stage.hold() for _ in range(5)]
    stage.until(lambda view: view.in_use() == 5)
    load = [stage.spawn("run", "--quiet", "--", "true") for _ in range(10)]
    stage.until(lambda view: len(view.waiting) > 3)
    daemon.send_signal(signal.SIGHUP)
    daemon.send_signal(number)
    daemon.send_signal(signal.SIGHUP)
    with suppress(ProcessLookupError):
        daemon.send_signal(number)
    assert daemon.wait() == 0
    again = stage.spawn("serve", "--detach")
    assert again.wait() in (0, 75)  # one that waits may have been quicker
    assert {one.pid for one in holders} <= stage.look().holders
    for holder in holders:
        holder.kill()
    assert [one.wait() for one in load] == [0] * 10
    stage.until(lambda view: view.in_use() == 0)


def test_one_that_is_told_to_end_while_its_journal_fails_ends_tidily(
    on_a_small_disk: Stage,
) -> None:
    stage = on_a_small_disk
    holder = stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    other = _fill_until_refused(stage)
    stage.kill_daemon(signal.SIGTERM)
    assert "SIGTERM: ending; " in stage.log.read_text()
    other.unlink()
    stage.serve()
    assert stage.look().holders == {holder.pid}
