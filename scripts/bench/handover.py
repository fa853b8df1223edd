"""From a release to the next waiter's grant, with a hundred waiters in the queue, against one round
trip to a server that echoes.

Releaser and waiters are connections of one process, so both ends are read from one clock.
"""

import socket
import time
from collections import deque
from contextlib import ExitStack

from admission.protocol import Frame, Frames, encode
from admission_client.granted import claim_fields, whole
from scripts.bench.figures import Figure, percentile
from scripts.bench.stage import Broken, Stage, progress

WAITERS = 100
HANDOVERS_A_ROUND = 200
TIMEOUT_S = 10.0
READ_BYTES = 65_536
ACQUIRE, RELEASE, HELLO = 1, 2, 3


class Line:
    """A connection that waits for the one unit of the pool `one`, or has it."""

    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(path)
        self._frames = Frames()
        self._answers: dict[int, Frame] = {}

    def ask(self) -> None:
        """Asks for the unit, and returns once the daemon has that on record."""
        fields = claim_fields(pool="one", task="bench", bound="connection")
        acquire = encode({"id": ACQUIRE, "op": "acquire", **fields})
        self.sock.sendall(acquire + encode({"id": HELLO, "op": "hello"}))
        self.answer(HELLO)  # what a connection asks is carried out in order

    def greet(self) -> None:
        self.sock.sendall(encode({"id": HELLO, "op": "hello"}))
        self.answer(HELLO)

    def answer(self, to: int) -> Frame:
        """The answer to this request, past whatever is told of the place in the queue."""
        while to not in self._answers:
            data = self.sock.recv(READ_BYTES)
            if not data:
                raise Broken("a server has hung up")
            for frame in self._frames.feed(data):
                if "event" not in frame:
                    self._answers[whole(frame, "id")] = frame
        answer = self._answers.pop(to)
        if not answer.get("ok", True):
            raise Broken(f"a request was refused: {answer}")
        return answer


def bench_handover(stage: Stage, rounds: int) -> list[Figure]:
    stage.serve()
    echo_path = str(stage.folder / "echo.sock")
    stage.play("echo", echo_path)
    with ExitStack() as stack:
        lines = deque(Line(stage.socket) for _ in range(1 + WAITERS))
        echo = Line(echo_path)
        for line in (*lines, echo):
            stack.enter_context(line.sock)
        for line in lines:
            line.ask()
        lease = whole(lines[0].answer(ACQUIRE), "lease")
        rows = []
        for number in range(rounds):
            progress(f"handover: round {number + 1} of {rounds}")
            handed_us: list[float] = []
            echoed_us: list[float] = []
            for _ in range(HANDOVERS_A_ROUND):
                lease, took_us = hand_over(lines, lease)
                handed_us.append(took_us)
                echoed_us.append(round_trip_us(echo))
            rows.append((handed_us, echoed_us))
    return _figures(rows)


def hand_over(lines: deque[Line], lease: int) -> tuple[int, float]:
    """The first releases, the second is granted, and the first asks again, as the last of all.

    Returns:
        The lease of the second, and how long it took to come.
    """
    first, second = lines[0], lines[1]
    request = encode({"id": RELEASE, "op": "release", "lease": lease})
    begun_at = time.perf_counter()
    first.sock.sendall(request)
    granted = second.answer(ACQUIRE)
    took_us = 1e6 * (time.perf_counter() - begun_at)
    first.answer(RELEASE)
    first.ask()
    lines.rotate(-1)
    return whole(granted, "lease"), took_us


def round_trip_us(echo: Line) -> float:
    """As many bytes there as a release has, and back."""
    request = encode({"id": RELEASE, "op": "release", "lease": 1})
    begun_at = time.perf_counter()
    echo.sock.sendall(request)
    echo.answer(RELEASE)
    return 1e6 * (time.perf_counter() - begun_at)


def _figures(rows: list[tuple[list[float], list[float]]]) -> list[Figure]:
    def values(which: int, pct: float) -> list[float]:
        return [percentile(row[which], pct) for row in rows]

    trips = values(1, 50)
    p50, p99 = (
        [took / trip for took, trip in zip(values(0, pct), trips, strict=True)] for pct in (50, 99)
    )
    return [
        Figure("handover: release to the next grant, p50", "us", values(0, 50)),
        Figure("handover: release to the next grant, p99", "us", values(0, 99)),
        Figure("handover: a round trip to the trio echo, p50", "us", trips),
        Figure("handover: a round trip to the trio echo, p99", "us", values(1, 99)),
        Figure("handover: p50 / a round trip", "", p50, at_most=2.5),
        Figure("handover: p99 / a round trip", "", p99, at_most=5),
    ]
