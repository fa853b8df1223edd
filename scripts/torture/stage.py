"""A folder, the processes in it, and the daemon, which is started, stopped and killed again and
again; all of it ends with the stage.
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

import psutil

from scripts.torture.actors import CLI
from scripts.torture.reading import Rules
from scripts.torture.records import Book, now_s

CAPACITY: dict[str, tuple[int, ...]] = {"agents": (6, 4, 3, 2), "operations": (3, 2, 1, 1)}
DELAY_MS = (0, 10, 20, 40)
RULES = Rules(CAPACITY)
# Bounds that nothing reaches: only a hand changes the level, whatever the machine is doing.
# Nobody fills in, so that the judge need not know who may pass whom, and until when.
CONFIG = """
[queue]
fill_in_s = 0
[throttle]
memory_stall_pct = 0
[throttle.budget]
enabled = false
""" + "".join(
    f"""
[[throttle.levels]]
level = {level}
max_agents = {CAPACITY["agents"][level]}
max_concurrent = {CAPACITY["operations"][level]}
delay_ms = {DELAY_MS[level]}
memory_below_pct = 1000
cpu_below_pct = 1000
"""
    for level in range(4)
)
HIDDEN = ("ADMISSION_", "CLAUDE", "CODEX", "CI", "WVO_", "XDG_")
FAILED = 70
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# A daemon that does not serve for so long never will.
START_S = 60.0
# So many that end by themselves are no accident.
FAILURES_MAX = 5
LOG_CHARS_SHOWN = 2000


class Broken(Exception):
    """There is nothing to be tortured."""


class Stage:
    """See the module; `staged` makes one.

    Args:
        limit_s: no process of it lives longer, whatever happens to us.
    """

    def __init__(self, folder: Path, given_socket: str | None, limit_s: float, plant: str) -> None:
        self.folder = folder
        self.socket = Path(given_socket or folder / "run" / "a.sock")
        self.log = folder / "daemon.log"
        # What commands say on standard error.
        self.said = folder / "commands.log"
        self.plant = plant
        self._limit_s = round(limit_s)
        config = folder / "config.toml"
        config.write_text(CONFIG)
        outside = {name: it for name, it in os.environ.items() if not name.startswith(HIDDEN)}
        self.env = outside | {
            "ADMISSION_SOCKET": str(self.socket),
            "ADMISSION_CONFIG": str(config),
            "ADMISSION_AUTOSTART": "0",
            "XDG_STATE_HOME": str(folder / "state"),
        }
        self.book = Book(folder / "records.jsonl")

    def fork(self, act: Callable[[], None]) -> int:
        """Starts a process that does this and ends; its PID."""
        parent = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        status = FAILED
        try:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            _die_with(parent)
            signal.alarm(self._limit_s)  # holds behind an exec, too
            act()
            status = 0
        except BaseException as problem:  # noqa: BLE001 -- nothing of it may reach our caller
            self.book.note("failed", what=f"{problem!r}: {traceback.format_exc()}")
        finally:
            os._exit(status)

    def serve(self, *options: str) -> int:
        """Starts a daemon; its PID, before it serves."""

        def become() -> None:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.execve(sys.executable, [*self._daemon(), "serve", *options], self.env)

        return self.fork(become)

    def _daemon(self) -> list[str]:
        if self.plant:
            return [sys.executable, "-m", "scripts.torture.plants", self.plant]
        return CLI

    def knows(self, option: str) -> bool:
        """Whether `admission serve` has this option."""
        words = [*CLI, "serve", "--help"]
        said = subprocess.run(words, env=self.env, capture_output=True, text=True, check=False)
        return option in said.stdout

    def is_served_by(self, pid: int) -> bool:
        """Whether this daemon has the lock and takes connections."""
        with suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            who = self.socket.with_suffix(".lock").read_text().strip()
            sock.connect(str(self.socket))
            return who == str(pid)
        return False

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_CHARS_SHOWN:] if self.log.exists() else ""

    def tracebacks(self) -> list[str]:
        """What the daemons and the commands should not have said."""
        found: list[str] = []
        for path in (self.log, self.said):
            said = path.read_text(errors="replace") if path.exists() else ""
            found += [said[at.start() : at.start() + 2000] for at in re.finditer("Traceback", said)]
        return found


@contextmanager
def staged(given_socket: str | None, limit_s: float, plant: str) -> Iterator[Stage]:
    """A stage in a temporary folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="adm-torture-"))
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # whoever loses its parent is ours, to be found and ended
    try:
        stage = Stage(folder, given_socket, limit_s, plant)
        with stage.book:
            yield stage
    finally:
        end_children()
        shutil.rmtree(folder)


def end_children() -> None:
    """Whatever this process started, and what that started."""
    while children := psutil.Process().children(recursive=True):
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=5)


def _die_with(parent: int) -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it was gone before that
        os._exit(FAILED)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class Keeper:
    """The daemon's life. `tick` does what is due, and never waits."""

    def __init__(self, stage: Stage, dice: Random) -> None:
        self.counts: dict[str, int] = {}
        self.is_wild = False
        self._stage = stage
        self._dice = dice
        self._can_replace = stage.knows("--replace")
        self._leaving: set[int] = set()
        self._is_serving = False
        self._is_stopped = False
        self._due_at = 0.0
        self._started_at = 0.0
        self._failures = 0
        self.pid = 0

    @property
    def is_serving(self) -> bool:
        return self._is_serving and not self._is_stopped

    def tick(self) -> None:
        now = now_s()
        if self.pid == 0:
            self._start()
        elif not self._is_serving:
            self._look(now)
        elif now >= self._due_at:
            self._act(now)

    def ended(self, pid: int, status: int) -> bool:
        """A process has ended: whether it was a daemon."""
        if pid in self._leaving:
            self._leaving.remove(pid)
        elif pid == self.pid:
            self._fail(f"the daemon ended by itself, with {os.waitstatus_to_exitcode(status)}")
        else:
            return False
        if pid == self.pid:
            self.pid = 0
        return True

    # --- what is done to it -----------------------------------------------------------------------

    def _start(self, *options: str) -> None:
        self.pid = self._stage.serve(*options)
        self._is_serving = self._is_stopped = False
        self._started_at = now_s()
        # One in seven is killed while it starts, if that takes so long.
        dies_early = self.is_wild and not options and self._dice.random() < 0.15
        self._due_at = self._started_at + self._dice.uniform(0.1, 0.8) if dies_early else 0.0

    def _look(self, now: float) -> None:
        if self._stage.is_served_by(self.pid):
            self._is_serving = True
            self._due_at = now + self._dice.uniform(0.02, 0.9)
        elif 0 < self._due_at <= now and self.is_wild:
            self._end("killed while it starts", signal.SIGKILL)
        elif now > self._started_at + START_S:
            self._fail(f"the daemon does not serve after {START_S:g} s")
            self._end("given up", signal.SIGKILL)

    def _act(self, now: float) -> None:
        self._due_at = now + self._dice.uniform(0.02, 0.9)
        if self._is_stopped:
            os.kill(self.pid, signal.SIGCONT)
            self._is_stopped = False
        elif self.is_wild:
            self._be_wild()

    def _be_wild(self) -> None:
        roll = self._dice.random()
        if roll < 0.72:
            self._end("killed", signal.SIGKILL)
        elif roll < 0.80:
            self._end("told to end", signal.SIGTERM)
        elif roll < 0.86:
            os.kill(self.pid, signal.SIGSTOP)
            self._is_stopped = True
            self._note("stopped")
        elif roll < 0.93 or not self._can_replace:
            os.kill(self.pid, signal.SIGHUP)
            self._note("told to reload")
        else:
            self._note("replaced")
            self._leaving.add(self.pid)
            self._start("--replace")

    def _end(self, how: str, number: int) -> None:
        self._note(how)
        self._leaving.add(self.pid)
        os.kill(self.pid, number)
        self._is_serving = False
        self._due_at = 0.0
        # Another one is started once this one is reaped: see `ended`.

    def _fail(self, what: str) -> None:
        self._stage.book.note("failed", what=what)
        self._failures += 1
        if self._failures > FAILURES_MAX:
            raise Broken(f"{what}, again and again: {self._stage.last_words()}")

    def _note(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
        self._stage.book.note("daemon", pid=self.pid, what=what)
