"""The daemon's door to the scales: a thread, how often it looks, and what the core is told."""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from math import inf
from pathlib import Path
from typing import Protocol, TypeVar

import trio

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.estimates import Measured, OutOfMemory, Reading
from admission.core.leases import Lease, Reason
from admission.service.measuring.scales import Findings, Scales, Subject
from admission.service.measuring.weighing import has_changed
from admission.service.sensors.processes import Look
from admission.service.sensors.source import SAID_CHARS_MAX, one_line
from admission.service.trees import Trees

# What the pass over all processes takes, for each; it is made in another thread.
PASS_S_PER_PROCESS = 12e-6
# Why a lease ends whose holder has; that may be noticed by its connection first.
_LOST = (Reason.HOLDER_EXITED, Reason.CONNECTION_CLOSED)

T = TypeVar("T")

log = logging.getLogger(__name__)


class Run(Protocol):
    """How something is done that may block."""

    def __call__(self, do: Callable[[], T], /) -> Awaitable[T]: ...


class Measuring:
    """See the module.

    Args:
        trees: what is known of each lease's tree.
        scales: what is measured by.
        share: of one core, what all of it may take, the passes over the processes as well.
        run: how a look is taken; in a thread where none is given.
    """

    def __init__(
        self, trees: Trees, scales: Scales, *, share: float = 0.01, run: Run | None = None
    ) -> None:
        self._trees = trees
        self._scales = scales
        self._share = share
        self._run: Run = run or self._in_thread
        self._nursery: trio.Nursery | None = None
        self._core: Admission | None = None
        # A look that hangs keeps this until it ends: there is never a second thread.
        self._limiter = trio.CapacityLimiter(1)
        self._latest: Look | None = None
        self._taken: Look | None = None
        self._is_looking = False
        self._had_leases = False
        self._cost_s = 0.0
        self._problem: str | None = None
        self._readings: dict[int, Reading] = {}
        # Those that took as much at the last look as at the one before.
        self._steady: frozenset[int] = frozenset()

    def begin(
        self, nursery: trio.Nursery, core: Admission, feed: Callable[[ev.Event], None]
    ) -> None:
        """From now on, looks in this nursery; to be called before anything else."""
        self._nursery, self._core, self._feed = nursery, core, feed

    def problems(self) -> list[str]:
        """What is wrong, a line each, for `degraded`."""
        if self._problem is None:
            return []
        return [f"what the leases' processes take can't be measured: {self._problem}"]

    @property
    def pass_every_s(self) -> float:
        """How often the table of processes is wanted, at most; inf where it is not, or where it is
        read often enough without that, as no tree grows or shrinks.
        """
        if not self._share or self._core is None or not self._core.ledger.held:
            return inf
        is_steady = all(lease.id in self._steady for lease in self._leases())
        return inf if is_steady else self._cost_s / self._share

    def has_measured(self, number: int) -> bool:
        """Whether the last look found anything of this lease."""
        return number in self._readings

    def memory_bytes(self, number: int) -> int | None:
        """What this lease's tree took at the last look; None where it was not measured."""
        reading = self._readings.get(number)
        return None if reading is None else reading.memory_bytes

    def has_lost(self, record: ev.Record) -> bool:
        """Whether this is the end of a measured lease by its holder's: it may have been killed."""
        if not isinstance(record, ev.Ended) or record.before is None:
            return False
        return record.reason in _LOST and self.has_measured(record.lease)

    def note(self, look: Look | None) -> None:
        """The processes as of the last pass, which may have been noted already."""
        if look is None or look is self._latest or not self._share:
            return
        self._latest = look
        if not self._is_looking:
            assert self._nursery is not None
            self._is_looking = True
            self._nursery.start_soon(self._look)

    async def _look(self) -> None:
        while self._latest is not None and self._latest is not self._taken:
            self._taken = look = self._latest
            leases = self._leases()
            # Once more after the last of them: how it ended is seen only then.
            if leases or self._had_leases:
                await self._measure(look, leases)
            self._had_leases = bool(leases)
        self._is_looking = False

    def _leases(self) -> tuple[Lease, ...]:
        assert self._core is not None
        return tuple(one for pool in self._core.pools.values() for one in pool.leases.values())

    async def _measure(self, look: Look, leases: tuple[Lease, ...]) -> None:
        subject = Subject(look, leases, self._trees.seen(), self._trees.groups())
        try:
            found = await self._run(partial(self._scales.look, subject))
        # Most of all OSError, as no descriptor is left. Whatever it is, it must not end the daemon:
        # what is not measured is reckoned by the age of the lease.
        except Exception as problem:  # noqa: BLE001
            self._problem = one_line(str(problem) or repr(problem), SAID_CHARS_MAX)
            return
        self._problem = None
        self._cost_s = found.cost_s + PASS_S_PER_PROCESS * len(look.processes)
        self._tell(found)

    def _tell(self, found: Findings) -> None:
        for number in sorted(found.out_of_memory):
            log.warning("lease %d: the kernel ended a process of it for want of memory", number)
            self._feed(OutOfMemory(number))
        assert self._core is not None
        ledger = self._core.ledger
        readings = tuple(one for one in found.readings if ledger.lease(one.lease) is not None)
        before, self._readings = self._readings, {one.lease: one for one in readings}
        self._steady = frozenset(
            one.lease
            for one in readings
            if (had := before.get(one.lease))
            and not has_changed(had.memory_bytes, one.memory_bytes)
        )
        if readings:
            self._feed(Measured(found.at, readings))

    async def _in_thread(self, do: Callable[[], T]) -> T:
        """Not on the event loop: the memory map of a process that is stuck in the kernel can hold
        its reader up for minutes. And not the thread that follows trees, which must not wait.
        """
        return await trio.to_thread.run_sync(do, abandon_on_cancel=True, limiter=self._limiter)


def measuring_within(share: float, trees: Trees, socket: Path | None) -> Measuring:
    """What may take so much of one core in all; 0: nothing is measured."""
    return Measuring(trees, Scales(socket, share=share / 2), share=share)
