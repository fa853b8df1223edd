"""What a well-behaved client notices of bad company: its own acquire and release, alone and beside.

The daemon serves one request after the other, so somebody notices something. The question is how
much.
"""

import sys
import time
from statistics import median

from admission_client import Client
from admission_client.granted import claim_fields
from scripts.bench.figures import Figure
from scripts.bench.stage import Stage, progress

PAIRS = 100
SETTLE_S = 0.3
# Kind, in words, how much slower it may be.
COMPANY = (
    ("silent", "1,000 connections that are silent", 2.0),
    ("trickle", "100 that send a byte a second", 2.0),
    ("flood", "1 that floods", 5.0),
    ("deaf", "1 that floods and never reads", 5.0),
)


def bench_beside(stage: Stage, rounds: int) -> list[Figure]:
    stage.serve()
    alone_us: dict[str, list[float]] = {kind: [] for kind, _, _ in COMPANY}
    beside_us: dict[str, list[float]] = {kind: [] for kind, _, _ in COMPANY}
    for number in range(rounds):
        for kind, _, _ in COMPANY:
            progress(f"beside: round {number + 1} of {rounds}, {kind}")
            if number % 2:
                beside_us[kind].append(_time_beside_us(stage, kind))
            alone_us[kind].append(_time_pairs_us(stage))
            if not number % 2:
                beside_us[kind].append(_time_beside_us(stage, kind))
    figures = [
        Figure("beside: alone", "us/pair", [one for kind in alone_us.values() for one in kind])
    ]
    for kind, said, limit in COMPANY:
        both = zip(beside_us[kind], alone_us[kind], strict=True)
        figures += [
            Figure(f"beside: {said}", "us/pair", beside_us[kind]),
            Figure(f"beside: {said} / alone", "", [one / alone for one, alone in both], limit),
        ]
    return figures


def _time_beside_us(stage: Stage, kind: str) -> float:
    company = stage.start(sys.executable, "-m", "scripts.bench.company", kind, stage.socket)
    try:
        stage.line(company)
        return _time_pairs_us(stage)
    finally:
        company.kill()
        company.wait()


def _time_pairs_us(stage: Stage) -> float:
    """The median of an acquire and its release, on a connection that stays."""
    fields = claim_fields(pool="one", task="bench")
    times_us: list[float] = []
    time.sleep(SETTLE_S)  # what came before is over, and what is beside has begun
    with Client(stage.socket) as client:
        client.ask("hello")
        for _ in range(PAIRS):
            begun_at = time.perf_counter()
            client.release(client.acquire(fields))
            times_us.append(1e6 * (time.perf_counter() - begun_at))
    return median(times_us)
