"""What a daemon takes when there is nothing to do: with no lease, and with five to keep. And what
stays of `admission run` beside the commands that hold them.
"""

import resource
import shutil
import time
from contextlib import suppress
from pathlib import Path

import psutil

from scripts.bench.figures import Figure
from scripts.bench.stage import COMMAND, Stage, cpu_s, progress

HOLDERS = 5
SETTLE_S = 3.0
LOOK_S = 0.1
SLEEP = shutil.which("sleep") or "/bin/sleep"


def bench_idle(stage: Stage, seconds: float) -> list[Figure]:
    pid = stage.serve()
    figures = _look_on(pid, "idle, no lease", seconds)
    for _ in range(HOLDERS):
        stage.start(COMMAND, "run", "--pool", "many", "--", SLEEP, "infinity")
    stage.until(lambda status: status["held"] == HOLDERS)
    figures += _look_on(pid, "idle, five leases", seconds)
    left = left_beside(stage.socket, pid)
    return [
        *figures,
        Figure("idle, five leases: processes left of admission run", "", [len(left)], at_most=0),
        Figure("idle, five leases: their memory", "bytes", [sum(left)], at_most=0),
    ]


def _look_on(pid: int, when: str, seconds: float) -> list[Figure]:
    progress(f"{when}: {SETTLE_S + seconds:g} s")
    time.sleep(SETTLE_S)
    used_s, begun_at = cpu_s(pid), time.monotonic()
    wakeups = count_wakeups(pid, seconds)
    used_s, elapsed_s = cpu_s(pid) - used_s, time.monotonic() - begun_at
    return [
        Figure(f"{when}: resident memory", "MB", [resident_bytes(pid) / 1e6], at_most=45),
        Figure(f"{when}: CPU", "% of a core", [100 * used_s / elapsed_s], at_most=0.2),
        Figure(f"{when}: wake-ups", "/s", [wakeups / elapsed_s], at_most=1),
    ]


def left_beside(socket: str, daemon: int) -> list[int]:
    """The memory of each process that was started with this socket in its environment, and is
    neither the daemon nor the command that was to be run.
    """
    sizes: list[int] = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            is_here = process.environ().get("ADMISSION_SOCKET") == socket
            if is_here and process.pid != daemon and process.cmdline()[:1] != [SLEEP]:
                sizes.append(process.memory_info().rss)
    return sizes


def resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def count_wakeups(pid: int, seconds: float) -> int:
    """How often the threads of a process go to sleep by themselves within this time. A thread that
    ends takes its count with it, so we look often.
    """
    ends_at = time.monotonic() + seconds
    before = last = switches_of(pid)
    while time.monotonic() < ends_at:
        time.sleep(LOOK_S)
        last = last | switches_of(pid)
    return sum(count - before.get(thread, 0) for thread, count in last.items())


def switches_of(pid: int) -> dict[int, int]:
    """Voluntary context switches of each thread."""
    switches: dict[int, int] = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            for line in (folder / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt"):
                    switches[int(folder.name)] = int(line.split()[1])
    return switches
