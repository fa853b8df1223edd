"""Rows on their way to the history's thread, and how many of a kind may come."""

from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from admission.service.history.store import Row

# A lease is listed as long as they don't come much faster than anybody starts agents: so many at
# once, and so many a second then. A program that takes a thousand a second would fill the disk,
# and the thread would take half of the interpreter's time from the loop.
LEASES_AT_ONCE = 1_000
LEASES_PER_S = 10.0


class Queue:
    """Rows on their way to the thread; full, it loses the oldest and counts them.

    Without a lock, which the loop would have to wait for: one side only appends, and a deque does
    that, and `popleft`, as one step.
    """

    def __init__(self, most: int) -> None:
        self._rows: deque[Row] = deque()
        self._most = most
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, row: Row) -> bool:
        """Whether there was room."""
        self._rows.append(row)
        if len(self._rows) <= self._most:
            return True
        with suppress(IndexError):  # the thread has just taken it
            self._rows.popleft()
            self.dropped += 1
        return False

    def take(self, most: int) -> Iterator[Row]:
        with suppress(IndexError):
            for _ in range(most):
                yield self._rows.popleft()


class Allowance:
    """How many leases may be listed now."""

    def __init__(self, now: float) -> None:
        self._left = float(LEASES_AT_ONCE)
        self._at = now

    def take(self, now: float) -> bool:
        """One more, if there is room for it."""
        self._left = min(LEASES_AT_ONCE, self._left + (now - self._at) * LEASES_PER_S)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
