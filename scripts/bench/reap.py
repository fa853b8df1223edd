"""From the SIGKILL of a holder to the grant of the next waiter, by the waiter's own clock.

CLOCK_MONOTONIC is the same for all processes. Each waiter is the next one's holder.
"""

import os
import select
import signal
import sys
import time

from admission_client.granted import mapping
from scripts.bench.figures import Figure, percentile, ratios
from scripts.bench.stage import Process, Stage, progress

KILLS_A_ROUND = 24


def bench_reap(stage: Stage, rounds: int) -> list[Figure]:
    stage.serve()
    kills = rounds * KILLS_A_ROUND
    reaped_ms: list[float] = []
    bare_ms: list[float] = []
    holder = stage.play("holder", stage.socket)
    stage.line(holder)
    for number in range(kills):
        progress(f"reap: {number + 1} of {kills}")
        bystander = stage.play("bystander", stage.socket)
        waiter = stage.play("holder", stage.socket)
        stage.until(lambda status: mapping(status, "waiting")["one"] == 1)
        if number % 2:
            bare_ms.append(1000 * time_bare_kill_s(bystander))
        reaped_ms.append(1000 * time_reaping_s(stage, holder, waiter))
        if not number % 2:
            bare_ms.append(1000 * time_bare_kill_s(bystander))
        holder = waiter
    return [
        Figure("reap: kill to the next grant", "ms", reaped_ms, at_most=5),
        Figure("reap: its 99th percentile", "ms", [percentile(reaped_ms, 99)], at_most=25),
        Figure("reap: its maximum", "ms", [max(reaped_ms)]),
        Figure("reap: bare kill and wait", "ms", bare_ms),
        Figure("reap: grant / bare kill", "", ratios(reaped_ms, bare_ms)),
    ]


def time_bare_kill_s(process: Process) -> float:
    """Until the kernel has told of a killed child's end, and the child is reaped."""
    if sys.platform != "linux":
        raise NotImplementedError
    pidfd = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        killed_at = time.monotonic()
        os.kill(process.pid, signal.SIGKILL)
        poll.poll()
        os.waitpid(process.pid, 0)
        return time.monotonic() - killed_at
    finally:
        os.close(pidfd)


def time_reaping_s(stage: Stage, holder: Process, waiter: Process) -> float:
    """From the holder's kill to the waiter's grant."""
    killed_at = time.monotonic()
    os.kill(holder.pid, signal.SIGKILL)
    granted_at = float(stage.line(waiter))
    holder.wait()
    return granted_at - killed_at
