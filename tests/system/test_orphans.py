"""What outlives its lease is found, and ended if somebody asks for it; nothing else ever is."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from shutil import which

import psutil
import pytest

from admission.protocol import Frame
from admission_client.granted import claim_fields, rows, text, whole
from tests.system.stage import CALM, COMMAND, Stage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells marks and shares")

# Ends at once, and leaves one behind that says its number.
LEAVES = 'sleep 600 & echo "$!"'
# One that SIGTERM does not end.
STUBBORN = (
    "import os,signal;signal.signal(signal.SIGTERM, signal.SIG_IGN)\nif os.fork():os._exit(0)"
)
STUBBORN += "\nprint(os.getpid(),flush=True)\nwhile True: signal.pause()"


@contextmanager
def left_by(stage: Stage, *command: str) -> Iterator[int]:
    """A process that the command left behind, its lease ended."""
    starter = stage.spawn("run", "--task", "refactor", "--", *command)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.wait()
    stage.until(lambda view: starter.pid not in view.holders)
    with gone_at_last(pid):
        # While it becomes another program, its environment reads empty for an instant.
        while not rows(ask(stage, pid), "survivors"):
            pass
        yield pid


@contextmanager
def gone_at_last(pid: int) -> Iterator[None]:
    """The process ends with the test, which its group need not do."""
    try:
        yield
    finally:
        if is_there(pid):
            os.kill(pid, signal.SIGKILL)


def is_there(pid: int) -> bool:
    """Whether it runs: what it left to its new parent to bury does not count."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def ask(stage: Stage, *pids: int) -> Frame:
    with stage.client() as client:
        return client.ask("orphans", {"pids": list(pids)})


def test_what_outlived_its_lease_is_found_and_ended(stage: Stage) -> None:
    with left_by(stage, "sh", "-c", LEAVES) as pid:
        (found,) = rows(ask(stage), "survivors")
        assert (found["pid"], found["task"], found["memory"]) == (pid, "refactor", "pss")
        assert text(found, "evidence").startswith("started under lease 1 (refactor), which ended")
        shown = stage.run("orphans").stdout
        assert "1 process outlived a lease" in shown
        ended = stage.run("orphans", "--stop", "--yes")
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.splitlines()[-1] == f"{pid} ended: by SIGTERM"
        assert not is_there(pid)
    assert stage.run("orphans", "--stop", "--yes").stdout.startswith("nothing outlived its lease\n")


def test_nothing_is_ended_without_a_word_from_a_person(stage: Stage) -> None:
    with left_by(stage, "sh", "-c", LEAVES) as pid:
        refused = stage.run("orphans", "--stop")
        assert refused.returncode == 2
        assert "there is no terminal to ask on; add --yes" in refused.stderr
        for answer, stays in ((b"n\n", True), (b"\n", True), (b"y\n", False)):
            terminal, end = pty.openpty()
            asking = stage.spawn("orphans", "--stop", stdin=end)
            os.close(end)
            assert asking.stderr is not None
            assert asking.stderr.read(len(b"end this process? [y/N] ")).endswith(b"[y/N] ")
            os.write(terminal, answer)
            assert asking.wait() == 0
            os.close(terminal)
            assert is_there(pid) == stays


def test_one_that_does_not_hear_is_killed_after_its_grace(stage: Stage) -> None:
    with left_by(stage, sys.executable, "-c", STUBBORN) as pid:
        ended = stage.run("orphans", "--stop", "--yes", "--grace", "50ms")
        assert ended.stdout.splitlines()[-1] == f"{pid} killed: by SIGKILL"
        assert not is_there(pid)


def test_one_that_is_stopped_ends_all_the_same(stage: Stage) -> None:
    with left_by(stage, "sh", "-c", LEAVES) as pid:
        os.kill(pid, signal.SIGSTOP)
        ended = stage.run("orphans", "--stop", "--yes")
        assert ended.stdout.splitlines()[-1] == f"{pid} ended: by SIGTERM"


def test_no_process_is_touched_that_is_not_proven_to_be_one(stage: Stage) -> None:
    holder = stage.spawn("run", "--", "sh", "-c", f"setsid {LEAVES}; exec cat")
    assert holder.stdout is not None
    at_work = int(holder.stdout.readline())
    (held,) = stage.until(lambda view: view.in_use() == 1).leases
    other = stage.folder / "other.sock"
    with ExitStack() as stack:
        stack.enter_context(gone_at_last(at_work))
        left = stack.enter_context(left_by(stage, "sh", "-c", LEAVES))
        ended = str(rows(ask(stage, left), "survivors")[0]["lease"])
        marks = [
            {"ADMISSION_LEASE": str(held["lease"])},  # of a lease that is out
            {"ADMISSION_LEASE": "99"},  # never given out
            {"ADMISSION_LEASE": ended, "ADMISSION_SOCKET": str(other)},
            {},
        ]
        strangers = [stack.enter_context(_stranger(stage, mark)) for mark in marks]
        for one in strangers:
            stack.callback(one.kill)
        pids = [at_work, holder.pid, stage.daemon_pid, *(one.pid for one in strangers)]
        assert [one["pid"] for one in rows(ask(stage), "survivors")] == [left]
        refused = stage.run("orphans", "--stop", "--yes", *map(str, pids))
        assert refused.returncode == 1
        assert [f"{pid} is none: " in refused.stdout for pid in pids] == [True] * len(pids)
        assert stage.run("orphans", "--stop", "--yes").returncode == 0
        assert all(map(is_there, pids))
        assert not is_there(left)


def _stranger(stage: Stage, env: dict[str, str]) -> "subprocess.Popen[bytes]":
    outside = {name: value for name, value in stage.env.items() if name != "ADMISSION_LEASE"}
    return subprocess.Popen(["sleep", "600"], env=outside | env)


def test_one_that_left_its_session_and_cleared_its_environment_is_remembered(
    empty_stage: Stage,
) -> None:
    stage = empty_stage
    stage.config.write_text(f"{CALM}[throttle]\nfast_interval_s = 0.2\n")
    stage.serve()
    hides = f'{which("env")} -i {which("setsid")} {which("sleep")} 600 & echo "$!"; exec cat'
    with subprocess.Popen(["sleep", "600"]) as other, stage.client() as client:
        # While any lease follows a tree, each sample looks at all processes.
        client.acquire(claim_fields(pid=other.pid, bound="tree"), 0)
        holder = stage.spawn("run", "--task", "refactor", "--", "sh", "-c", hides)
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        with gone_at_last(other.pid), gone_at_last(pid):
            while psutil.Process(pid).name() != "sleep":
                pass
            for _ in zip(range(4), client.watch(["sample"]), strict=False):
                pass
            assert rows(ask(stage, pid), "survivors") == []  # its lease is out
            holder.kill()
            stage.until(lambda view: holder.pid not in view.holders)
            (found,) = rows(ask(stage), "survivors")
            said = "descends from the holder of lease 2 (refactor), which ended"
            assert (found["pid"], text(found, "evidence")[: len(said)]) == (pid, said)
            ended = stage.run("orphans", "--stop", "--yes")
            assert ended.stdout.splitlines()[-1] == f"{pid} ended: by SIGTERM"
            assert not is_there(pid)


def test_an_agent_without_a_lease_is_named_and_never_ended(stage: Stage) -> None:
    agent = stage.folder / "claude"
    agent.symlink_to(which("sleep") or "/bin/sleep")
    with subprocess.Popen([str(agent), "600"]) as process:
        found = [one for one in rows(ask(stage), "agents") if one["pid"] == process.pid]
        assert [(one["name"], one["lease"]) for one in found] == [("claude", None)]
        shown = stage.run("orphans").stdout
        assert "under no lease, which --stop never touches" in shown
        assert f"{process.pid}  claude" in shown
        ended = stage.run("orphans", "--stop", "--yes", str(process.pid))
        assert ended.returncode == 0
        assert process.poll() is None
        process.kill()


def test_whoever_runs_the_command_is_spared(stage: Stage) -> None:
    """A shell that outlived its lease asks, and goes on."""
    script = stage.folder / "asks.sh"
    command = " ".join(COMMAND)
    script.write_text(
        f'echo "$$"\nread go\n{command} orphans --stop --yes "$$"\necho "still here"\n'
    )
    read_end, write_end = os.pipe()
    starter = stage.spawn("run", "--", "sh", "-c", f"exec 3<&0; sh {script} <&3 &", stdin=read_end)
    os.close(read_end)
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.wait()
    stage.until(lambda view: view.in_use() == 0)
    os.write(write_end, b"go\n")
    os.close(write_end)
    said = starter.stdout.read().decode()
    assert f"{pid} left alone: this command runs below it" in said
    assert said.endswith("still here\n")


def test_the_lease_of_an_earlier_daemon_is_one_that_ended(stage: Stage) -> None:
    with left_by(stage, "sh", "-c", LEAVES) as pid:
        stage.kill_daemon()
        stage.serve()
        (found,) = rows(ask(stage), "survivors")
        said = (found["pid"], found["evidence"])
        assert said == (pid, "started under lease 1, which has ended")
        assert stage.run("orphans", "--stop", "--yes").returncode == 0
        assert not is_there(pid)


def test_run_tells_the_command_which_daemon_it_asked(stage: Stage) -> None:
    shown = stage.run("run", "--", "sh", "-c", 'echo "$ADMISSION_SOCKET"')
    assert shown.stdout == f"{stage.socket}\n"
    del stage.env["ADMISSION_SOCKET"]  # what is told is a path that means the same everywhere
    relative = os.path.relpath(stage.socket, stage.folder)
    shown = stage.run("run", "--socket", relative, "--", "sh", "-c", 'echo "$ADMISSION_SOCKET"')
    assert shown.stdout == f"{stage.socket}\n"


SETPRIV = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def _may_be_another() -> bool:
    command = [*SETPRIV, "true"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not _may_be_another(), reason="this user may not become another (setpriv)")
def test_another_users_process_is_left_alone(stage: Stage) -> None:
    with left_by(stage, *SETPRIV, "sh", "-c", LEAVES) as pid:
        (found,) = rows(ask(stage), "survivors")
        assert (whole(found, "pid"), whole(found, "uid")) == (pid, 65534)
        refused = stage.run("orphans", "--stop", "--yes")
        assert refused.returncode == 1
        assert f"{pid} left alone: it is another user's" in refused.stdout
        assert is_there(pid)
