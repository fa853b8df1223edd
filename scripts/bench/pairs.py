"""Acquire and release, as fast as a server answers, against servers that only echo and against a
semaphore in Redis.
"""

from collections.abc import Callable

from scripts.bench.crowd import measure_crowd
from scripts.bench.figures import Figure, ratios, skipped
from scripts.bench.load import Load, Server, drive, lease_talk
from scripts.bench.peers.redis_semaphore import serve_redis, why_no_redis
from scripts.bench.stage import Stage, progress

CONNECTIONS = (1, 16, 64, 256)
# At so many connections the targets hold, and CPU is looked at.
MAIN = 64
DRIVE_S = 0.5
WARM_UP_S = 0.3
OURS, TRIO, ASYNCIO, REDIS = "daemon", "trio echo", "asyncio echo", "Redis semaphore"
CROWD = "Python clients"
Loads = dict[str, list[Load]]


def bench_pairs(stage: Stage, rounds: int) -> list[Figure]:
    servers = _servers(stage)
    for server in servers.values():
        drive(server, MAIN, WARM_UP_S)
    loads: dict[int, Loads] = {count: {name: [] for name in servers} for count in CONNECTIONS}
    crowds: dict[str, list[float]] = {name: [] for name in (OURS, REDIS) if name in servers}
    for number in range(rounds):
        progress(f"pairs: round {number + 1} of {rounds}")
        for count in CONNECTIONS:
            for name in _in_turn(list(servers), number):
                loads[count][name].append(drive(servers[name], count, DRIVE_S))
        for name in _in_turn(list(crowds), number):
            kind = "ours" if name == OURS else "redis"
            crowds[name].append(measure_crowd(stage, kind, servers[name].path, MAIN))
    figures = [figure for count in CONNECTIONS for figure in _rows(count, loads[count])]
    figures += _cpu_rows(loads[MAIN])
    figures += _crowd_rows(crowds, loads[MAIN])
    if REDIS not in servers:
        figures.append(skipped(f"pairs: {REDIS}", why_no_redis()))
    return figures


def _servers(stage: Stage) -> dict[str, Server]:
    servers = {OURS: Server(stage.serve(), stage.socket, lease_talk)}
    for name, role in ((TRIO, "echo"), (ASYNCIO, "echo-asyncio")):
        path = str(stage.folder / f"{role}.sock")
        servers[name] = Server(stage.play(role, path).pid, path, lease_talk)
    if not why_no_redis():
        servers[REDIS] = serve_redis(stage)
    return servers


def _in_turn(names: list[str], number: int) -> list[str]:
    """There and back: each comes first as often as last."""
    return names if number % 2 else names[::-1]


def _rows(count: int, loads: Loads) -> list[Figure]:
    head = f"pairs, {count} connection{'s' if count > 1 else ''}"

    def values(name: str, of: Callable[[Load], float]) -> list[float]:
        return [of(load) for load in loads[name]]

    figures: list[Figure] = []
    for name in loads:
        figures += [
            Figure(f"{head}: {name}", "pairs/s", values(name, lambda load: load.pairs_per_s)),
            Figure(f"{head}: {name}, p50 of acquire", "us", values(name, lambda load: load.p50_us)),
            Figure(f"{head}: {name}, p99 of acquire", "us", values(name, lambda load: load.p99_us)),
        ]
    ours, echo = (values(name, lambda load: load.pairs_per_s) for name in (OURS, TRIO))
    at_least = 0.7 if count == MAIN else None
    figures.append(Figure(f"{head}: daemon / trio echo", "", ratios(ours, echo), at_least=at_least))
    return figures


def _cpu_rows(loads: Loads) -> list[Figure]:
    """What a pair takes of a core, at whichever pace the generator could ask for it."""
    head = f"pairs, {MAIN} connections"
    used = {name: [load.server_us_a_pair for load in loads[name]] for name in loads}
    figures = [Figure(f"{head}: {name}, CPU", "us/pair", used[name]) for name in used]
    for name in used:
        if name != OURS:
            by_cpu = ratios(used[name], used[OURS])
            figures.append(Figure(f"{head}: daemon / {name} by CPU", "", by_cpu))
    for name in (OURS, TRIO):
        busy = [load.generator_pct for load in loads[name]]
        figures.append(Figure(f"{head}: generator, at the {name}", "% of a core", busy))
    return figures


def _crowd_rows(crowds: dict[str, list[float]], loads: Loads) -> list[Figure]:
    """The same number of connections, driven by each one's own Python client."""
    head = f"pairs, {MAIN} connections"
    figures = [Figure(f"{head}, {CROWD}: {OURS}", "pairs/s", crowds[OURS])]
    if REDIS in crowds:
        its = crowds[REDIS]
        driven = [load.pairs_per_s for load in loads[OURS]]
        figures += [
            Figure(f"{head}, {CROWD}: {REDIS} with redis-py", "pairs/s", its),
            Figure(f"{head}, {CROWD}: ours / redis-py", "", ratios(crowds[OURS], its), at_least=1),
            Figure(f"{head}: daemon / Redis with redis-py", "", ratios(driven, its), at_least=1),
        ]
    return figures
