"""What tasks take is measured while they run, and shown when they have ended."""

import json
import sys
from contextlib import ExitStack
from subprocess import Popen

from admission.protocol import Frame
from admission_client.granted import number, rows, text, whole
from tests.system.stage import Stage

MB = 1_000_000
SIZES_MB = (60, 200, 600)
RUNS = 3
# As often as the daemon ever looks.
OFTEN = "[throttle]\ninterval_s = 0.25\nfast_interval_s = 0.25\n"
# Takes so much, says what it came to at most, and ends with a line of input.
TAKER = """
import sys
taken = b"\\1" * int(sys.argv[1])
# Of this program alone: `ru_maxrss` remembers what it was forked from.
high = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(int(high.split()[1]) * 1024, flush=True)
sys.stdin.readline()
"""


def _start(stage: Stage, size_mb: int) -> "Popen[bytes]":
    """A lease that is bound to the tree is looked at with every sample."""
    options = ("--hold", "tree", "--task", f"task of {size_mb}")
    command = (sys.executable, "-I", "-S", "-c", TAKER, str(size_mb * MB))
    return stage.spawn("run", *options, "--", *command)


def _is_weighed(lease: Frame) -> bool:
    """Whether the last look saw all that it has taken."""
    size_mb = int(text(lease, "task").split()[-1])
    return lease["memory_bytes"] is not None and whole(lease, "memory_bytes") > size_mb * MB


def _peak_bytes(taker: "Popen[bytes]") -> int:
    assert taker.stdout is not None
    return int(taker.stdout.readline())


def test_tasks_that_take_much_are_told_from_those_that_take_little(empty_stage: Stage) -> None:
    stage = empty_stage
    stage.config.write_text(OFTEN + stage.config.read_text())
    stage.serve()
    peaks: dict[int, int] = {}
    for _ in range(RUNS):
        with ExitStack() as stack:
            takers = {size: stack.enter_context(_start(stage, size)) for size in SIZES_MB}
            peaks = {size: _peak_bytes(taker) for size, taker in takers.items()}
            stage.look_until(lambda view: all(_is_weighed(one) for one in view.leases))
            for taker in takers.values():
                taker.communicate(b"\n")
        stage.look_until(lambda view: not view.leases)
    shown = stage.run("tasks", "--json")
    assert shown.returncode == 0, shown.stderr
    found = {text(one, "task"): one for one in rows(json.loads(shown.stdout), "tasks")}
    assert len(found) == len(SIZES_MB)
    for size, peak_bytes in peaks.items():
        row = found[f"task of {size}"]
        assert (row["runs"], row["failures"]) == (RUNS, 0)
        for name in ("memory_p50_bytes", "memory_p95_bytes"):
            assert abs(whole(row, name) - peak_bytes) < peak_bytes / 4, (name, row)
        assert number(row, "lasted_p50_s") > 0
