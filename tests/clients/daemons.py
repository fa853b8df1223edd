"""A real daemon in a process of its own, for tests that speak with one."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from admission.protocol import Frame
from admission_client import Client
from admission_client.granted import mapping, rows, whole

COMMAND = [sys.executable, "-P", "-m", "admission_client.cli"]

# Bounds that nothing reaches: only a hand changes the level, whatever the machine is doing.
CONFIG = """
[throttle]
levels = [
  {level = 0, memory_below_pct = 1000, cpu_below_pct = 1000},
  {level = 1, memory_below_pct = 1000, cpu_below_pct = 1000, delay_ms = 0},
  {level = 2, memory_below_pct = 1000, cpu_below_pct = 1000, delay_ms = 0},
  {level = 3, delay_ms = 0},
]
[pools]
one = {capacity = 1}
two = {capacity = 2}
many = {capacity = 100}
shrinking = {capacity = [2, 2, 1, 1]}
"""


class Daemon:
    """One that can be killed and started again; what it says is kept in `said`."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "a.sock")
        self.config = folder / "config.toml"
        self.config.write_text(CONFIG)
        self.said: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        self._reader: Thread | None = None

    # --- its life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts it, unless it runs; returns when it serves."""
        if self._process is not None:
            return
        process = self._process = subprocess.Popen(
            [*COMMAND, "serve", "--socket", self.path, "--config", str(self.config)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        serves = Event()
        self._reader = Thread(target=self._listen, args=(process, serves), daemon=True)
        self._reader.start()
        serves.wait()
        if self._reader.is_alive():
            return
        raise AssertionError("".join(self.said))

    def _listen(self, process: "subprocess.Popen[str]", serves: Event) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self.said.append(line)
            if " serving " in line:
                serves.set()
        serves.set()  # it ended, and says why in `said`

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def end(self, number: int = signal.SIGTERM) -> None:
        """Ends it, and waits for its end."""
        if self._process is None or self._reader is None:
            return
        self._process.send_signal(number)
        self._process.wait()
        self._reader.join()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._process = None

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While it can't do anything."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def forget(self) -> None:
        """Ends it, and all that it remembers."""
        self.kill()
        with suppress(FileNotFoundError):
            Path(self.path).with_suffix(".journal").unlink()

    # --- what it says ---------------------------------------------------------------------------

    def ask(self, op: str, **fields: object) -> Frame:
        with Client(self.path) as client:
            return client.ask(op, fields)

    def in_use(self, pool: str = "one") -> int:
        return whole(mapping(self.ask("status"), "in_use"), pool)

    def states(self, pool: str = "one") -> list[str]:
        """The states of the leases that are out."""
        return [str(one["state"]) for one in rows(self.ask("leases", pool=pool), "leases")]

    def await_resumed(self, pool: str = "one") -> None:
        """Until every lease has been taken up again. Of that there is no news, so this looks."""
        while "detached" in self.states(pool):
            time.sleep(0.005)

    def waiting(self, pool: str = "one") -> list[str]:
        """The labels of those that wait, in order."""
        found = rows(self.ask("leases", pool=pool), "waiting")
        return [str(one["task"]) for one in found]

    def is_idle(self) -> bool:
        found = self.ask("status")
        return not any((*mapping(found, "in_use").values(), *mapping(found, "waiting").values()))

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Looks again at each piece of news. The first one comes at once."""
        with Client(self.path) as client:
            for _ in client.watch():
                if holds():
                    return

    def wait_for_waiting(self, *tasks: str, pool: str = "one") -> None:
        """Until exactly these wait, in this order."""
        self.wait_until(lambda: self.waiting(pool) == list(tasks))


def end_detached(path: str) -> None:
    """Ends the daemon that went to the background, and waits for its end: its lock comes free."""
    with open(Path(path).with_suffix(".lock")) as lock:
        os.kill(int(lock.read()), signal.SIGTERM)
        fcntl.flock(lock, fcntl.LOCK_EX)
