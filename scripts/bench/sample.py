"""What one whole sample costs, in CPU time, with 500 more processes on the machine."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from admission.service.sensors import Sensors
from scripts.bench.figures import Figure
from scripts.bench.stage import progress

PROCESSES = 500
WARM_UP = 2


def bench_sample(rounds: int) -> list[Figure]:
    """Rows of CPU milliseconds, but for the one that says how many processes were looked at."""
    sensors = Sensors()
    fast_ms: list[float] = []
    pass_ms: list[float] = []
    with _sleeping(PROCESSES):
        first_ms = _cpu_ms(lambda: Sensors().read(0.0))
        for number in range(WARM_UP + rounds):
            progress(f"sample: {number + 1} of {WARM_UP + rounds}")
            fast = _cpu_ms(lambda: sensors.read_fast(0.0))
            whole = _cpu_ms(lambda: sensors.read_processes(frozenset()))
            if number >= WARM_UP:
                fast_ms.append(fast)
                pass_ms.append(whole)
    look = sensors.looks[0]
    assert look is not None
    wholes_ms = [fast + whole for fast, whole in zip(fast_ms, pass_ms, strict=True)]
    return [
        Figure("sample: processes on the machine", "", [len(look.processes)]),
        Figure("sample: CPU of a whole one", "ms", wholes_ms, at_most=20),
        Figure("sample: memory, CPU and pressure alone", "ms", fast_ms, at_most=1),
        Figure("sample: the very first, all processes new", "ms", [first_ms]),
    ]


def _cpu_ms(read: Callable[[], object]) -> float:
    begun_at = time.thread_time()
    read()
    return 1000 * (time.thread_time() - begun_at)


@contextmanager
def _sleeping(count: int) -> Iterator[None]:
    """So many processes that do nothing."""
    sleep = shutil.which("sleep") or "/bin/sleep"
    pids: list[int] = []
    try:
        for _ in range(count):
            pids.append(os.posix_spawn(sleep, ("sleep", "600"), os.environ))
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
