"""Keeps a scene as the daemon has it: asks once, and again where the news say that there is more to
know. While no daemon answers it tries again, and starts none.
"""

import time
from collections.abc import Callable
from contextlib import aclosing

import anyio

from admission.protocol import AdmissionError, Frame
from admission_client.aio import Client
from admission_client.granted import rows
from admission_client.top.scene import Scene

TOPICS = ["level", "lease", "queue", "shed", "alarms", "sample"]
# What only a look shows, as memory and estimates, is no news.
LOOK_AGAIN_S = 5.0
ADVICE_AGAIN_S = 60.0
RETRY_S = 0.5
# So many answers, of some two hundred rows each; nobody reads more, and each costs the daemon.
PARTS_MAX = 4


class News:
    """See the module.

    Args:
        path: the daemon's socket.
        scene: what is kept.
        changed: called after each change.
        interval_s: between two questions, at least.
    """

    def __init__(
        self, path: str, scene: Scene, changed: Callable[[], None], interval_s: float
    ) -> None:
        self._path = path
        self._scene = scene
        self._changed = changed
        self._interval_s = interval_s
        self._has_news = anyio.Event()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            tasks.start_soon(self._keep_asking)
            tasks.start_soon(self._keep_advised)

    def look(self) -> None:
        """There is something to be seen: a key has changed it."""
        self._has_news.set()

    async def _listen(self) -> None:
        while True:
            try:
                async with (
                    Client(self._path) as client,
                    aclosing(client.watch(TOPICS)) as news,
                ):
                    async for event in news:
                        self._hear(event)
            except AdmissionError:
                self.look()  # which says what is wrong
            await anyio.sleep(RETRY_S)

    def _hear(self, event: Frame) -> None:
        if event.get("event") == "sample":
            self._scene.hear_sample(event, time.monotonic())
            self._changed()
        else:
            self.look()

    async def _keep_asking(self) -> None:
        while True:
            try:
                async with Client(self._path) as client:
                    while True:
                        again_at = time.monotonic() + self._interval_s
                        await self._ask(client)
                        self._changed()
                        with anyio.move_on_after(LOOK_AGAIN_S):
                            await self._has_news.wait()
                        await anyio.sleep(max(again_at - time.monotonic(), 0.0))
            except AdmissionError as problem:
                self._scene.lose(str(problem), time.monotonic())
                self._changed()
            await anyio.sleep(RETRY_S)

    async def _ask(self, client: Client) -> None:
        self._has_news = anyio.Event()
        now = time.monotonic()
        leases: list[Frame] = []
        waiting: list[Frame] = []
        status = await client.ask("status")
        after: object = [0, 0]
        for _ in range(PARTS_MAX):
            part = await client.ask("leases", {"after": after})
            leases += rows(part, "leases")
            waiting += rows(part, "waiting")
            after = part.get("more")
            if after is None:
                break
        self._scene.take(status, leases, waiting, now)

    async def _keep_advised(self) -> None:
        """By itself, as an answer may take some seconds."""
        while True:
            again_s = ADVICE_AGAIN_S
            try:
                async with Client(self._path) as client:
                    found = rows(await client.ask("recommendations"), "recommendations")
            except AdmissionError as problem:
                found = []  # it knows of none, or not even what they are
                if problem.code != "unknown_op":
                    again_s = LOOK_AGAIN_S
            self._scene.advice = found
            self._changed()
            await anyio.sleep(again_s)
