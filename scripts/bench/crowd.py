"""Many connections, each driven by its own Python client: `python -m scripts.bench.crowd KIND PATH
CONNECTIONS COUNTS`.

A thread a connection, in as few processes as are quickest. Each thread counts its pairs in a file
that all of them share, so that nobody has to be told when to begin.
"""

import mmap
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from admission_client import Client
from admission_client.granted import claim_fields
from scripts.bench.peers.redis_semaphore import Semaphore
from scripts.bench.stage import Stage

PROCESSES = 2
COUNT_BYTES = 8
SETTLE_S = 0.2
MEASURE_S = 0.5


def measure_crowd(stage: Stage, kind: str, path: str, connections: int) -> float:
    """Pairs a second of them all together."""
    each = connections // PROCESSES
    files = [stage.folder / f"counts-{number}" for number in range(PROCESSES)]
    words = (sys.executable, "-m", "scripts.bench.crowd", kind, path, str(each))
    processes = []
    try:
        for file in files:
            file.write_bytes(bytes(each * COUNT_BYTES))
            processes.append(stage.start(*words, str(file)))
        for process in processes:
            stage.line(process)
        time.sleep(SETTLE_S)
        begun, begun_at = _counted(files), time.perf_counter()
        time.sleep(MEASURE_S)
        return (_counted(files) - begun) / (time.perf_counter() - begun_at)
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _counted(files: list[Path]) -> int:
    return sum(sum(memoryview(file.read_bytes()).cast("Q")) for file in files)


def pair_of(kind: str, path: str) -> Callable[[], None]:
    """What acquires and releases once, on a connection of its own."""
    if kind == "redis":
        return Semaphore(path).pair
    return lease_pair(Client(path))


def lease_pair(client: Client, bound: str = "connection") -> Callable[[], None]:
    """The same with the daemon."""
    fields = claim_fields(pool="many", task="bench", bound=bound)
    return lambda: client.release(client.acquire(fields))


def main(kind: str, path: str, connections: int, counts: str) -> None:
    with open(counts, "r+b") as file:
        shared = memoryview(mmap.mmap(file.fileno(), 0)).cast("Q")
    pairs = [pair_of(kind, path) for _ in range(connections)]

    def go_on(number: int) -> None:
        while True:
            pairs[number]()
            shared[number] += 1

    for number in range(connections):
        threading.Thread(target=go_on, args=(number,), daemon=True).start()
    print("under way", flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
