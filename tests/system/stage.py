"""One daemon of a test's own, and the commands that talk to it."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Self
from unittest.mock import patch

import psutil

from admission.protocol import Frame
from admission_client import Client, cli
from admission_client.granted import mapping, rows, whole
from tests.system.forge import Forge

COMMAND = [sys.executable, "-P", "-m", "admission_client.cli"]

# Bounds that nothing reaches: only a hand changes the level, whatever the machine is doing.
CALM = """
[[throttle.levels]]
level = 0
memory_below_pct = 1000
cpu_below_pct = 1000
[[throttle.levels]]
level = 1
memory_below_pct = 1000
cpu_below_pct = 1000
delay_ms = 10
[[throttle.levels]]
level = 2
memory_below_pct = 1000
cpu_below_pct = 1000
delay_ms = 20
[[throttle.levels]]
level = 3
delay_ms = 40
"""


class Stage:
    """A folder with a socket, a configuration, and whatever was started there; all of it ends
    with the test, and a daemon that printed a traceback fails it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "run" / "a.sock"
        self.config = folder / "config.toml"
        self.config.write_text(CALM)
        self.log = self.socket.with_suffix(".log")
        hidden = ("ADMISSION_", "CLAUDE", "CODEX", "CI", "WVO_", "XDG_")
        outside = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        self.env = outside | {
            "ADMISSION_SOCKET": str(self.socket),
            "ADMISSION_CONFIG": str(self.config),
            "XDG_STATE_HOME": str(folder / "state"),
        }
        self.daemon_pid = 0
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self._end_daemon()
        if self.log.exists():
            said = self.log.read_text(errors="replace")
            assert "Traceback" not in said, said

    def _end_daemon(self) -> None:
        """Also one that a command started by itself. A daemon that ended keeps its lock file."""
        lock = self.socket.with_suffix(".lock")
        if lock.exists() and (pid := lock.read_text().strip()):
            with suppress(psutil.NoSuchProcess, ProcessLookupError):
                if "serve" in psutil.Process(int(pid)).cmdline():
                    end_process(int(pid), signal.SIGKILL)

    # --- the daemon -----------------------------------------------------------------------------

    def serve(self, *options: str) -> None:
        """Starts a daemon, and returns when it serves."""
        forge = Forge.of_this_process()
        if forge.can_serve(self.env):
            status, said = forge.serve(self.env, self.folder, *options)
        else:
            started = self.run("serve", "--detach", *options)
            status, said = started.returncode, started.stderr
        assert status == 0, said
        self.daemon_pid = int(self.socket.with_suffix(".lock").read_text())

    def kill_daemon(self, number: int = signal.SIGKILL) -> None:
        """Ends it, and returns when it is gone."""
        end_process(self.daemon_pid, number)

    # --- commands -------------------------------------------------------------------------------

    def spawn(
        self,
        *words: str,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        env: dict[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> "subprocess.Popen[bytes]":
        """Starts `admission WORDS …` in a session of its own; `before` stands before all that."""
        line = (*before, *COMMAND, *words)
        return self.start(*line, stdin=stdin, stdout=stdout, stderr=stderr, env=env)

    def start(
        self,
        *line: str,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        env: dict[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> "subprocess.Popen[bytes]":
        """Starts any command in a session of its own; it is killed when the test ends."""
        process = subprocess.Popen(
            line,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=self.env | (env or {}),
            cwd=self.folder,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self._started.append(process)
        return process

    def run(self, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """`admission WORDS …`, to its end."""
        return subprocess.run(
            [*COMMAND, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.env | env,
            cwd=self.folder,
            check=False,
        )

    def call(self, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
        """The same in this process, which is fast: of what asks and answers, and becomes nobody."""
        said, told = StringIO(), StringIO()
        with (
            patch.dict(os.environ, self.env | env, clear=True),
            redirect_stdout(said),
            redirect_stderr(told),
        ):
            try:
                status = cli.main(list(words))
            except SystemExit as end:  # of argparse
                status = int(end.code or 0)
        return subprocess.CompletedProcess(words, status, said.getvalue(), told.getvalue())

    def hold(self, *options: str) -> "subprocess.Popen[bytes]":
        """A holder that lives until it is killed or its standard input is closed."""
        return self.spawn("run", *options, "--", "cat")

    # --- looking --------------------------------------------------------------------------------

    def client(self) -> Client:
        return Client(str(self.socket))

    def set_level(self, level: int) -> None:
        with self.client() as client:
            client.ask("level", {"set": level})

    def look(self) -> "View":
        with self.client() as client:
            return View(client.ask("status"), client.ask("leases"))

    def until(self, holds: "Callable[[View], bool]") -> "View":
        """Looks again at each piece of news, until it is as it should be."""
        with self.client() as client:
            for _ in client.watch(["lease", "queue", "level"]):
                if holds(view := self.look()):
                    return view
        raise AssertionError("the daemon went away")

    def look_until(self, holds: "Callable[[View], bool]") -> "View":
        """The same for what is no news: that a lease was taken up again."""
        while not holds(view := self.look()):
            time.sleep(0.02)
        return view


class View:
    """What `status` and `leases` say at one moment."""

    def __init__(self, status: Frame, leases: Frame) -> None:
        self.status = status
        self.leases = rows(leases, "leases")
        self.waiting = rows(leases, "waiting")

    def in_use(self, pool: str = "agents") -> int:
        return whole(mapping(self.status, "in_use"), pool)

    def overcommitted(self, pool: str = "agents") -> int:
        return whole(mapping(self.status, "overcommitted"), pool)

    @property
    def holders(self) -> set[int]:
        return {whole(lease, "pid") for lease in self.leases}

    @property
    def waiters(self) -> list[int]:
        return [whole(waiter, "pid") for waiter in self.waiting]

    def __repr__(self) -> str:
        return json.dumps({"status": self.status, "leases": self.leases, "waiting": self.waiting})


# What a command does that measures by itself when it ran: start and end on the one clock that all
# processes share. It stays for a while, which is its work and not the test's.
RECORDER = """
import sys, time
begun = time.clock_gettime(time.CLOCK_MONOTONIC)
time.sleep(float(sys.argv[2]))
ended = time.clock_gettime(time.CLOCK_MONOTONIC)
with open(sys.argv[1], "w") as file:
    file.write(f"{begun} {ended}")
"""


def intervals(folder: Path) -> Iterator[tuple[float, float]]:
    """When each recorder ran."""
    for path in folder.glob("*.ran"):
        begun, ended = path.read_text().split()
        yield float(begun), float(ended)


def most_at_once(found: list[tuple[float, float]]) -> int:
    """How many of these intervals overlap at the worst moment."""
    steps = sorted([(begun, 1) for begun, _ in found] + [(ended, -1) for _, ended in found])
    most = now = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def end_process(pid: int, number: int) -> None:
    """Signals a process, and returns when it has ended, whether or not it was buried since."""
    if sys.platform != "linux":
        os.kill(pid, number)
        psutil.Process(pid).wait()
        return
    pidfd = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(pidfd, number)
        select.select([pidfd], [], [])
    finally:
        os.close(pidfd)


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """While these processes can't do anything."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def now_s() -> float:
    return time.clock_gettime(time.CLOCK_MONOTONIC)
