"""Waits for the end of every process that something depends on."""

from collections import Counter
from collections.abc import Callable

import trio

from admission.core.leases import Holder
from admission.service.holders import Exit, Gone, exit_of


class Vigil:
    """One task for each process that is watched.

    Args:
        exited: is told of each end. It may be called from within `watch`.
        is_needed: whether anything still depends on this process's life.
        watch_exit: how the end of a process is waited for.
    """

    def __init__(
        self,
        exited: Callable[[Holder], None],
        is_needed: Callable[[Holder], bool],
        watch_exit: Callable[[Holder], Exit] = exit_of,
    ) -> None:
        self._exited = exited
        self._is_needed = is_needed
        self._watch_exit = watch_exit
        self._exits: dict[Holder, trio.CancelScope] = {}
        self._peers: Counter[Holder] = Counter()
        self._nursery: trio.Nursery | None = None

    def begin(self, nursery: trio.Nursery) -> None:
        """From now on, waits in this nursery; to be called before anything else."""
        self._nursery = nursery

    def watch(self, holder: Holder) -> None:
        if holder in self._exits:
            return
        try:
            exit_ = self._watch_exit(holder)
        except Gone:
            self._exited(holder)
            return
        assert self._nursery is not None
        scope = self._exits[holder] = trio.CancelScope()
        self._nursery.start_soon(self._await_exit, holder, exit_, scope)

    async def _await_exit(self, holder: Holder, exit_: Exit, scope: trio.CancelScope) -> None:
        with scope:
            try:
                await exit_.wait()
            finally:
                exit_.close()
        if not scope.cancelled_caught:
            self._exits.pop(holder, None)
            self._exited(holder)

    def unwatch(self, holder: Holder) -> None:
        """Stops watching, unless somebody will want it again soon: a client that is connected
        takes one lease after the other.
        """
        if holder in self._exits and not self._peers[holder] and not self._is_needed(holder):
            self._exits.pop(holder).cancel()

    def add_peer(self, holder: Holder) -> None:
        """One more connection of this process."""
        self._peers[holder] += 1

    def remove_peer(self, holder: Holder) -> None:
        """One less; after the last, it is watched only where something depends on it."""
        self._peers[holder] -= 1
        if not self._peers[holder]:
            del self._peers[holder]
