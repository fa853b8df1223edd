"""The workspaces in which each sample is written down, as the user's document has it.

Whoever works in a folder registers it; the daemon remembers it in its state folder. Folders may lie
on a disk that hangs, so all of this is done in a thread, and asked for through a queue.
"""

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import trio

from admission.protocol import AdmissionError, BadRequest, Frame
from admission.service.metrics import check_workspace, write_metrics

WORKSPACES_MAX = 64

log = logging.getLogger(__name__)

T = TypeVar("T")

# Told when it is done, with what was wrong.
Answer = Callable[[AdmissionError | None], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """A folder to be registered, or forgotten."""

    path: str
    forget: bool
    answer: Answer


class Workspaces:
    """See the module. `listing` is the file that remembers them; without one, nothing does."""

    def __init__(self, configured: tuple[str, ...] = (), listing: Path | None = None) -> None:
        self._configured = configured
        self._listing = listing
        self._folders: dict[Path, str | None] = {}  # with what is wrong there
        self._wishes: list[Wish] = []
        self._metrics: Frame | None = None
        self._news = trio.Event()
        # One at a time, and no other work of the daemon's waits for it.
        self._limiter = trio.CapacityLimiter(1)

    def note(self, metrics: Frame) -> None:
        """A new sample, as the map that goes into the file."""
        self._metrics = metrics
        self._news.set()

    def wish(self, path: str, answer: Answer, *, forget: bool = False) -> None:
        """Registers a folder, or forgets it."""
        self._wishes.append(Wish(path, forget, answer))
        self._news.set()

    def problems(self) -> list[str]:
        """What is wrong, a line each, for `degraded`."""
        return [problem for problem in self._folders.values() if problem is not None]

    async def run(self) -> None:
        """Until cancelled."""
        for path in (*self._configured, *await self._in_thread(self._remembered)):
            await self._register(path)
        while True:
            await self._news.wait()
            self._news = trio.Event()
            wishes, self._wishes = self._wishes, []
            for wish in wishes:
                wish.answer(await self._fulfil(wish))
            if self._metrics is not None:
                await self._write(self._metrics)

    async def _fulfil(self, wish: Wish) -> AdmissionError | None:
        if wish.forget:
            folder = await self._in_thread(lambda: Path(os.path.realpath(wish.path)))
            self._folders.pop(folder, None)
        elif problem := await self._register(wish.path):
            return problem
        await self._in_thread(self._remember)
        return None

    async def _register(self, path: str) -> AdmissionError | None:
        try:
            folder = await trio.to_thread.run_sync(check_workspace, path, limiter=self._limiter)
            if len(self._folders) >= WORKSPACES_MAX and folder not in self._folders:
                raise BadRequest(f"{WORKSPACES_MAX} workspaces are registered; forget one first")
        except AdmissionError as problem:
            return problem
        self._folders.setdefault(folder, None)
        return None

    async def _write(self, metrics: Frame) -> None:
        for folder, before in list(self._folders.items()):
            problem = None
            try:
                await trio.to_thread.run_sync(write_metrics, folder, metrics, limiter=self._limiter)
            except BadRequest as gone:
                log.info("a workspace is gone: %s", gone)
                del self._folders[folder]
                continue
            except AdmissionError as refused:
                problem = str(refused)
                if problem != before:
                    log.warning("%s", problem)
            self._folders[folder] = problem

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    def _remembered(self) -> list[str]:
        if self._listing is None:
            return []
        try:
            found = json.loads(self._listing.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []  # losing it costs a registration, which every monitor makes anew
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []

    def _remember(self) -> None:
        if self._listing is None:
            return
        fresh = self._listing.with_suffix(".new")
        with suppress(OSError):  # likewise
            self._listing.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.write_text(json.dumps([str(folder) for folder in self._folders]))
            fresh.replace(self._listing)
