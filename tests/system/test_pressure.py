"""Real pressure on the real machine: the level rises, the autopilot says so, and it recovers.

Bounds are set by what the machine shows at the moment, so that this holds on any.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from admission_client.granted import number, whole
from tests.service.children import child, python
from tests.system.stage import Stage, View
from tests.system.test_sensors import HOLD, SPIN

MIB = 1 << 20
BALLAST_BYTES = 1200 * MIB
QUICK = "interval_s = 0.5\nfast_interval_s = 0.2\ndwell_s = 1\nstep_s = 0\ncpu_smoothing_s = 0.5\n"


@contextmanager
def _ballast() -> Iterator[None]:
    words = (sys.executable, "-I", "-S", "-c", HOLD, str(BALLAST_BYTES))
    with child(*words, program=sys.executable) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield


@contextmanager
def _spinning() -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(3 * (os.cpu_count() or 1)):
            stack.enter_context(python(SPIN))
        yield


def _memory_used_pct() -> float:
    memory = psutil.virtual_memory()
    return 100 * (1 - memory.available / memory.total)


def _has_level(view: View, level: int) -> bool:
    return whole(view.status, "level") == level


def test_memory_that_is_really_taken_raises_the_level_and_gives_it_back(
    empty_stage: Stage,
) -> None:
    memory = psutil.virtual_memory()
    if memory.available < 3 * BALLAST_BYTES:
        pytest.skip("this machine has no memory to spare")
    step_pct = 100 * BALLAST_BYTES / memory.total
    bound_pct = _memory_used_pct() + step_pct / 2
    empty_stage.config.write_text(_memory_throttle(bound_pct, step_pct / 20))
    empty_stage.serve()
    with _ballast():
        empty_stage.until(lambda view: _has_level(view, 1))
        taken_pct = _memory_used_pct()
    # What a process leaves may take minutes to be free where a guest reports its free pages to its
    # host, and others take some meanwhile: so the bound follows what there was.
    empty_stage.look_until(lambda _: _memory_used_pct() < taken_pct - step_pct / 6)
    empty_stage.config.write_text(_memory_throttle(taken_pct - step_pct / 20, 0))
    assert empty_stage.run("reload").returncode == 0
    empty_stage.until(lambda view: _has_level(view, 0))


def _memory_throttle(bound_pct: float, margin_pct: float) -> str:
    """A level 1 by memory alone, and nothing else."""
    return (
        f"[throttle]\n{QUICK}margin_pct = {margin_pct}\nmemory_medium_pct = {bound_pct}\n"
        "memory_high_pct = 1000\nmemory_critical_pct = 1000\n"
        "cpu_medium_pct = 1000\ncpu_high_pct = 1000\ncpu_critical_pct = 1000\n"
    )


def _cpu_throttle(bound_pct: float) -> str:
    """A level 1 by CPU alone, and nothing else."""
    return (
        f"[throttle]\n{QUICK}margin_pct = 0\ncpu_unstalled_pct = 0\n"
        f"cpu_medium_pct = {bound_pct}\ncpu_high_pct = 1000\ncpu_critical_pct = 1000\n"
        "memory_medium_pct = 1000\nmemory_high_pct = 1000\nmemory_critical_pct = 1000\n"
    )


def _cpu_pct_now(stage: Stage) -> float:
    """What the CPU leg reads while nothing is done about it, as a mean of some samples."""
    read_pct: list[float] = []
    with stage.client() as client:
        for event in client.watch(["sample"]):
            if event.get("cpu_used_pct") is not None:
                waits = event.get("cpu_stall_pct") is not None
                read_pct.append(number(event, "cpu_stall_pct" if waits else "cpu_used_pct"))
            if len(read_pct) == 6:
                break
    return sum(read_pct) / len(read_pct)


def test_processes_that_really_burn_cpu_raise_the_level_and_the_autopilot_says_so(
    empty_stage: Stage,
) -> None:
    """With all of the CPU leg's weight on how long tasks wait, where the kernel tells that."""
    empty_stage.config.write_text(_cpu_throttle(1000))
    empty_stage.serve()
    now_pct = _cpu_pct_now(empty_stage)
    empty_stage.config.write_text(_cpu_throttle(now_pct + 0.6 * (100 - now_pct)))
    os.mkfifo(empty_stage.folder / "end")
    (empty_stage.folder / "tasks.txt").write_text("read line < end\n")
    pilot = empty_stage.spawn("autopilot", "tasks.txt")
    empty_stage.until(lambda view: view.in_use() == 1)
    assert pilot.stderr is not None
    with _spinning():
        assert empty_stage.run("reload").returncode == 0
        line = pilot.stderr.readline().decode()
    assert line.startswith("⚡ Resource pressure detected: light throttle (level 1): CPU")
    recovered = pilot.stderr.readline().decode()
    assert recovered.startswith("✅ Resource pressure gone: normal (level 0)")
    with open(empty_stage.folder / "end", "w") as end:
        end.write("\n")
    assert pilot.wait() == 0


def test_the_metrics_file_of_a_workspace_follows_the_machine(empty_stage: Stage) -> None:
    empty_stage.config.write_text(f'[throttle]\n{QUICK}workspaces = ["{empty_stage.folder}"]\n')
    empty_stage.serve()
    with empty_stage.client() as client:
        for event in client.watch(["sample"]):
            if event.get("event") == "sample" and number(event, "seq") >= 3:
                break
    path = empty_stage.folder / "state" / "analytics" / "resource_metrics.json"
    found = json.loads(path.read_text())
    assert abs(found["memory_used_pct"] - _memory_used_pct()) < 15
    assert next(iter(found)) == "timestamp"
