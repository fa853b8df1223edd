"""The permits of a fleet pool: whose turn it is, what to ask for, and what to give back. Pure.

All machines see the same permits, each made at a revision of the one store that all share. They
stand in the order of those, and the first `capacity` hold: a later one never comes before an
earlier one, so what a machine sees late is what was true, and who holds goes on holding until the
permit is given back or its machine is lost. A permit is for one unit and for one lease: when that
ends it goes back, and whoever waits next stands where he asked.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Literal

from admission.core.values import value

# Of so many who wait here the fleet is asked for what they want; the others follow.
ASKED_MAX = 64
# What holds, and is too little for who is next here, goes back after so long.
UNUSED_S = 1.0

# How it stands with the store: it answers; it does not, and nothing is lent, or what came back
# here; or it has not for so long that others may have what was ours.
Standing = Literal["joined", "refuse", "share", "lost"]


@value
class Plan:
    """What to do next. `ask`: units to ask for, a request each; `give_back`: permits."""

    ask: tuple[int, ...] = ()
    give_back: tuple[str, ...] = ()


class Line:
    """The permits of one pool, everybody's, in their order."""

    def __init__(self) -> None:
        self._made_at: dict[str, int] = {}
        self._order: list[tuple[int, str]] = []

    def __contains__(self, permit: str) -> bool:
        return permit in self._made_at

    def __len__(self) -> int:
        return len(self._order)

    def put(self, permit: str, revision: int) -> None:
        if permit not in self._made_at:
            self._made_at[permit] = revision
            insort(self._order, (revision, permit))

    def drop(self, permit: str) -> None:
        revision = self._made_at.pop(permit, None)
        if revision is not None:
            del self._order[bisect_left(self._order, (revision, permit))]

    def clear(self) -> None:
        self._made_at.clear()
        self._order.clear()

    def revision(self, permit: str) -> int:
        """When it was made: the fencing token of what it is for."""
        return self._made_at[permit]

    def place(self, permit: str) -> int:
        """From 0; those below the capacity hold."""
        return bisect_left(self._order, (self._made_at[permit], permit))

    def at(self, place: int) -> str | None:
        """Which one stands there; None where the line is shorter."""
        return self._order[place][1] if place < len(self._order) else None


class Share:
    """What of a fleet pool is this machine's.

    `capacity` is that of the pool, `most` what may be out here where the store is away and what
    comes back is lent again.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.most = 0
        self.standing: Standing = "refuse"
        self.line = Line()
        # Ours, as seen in the line; those of them that a lease has, that are to go back, and those
        # of which it is not known any more whether they are there.
        self.ours: set[str] = set()
        self.lease_of: dict[str, int] = {}
        self.spent: set[str] = set()
        self.returned: set[str] = set()
        # Those that were asked for and not yet seen, and since when.
        self.asked: dict[str, float] = {}
        self._unused_since: dict[str, float] = {}

    # --- what is seen ---------------------------------------------------------------------------

    def put(self, permit: str, revision: int, *, is_ours: bool) -> None:
        """A permit was made."""
        self.line.put(permit, revision)
        self.asked.pop(permit, None)
        if is_ours:
            self.ours.add(permit)

    def drop(self, permit: str) -> int | None:
        """A permit is gone. Gives the lease that had it, and has it no more."""
        self.line.drop(permit)
        for those in (self.ours, self.spent, self.returned):
            those.discard(permit)
        self.asked.pop(permit, None)
        return self.lease_of.pop(permit, None)

    def join(self) -> None:
        """The store answers, and all that is there has been seen. What may not have gone back as
        it was away is to go back.
        """
        self.standing = "joined"
        self.spent |= self.returned
        self.returned.clear()
        self.asked.clear()

    # --- what is lent ---------------------------------------------------------------------------

    def free(self) -> list[str]:
        """What could be lent now, in its order."""
        if self.standing in ("refuse", "lost"):
            return []
        is_joined = self.standing == "joined"
        found = [
            permit
            for permit in self.ours - self.returned - self.lease_of.keys()
            if self.holds(permit) and not (is_joined and permit in self.spent)
        ]
        found.sort(key=self.line.place)
        return found if is_joined else found[: max(0, self.most - len(self.lease_of))]

    def holds(self, permit: str) -> bool:
        return self.line.place(permit) < self.capacity

    def bind(self, lease: int, units: int) -> int | None:
        """The lease has so many of the free ones from now on.

        Returns:
            Its fencing token; None where there are fewer.
        """
        found = self.free()[:units]
        if len(found) < units:
            return None
        for permit in found:
            self.lease_of[permit] = lease
            self.spent.discard(permit)
        return max([self.line.revision(permit) for permit in found])

    def adopt(self, lease: int, units: int) -> int | None:
        """A lease that an earlier daemon granted; likewise, whatever the standing."""
        standing, self.standing = self.standing, "joined"
        fence = self.bind(lease, units)
        self.standing = standing
        return fence

    def release(self, lease: int) -> None:
        """Its units are out no more."""
        for permit in [one for one, of in self.lease_of.items() if of == lease]:
            del self.lease_of[permit]
            self.spent.add(permit)

    # --- what to do -----------------------------------------------------------------------------

    def plan(self, now: float, waiting: Sequence[int]) -> Plan:
        """What to ask for and to give back.

        Args:
            now: seconds on a clock that never goes back.
            waiting: what those ask for who wait here, in the order in which they would be served.
        """
        if self.standing != "joined":
            self._unused_since.clear()
            return Plan()
        unbound = self.ours - self.lease_of.keys() - self.spent - self.returned
        wanted = list(waiting[:ASKED_MAX])
        lacking = sum(wanted) - len(unbound) - len(self.asked)
        back = sorted(self.spent - self.returned)
        if lacking < 0:  # the latest, so that those who wait on keep their places
            back += sorted(unbound, key=self.line.place)[lacking:]
        else:
            back += self._unused(now)
        return Plan(_parts(wanted, lacking), tuple(back))

    def note_returned(self, permit: str) -> None:
        """The store is being told: from now on it may be somebody else's."""
        self.returned.add(permit)
        self._unused_since.pop(permit, None)

    def due_at(self) -> float | None:
        """When `plan` is to be asked again, whatever happens; None where it need not be."""
        since = min(self._unused_since.values(), default=None)
        return None if since is None else since + UNUSED_S

    def _unused(self, now: float) -> list[str]:
        """What has held for a while and was not lent, as it is too little for who is next here.

        It stays where the next to hold is ours as well: nobody else could have what is freed. So
        of several machines that each hold too little, all but one give way.
        """
        free = self.free()
        self._unused_since = {one: self._unused_since.get(one, now) for one in free}
        if self.line.at(self.capacity) in self.ours:
            return []
        return [one for one in free if now - self._unused_since[one] >= UNUSED_S]

    # --- what to say ----------------------------------------------------------------------------

    def counts(self) -> tuple[int, int]:
        """How many hold, and how many wait, in the whole fleet."""
        return min(len(self.line), self.capacity), max(0, len(self.line) - self.capacity)

    def ahead(self) -> int:
        """How many wait before the first of ours that does."""
        places = [self.line.place(one) for one in self.ours]
        waiting = [place for place in places if place >= self.capacity]
        return min(waiting, default=self.capacity) - self.capacity


def _parts(wanted: list[int], lacking: int) -> tuple[int, ...]:
    """So many units, as those want them who came last; each in one piece where it can be."""
    parts: list[int] = []
    for units in reversed(wanted):
        if lacking <= 0:
            break
        parts.append(min(units, lacking))
        lacking -= units
    return tuple(reversed(parts))
