"""Keeps the journal: writes what the core has written down, and mends what failed."""

import logging
from collections.abc import Callable, Iterable

import trio

from admission.core import events as ev
from admission.service.journal import Journal

RETRY_S = 1.0

log = logging.getLogger(__name__)


class Bookkeeper:
    """See the module.

    Args:
        journal: the file.
        snapshot: the whole state, as records.
    """

    def __init__(self, journal: Journal, snapshot: Callable[[], Iterable[ev.Record]]) -> None:
        self._journal = journal
        self._snapshot = snapshot
        self._failed = trio.Event()
        # While taking over there is no file yet: the first one is written whole, right after.
        self.is_taking_over = True

    @property
    def size_bytes(self) -> int:
        return self._journal.size_bytes

    def write(self, record: ev.Record) -> bool:
        """False where it could not be written."""
        return self.is_taking_over or self._journal.append(record)

    def note_failure(self) -> None:
        if not self._failed.is_set():
            log.error("%s: nothing is granted", self.problem())
        self._failed.set()

    def problem(self) -> str:
        """What to say while it can't be written."""
        return f"the journal {self._journal.path} can't be written"

    def shorten(self) -> None:
        """Writes a long one anew; if that can't be done, it goes on."""
        if self._journal.wants_rewrite:
            self.rewrite()

    def rewrite(self) -> bool:
        """Writes the whole state anew; False where it can't."""
        try:
            self._journal.rewrite(self._snapshot())
        except OSError as problem:
            log.warning("the journal can't be written anew: %s", problem)
            return False
        return True

    async def keep(self, tell: Callable[[], None]) -> None:
        """After a failure, tries to write the whole state anew until that works, and tells."""
        while True:
            await self._failed.wait()
            while not self.rewrite():  # noqa: ASYNC110 -- a disk tells nobody
                await trio.sleep(RETRY_S)
            self._failed = trio.Event()
            log.info("the journal can be written again")
            tell()
