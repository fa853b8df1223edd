"""What a well-behaved client notices of bad company: its own acquire and release, alone and beside.

The daemon serves one request after the other, so somebody notices something. The question is how
much.
"""

import sys
import time
from dataclasses import dataclass
from statistics import median

from admission_client import Client
from admission_client.granted import claim_fields
from scripts.bench.figures import Figure
from scripts.bench.stage import Stage, cpu_s, progress

PAIRS = 100
SETTLE_S = 0.3
# Kind, in words, how much slower it may be.
COMPANY = (
    ("silent", "1,000 connections that are silent", 2.0),
    ("trickle", "100 that send a byte a second", 2.0),
    ("flood", "1 that floods", 5.0),
    ("deaf", "1 that floods and never reads", 5.0),
)


@dataclass(frozen=True)
class Cost:
    """Of an acquire and its release: the median by the client's clock, and what the daemon has
    spent on CPUs meanwhile, on this client or on others.
    """

    pair_us: float
    daemon_us: float


def bench_beside(stage: Stage, rounds: int) -> list[Figure]:
    pid = stage.serve()
    costs: dict[str, list[tuple[Cost, Cost]]] = {kind: [] for kind, _, _ in COMPANY}
    for number in range(rounds):
        for kind, _, _ in COMPANY:
            progress(f"beside: round {number + 1} of {rounds}, {kind}")
            if number % 2:
                beside = _measure_beside(stage, pid, kind)
                alone = _measure(stage, pid)
            else:
                alone = _measure(stage, pid)
                beside = _measure_beside(stage, pid, kind)
            costs[kind].append((beside, alone))
    every = [alone.pair_us for both in costs.values() for _, alone in both]
    figures = [Figure("beside: alone", "us/pair", every)]
    for kind, said, limit in COMPANY:
        both = costs[kind]
        ratios = [beside.pair_us / alone.pair_us for beside, alone in both]
        by_cpu = [beside.daemon_us / alone.daemon_us for beside, alone in both]
        figures += [
            Figure(f"beside: {said}", "us/pair", [beside.pair_us for beside, _ in both]),
            Figure(f"beside: {said} / alone", "", ratios, limit),
            Figure(f"beside: {said}, by the daemon's CPU", "", by_cpu),
        ]
    return figures


def _measure_beside(stage: Stage, pid: int, kind: str) -> Cost:
    company = stage.start(sys.executable, "-m", "scripts.bench.company", kind, stage.socket)
    try:
        stage.line(company)
        return _measure(stage, pid)
    finally:
        company.kill()
        company.wait()


def _measure(stage: Stage, pid: int) -> Cost:
    """On a connection that stays."""
    fields = claim_fields(pool="one", task="bench")
    times_us: list[float] = []
    time.sleep(SETTLE_S)  # what came before is over, and what is beside has begun
    with Client(stage.socket) as client:
        client.ask("hello")
        daemon_s = cpu_s(pid)
        for _ in range(PAIRS):
            begun_at = time.perf_counter()
            client.release(client.acquire(fields))
            times_us.append(1e6 * (time.perf_counter() - begun_at))
        return Cost(median(times_us), 1e6 * (cpu_s(pid) - daemon_s) / PAIRS)
