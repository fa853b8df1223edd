"""A daemon whose socket another process has made, as systemd does, and which tells it how it is.
What hands over and listens is the test's own: it needs no systemd.
"""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from admission.service.place import who_listens
from tests.system.stage import COMMAND, Stage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")

# Becomes a command that finds this descriptor as its third, as systemd hands it over.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="admission.socket")
os.execv(sys.argv[2], sys.argv[2:])
"""
ACTIVATOR = (sys.executable, "-c", ACTIVATE)


class Systemd:
    """Listens in the daemon's place, and to what it tells."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.process: subprocess.Popen[str]
        stage.socket.parent.mkdir(mode=0o700, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(stage.socket))
        self.listener.listen()
        self.told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.told.bind(str(stage.folder / "notify"))

    @contextmanager
    def activated(self, *options: str) -> Iterator["subprocess.Popen[str]"]:
        with subprocess.Popen(
            [*ACTIVATOR, str(self.listener.fileno()), *COMMAND, "serve", *options],
            pass_fds=[self.listener.fileno()],
            env=self.stage.env | {"NOTIFY_SOCKET": str(self.stage.folder / "notify")},
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            self.process = process
            try:
                yield process
            finally:
                process.kill()

    def hear(self) -> list[str]:
        """The next that is told, other than how many run by now."""
        while (lines := self._hear())[0].startswith("STATUS="):
            pass
        return lines

    def _hear(self) -> list[str]:
        while not select.select([self.told], [], [], 0.1)[0]:
            if self.process.poll() and self.process.stderr:
                raise AssertionError(f"it ended: {self.process.stderr.read()}")
        return self.told.recv(4096).decode().splitlines()


@pytest.fixture
def systemd(empty_stage: Stage) -> Iterator[Systemd]:
    made = Systemd(empty_stage)
    with made.listener, made.told:
        yield made


def test_a_daemon_serves_the_socket_it_is_handed_and_tells_how_it_is(systemd: Systemd) -> None:
    stage = systemd.stage
    # Whoever connects first waits in the socket until the daemon serves.
    early = stage.spawn("run", "--", "cat", env={"ADMISSION_AUTOSTART": "0"})
    with systemd.activated() as daemon:
        ready = systemd.hear()
        assert ready[0] == "READY=1"
        assert ready[1] in ("STATUS=0 agents at level 0", "STATUS=1 agents at level 0")
        assert ready[2] == f"MAINPID={daemon.pid}"
        stage.until(lambda view: view.holders == {early.pid})
        assert stage.socket.stat().st_mode & 0o777 == 0o600
        assert who_listens(stage.socket) == os.getpid(), "systemd's it stays"
        daemon.send_signal(signal.SIGHUP)
        assert [line.split("=")[0] for line in systemd.hear()] == ["RELOADING", "MONOTONIC_USEC"]
        assert systemd.hear()[0] == "READY=1"
        daemon.send_signal(signal.SIGTERM)
        stopping = systemd.hear()
        assert stopping[0] == "STOPPING=1"
        assert "1 held and kept in the journal" in stopping[1]
        assert daemon.wait() == 0
    assert stage.socket.exists(), "it is systemd's to remove"
    assert {one.name for one in stage.socket.parent.iterdir()} == {"a.sock", "a.lock", "a.journal"}
    with systemd.activated():
        systemd.hear()
        assert stage.look().holders == {early.pid}


def test_a_configuration_that_is_refused_leaves_it_ready(systemd: Systemd) -> None:
    with systemd.activated() as daemon:
        systemd.hear()
        systemd.stage.config.write_text("nonsense = 1")
        daemon.send_signal(signal.SIGHUP)
        assert systemd.hear()[0] == "RELOADING=1"
        assert systemd.hear()[0] == "READY=1"
        assert daemon.poll() is None


def test_one_that_goes_to_the_background_says_which_process_it_is(systemd: Systemd) -> None:
    with systemd.activated("--detach") as starter:
        ready = systemd.hear()
        pid = int(ready[2].removeprefix("MAINPID="))
        assert pid != starter.pid
        with systemd.stage.client() as client:
            assert client.ask("hello")["pid"] == pid
        assert starter.wait() == 0


def test_the_service_takes_over_from_a_daemon_that_started_by_itself(empty_stage: Stage) -> None:
    """As when it is installed: systemd puts its own socket in the place of the daemon's."""
    stage = empty_stage
    stage.serve()
    holder = stage.hold("--weight", "5")
    stage.until(lambda view: view.holders == {holder.pid})
    waiter = stage.hold()
    stage.until(lambda view: view.waiters == [waiter.pid])
    stage.socket.unlink()
    made = Systemd(stage)
    with made.listener, made.told, made.activated("--replace") as daemon:
        assert made.hear()[0] == "READY=1"
        stage.daemon_pid = daemon.pid
        assert stage.socket.exists()
        with stage.client() as client:
            assert client.ask("hello")["pid"] == daemon.pid
        stage.until(lambda view: (view.holders, view.waiters) == ({holder.pid}, [waiter.pid]))
        holder.kill()
        stage.until(lambda view: view.holders == {waiter.pid})
        # And nobody takes that over by hand: the next connection would start it again.
        refused = stage.run("serve", "--replace")
        assert refused.returncode == 75
        assert "as systemd does, and starts it by itself" in refused.stderr
        assert daemon.poll() is None


def test_one_by_hand_leaves_a_socket_alone_at_which_systemd_listens(systemd: Systemd) -> None:
    refused = systemd.stage.run("serve")
    assert refused.returncode == 75
    assert "if it is systemd, it starts the daemon by itself" in refused.stderr
    assert systemd.stage.socket.exists()


def test_what_is_of_no_use_does_not_keep_it_from_serving(empty_stage: Stage) -> None:
    stage = empty_stage
    with subprocess.Popen(
        [*ACTIVATOR, "0", *COMMAND, "serve"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=stage.env | {"NOTIFY_SOCKET": "/nonexistent"},
    ) as process:
        assert process.stderr is not None
        said = [process.stderr.readline() for _ in range(3)]
        assert "what systemd hands over is of no use" in said[0]
        assert f"serving {stage.socket}" in said[1]
        assert "systemd can't be told READY=1" in said[2]
        process.kill()
