"""What a daemon takes when there is nothing to do but to keep five leases."""

import resource
import time
from pathlib import Path

from scripts.bench.figures import Figure
from scripts.bench.stage import COMMAND, Stage, cpu_s, progress

HOLDERS = 5
SETTLE_S = 3.0


def bench_idle(stage: Stage, seconds: float) -> list[Figure]:
    pid = stage.serve()
    for _ in range(HOLDERS):
        stage.start(COMMAND, "run", "--pool", "many", "--", "sleep", "infinity")
    stage.until(lambda status: status["held"] == HOLDERS)
    progress(f"idle: {SETTLE_S + seconds:g} s")
    time.sleep(SETTLE_S)
    used_s, switches, begun_at = cpu_s(pid), switches_of(pid), time.monotonic()
    time.sleep(seconds)
    used_s, switches = cpu_s(pid) - used_s, switches_of(pid) - switches
    elapsed_s = time.monotonic() - begun_at
    return [
        Figure("idle: resident memory", "MB", [resident_bytes(pid) / 1e6], at_most=45),
        Figure("idle: CPU", "% of a core", [100 * used_s / elapsed_s], at_most=0.2),
        Figure("idle: voluntary context switches", "/s", [switches / elapsed_s]),
    ]


def resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def switches_of(pid: int) -> int:
    """How often the threads of a process have gone to sleep by themselves."""
    files = Path(f"/proc/{pid}/task").glob("*/status")
    lines = [line for file in files for line in file.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))
