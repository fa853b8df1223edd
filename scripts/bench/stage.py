"""A folder, a daemon in it, and whatever else a benchmark starts: all of it ends with the stage."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from admission.protocol import AdmissionError, Frame
from admission_client import Client

ROOT = Path(__file__).parents[2]
COMMAND = str(Path(sys.executable).with_name("admission"))
START_S = 10.0
POLL_S = 0.002
LOG_CHARS_SHOWN = 4000

# Nothing waits but in the pools `one` and `few`, and no load changes the level. `many` is for more
# leases than the memory budget of `agents` lets out at once.
POOLS = """
[pools.one]
capacity = 1
[pools.few]
capacity = 5
[pools.many]
capacity = 1000
"""
CONFIG = POOLS + "".join(
    f"""
[[throttle.levels]]
level = {level}
max_agents = 1000
max_concurrent = 1000
delay_ms = 0
memory_below_pct = 1000
cpu_below_pct = 1000
"""
    for level in range(4)
)

Process = subprocess.Popen[str]


class Broken(Exception):
    """What was to be measured did not work."""


class Stage:
    """See the module; `staged` makes one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = str(folder / "a.sock")
        self._log = folder / "log"
        self._log.touch()
        hidden = ("ADMISSION_", "WVO_", "XDG_", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")
        outside = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        self.env = outside | {
            "ADMISSION_SOCKET": self.socket,
            "ADMISSION_AUTOSTART": "0",
            "XDG_STATE_HOME": str(folder / "state"),
        }

    def start(self, *words: str) -> Process:
        """Starts a program whose lines on standard output can be read."""
        with self._log.open("a") as log:
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.env,
                cwd=ROOT,
                start_new_session=True,  # Ctrl-C is for us alone
            )

    def play(self, role: str, *words: str) -> Process:
        """Starts a role of `scripts.bench.roles`; returns once it has said its first line."""
        process = self.start(sys.executable, "-m", "scripts.bench.roles", role, *words)
        self.line(process)
        return process

    def line(self, process: Process) -> str:
        """What a process says next."""
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Broken(f"{process.args!r} ended: {self._said()}")
        return line

    def serve(self) -> int:
        """Starts the daemon; its PID, once it answers."""
        process = self.launch()
        self.until(lambda status: True)
        return process.pid

    def launch(self) -> Process:
        """Starts the daemon."""
        config = self.folder / "config.toml"
        config.write_text(CONFIG)
        return self.start(COMMAND, "serve", "--socket", self.socket, "--config", str(config))

    def until(self, holds: Callable[[Frame], bool]) -> None:
        """Asks for the daemon's status until it is as it should be."""
        give_up_at = time.monotonic() + START_S
        with Client(self.socket) as client:
            while time.monotonic() < give_up_at:
                try:
                    if holds(client.ask("status")):
                        return
                except AdmissionError:
                    pass  # it does not answer yet
                time.sleep(POLL_S)
        raise Broken(f"the daemon is not where it should be after {START_S:g} s: {self._said()}")

    def wait_until(self, holds: Callable[[], bool], whose: str) -> None:
        """Looks again and again until it is so."""
        give_up_at = time.monotonic() + START_S
        while not holds():
            if time.monotonic() > give_up_at:
                raise Broken(f"{whose} is not there after {START_S:g} s: {self._said()}")
            time.sleep(POLL_S)

    def check(self) -> None:
        """Nothing of what was started failed on the way."""
        if "Traceback" in (words := self._said()):
            raise Broken(f"something failed on the way: {words}")

    def _said(self) -> str:
        return self._log.read_text()[-LOG_CHARS_SHOWN:] or "it said nothing"


@contextmanager
def staged() -> Iterator[Stage]:
    """A stage in a folder of its own, in memory, as a daemon's is as a rule: of its journal's cost
    the disk is no part.
    """
    in_memory = [os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{os.getuid()}", "/dev/shm"]
    parent = next((one for one in in_memory if one and os.access(one, os.W_OK)), None)
    folder = Path(tempfile.mkdtemp(prefix="adm-", dir=parent))
    try:
        stage = Stage(folder)
        yield stage
        stage.check()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # nothing interrupts the tidying
        _end_children()
        shutil.rmtree(folder)
        catch_signals()


def catch_signals() -> None:
    """Whatever ends us politely ends us by way of `finally`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def _end_children() -> None:
    """Whatever this process started, also what a signal kept it from noting down."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        child.kill()
    psutil.wait_procs(children)


def cpu_s(pid: int) -> float:
    """What a process, with all its threads, has spent on CPUs so far; to the nanosecond."""
    # Its CPU clock, as clock_getcpuclockid(3) makes it, for which Python has no name.
    return time.clock_gettime((~pid << 3) | 2)


def progress(text: str) -> None:
    """One line, drawn again and again, for whoever watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
