"""What three dashboards with an open page each add to the daemon, while leases come and go."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from urllib.parse import parse_qs, urlsplit

from admission_client import Client
from admission_client.granted import claim_fields
from scripts.bench.figures import Figure
from scripts.bench.stage import COMMAND, Stage, cpu_s, progress

DASHBOARDS = 3
LEASES = 200
# Leases that come and go, each by a process of its own.
PER_S = 5
SETTLE_S = 5.0


def bench_pages(stage: Stage, seconds: float) -> list[Figure]:
    """`seconds`: for how long the daemon is looked on, with the pages and without."""
    pid = stage.serve()
    holders = [stage.start("sleep", "infinity").pid for _ in range(LEASES + 1)]
    with Client(stage.socket) as client:
        for holder in holders[:-1]:
            client.ask("acquire", claim_fields(pool="many", pid=holder, bound="process"))
    with _coming_and_going(stage.socket, holders[-1]):
        progress(f"pages: {2 * (SETTLE_S + seconds):g} s")
        alone = _used(pid, seconds)
        with ExitStack() as stack:
            for _ in range(DASHBOARDS):
                started = stage.start(COMMAND, "dashboard", "--port", "0", "--no-open")
                stack.enter_context(_open_page(stage.line(started).strip()))
            looked_at = _used(pid, seconds)
    when = f"pages: {LEASES} leases and {PER_S} a second that come and go"
    return [
        Figure(f"{when}: the daemon's CPU", "% of a core", [alone]),
        Figure(f"{when}: with three dashboards open", "% of a core", [looked_at]),
        Figure("pages: what these add", "% of a core", [looked_at - alone], at_most=1),
    ]


def _used(pid: int, seconds: float) -> float:
    """The CPU that a process takes, in percent of a core, once it has settled."""
    time.sleep(SETTLE_S)
    used_s, begun_at = cpu_s(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (cpu_s(pid) - used_s) / (time.monotonic() - begun_at)


@contextmanager
def _coming_and_going(path: str, holder: int) -> Iterator[None]:
    ended = Event()

    def work() -> None:
        with Client(path) as client:
            while not ended.wait(0.5 / PER_S):
                lease = client.acquire(claim_fields(pool="many", pid=holder, bound="process"))
                ended.wait(0.5 / PER_S)
                client.release(lease)

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _open_page(url: str) -> Iterator[None]:
    """Reads its events, as a browser does."""
    found = urlsplit(url)
    token = parse_qs(found.query)["token"][0]
    asked = f"GET /events HTTP/1.1\r\nHost: {found.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n"
    with socket.create_connection((found.hostname or "", found.port or 0)) as page:
        page.sendall(asked.encode())

        def read() -> None:
            while page.recv(1 << 16):
                pass

        thread = Thread(target=read)
        thread.start()
        try:
            yield
        finally:
            page.shutdown(socket.SHUT_RDWR)
            thread.join()
