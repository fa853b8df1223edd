"""One Python process that takes and gives back, one pair after the other, by whatever there is."""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing

from admission_client import Client
from scripts.bench.crowd import lease_pair
from scripts.bench.figures import Figure, ratios, skipped
from scripts.bench.peers import ETCD, why_skipped
from scripts.bench.peers.etcd_lock import Lock, serve_etcd
from scripts.bench.peers.kernel import FileLock, PosixSemaphore, TokenPipe
from scripts.bench.peers.redis_semaphore import Semaphore, serve_redis, why_no_redis
from scripts.bench.stage import Stage, progress

LOOP_S = 0.15
WARM_UP_PAIRS = 100
OURS, REDIS, LOCK = "admission_client", "Redis semaphore with redis-py", "etcd's lock over HTTP"
BOUND = "admission_client, bound to the connection"


def bench_loop(stage: Stage, rounds: int) -> list[Figure]:
    stage.serve()
    with ExitStack() as stack:
        missing: dict[str, str] = {}
        pairs = _ours(stage, stack)
        if why := why_no_redis():
            missing[REDIS] = why
        else:
            pairs[REDIS] = stack.enter_context(Semaphore(serve_redis(stage).path)).pair
        if why := why_skipped(ETCD):
            missing[LOCK] = why
        else:
            pairs[LOCK] = stack.enter_context(closing(Lock(serve_etcd(stage)))).pair
        paces: dict[str, list[float]] = {name: [] for name in pairs}
        for pair in pairs.values():
            for _ in range(WARM_UP_PAIRS):
                pair()
        for number in range(rounds):
            progress(f"loop: round {number + 1} of {rounds}")
            for name in list(pairs) if number % 2 else reversed(pairs):
                paces[name].append(pace(pairs[name]))
    figures = [Figure(f"loop: {name}", "pairs/s", paces[name]) for name in paces]
    for name, why in missing.items():
        figures.append(skipped(f"loop: {name}", why))
    for name in (REDIS, LOCK):
        if name in paces:
            at_least = 1.5 if name == REDIS else None
            by_its = ratios(paces[OURS], paces[name])
            figures.append(Figure(f"loop: ours / {name}", "", by_its, at_least=at_least))
    return figures


def _ours(stage: Stage, stack: ExitStack) -> dict[str, Callable[[], None]]:
    """And what needs no server."""
    client, bound = (stack.enter_context(Client(stage.socket)) for _ in range(2))
    lock = stack.enter_context(closing(FileLock(stage.folder / "file-lock")))
    tokens = stack.enter_context(closing(TokenPipe(stage.folder / "tokens")))
    return {
        OURS: lease_pair(client, "process"),
        BOUND: lease_pair(bound),
        "flock(2)": lock.pair,
        "make's jobserver": tokens.pair,
        "a POSIX semaphore": PosixSemaphore().pair,
    }


def pace(pair: Callable[[], None]) -> float:
    """Pairs a second."""
    count, begun_at = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - begun_at) < LOOP_S:
        pair()
        count += 1
    return count / elapsed_s
