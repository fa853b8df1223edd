"""What a daemon holds in memory: at rest, against a process that only imports what such a daemon
needs, and for each connection and each waiter.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.figures import Figure, ratios
from scripts.bench.handover import ACQUIRE, Line
from scripts.bench.stage import Stage, progress

MANY = 500
WARM_UP = 20
SETTLE_S = 1.0
TIMES_MAX = 5  # it hardly varies


@dataclass(frozen=True)
class Sizes:
    """All of it in one moment: what a process has for itself, what is its share of what it has
    with others, and what is resident.
    """

    uss: float
    pss: float
    rss: float


def sizes_of(pid: int) -> Sizes:
    return read_sizes(Path(f"/proc/{pid}/smaps_rollup").read_text())


def read_sizes(smaps: str) -> Sizes:
    """From the kernel's sums over all mappings of a process."""
    rows = [line.split() for line in smaps.splitlines()[1:]]  # the first one says of what
    sums = {row[0]: 1024 * int(row[1]) for row in rows}
    uss = sums["Private_Clean:"] + sums["Private_Dirty:"]
    return Sizes(uss, sums["Pss:"], sums["Rss:"])


def bench_memory(stage: Stage, rounds: int) -> list[Figure]:
    imports = stage.play("imports", stage.socket).pid
    found: list[tuple[Sizes, Sizes]] = []
    connection_bytes: list[float] = []
    waiter_bytes: list[float] = []
    for number in range(min(rounds, TIMES_MAX)):
        progress(f"memory: {number + 1} of {min(rounds, TIMES_MAX)}")
        with _served(stage) as pid:
            time.sleep(SETTLE_S)
            found.append((sizes_of(pid), sizes_of(imports)))
            connection, waiter = measure_growth(stage, pid)
            connection_bytes.append(connection)
            waiter_bytes.append(waiter)
    figures = [Figure("memory: at rest, PSS", "MB", [ours.pss / 1e6 for ours, _ in found])]
    figures.append(Figure("memory: imports alone, PSS", "MB", [its.pss / 1e6 for _, its in found]))
    for name, at_most in (("pss", 1.25), ("uss", None), ("rss", None)):
        ours, its = ([getattr(one, name) for one in column] for column in zip(*found, strict=True))
        row = f"memory: at rest / imports alone, by {name.upper()}"
        figures.append(Figure(row, "", ratios(ours, its), at_most))
    return [
        *figures,
        Figure("memory: a connection", "KiB", [one / 1024 for one in connection_bytes], 20),
        Figure("memory: a waiter on it", "KiB", [one / 1024 for one in waiter_bytes]),
    ]


@contextmanager
def _served(stage: Stage) -> Iterator[int]:
    """A daemon that is new, so that nothing is left in it of the one before."""
    process = stage.launch()
    stage.until(lambda status: True)
    try:
        yield process.pid
        stage.until(lambda status: status["held"] == 0)
    finally:
        process.terminate()
        process.wait()


def measure_growth(stage: Stage, pid: int) -> tuple[float, float]:
    """Bytes of its own that the daemon needs for a connection, and besides for one that waits."""
    with ExitStack() as stack:

        def connect(count: int) -> list[Line]:
            lines = [Line(stage.socket) for _ in range(count)]
            for line in lines:
                stack.enter_context(line.sock)
                line.greet()
            return lines

        warm = connect(WARM_UP)  # room is made in steps
        for line in warm:
            line.ask()
        warm[0].answer(ACQUIRE)
        bare = sizes_of(pid).uss
        lines = connect(MANY)
        connected = sizes_of(pid).uss
        for line in lines:
            line.ask()
        waiting = sizes_of(pid).uss
    return (connected - bare) / MANY, (waiting - connected) / MANY
