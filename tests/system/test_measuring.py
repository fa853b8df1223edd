"""What tasks take is measured while they run, shown when they have ended, and gone by."""

import json
import sys
from contextlib import ExitStack
from subprocess import Popen

import pytest

from admission.protocol import Frame
from admission.service.sensors import Sensors
from admission_client.granted import number, rows, text, whole
from tests.system.stage import Stage

MB = 1_000_000
SIZES_MB = (60, 200, 600)
RUNS = 3
# As often as the daemon ever looks.
OFTEN = "[throttle]\ninterval_s = 0.25\nfast_interval_s = 0.25\n"
# An agent takes next to nothing unless its runs say more, and ten times what they took is kept
# free: at its height the heaviest takes 6 GB then, the lightest less than 1. In between lies what
# may be spoken for, 2.5 GB from either, so that it matters little what else this machine is doing.
BY_WHAT_IS_LEARNT = """
memory_stall_pct = 0
[throttle.budget]
ceiling_pct = {ceiling_pct}
mean_mib = 1
peak_mib = 1
[throttle.learning]
enabled = true
margin = 10
prior_runs = 0.01
sure_runs = 30
"""
ROOM_BYTES = 3_500 * MB
NEEDED_BYTES = 1_500 * MB
# Takes so much, says what it came to at most, and ends with a line of input.
TAKER = """
import sys
taken = b"\\1" * int(sys.argv[1])
# Of this program alone: `ru_maxrss` remembers what it was forked from.
high = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(int(high.split()[1]) * 1024, flush=True)
sys.stdin.readline()
"""


def _start(stage: Stage, size_mb: int, *more: str) -> "Popen[bytes]":
    """A lease that is bound to the tree is looked at with every sample."""
    options = ("--hold", "tree", "--task", f"task of {size_mb}", *more)
    command = (sys.executable, "-I", "-S", "-c", TAKER, str(size_mb * MB))
    return stage.spawn("run", *options, "--", *command)


def _is_weighed(lease: Frame) -> bool:
    """Whether the last look saw all that it has taken."""
    size_mb = int(text(lease, "task").split()[-1])
    return lease["memory_bytes"] is not None and whole(lease, "memory_bytes") > size_mb * MB


def _peak_bytes(taker: "Popen[bytes]") -> int:
    assert taker.stdout is not None
    return int(taker.stdout.readline())


def _ceiling_pct() -> float:
    sample = Sensors().read_fast(0.0)
    used_pct, total_bytes = sample.memory_used_pct, sample.memory_total_bytes
    assert used_pct is not None
    assert total_bytes is not None
    if (100 - used_pct) / 100 * total_bytes < NEEDED_BYTES:
        pytest.skip("this machine has no memory to spare")
    return min(100.0, used_pct + 100 * ROOM_BYTES / total_bytes)


def test_tasks_that_take_much_are_told_from_those_that_take_little(empty_stage: Stage) -> None:
    stage = empty_stage
    calm = stage.config.read_text()
    stage.config.write_text(OFTEN + calm)
    stage.serve()
    peaks = _run_each(stage)
    _see_what_is_shown(stage, peaks)
    stage.config.write_text(OFTEN + BY_WHAT_IS_LEARNT.format(ceiling_pct=_ceiling_pct()) + calm)
    assert stage.run("reload").returncode == 0
    _see_who_is_held_back(stage)


def _run_each(stage: Stage) -> dict[int, int]:
    """Three times each, at once; what each came to at its height."""
    peaks: dict[int, int] = {}
    for _ in range(RUNS):
        with ExitStack() as stack:
            takers = {size: stack.enter_context(_start(stage, size)) for size in SIZES_MB}
            peaks = {size: _peak_bytes(taker) for size, taker in takers.items()}
            stage.look_until(lambda view: all(_is_weighed(one) for one in view.leases))
            for taker in takers.values():
                taker.communicate(b"\n")
        stage.look_until(lambda view: not view.leases)
    return peaks


def _see_what_is_shown(stage: Stage, peaks: dict[int, int]) -> None:
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


def _see_who_is_held_back(stage: Stage) -> None:
    """A heavy one waits for the memory where a light one has it, and has it where it is alone."""
    light, heavy = min(SIZES_MB), max(SIZES_MB)
    with _start(stage, light) as first:
        assert _peak_bytes(first) > light * MB
        with _start(stage, heavy) as held_back:
            view = stage.until(lambda view: bool(view.waiting))
            reason = text(view.waiting[0], "reason")
            assert reason.startswith("memory: "), reason
            assert " GiB for bursts are more than " in reason
            # Ahead of it, as whoever waits behind it waits for it.
            with _start(stage, light, "--class", "critical") as second:
                assert _peak_bytes(second) > light * MB
                assert stage.look().waiters == [held_back.pid]
                second.communicate(b"\n")
            first.communicate(b"\n")
            assert _peak_bytes(held_back) > heavy * MB
            held_back.communicate(b"\n")
