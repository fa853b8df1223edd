"""The generator: one request after the other on many connections at once, the same for all servers.

What is asked of a server, and what its answers mean, is told by a conversation, which is a Python
generator: it yields a request, is sent the answer, and yields the next one. Each second answer
completes a pair.
"""

import select
import socket
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass

import msgpack

from admission.protocol import encode
from admission_client.granted import claim_fields
from scripts.bench.figures import percentile
from scripts.bench.stage import Broken, cpu_s

Talk = Generator[bytes, bytes, None]

ANSWER_BYTES_MAX = 4096
# From so many connections on the generator is not woken by the answers, but collects them this
# often: before any of the servers has gone through what so many connections asked, so that it
# always has work. To be woken by each answer would cost a server ten microseconds, and only the
# slower one, as the quicker one finds us awake.
MANY = 64
LOOK_S = 0.0002
ACQUIRE, RELEASE = 1, 2


@dataclass(frozen=True)
class Server:
    """What is asked: a process that listens at a path, and how to talk to it."""

    pid: int
    path: str
    talk: Callable[[], Talk]


@dataclass(frozen=True)
class Load:
    """What one server did in one round. The times are those of an `acquire` to its answer, as the
    generator sees it.
    """

    pairs_per_s: float
    p50_us: float
    p99_us: float
    server_us_a_pair: float
    generator_pct: float


@dataclass
class _Line:
    """A connection, and where it stands in its conversation: what it asks for next."""

    sock: socket.socket
    talk: Talk
    asked: bytes = b""
    asked_at: float = 0.0
    is_acquiring: bool = True


def lease_talk(pool: str = "many") -> Talk:
    """With the daemon, or with a server that sends back what it receives: the echo of `acquire` is
    taken for a lease, that of `release` for its end.
    """
    fields = claim_fields(pool=pool, task="bench", bound="connection")
    acquire = encode({"id": ACQUIRE, "op": "acquire", **fields})
    while True:
        granted = understood((yield acquire))
        release = {"id": RELEASE, "op": "release", "lease": granted.get("lease", 1)}
        understood((yield encode(release)))


def understood(answer: bytes) -> dict[str, object]:
    """An answer of the daemon's, which is small and sent by one call, so one call receives it."""
    frame: dict[str, object] = msgpack.unpackb(answer[4:])
    if not frame.get("ok", True) or "event" in frame:
        raise Broken(f"a request was refused, or had to wait: {frame}")
    return frame


def drive(server: Server, connections: int, seconds: float) -> Load:
    """So many pairs at once as there are connections, as fast as they are answered."""
    if sys.platform != "linux":
        raise NotImplementedError
    with ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        lines: dict[int, _Line] = {}
        for _ in range(connections):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(server.path)
            poll.register(sock, select.EPOLLIN)
            lines[sock.fileno()] = line = _Line(sock, server.talk())
            _greet(line)
        server_s, own_s, begun_at = cpu_s(server.pid), time.process_time(), time.perf_counter()
        look = _looks(poll.poll) if connections >= MANY else _waits(poll.poll, connections)
        waits_us, pairs, ended_at = _exchange(look, lines, begun_at + seconds)
        elapsed_s = ended_at - begun_at
        server_s, own_s = cpu_s(server.pid) - server_s, time.process_time() - own_s
        return Load(
            pairs / elapsed_s,
            percentile(waits_us, 50),
            percentile(waits_us, 99),
            server_s / pairs * 1e6,
            100 * own_s / elapsed_s,
        )


def _greet(line: _Line) -> None:
    """One pair by itself, so that what is measured is not how fast connections are taken."""
    line.asked = next(line.talk)
    for _ in (ACQUIRE, RELEASE):
        line.sock.send(line.asked)
        line.asked = line.talk.send(line.sock.recv(ANSWER_BYTES_MAX))


Ready = list[tuple[int, int]]


def _looks(poll: Callable[[float], Ready]) -> Callable[[], Ready]:
    def look() -> Ready:
        time.sleep(LOOK_S)
        return poll(0)

    return look


def _waits(poll: Callable[[float, int], Ready], connections: int) -> Callable[[], Ready]:
    return lambda: poll(1.0, connections)


def _exchange(
    look: Callable[[], Ready], lines: dict[int, _Line], until: float
) -> tuple[list[float], int, float]:
    """How long each lease took to come, how many pairs were answered, and when it was over."""
    waits_us: list[float] = []
    pairs = 0
    for line in lines.values():
        line.asked_at = time.perf_counter()
        line.sock.send(line.asked)
    while (now := time.perf_counter()) < until:
        for descriptor, _ in look():
            line = lines[descriptor]
            answer = line.sock.recv(ANSWER_BYTES_MAX)
            now = time.perf_counter()
            if line.is_acquiring:
                waits_us.append(1e6 * (now - line.asked_at))
            else:
                pairs += 1
            line.is_acquiring = not line.is_acquiring
            line.asked_at = now
            line.sock.send(line.talk.send(answer))
    if not pairs:
        raise Broken("a server did not answer a single pair")
    return waits_us, pairs, now
