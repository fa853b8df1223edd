"""The sensors on this machine: real pressure, real memory, real limits."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import trio

from admission.service.sensors import Sensors
from admission.service.sensors.triggers import NoTriggers, Triggers, open_triggers
from tests.service.children import child, python
from tests.system.stage import now_s

LIMIT_S = 50.0
MIB = 1024 * 1024
BALLAST_BYTES = 800 * MIB
TRIES = 10
COMES_BACK_S = 10.0
# Whoever else works on this machine goes before it: it is the CPU that is to be busy.
SPIN = "import os; os.nice(19)\nwhile True: pass"
# Takes memory for real, says so, and keeps it until its standard input is closed.
HOLD = """
import sys
ballast = bytearray(int(sys.argv[1]))
for place in range(0, len(ballast), 4096):
    ballast[place] = 1
print(flush=True)
sys.stdin.read()
"""


@contextmanager
def spinning(count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(python(SPIN))
        yield


@contextmanager
def ballast(size_bytes: int) -> Iterator[None]:
    words = (sys.executable, "-I", "-S", "-c", HOLD, str(size_bytes))
    with child(*words, program=sys.executable) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield


@pytest.fixture
def triggers() -> Iterator[Triggers]:
    try:
        found = open_triggers()
    except NoTriggers as problem:
        pytest.skip(f"this machine gives no pressure triggers: {problem}")
    if found is None:
        pytest.skip("this system knows no pressure triggers")
    with found:
        yield found


@pytest.mark.trio
async def test_a_burst_of_spinning_processes_wakes_whoever_waits_but_not_all_the_time(
    triggers: Triggers,
) -> None:
    """Within two windows of 2 s and what a busy machine adds; the promise is 3 s.

    What woke it is told by reading: a wake alone says nothing, and the first may be spurious.
    """
    sensors = Sensors()
    sensors.read_fast(0.0)
    wakes = 0
    begun_at = now_s()
    with spinning(4 * (os.cpu_count() or 1)), trio.fail_after(LIMIT_S):
        stall_pct = 0.0
        while stall_pct < 20 or wakes < 3:
            await triggers.wait()
            wakes += 1
            stall_pct = max(stall_pct, sensors.read_fast(0.0).cpu_stall_pct or 0.0)
    # One may be spurious, right after the start; the kernel tells of the others once in 2 s.
    assert now_s() - begun_at > 2.0


def test_without_the_kernel_s_files_there_are_none_and_it_is_said_why(tmp_path: Path) -> None:
    if sys.platform != "linux":
        assert open_triggers() is None
        return
    (tmp_path / "pressure").mkdir()
    for name in ("cpu", "memory"):
        (tmp_path / "pressure" / name).touch()
    with pytest.raises(NoTriggers) as raised:
        open_triggers(str(tmp_path))
    assert str(raised.value)


def test_memory_that_is_really_taken_shows_in_the_reading_and_goes_again() -> None:
    sensors = Sensors()
    before = sensors.read_fast(0.0)
    assert before.memory_used_pct is not None
    assert before.memory_total_bytes is not None
    if before.memory_available_bytes is None or before.memory_available_bytes < 3 * BALLAST_BYTES:
        pytest.skip("this machine has no memory to spare")
    # Others live on this machine too, and what a process leaves may take a while to be free (in a
    # guest that reports its free pages to its host): half of it has to come, a quarter to go.
    half_pct = 50 * BALLAST_BYTES / before.memory_total_bytes
    for _ in range(TRIES):
        before_pct = used_pct(sensors)
        with ballast(BALLAST_BYTES):
            during_pct = used_pct(sensors)
        has_gone = falls_below(sensors, during_pct - half_pct / 2)
        if has_gone and during_pct - before_pct > half_pct:
            return
    raise AssertionError(f"{BALLAST_BYTES} bytes never showed, or never went again")


def used_pct(sensors: Sensors) -> float:
    found = sensors.read_fast(0.0).memory_used_pct
    assert found is not None
    return found


def falls_below(sensors: Sensors, pct: float) -> bool:
    """Memory comes back a little after its process has ended."""
    give_up_at = now_s() + COMES_BACK_S
    while now_s() < give_up_at:
        if used_pct(sensors) < pct:
            return True
        time.sleep(0.01)
    return False


def test_processes_that_burn_cpu_show_in_the_reading() -> None:
    sensors = Sensors()
    sensors.read_fast(0.0)
    with spinning(4 * (os.cpu_count() or 1)):
        time.sleep(0.2)  # they start
        sensors.read_fast(0.0)
        time.sleep(1.0)
        sample = sensors.read_fast(1.0)
    assert sample.cpu_used_pct is not None
    assert sample.cpu_used_pct > 80
    if sample.cpu_stall_pct is not None:
        assert sample.cpu_stall_pct > 20


# --- a real limit -------------------------------------------------------------------------------

# Joins the group before anything else, takes memory, and says what it sees.
LOOK = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as file:
    file.write(str(os.getpid()))
from admission.service.sensors import Sensors
sensors = Sensors()
before = sensors.read_fast(0.0)
ballast = bytearray(int(sys.argv[2]))
for place in range(0, len(ballast), 4096):
    ballast[place] = 1
after = sensors.read_fast(1.0)
print(before.memory_used_pct, after.memory_used_pct, after.memory_total_bytes, *after.failed)
"""


@contextmanager
def limited(limit_bytes: int) -> Iterator[Path]:
    """A memory control group of either version, where this machine lets us make one."""
    name = f"admission-test-{os.getpid()}"
    for folder, own, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.stat", "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "cgroup.controllers", "memory.max"),
    ):
        group = folder / name
        if not (folder / own).exists():
            continue
        with suppress(OSError):
            group.mkdir()
            try:
                (group / limit).write_text(str(limit_bytes))
                break
            except OSError:
                group.rmdir()
    else:
        pytest.skip("this machine lets us make no memory control group")
    try:
        yield group
    finally:
        group.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has control groups")
def test_within_a_real_limit_the_machine_s_size_means_nothing() -> None:
    with limited(400 * MIB) as group:
        words = (sys.executable, "-c", LOOK, str(group), str(200 * MIB))
        looked = subprocess.run(words, capture_output=True, text=True, check=False)
    assert looked.returncode == 0, looked.stderr
    before_pct, after_pct, total_bytes = map(float, looked.stdout.split(maxsplit=3)[:3])
    assert total_bytes == 400 * MIB
    # Half of it is taken, and a little more by the interpreter, of which nobody knows how much.
    assert before_pct < 25
    assert 50 <= after_pct < 65
