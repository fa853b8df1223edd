"""Looks for what the holders that are gone have left, and feeds the core what is found."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

import trio

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.leases import Bound, Holder, Lease
from admission.service.sensors.processes import Look
from admission.service.sensors.source import SAID_CHARS_MAX, one_line
from admission.service.trees import Trees

RETRY_S = 1.0

T = TypeVar("T")

log = logging.getLogger(__name__)


class Run(Protocol):
    """How something is done that may block."""

    def __call__(self, do: Callable[[], T], /) -> Awaitable[T]: ...


class Following:
    """One look at a time for each lease, and one thread for all of them.

    Attributes:
        trees: what is known of each lease's tree.
    """

    def __init__(self, trees: Trees, run: Run | None = None) -> None:
        """`run`: how a look is taken; in a thread where none is given."""
        self.trees = trees
        self._run: Run = run or self._in_thread
        self._nursery: trio.Nursery | None = None
        self._limiter = trio.CapacityLimiter(1)
        # Leases for which a look is to begin; those that somebody looks for; and why that fails.
        self._wanted: set[int] = set()
        self._looking: set[int] = set()
        self._failing: dict[int, str] = {}
        self._noted: Look | None = None
        self._latest: Look | None = None
        self._is_noting = False

    def begin(
        self, nursery: trio.Nursery, core: Admission, feed: Callable[[ev.Event], None]
    ) -> None:
        """From now on, looks in this nursery; to be called before anything else."""
        self._nursery, self._core, self._feed = nursery, core, feed

    def problems(self) -> list[str]:
        """What is wrong, a line each, for `degraded`."""
        return [
            f"what the holder of lease {number} left can't be looked for: {why}"
            for number, why in self._failing.items()
        ]

    # --- when a holder is gone --------------------------------------------------------------------

    def want(self, number: int) -> None:
        """`TreeFound` is to be fed for this lease, from a look that begins after now.

        While one is under way, another comes after it, and not beside it: so however many
        processes of a tree end at once, the last look begins after the last end.
        """
        self._wanted.add(number)
        if number not in self._looking:
            assert self._nursery is not None
            self._looking.add(number)
            self._nursery.start_soon(self._look, number)

    async def _look(self, number: int) -> None:
        while number in self._wanted:
            self._wanted.discard(number)
            lease = self._core.ledger.lease(number)
            if lease is None:
                break  # it has ended by somebody's wish
            try:
                left = await self._run(partial(self.trees.find, lease, self._others(lease)))
            # Most of all OSError, as no descriptor is left. But whatever it is, it does not say
            # that nobody is there, and it must not end the daemon.
            except Exception as problem:  # noqa: BLE001
                self._note_failure(number, problem)
                self._wanted.add(number)
                await trio.sleep(RETRY_S)
                continue
            self._failing.pop(number, None)
            self._feed(ev.TreeFound(number, left))
        self._failing.pop(number, None)
        self._wanted.discard(number)
        self._looking.discard(number)

    def _note_failure(self, number: int, problem: Exception) -> None:
        why = str(problem) if isinstance(problem, OSError) else repr(problem)
        if number not in self._failing:
            said = "what the holder of lease %d left can't be looked for: %s"
            log.warning(said, number, why, extra={"lease": number})
        self._failing[number] = one_line(why, SAID_CHARS_MAX)

    def known(self, lease: Lease) -> tuple[frozenset[Holder], frozenset[Holder], str | None]:
        """Who was seen below this lease's holder, who holds beside it, and the cgroup that is its
        own.
        """
        seen = self.trees.seen().get(lease.id, frozenset())
        return seen, self._others(lease), self.trees.own_group(lease.id)

    def _others(self, lease: Lease) -> frozenset[Holder]:
        """The living holders of the pool's other leases. One that holds in another pool only, as
        a build step does, is no less its agent's.
        """
        leases = self._core.pools[lease.claim.pool].leases.values()
        others = {one.claim.holder for one in leases if one.id != lease.id and not one.is_left}
        return frozenset(others - {lease.claim.holder})

    # --- while the holders live -------------------------------------------------------------------

    @property
    def has_trees(self) -> bool:
        """Whether any lease is to follow what its holder leaves."""
        leases = (one for pool in self._core.pools.values() for one in pool.leases.values())
        return any(one.claim.bound is Bound.TREE for one in leases)

    def note(self, look: Look | None) -> None:
        """The processes as of the last pass, which may have been noted already."""
        if look is None or look is self._latest:
            return
        self._latest = look
        if not self._is_noting:
            assert self._nursery is not None
            self._is_noting = True
            self._nursery.start_soon(self._note)

    async def _note(self) -> None:
        while self._latest is not None and self._latest is not self._noted:
            self._noted = look = self._latest
            leases = [one for pool in self._core.pools.values() for one in pool.leases.values()]
            try:
                await self._run(partial(self.trees.note, look.processes, leases))
            except Exception as problem:  # noqa: BLE001 -- what is missed now is seen next time
                log.warning("what runs below the leases can't be noted: %r", problem)
        self._is_noting = False

    async def _in_thread(self, do: Callable[[], T]) -> T:
        """Not on the event loop: the environment of a process that is stuck in the kernel can hold
        its reader up for minutes. One thread, as `Trees` is for one at a time.
        """
        return await trio.to_thread.run_sync(do, abandon_on_cancel=True, limiter=self._limiter)
