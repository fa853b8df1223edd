"""Jobs that are run for a test by a build tool: each waits to be ended, and records when it ran."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.system.stage import intervals, now_s

# Begins by saying so, ends when the test says so (or at once, where `all` may end), and then says
# when it ran, as RECORDER does.
JOB = """
import os, sys, time
name = sys.argv[1]
begun = time.clock_gettime(time.CLOCK_MONOTONIC)
with open(name + ".began", "w") as file:
    file.write(str(os.getppid()))
while not os.path.exists(name + ".end") and not os.path.exists("all.end"):
    time.sleep(0.005)
ended = time.clock_gettime(time.CLOCK_MONOTONIC)
with open(name + ".new", "w") as file:
    file.write(f"{begun} {ended}")
os.rename(name + ".new", name + ".ran")
"""

# A tool of the protocol's own: the first job at a time runs under the token that it was started
# with, each further one under one that it has read, and that it writes back.
TOOL = """
import os, subprocess, sys, time
auth = os.environ["MAKEFLAGS"].split("--jobserver-auth=")[-1].split()[0]
if auth.startswith("fifo:"):
    reading = os.open(auth[5:], os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(auth[5:], os.O_WRONLY)
else:
    reading, writing = map(int, auth.split(","))
    os.set_blocking(reading, False)
jobs, tokens, free = sys.argv[2:], {}, [b""]
running = {}
while jobs or running:
    time.sleep(0.001)
    if jobs and not free:
        try:
            free.append(os.read(reading, 1))
        except BlockingIOError:
            pass
    if jobs and free:
        process = subprocess.Popen([sys.executable, "-S", "-E", sys.argv[1], jobs.pop(0)])
        running[process] = free.pop()
    for process in [one for one in running if one.poll() is not None]:
        token = running.pop(process)
        if token:
            os.write(writing, token)
        else:
            free.append(token)
"""


class Jobs:
    """A folder with so many jobs, and what of them can be seen."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.names = [f"job{number}" for number in range(count)]
        self.command = f"{sys.executable} -S -E {folder}/job.py"
        (folder / "job.py").write_text(JOB)

    def write_makefile(self) -> None:
        lines = [f"all: {' '.join(self.names)}", f"{' '.join(self.names)}:"]
        lines += [f"\t@cd {self.folder} && {self.command} $@", ""]
        (self.folder / "Makefile").write_text("\n".join(lines))

    def write_ninja(self) -> None:
        lines = ["rule job", f"  command = cd {self.folder} && {self.command} $out"]
        lines += [f"build {name}: job" for name in self.names]
        (self.folder / "build.ninja").write_text("\n".join([*lines, ""]))

    def write_tool(self) -> list[str]:
        (self.folder / "tool.py").write_text(TOOL)
        return [sys.executable, "-S", "-E", "tool.py", "job.py", *self.names]

    # --- looking and steering ---------------------------------------------------------------------

    def running(self) -> list[str]:
        """Those that have begun and not ended, the oldest last."""
        began = {path.stem for path in self.folder.glob("*.began")}
        ended = {path.stem for path in self.folder.glob("*.ran")}
        ends = {path.stem for path in self.folder.glob("*.end")}
        return sorted(began - ended - ends)

    def until_running(self, count: int) -> list[str]:
        while len(found := self.running()) != count:
            time.sleep(0.005)
        return found

    def end(self, name: str) -> None:
        """Lets it end; returns when it has."""
        (self.folder / f"{name}.end").touch()
        while not (self.folder / f"{name}.ran").exists():
            time.sleep(0.005)

    def end_all(self) -> None:
        (self.folder / "all.end").touch()

    def until_alone(self) -> tuple[float, float]:
        """Ends jobs, one at a time, until each that begins stays the only one; gives the moments
        between which that was so.
        """
        since = until = now_s()
        in_a_row = 0
        while in_a_row < 3:
            while not (found := self.running()):
                time.sleep(0.005)
            is_alone = len(found) == 1 and self._stays_alone()
            in_a_row = in_a_row + 1 if is_alone else 0
            until = now_s()
            self.end(found[0])
            if not is_alone:
                since = now_s()
        return since, until

    def until_three_again(self) -> None:
        """Ends a job now and then: ninja looks for a token only when one of its jobs has ended."""
        while len(found := self.running()) < 3:
            if found and self._stays_alone():
                self.end(found[0])
            time.sleep(0.005)

    def _stays_alone(self) -> bool:
        """Whether no other begins for a while, which a tool with a token would not leave unused."""
        for _ in range(20):
            time.sleep(0.005)
            if len(self.running()) > 1:
                return False
        return True

    def ran(self) -> list[tuple[float, float]]:
        return list(intervals(self.folder))


def within(
    found: list[tuple[float, float]], begin: float, end: float
) -> Iterator[tuple[float, float]]:
    """Those parts of the intervals that lie between two moments."""
    for begun, ended in found:
        if begun < end and ended > begin:
            yield max(begun, begin), min(ended, end)
