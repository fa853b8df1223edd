"""Acquire and release, as fast as the daemon answers, against a server that only echoes."""

import os
import select
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import msgpack

from admission.protocol import encode
from admission_client.granted import claim_fields
from scripts.bench.figures import Figure
from scripts.bench.stage import Broken, Stage, cpu_s, progress

CONNECTIONS = 64
DRIVE_S = 1.0
WARM_UP_S = 0.3
ANSWER_BYTES_MAX = 4096
# How often the answers are collected: before either server has gone through what 64 connections
# asked, so that it always has work. To be woken by each answer would cost the server ten
# microseconds, and only the slower one, as the quicker one finds us awake.
LOOK_S = 0.0002
ACQUIRE, RELEASE = 1, 2  # the ids of the two requests, by which the answers are told apart


@dataclass(frozen=True)
class Load:
    """What one server did in one round."""

    pairs_per_s: float
    server_us_a_pair: float
    generator_pct: float


def bench_pairs(stage: Stage, rounds: int) -> list[Figure]:
    echo_path = str(stage.folder / "echo.sock")
    servers = [(stage.serve(), stage.socket), (stage.play("echo", echo_path).pid, echo_path)]
    loads: list[list[Load]] = [[], []]
    for server in servers:
        drive(*server, WARM_UP_S)
    for number in range(rounds):
        progress(f"pairs: round {number + 1} of {rounds}")
        for which in (0, 1) if number % 2 else (1, 0):
            loads[which].append(drive(*servers[which], DRIVE_S))
    daemon, echo = loads
    both = list(zip(daemon, echo, strict=True))
    ratios = [ours.pairs_per_s / bare.pairs_per_s for ours, bare in both]
    by_cpu = [bare.server_us_a_pair / ours.server_us_a_pair for ours, bare in both]
    return [
        Figure("pairs: the daemon", "pairs/s", [load.pairs_per_s for load in daemon]),
        Figure("pairs: a bare trio echo server", "pairs/s", [load.pairs_per_s for load in echo]),
        Figure("pairs: daemon / echo", "", ratios, at_least=0.5),
        Figure("pairs: the daemon's CPU", "us/pair", [load.server_us_a_pair for load in daemon]),
        Figure("pairs: the echo server's CPU", "us/pair", [load.server_us_a_pair for load in echo]),
        Figure("pairs: the same ratio by CPU", "", by_cpu),
        Figure(
            "pairs: generator, at the echo", "% of a core", [load.generator_pct for load in echo]
        ),
    ]


def drive(pid: int, path: str, seconds: float) -> Load:
    """One lease after the other on all connections at once, as fast as they are answered.

    The same for both servers: the echo of `acquire` is taken for a lease, that of `release` for
    its end.
    """
    if sys.platform != "linux":
        raise NotImplementedError
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        clients: dict[int, tuple[socket.socket, bytes]] = {}
        for _ in range(CONNECTIONS):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(path)
            poll.register(sock, select.EPOLLIN)
            fields = claim_fields(pool="many", task="bench", bound="connection")
            fields |= {"id": ACQUIRE, "op": "acquire", "request": os.urandom(16)}
            clients[sock.fileno()] = sock, encode(fields)
        server_s, own_s, begun_at = cpu_s(pid), time.process_time(), time.perf_counter()
        pairs, ended_at = _exchange(poll.poll, clients, begun_at + seconds)
        elapsed_s = ended_at - begun_at
        return Load(
            pairs / elapsed_s,
            (cpu_s(pid) - server_s) / pairs * 1e6,
            100 * (time.process_time() - own_s) / elapsed_s,
        )


def _exchange(
    poll: Callable[[float], list[tuple[int, int]]],
    clients: dict[int, tuple[socket.socket, bytes]],
    until: float,
) -> tuple[int, float]:
    """How many pairs were answered, and when it was over."""
    pairs = 0
    for sock, acquire in clients.values():
        sock.send(acquire)
    while (now := time.perf_counter()) < until:
        time.sleep(LOOK_S)
        for descriptor, _ in poll(0):
            sock, acquire = clients[descriptor]
            # An answer is small and sent by one call, so one call receives it whole.
            answer = msgpack.unpackb(sock.recv(ANSWER_BYTES_MAX)[4:])
            if not answer.get("ok", True) or "event" in answer:
                raise Broken(f"a request was refused, or had to wait: {answer}")
            if answer["id"] == ACQUIRE:
                lease = answer.get("lease", 1)
                sock.send(encode({"id": RELEASE, "op": "release", "lease": lease}))
            else:
                pairs += 1
                sock.send(acquire)
    return pairs, now
