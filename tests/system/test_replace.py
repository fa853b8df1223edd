"""One daemon after the other, under load: nobody loses a lease, a place or a wait by it."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from admission_client.granted import whole
from tests.system.stage import RECORDER, Stage, intervals, most_at_once, stopped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc, uses pidfds")

# Holds a lease that is bound to its connection, and takes it up again on a new one whenever the
# daemon goes away. Says so, and which fencing token it has.
RESUMER = """
import sys, trio
from admission.protocol import Unreachable
from admission_client import aio

async def main():
    async with aio.Client(sys.argv[1]) as client:
        lease = await client.ask("acquire", {"pool": "agents", "bound": "connection"})
        print("holds", lease["fence"], flush=True)
        while True:
            try:
                async for _ in client.watch(["level"]):
                    pass
            except Unreachable:
                pass
            await client._reconnect(10.0)
            again = {"lease": lease["lease"], "secret": lease["secret"]}
            found = await client.ask("resume", again)
            print("holds", found["fence"], flush=True)

trio.run(main)
"""


def _replace(stage: Stage) -> int:
    """Replaces the daemon; the PID of the one before."""
    before = stage.daemon_pid
    stage.serve("--replace")
    assert stage.daemon_pid != before
    return before


@contextmanager
def _resumer(stage: Stage) -> "Iterator[subprocess.Popen[str]]":
    words = [sys.executable, "-c", RESUMER, str(stage.socket)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def _first_to_end(processes: "list[subprocess.Popen[bytes]]") -> "subprocess.Popen[bytes]":
    if sys.platform != "linux":
        raise NotImplementedError
    pidfds = [os.pidfd_open(one.pid) for one in processes]
    select.select(pidfds, [], [])
    for pidfd in pidfds:
        os.close(pidfd)
    return next(one for one in processes if one.poll() is not None)


def test_where_none_runs_it_serves(empty_stage: Stage) -> None:
    empty_stage.serve("--replace")
    assert empty_stage.look().in_use() == 0


def test_three_times_in_a_row_holders_waiters_and_connections_go_on(stage: Stage) -> None:
    stage.set_level(1)  # three at a time, also for those who follow
    with _resumer(stage) as resumer:
        assert resumer.stdout is not None
        held = resumer.stdout.readline()
        holders = [stage.hold(), stage.hold()]
        stage.until(lambda view: view.in_use() == 3)
        waiters = []
        for number in range(6):
            ran = str(stage.folder / f"{number}.ran")
            waiters.append(stage.spawn("run", "--", sys.executable, "-c", RECORDER, ran, "0.1"))
            stage.until(lambda view: view.waiters == [one.pid for one in waiters])
        for _ in range(3):
            _replace(stage)
            assert resumer.stdout.readline() == held
            stage.until(lambda view: view.waiters == [one.pid for one in waiters])
            assert stage.look().holders == {resumer.pid, *[one.pid for one in holders]}
        for one in holders:
            one.kill()
        _replace(stage)  # while they run, too
        for one in waiters:
            assert one.wait() == 0, one.stderr and one.stderr.read()
        stage.until(lambda view: view.holders == {resumer.pid})
    begun = [float((stage.folder / f"{n}.ran").read_text().split()[0]) for n in range(6)]
    assert most_at_once(list(intervals(stage.folder))) <= 2
    # Two start together, and a process may take longer to begin than the one behind it.
    assert all(begun[later] > begun[n] for n in range(6) for later in range(n + 2, 6))
    stage.until(lambda view: view.status["granted"] == view.status["ended"])


@pytest.mark.parametrize("detach", [True, False])
def test_of_two_at_once_exactly_one_serves(stage: Stage, detach: bool) -> None:
    holder = stage.hold()
    stage.until(lambda view: view.holders == {holder.pid})
    options = ("--detach",) if detach else ()
    rivals = [stage.spawn("serve", "--replace", *options) for _ in range(2)]
    if detach:
        # Each was told that a daemon serves, or that another was quicker.
        assert {one.wait() for one in rivals} <= {0, 75}
    else:
        ended = _first_to_end(rivals)  # it made way for the other, or found it quicker
        assert ended.returncode in (0, 75)
    with stage.client() as client:
        client._reconnect(10.0)
        pid = whole(client.ask("hello"), "pid")
    assert int(stage.socket.with_suffix(".lock").read_text()) == pid
    assert stage.look().holders == {holder.pid}
    refused = stage.run("serve")
    assert (refused.returncode, f"process {pid}" in refused.stderr) == (75, True)


def test_all_that_can_fail_fails_before_the_other_one_is_asked_to_end(stage: Stage) -> None:
    with stage.client() as client:
        pid = client.ask("hello")["pid"]
        good = stage.config.read_text()
        stage.config.write_text("[pools]\none = {capacty = 1}\n")
        assert stage.run("serve", "--replace").returncode == 78
        stage.config.write_text(good)
        stage.socket.parent.chmod(0o755)
        assert stage.run("serve", "--replace", "--detach").returncode == 77
        stage.socket.parent.chmod(0o700)
        stage.log.rename(stage.log.with_suffix(".kept"))
        stage.log.symlink_to("/dev/null")
        refused = stage.run("serve", "--replace", "--detach")
        assert (refused.returncode, "can't be opened" in refused.stderr) == (77, True)
        journal = stage.socket.with_suffix(".journal")
        journal.rename(journal.with_suffix(".kept"))
        journal.mkdir()
        refused = stage.run("serve", "--replace")
        assert (refused.returncode, "can't be read" in refused.stderr) == (69, True)
        assert client.ask("hello")["pid"] == pid


def test_one_that_is_asked_to_end_before_it_serves_ends_tidily(empty_stage: Stage) -> None:
    """So whoever started it is not told that it failed, only because another was quicker."""
    stage = empty_stage
    lock = stage.socket.with_suffix(".lock")
    starting = stage.spawn("serve")
    while not lock.exists() or lock.read_text() != f"{starting.pid}\n":
        assert starting.poll() is None
    starting.terminate()
    _, said = starting.communicate()
    assert starting.returncode == 0
    assert b"SIGTERM: ending; 0 granted" in said


def test_ctrl_c_ends_the_wait_for_a_daemon_that_is_stopped(stage: Stage) -> None:
    """And what was asked for is not taken back: that one ends as soon as it runs again."""
    pid = stage.daemon_pid
    with stopped(pid):
        waiting = stage.spawn("serve", "--replace")
        while signal.SIGTERM not in _pending(pid):
            assert waiting.poll() is None
        os.killpg(waiting.pid, signal.SIGINT)
        assert waiting.wait() == -signal.SIGINT


def _pending(pid: int) -> list[int]:
    """The signals that this process has not taken yet."""
    line = next(
        one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if "ShdPnd" in one
    )
    mask = int(line.split()[1], 16)
    return [number for number in range(1, 65) if mask >> (number - 1) & 1]


def test_a_second_daemon_says_who_serves(stage: Stage) -> None:
    refused = stage.run("serve")
    assert refused.returncode == 75
    assert refused.stderr.endswith(
        f"a daemon serves {stage.socket} already (process {stage.daemon_pid}); it is left alone\n"
    )
    assert stage.look().in_use() == 0
