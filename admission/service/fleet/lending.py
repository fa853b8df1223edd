"""Between the core, which decides who goes first here, and the permits of the fleet."""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from math import inf

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.fleet import ASKED_MAX, Plan, Share
from admission.core.leases import Lease
from admission.core.permits import Permitted
from admission.core.pool import Pool
from admission.protocol import Frame
from admission.service.fleet.view import View

log = logging.getLogger(__name__)


class Lending:
    """See the module.

    Args:
        core: whose fleet pools these are.
        view: what the fleet says.
        clock: that of the core.
        feed: gives the core an event.
        tell: tells the one who took a lease.
        end: asks a holder to end whose lease is lost; None: nobody is asked.
    """

    def __init__(
        self,
        core: Admission,
        view: View,
        clock: Callable[[], float],
        feed: Callable[[Permitted], None],
        tell: Callable[[Lease, Frame], None],
        end: Callable[[Lease], None] | None = None,
    ) -> None:
        self._core, self._view = core, view
        self._clock, self._feed, self._tell, self._end = clock, feed, tell, end
        # Fencing tokens, and why a lease is lost, of those that are out.
        self._fences: dict[int, int] = {}
        self.lost: dict[int, str] = {}
        # Since when etcd is away, and why, for those who wait.
        self.problem = "etcd has not answered yet"

    def pools(self) -> Iterator[tuple[Pool, Share]]:
        """The fleet pools, and what of each is ours."""
        for name, pool in self._core.pools.items():
            if pool.spec.is_fleet:
                yield pool, self._view.share(name)

    # --- leases ---------------------------------------------------------------------------------

    def note(self, record: ev.Record) -> bool:
        """What happened to a lease or in a queue. Gives whether it concerns a fleet pool."""
        match record:
            case ev.Granted(lease):
                return self._grant(lease)
            case ev.Regained(number):
                found = self._core.ledger.lease(number)
                return found is not None and self._grant(found)
            case ev.Ended(number) | ev.Yielded(number):
                return self._release(number)
            case ev.Queued(waiter):
                return self._is_fleet(waiter.claim.pool)
            case _:
                return True

    def _is_fleet(self, pool: str) -> bool:
        return self._core.pools[pool].spec.is_fleet

    def _grant(self, lease: Lease) -> bool:
        if not self._is_fleet(lease.claim.pool):
            return False
        fence = self._view.share(lease.claim.pool).bind(lease.id, lease.claim.weight)
        self._count(lease, fence)
        return True

    def _count(self, lease: Lease, fence: int | None) -> None:
        if fence is None:  # somebody deleted its permit by hand, or it ended with the etcd lease
            self.lose([lease.id], "its permit is gone")
        else:
            self._fences[lease.id] = fence

    def _release(self, number: int) -> bool:
        self.lost.pop(number, None)
        self._fences.pop(number, None)
        found = [share for _, share in self.pools() if number in share.lease_of.values()]
        for share in found:
            share.release(number)
        return bool(found)

    def adopt(self) -> None:
        """Finds the permits of leases that an earlier daemon granted, oldest to oldest."""
        self._set_capacities()  # by them it is told which permits hold
        for pool, share in self.pools():
            known = {*share.lease_of.values(), *self.lost}
            for lease in sorted(pool.leases.values(), key=lambda one: one.id):
                if lease.is_out and lease.id not in known:
                    self._count(lease, share.adopt(lease.id, lease.claim.weight))

    def lose(self, leases: Iterable[int], why: str) -> None:
        """These are another machine's by now, or may be: their holders are told, once."""
        for number in leases:
            lease = self._core.ledger.lease(number)
            if lease is not None and lease.is_out and number not in self.lost:
                self.lost[number] = why
                log.warning(
                    "lease %d is lost to the fleet: %s", number, why, extra={"lease": number}
                )
                self.remind(lease)
                if self._end is not None:
                    self._end(lease)

    def lose_all(self, why: str) -> None:
        """All that are out, whatever their permits."""
        leases = [lease for pool, _ in self.pools() for lease in pool.leases.values()]
        self.lose([lease.id for lease in leases], why)

    def remind(self, lease: Lease) -> None:
        """Tells the holder of a lost lease, again if it came back on a new connection."""
        if (why := self.lost.get(lease.id)) is not None:
            reason = f"lost to the fleet: {why}"
            self._tell(lease, {"event": "revoked", "lease": lease.id, "reason": reason})

    def dress(self, row: Frame) -> Frame:
        """What is told of a lease, with its fencing token in the fleet, and whether it is lost."""
        number = row.get("lease")
        if isinstance(number, int):
            if number in self._fences:
                row["fence"] = self._fences[number]
            if number in self.lost and "state" in row:
                row["state"] = "lost"
        return row

    # --- the core -------------------------------------------------------------------------------

    def settle(self, surely_for_s: float) -> None:
        """Tells the core what it may add to what is out.

        Args:
            surely_for_s: for how long what is ours surely is.
        """
        until_at = self._clock() + surely_for_s
        self._set_capacities()
        for pool, share in self.pools():
            units, why = len(share.free()), self._why(pool, share)
            is_stale = units > 0 and pool.permitted_until != until_at
            if is_stale or (pool.permits, pool.why_no_more) != (units, why):
                self._feed(Permitted(pool.spec.name, units, until_at if units else -inf, why))

    def _set_capacities(self) -> None:
        for pool, _ in self.pools():
            self._view.set_capacity(pool.spec.name, pool.spec.capacity[0])

    def _why(self, pool: Pool, share: Share) -> str:
        if not pool.waiters:
            return ""
        if share.standing != "joined":
            return f"the fleet can't be asked: {self.problem}"
        holding, _ = share.counts()
        ahead = share.ahead()
        if holding < share.capacity:
            return "the fleet is being asked"
        told = f"{holding} of {share.capacity} units of {pool.spec.name} are out in the fleet"
        return f"{told}, and {ahead} on other nodes go first" if ahead else told

    def plans(self) -> Iterator[tuple[str, Share, Plan]]:
        """What to ask for and to give back."""
        for pool, share in self.pools():
            yield pool.spec.name, share, share.plan(self._clock(), self._waiting(pool))

    def _waiting(self, pool: Pool) -> list[int]:
        """What those ask for who wait here and can be granted it."""
        if pool.paused_until is not None or not self._core.journal_works or not pool.waiters:
            return []
        able = (one for one in pool.queue() if one.caller is not None or one.keeps_place)
        return [waiter.claim.weight for waiter in islice(able, ASKED_MAX)]

    def due_in_s(self) -> float:
        """In how long `plans` is to be asked again, whatever happens."""
        due = [at for _, share in self.pools() if (at := share.due_at()) is not None]
        return max(0.0, min(due) - self._clock()) if due else inf
