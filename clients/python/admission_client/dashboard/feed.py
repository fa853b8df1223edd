"""What the page is told: the daemon's state, followed while somebody looks.

The state is in parts, each sent as a whole when it has changed. So a page that was away, or is
slow, is right again with the next one of each: nothing is queued for anybody.
"""

import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import trio

from admission.protocol import AdmissionError, Frame
from admission_client.aio import Client
from admission_client.granted import number, rows, whole

# The machine and the queue are looked at again after news, but no more often than this, and
# without news every so often.
LOOK_PAUSE_S = 0.25
LOOK_AT_LEAST_S = 5.0
# What takes the machine is a longer question.
EXPLAIN_EVERY_S = 10.0
RETRY_S = 0.5
# A comment keeps a connection from being taken for a dead one.
PULSE_S = 15.0
SAMPLES_KEPT = 600


class Feed:
    """See the module. `run` follows; each page reads its own `events`."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        # Of each part: the number of its last change, and its text.
        self._parts: dict[str, tuple[int, str]] = {}
        self._number = 0
        self._readers = 0
        self._changed = trio.Event()
        self._wanted = trio.Event()
        self._news = trio.Event()
        self._samples: deque[Frame] = deque(maxlen=SAMPLES_KEPT)
        self._explained_at = float("-inf")
        # Since when each lease is held and each waiter waits.
        self._since: dict[tuple[str, int], float] = {}
        # Numbers of another process' feed mean nothing here.
        self._begun = f"{time.time_ns():x}"

    async def run(self) -> None:
        """Follows the daemon while there is a reader; through its restarts."""
        while True:
            await self._wanted.wait()
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._follow)
                    nursery.start_soon(self._look)
                    await self._wait_until_unwanted()
                    scope.cancel()

    async def events(self, last_id: str = "") -> AsyncGenerator[str, None]:
        """Server-sent events: each part with its number, from `last_id` on."""
        begun, _, last = last_id.partition("-")
        seen = int(last) if begun == self._begun and last.isdecimal() else 0
        with self._reading():
            yield f"retry: {int(1000 * RETRY_S)}\n\n"
            while True:
                changed, parts, now = self._changed, dict(self._parts), self._number
                for name, (changed_at, text) in sorted(parts.items(), key=lambda part: part[1]):
                    if changed_at > seen:
                        yield f"id: {self._begun}-{changed_at}\nevent: {name}\ndata: {text}\n\n"
                seen = now
                with trio.move_on_after(PULSE_S) as pulse:
                    await changed.wait()
                if pulse.cancelled_caught:
                    yield ": still here\n\n"

    # --- the daemon -----------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Has the state looked at as soon as there is news."""
        while True:
            try:
                async with Client(self._path) as client:
                    async for event in client.watch():
                        if event.get("event") == "sample":
                            self._samples.append({**event, "at": time.time()})
                        self._news.set()
            except AdmissionError as problem:
                self._publish("daemon", {"is_there": False, "why": str(problem)})
            await trio.sleep(RETRY_S)

    async def _look(self) -> None:
        async with Client(self._path) as client:
            while True:
                self._news = trio.Event()
                try:
                    await self._look_once(client)
                    self._publish("daemon", {"is_there": True, "why": ""})
                except AdmissionError as problem:
                    self._publish("daemon", {"is_there": False, "why": str(problem)})
                await trio.sleep(LOOK_PAUSE_S)
                with trio.move_on_after(LOOK_AT_LEAST_S):
                    await self._news.wait()

    async def _look_once(self, client: Client) -> None:
        status = await client.ask("status")
        self._publish("status", {**status, "looked_at": round(time.time(), 1)})
        self._publish("leases", self._dated(await _all_leases(client)))
        self._publish("samples", list(self._samples)[-1:])
        if time.monotonic() - self._explained_at > EXPLAIN_EVERY_S:
            self._publish("explain", await client.ask("explain"))
            self._explained_at = time.monotonic()

    def _dated(self, found: Frame) -> Frame:
        """Instants in the place of ages: pages reckon those themselves, and else every row would
        be another one with every look.
        """
        now, since = time.time(), self._since
        self._since = {}
        for kind, named, age in (("leases", "lease", "age_s"), ("waiting", "ticket", "waiting_s")):
            for row in rows(found, kind):
                key = kind, whole(row, named)
                self._since[key] = since.get(key, round(now - number(row, age), 1))
                row["since"] = self._since[key]
                del row[age]
        return found

    def _publish(self, name: str, value: object) -> None:
        text = json.dumps(value, separators=(",", ":"))
        if self._parts.get(name, (0, ""))[1] == text:
            return
        self._number += 1
        self._parts[name] = (self._number, text)
        self._changed.set()
        self._changed = trio.Event()

    # --- the readers ----------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._readers += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._wanted = trio.Event()

    async def _wait_until_unwanted(self) -> None:
        while self._readers:
            with trio.move_on_after(LOOK_AT_LEAST_S):
                await self._changed.wait()


async def _all_leases(client: Client) -> Frame:
    held: list[Frame] = []
    waiting: list[Frame] = []
    after: object = [0, 0]
    while after is not None:
        part = await client.ask("leases", {"after": after})
        held += rows(part, "leases")
        waiting += rows(part, "waiting")
        after = part.get("more")
    return {"leases": held, "waiting": waiting}
