"""Totals of what process trees have used, which never fall although processes come and go.

The kernel counts for each process what it used itself, and what those of its children used that
have ended and were waited for. So what a child had used when it was last looked at comes once more
in its parent's figure, whenever that one waits for it: until then, the parent owes it here.
"""

from collections.abc import Mapping
from typing import NamedTuple

from admission.core.leases import Holder
from admission.service.measuring.belonging import Shares
from admission.service.sensors.processes import Processes


class Used(NamedTuple):
    """What a process has used since it began: itself, and its children that were waited for."""

    own: float
    reaped: float = 0.0

    @property
    def total(self) -> float:
        return self.own + self.reaped


class Tally:
    """What each lease has used of one thing since it was first looked at.

    Attributes:
        totals: by the lease's number.
    """

    def __init__(self) -> None:
        self.totals: dict[int, float] = {}
        self._used: dict[Holder, Used] = {}
        self._owed: dict[Holder, float] = {}
        self._processes: Processes | None = None

    def take(
        self,
        processes: Processes,
        used: Mapping[int, Used],
        shares: Mapping[int, Shares],
        leases: frozenset[int],
    ) -> None:
        """One more look.

        Args:
            processes: all of them.
            used: what those have used that count for some lease.
            shares: for which leases each of them counts.
            leases: those that are there; the others are forgotten.
        """
        self._inherit(processes)
        now: dict[Holder, Used] = {}
        self.totals = {number: self.totals.get(number, 0.0) for number in leases}
        for pid, figures in used.items():
            holder = processes[pid].holder
            more = self._more(holder, figures)
            now[holder] = figures
            for number, share in shares[pid].items():
                self.totals[number] += share * more
        self._used = now
        self._owed = {one: owed for one, owed in self._owed.items() if one in now and owed > 0}
        self._processes = processes

    def _more(self, holder: Holder, figures: Used) -> float:
        """What it used since the last look; since its start, where it had not begun by then."""
        before = self._used.get(holder)
        if before is None:
            if self._processes is None or _is_there(self._processes, holder):
                return 0.0  # what it did before it had a lease is not the lease's
            before = Used(0.0)
        reaped = max(figures.reaped - before.reaped, 0.0)
        owed = self._owed.get(holder, 0.0)
        if owed:
            self._owed[holder] = max(owed - reaped, 0.0)
            reaped = max(reaped - owed, 0.0)
        return max(figures.own - before.own, 0.0) + reaped

    def _inherit(self, processes: Processes) -> None:
        """What those had used who have ended is owed by the nearest above them who lives."""
        if self._processes is None:
            return
        for holder, figures in self._used.items():
            if _is_there(processes, holder):
                continue
            owed = figures.total + self._owed.pop(holder, 0.0)
            heir = self._heir(holder, processes)
            if heir is not None:
                self._owed[heir] = self._owed.get(heir, 0.0) + owed

    def _heir(self, holder: Holder, processes: Processes) -> Holder | None:
        """By descent as of the last look, and only among those that were looked at."""
        before = self._processes
        assert before is not None
        row = before[holder.pid]
        for _ in range(len(self._used)):  # a line may come back to itself
            row_above = before.get(row.parent)
            if row_above is None or row_above.holder not in self._used:
                return None
            if _is_there(processes, row_above.holder):
                return row_above.holder
            row = row_above
        return None


def _is_there(processes: Processes, holder: Holder) -> bool:
    row = processes.get(holder.pid)
    return row is not None and row.start_ticks == holder.start_ticks
