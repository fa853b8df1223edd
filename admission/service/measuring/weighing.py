"""What the trees take of the memory, within an allowance of CPU time.

What is shared (libraries, and everything behind a fork) counts in full for each process in the
table of processes, so that five forked test runners read as five times their parent. What each has
of it in fairness costs the kernel a walk over all its pages. So that is asked again only where a
tree has changed, and now and then; in between, and where there are too many processes to ask about
all of them, the table's figure counts by as much as it was too high the last time.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from admission.service.measuring.costs import Costs
from admission.service.sensors.processes import Processes

# Another tree than was weighed: by so much of its resident memory, or by its processes.
CHANGED_SHARE = 0.05
CHANGED_BYTES = 4 << 20
# Pages come to be shared, and are no longer, without a change of what is resident.
OLD_S = 30.0
# What was saved up for one look at most, and what a first look may take.
SAVED_S_MAX = 0.25


class Allowance:
    """So much CPU time may be spent for each second that passes; what is overspent is waited for.

    Args:
        share: of one core.
        clock: seconds.
        spent_s: the CPU time of the thread so far, in seconds.
    """

    def __init__(
        self,
        share: float,
        clock: Callable[[], float] = time.monotonic,
        spent_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self.share = share
        self._clock = clock
        self._spent_s = spent_s
        self._at = clock()
        self._left_s = SAVED_S_MAX

    def accrue(self) -> None:
        """Time has passed."""
        now = self._clock()
        self._left_s = min(self._left_s + self.share * (now - self._at), SAVED_S_MAX)
        self._at = now

    @property
    def is_left(self) -> bool:
        return self._left_s > 0

    def spend(self, do: Callable[[], None]) -> None:
        """Does it, at the expense of what is left."""
        begun_s = self._spent_s()
        do()
        self._left_s -= max(self._spent_s() - begun_s, 0.0)


@dataclass(slots=True)
class _Weighed:
    """A tree as it was weighed: when, who was in it, as resident, and in fairness."""

    at: float
    pids: frozenset[int]
    rss_bytes: int
    bytes: int


def has_changed(before_bytes: int, now_bytes: int) -> bool:
    """Whether a tree takes noticeably more or less than it did."""
    return abs(now_bytes - before_bytes) > max(CHANGED_SHARE * before_bytes, CHANGED_BYTES)


class Weighing:
    """See the module."""

    def __init__(self, costs: Costs, allowance: Allowance) -> None:
        self._costs = costs
        self._allowance = allowance
        self._weighed: dict[int, _Weighed] = {}

    def weigh(
        self, at: float, processes: Processes, trees: Mapping[int, Iterable[int]]
    ) -> dict[int, int]:
        """The memory of each tree in bytes, by the lease's number.

        Args:
            at: when the table was read, in seconds.
            processes: all of them.
            trees: the PIDs of each, by the lease's number.
        """
        asked: dict[int, int] = {}  # a process may be in the trees of two pools

        def ask(pids: frozenset[int]) -> int:
            for pid in pids - asked.keys():
                found = self._costs.memory_bytes(pid)
                asked[pid] = processes[pid].rss_bytes if found is None else found
            return sum(asked[pid] for pid in pids)

        self._weighed = {one: had for one, had in self._weighed.items() if one in trees}
        now = {number: frozenset(pids) for number, pids in trees.items()}
        rss = {one: sum(processes[pid].rss_bytes for pid in pids) for one, pids in now.items()}

        def weigh(number: int) -> None:
            pids = now[number]
            self._weighed[number] = _Weighed(at, pids, rss[number], ask(pids))

        for number in sorted(now, key=lambda one: self._age_s(one, at), reverse=True):
            if self._allowance.is_left and self._has_changed(number, at, now[number], rss[number]):
                self._allowance.spend(lambda number=number: weigh(number))  # type: ignore[misc]
        return {number: self._reckoned(number, rss[number]) for number in now}

    def _age_s(self, number: int, at: float) -> float:
        had = self._weighed.get(number)
        return at if had is None else at - had.at

    def _has_changed(self, number: int, at: float, pids: frozenset[int], rss_bytes: int) -> bool:
        had = self._weighed.get(number)
        if had is None or had.pids != pids or at - had.at >= OLD_S:
            return True
        return has_changed(had.rss_bytes, rss_bytes)

    def _reckoned(self, number: int, rss_bytes: int) -> int:
        had = self._weighed.get(number)
        if had is None or not had.rss_bytes:
            return rss_bytes
        return round(rss_bytes * had.bytes / had.rss_bytes)
