"""A daemon that is killed between two system calls, that is one of ten, or that is told to end
whatever it is doing.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from admission.protocol import AdmissionError, Frame, Unreachable
from admission_client import Client
from admission_client.granted import rows, whole
from tests.system.stage import CALM, COMMAND, Stage, stopped
from tests.system.tracing import strace, traced

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="traces others, uses pidfds")

Process = subprocess.Popen[bytes]
ONE = "[pools.one]\ncapacity = 1\n"


def serving(stage: Stage) -> int:
    """The PID of whoever serves; waits for somebody to."""
    while True:
        with suppress(Unreachable), stage.client() as client:
            return whole(client.ask("hello"), "pid")
        time.sleep(0.01)


# --- killed between two system calls --------------------------------------------------------------


class Book:
    """What one client was told, and what it can't know, whatever daemon it talked to."""

    def __init__(self) -> None:
        self.fences: list[int] = []
        self.held: list[int] = []
        self.asked: bytes | None = None  # a request without an answer
        self.leaving: int | None = None  # a release without one
        self._numbers = count(1)

    def use(self, client: Client) -> None:
        """Takes and gives back, oldest first, until the daemon is no more."""
        while True:
            self.asked = next(self._numbers).to_bytes(16, "big")
            self.take(client, request=self.asked)
            if len(self.held) > 2:
                self.leaving = self.held.pop(0)
                client.ask("release", {"lease": self.leaving})
                self.leaving = None

    def take(self, client: Client, **fields: object) -> int:
        told = client.ask("acquire", {"bound": "process", "wait_s": 0, **fields})
        self.asked = None
        self.fences.append(whole(told, "fence"))
        self.held.append(whole(told, "lease"))
        return self.held[-1]

    def settle(self, client: Client) -> None:
        """The next daemon knows what was told, and of the rest at most what was under way."""
        found = {whole(one, "lease") for one in rows(client.ask("leases", AGENTS), "leases")}
        assert found >= {*self.held}, "a lease was lost"
        untold = found - {*self.held, self.leaving}
        if self.asked is not None:
            again = self.take(client, request=self.asked)
            assert untold <= {again}, "granted twice"
            untold.discard(again)
        assert not untold
        for lease in {*self.held, *found}:
            client.ask("release", {"lease": lease})
        self.take(client, weight=5)  # no slot was lost
        client.ask("release", {"lease": self.held[-1]})
        self.held, self.leaving = [], None


AGENTS: Frame = {"pool": "agents"}
CALLS = [("write", 3), ("sendto", 2)]


def test_a_daemon_killed_at_any_call_has_granted_nothing_twice_and_lost_nothing(
    empty_stage: Stage,
) -> None:
    """At the n-th call since it was asked for something. Beside that, two wait all the while."""
    stage = empty_stage
    stage.config.write_text(CALM + ONE)
    stage.env["ADMISSION_AUTOSTART"] = "0"
    stage.serve()
    holder = stage.hold("--pool", "one")
    stage.until(lambda view: view.holders == {holder.pid})
    waiters: list[Process] = []
    for _ in range(2):
        waiters.append(stage.hold("--pool", "one"))
        stage.until(lambda view: view.waiters == [one.pid for one in waiters])
    book = Book()
    for call, times in CALLS:
        for number in range(1, times + 1):
            inject = f"inject={call}:signal=SIGKILL:when={number}"
            with traced(stage, "-e", f"trace={call}", "-e", inject) as tracer:
                with suppress(Unreachable), stage.client() as client:
                    book.use(client)
                tracer.wait()  # until then, what it traced may still be about to end
            stage.serve()
            with stage.client() as client:
                book.settle(client)
    view = stage.until(lambda view: view.waiters == [one.pid for one in waiters])
    assert view.holders == {holder.pid}
    assert book.fences == sorted(set(book.fences)), "a fence came twice, or went back"
    for one in waiters:
        holder.kill()
        stage.until(lambda view, pid=one.pid: view.holders == {pid})  # type: ignore[misc]
        holder = one


@pytest.mark.parametrize("call", ["rename", "listen"])
def test_a_daemon_killed_while_it_takes_over_has_changed_nothing(stage: Stage, call: str) -> None:
    holders = {stage.hold().pid for _ in range(2)}
    fence = max(whole(one, "fence") for one in stage.until(lambda v: v.in_use() == 2).leases)
    stage.kill_daemon()
    inject = f"inject={call}:signal=SIGKILL:when=1"
    words = [*strace("-e", f"trace={call}", "-e", inject), *COMMAND, "serve"]
    tried = stage.start(*words)
    _, said = tried.communicate()
    if b"ptrace" in said:
        pytest.skip(f"nothing can be traced: {said.decode()}")
    assert tried.returncode == -signal.SIGKILL, said
    stage.serve()
    assert stage.look().holders == holders
    with stage.client() as client:
        assert whole(client.ask("acquire"), "fence") > fence


# --- one of ten -----------------------------------------------------------------------------------


def test_of_ten_daemons_at_once_one_serves(stage: Stage) -> None:
    """Beside the socket and the lock of one that was killed, the first time of one that held a
    lease; the second time of the one that served in the first.
    """
    stage.env["ADMISSION_AUTOSTART"] = "0"
    holder = stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    stage.kill_daemon()
    for _ in range(2):
        assert stage.socket.exists()
        daemons = {one.pid: one for one in (stage.spawn("serve") for _ in range(10))}
        winner = daemons.pop(serving(stage))
        assert {one.wait() for one in daemons.values()} == {75}
        assert serving(stage) == winner.pid
        assert int(stage.socket.with_suffix(".lock").read_text()) == winner.pid
        assert stage.look().holders == {holder.pid}
        winner.kill()
        winner.wait()


# --- told to end ----------------------------------------------------------------------------------


def end_tidily(daemon: Process) -> str:
    """What it said. It ends with 0, and leaves neither socket nor traceback."""
    _, said = daemon.communicate()
    assert (daemon.returncode, b"Traceback" in said) == (0, False), said.decode()
    return said.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_told_to_end_under_load_keeps_its_leases_for_the_next(
    empty_stage: Stage, number: int
) -> None:
    """Told several times, and to read its configuration before, between and after."""
    stage = empty_stage
    daemon = stage.spawn("serve")
    assert serving(stage) == daemon.pid
    holders = {stage.hold().pid for _ in range(5)}
    stage.until(lambda view: view.in_use() == 5)
    load = [stage.spawn("run", "--quiet", "--", "true") for _ in range(6)]
    stage.until(lambda view: bool(view.waiting))
    for one in (signal.SIGHUP, number, signal.SIGHUP, number):
        daemon.send_signal(one)
    said = end_tidily(daemon)
    assert f"{signal.Signals(number).name}: ending; 5 granted, 0 ended, 5 held" in said
    following = stage.spawn("serve", "--replace")  # one of the load may have started one as well
    while serving(stage) != following.pid:
        assert following.poll() is None
    assert stage.look().holders >= holders
    for pid in holders:
        os.kill(pid, signal.SIGKILL)
    assert [one.wait() for one in load] == [0] * 6
    stage.until(lambda view: view.in_use() == 0)
    following.terminate()
    end_tidily(following)
    assert not stage.socket.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_told_to_end_while_it_starts_ends_tidily(
    empty_stage: Stage, number: int
) -> None:
    """It has its lock, and is about to read its configuration again, which waits for a writer."""
    stage = empty_stage
    good, pipe = stage.config.read_text(), stage.config
    pipe.unlink()
    os.mkfifo(pipe)
    daemon = stage.spawn("serve")
    pipe.write_text(good)  # it reads it before it takes the lock as well
    lock = stage.socket.with_suffix(".lock")
    while not lock.exists() or lock.read_text() != f"{daemon.pid}\n":
        assert daemon.poll() is None
    for one in (signal.SIGHUP, number, number):
        daemon.send_signal(one)
    with pipe.open("w") as writing:
        pipe.unlink()
        pipe.write_text(good)
        writing.write(good)
    said = end_tidily(daemon)
    assert "the configuration was read anew" in said
    assert f"{signal.Signals(number).name}: ending; 0 granted" in said
    assert not stage.socket.exists()


def test_a_daemon_that_is_told_to_end_again_while_it_ends_ends_tidily(empty_stage: Stage) -> None:
    """It hangs in what it says of its end, as nobody reads that."""
    stage = empty_stage
    reading, writing = os.pipe()
    daemon = stage.spawn("serve", stderr=writing)
    assert serving(stage) == daemon.pid
    os.close(writing)
    fill_pipe(reading)
    daemon.terminate()
    while is_writing(daemon.pid) != "0x2":
        assert daemon.poll() is None
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        daemon.send_signal(number)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    assert (daemon.wait(), "Traceback" in said) == (0, False)
    assert "SIGTERM: ending; 0 granted" in said
    assert not stage.socket.exists()


def fill_pipe(reading: int) -> None:
    """By a descriptor of its own, which alone does not block."""
    writing = os.open(f"/proc/self/fd/{reading}", os.O_WRONLY | os.O_NONBLOCK)
    for size in (4096, 1):
        with suppress(BlockingIOError):
            while os.write(writing, b"\n" * size):
                pass
    os.close(writing)


def is_writing(pid: int) -> str:
    """The first argument of the call that a process is in: of a write its descriptor."""
    try:
        words = Path(f"/proc/{pid}/syscall").read_text().split()
    except OSError as problem:
        pytest.skip(f"it can't be seen what a process waits for: {problem}")
    return words[1] if len(words) > 2 else ""


def test_one_that_is_told_to_end_while_it_waits_to_take_over_starts_nothing(stage: Stage) -> None:
    holder = stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    with stopped(stage.daemon_pid):
        waiting = stage.spawn("serve", "--replace")
        while f"process {stage.daemon_pid}, which serves" not in said_so_far(waiting):
            assert waiting.poll() is None
        waiting.terminate()
        assert waiting.wait() == -signal.SIGTERM  # it has nothing to tidy
    # The other one was asked to end, and does; the next goes on from there.
    with suppress(AdmissionError, ProcessLookupError):
        os.kill(stage.daemon_pid, signal.SIGTERM)
    while Path(f"/proc/{stage.daemon_pid}").exists():
        time.sleep(0.01)
    stage.serve()
    assert stage.look().holders == {holder.pid}


def said_so_far(process: Process) -> str:
    assert process.stderr is not None
    return process.stderr.readline().decode()
