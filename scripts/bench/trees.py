"""What it takes to measure five leases' process trees of twenty processes each."""

import shutil
import time

from scripts.bench.figures import Figure
from scripts.bench.idle import resident_bytes
from scripts.bench.stage import COMMAND, Stage, cpu_s, progress

TREES = 5
PROCESSES = 20
SETTLE_S = 3.0
# Twenty in all: the shell, and those that sleep.
FAMILY = f"for _ in $(seq {PROCESSES - 1}); do sleep infinity & done; wait"
SHELL = shutil.which("sh") or "/bin/sh"


def bench_trees(stage: Stage, seconds: float) -> list[Figure]:
    """`seconds`: for how long the daemon is looked on."""
    pid = stage.serve()
    for _ in range(TREES):
        stage.start(COMMAND, "run", "--pool", "many", "--", SHELL, "-c", FAMILY)
    stage.until(lambda status: status["held"] == TREES)
    progress(f"trees: {SETTLE_S + seconds:g} s")
    time.sleep(SETTLE_S)
    used_s, begun_at = cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    used_s, elapsed_s = cpu_s(pid) - used_s, time.monotonic() - begun_at
    when = f"trees: {TREES} of {PROCESSES} processes measured"
    return [
        Figure(f"{when}: the daemon's CPU", "% of a core", [100 * used_s / elapsed_s], at_most=1),
        Figure(f"{when}: resident memory", "MB", [resident_bytes(pid) / 1e6], at_most=45),
    ]
