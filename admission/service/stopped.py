"""Holders that are stopped: they still hold, and nothing but a person resumes them.

That one is stopped is seen in the table of processes, which comes with the samples, and by a look
of one's own whenever somebody asks; since when, is kept here.
"""

from collections.abc import Callable, Iterable
from math import inf

from admission.core.admission import Admission
from admission.core.durations import said
from admission.core.leases import Holder
from admission.service.holders import is_stopped
from admission.service.sensors.processes import Look


class Stopped:
    """See the module. `look`: whether a process is stopped now."""

    def __init__(self, look: Callable[[Holder], bool] = is_stopped) -> None:
        self._look = look
        self._since: dict[Holder, float] = {}
        self._asked_at = -inf
        self._noted: Look | None = None

    def note(self, look: Look | None, holders: Iterable[Holder]) -> None:
        """The table of processes as of the last pass, which may have been noted already. One that
        is older than what was seen since then is left out: the next one is not far.
        """
        if look is None or look is self._noted or look.at < self._asked_at:
            return
        self._noted = look
        before, self._since = self._since, {}
        for holder in holders:
            row = look.processes.get(holder.pid)
            if row is not None and row.holder == holder and row.is_stopped:
                self._since[holder] = before.get(holder, look.at)

    def for_s(self, holder: Holder, now: float) -> float | None:
        """For how many seconds it has been seen stopped; None where it runs."""
        try:
            is_now = self._look(holder)
        except OSError:
            is_now = holder in self._since  # no descriptor left to look by: as it was
        self._asked_at = now
        if not is_now:
            self._since.pop(holder, None)
            return None
        return now - self._since.setdefault(holder, now)

    def problems(self, core: Admission, now: float, bound_s: float) -> list[str]:
        """A line for `degraded` for each lease whose holder is stopped for longer than that."""
        if not self._since:
            return []
        found: list[str] = []
        for lease in (lease for pool in core.pools.values() for lease in pool.leases.values()):
            holder = lease.claim.holder
            for_s = self.for_s(holder, now) if holder in self._since else None
            if for_s is not None and for_s >= bound_s:
                found.append(
                    f"lease {lease.id}: process {holder.pid} has been stopped for {said(for_s)}; "
                    f"it still holds its slot; resume it with kill -CONT {holder.pid} or end it"
                )
        return found
