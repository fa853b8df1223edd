"""Reservations: units of a pool that are kept free for some, for a while.

What a reservation keeps free is its units less those that are out with the leases it is for; each
lease counts towards one. Whoever it is not for sees that much less room. Whoever it is for goes
first, but only within what is kept for him: a request larger than that is one like any other.
"""

from collections.abc import Iterable, Iterator
from math import inf

from admission.core.durations import said
from admission.core.leases import Claim, Class, Lease, Waiter
from admission.core.levels import PoolSpec
from admission.core.values import value

# Few enough to be told in one answer.
RESERVATIONS_MAX = 32


@value
class Reservation:
    """`rank` and `group`: for whom it is; None and "": for any. It is active from `from_at` until
    `until_at`. `is_whole`: it may leave others nothing. `uid`: whose wish it is.
    """

    id: int
    pool: str
    units: int
    from_at: float
    until_at: float
    rank: Class | None = None
    group: str = ""
    is_whole: bool = False
    uid: int = 0

    def is_for(self, claim: Claim) -> bool:
        return self.is_for_those(claim.rank, claim.group)

    def is_for_those(self, rank: Class, group: str) -> bool:
        return self.rank in (None, rank) and self.group in ("", group)

    def overlaps(self, other: "Reservation") -> bool:
        return self.from_at < other.until_at and other.from_at < self.until_at

    @property
    def for_whom(self) -> str:
        """For a sentence: class critical, group ci, class batch of group ci."""
        group = "".join(char if char.isprintable() else "?" for char in self.group)
        if self.rank is None:
            return f"group {group}" if group else "anybody"
        rank = f"class {self.rank.name.lower()}"
        return f"{rank} of group {group}" if group else rank

    def said(self, now: float) -> str:
        are, left = "is" if self.units == 1 else "are", said(self.until_at - now)
        return f"{self.units} of {self.pool} {are} reserved for {self.for_whom} for another {left}"


# What tells requests apart here: class, group and weight. There may be many of one kind.
Kind = tuple[Class, str, int]


def kind_of(claim: Claim) -> Kind:
    return claim.rank, claim.group, claim.weight


class Kept:
    """What the active reservations of a pool keep free, for one look at its queue.

    Args:
        active: those that count now, the most particular first.
        leases: all of the pool.
    """

    def __init__(self, active: tuple[Reservation, ...], leases: Iterable[Lease]) -> None:
        # Each reservation, and how much of it no lease has yet.
        self._left = [(one, one.units) for one in active]
        self._is_for: dict[Kind, bool] = {}
        for lease in leases if active else ():
            if lease.is_out and (place := self._place_of(kind_of(lease.claim))) is not None:
                one, left = self._left[place]
                self._left[place] = one, max(0, left - lease.claim.weight)

    def _place_of(self, kind: Kind) -> int | None:
        """Towards which a lease like this counts: the first that has room for all of it, or else
        for a part.
        """
        rank, group, weight = kind
        places = [
            place
            for place, (one, left) in enumerate(self._left)
            if left and one.is_for_those(rank, group)
        ]
        whole = (place for place in places if self._left[place][1] >= weight)
        return next(whole, places[0] if places else None)

    @property
    def units(self) -> int:
        return sum([left for _, left in self._left])

    def is_for(self, claim: Claim) -> bool:
        """Whether so much is kept for this one that it goes before all others."""
        return self.is_for_any((kind_of(claim),))

    def is_for_any(self, kinds: Iterable[Kind]) -> bool:
        """Whether it is for requests of any of these kinds."""
        return any([self._is_for_kind(kind) for kind in kinds]) if self._left else False

    def _is_for_kind(self, kind: Kind) -> bool:
        if (known := self._is_for.get(kind)) is None:
            place = self._place_of(kind)
            known = place is not None and self._left[place][1] >= kind[2]
            self._is_for[kind] = known
        return known

    def from_others(self, claim: Claim) -> int:
        """What is kept free from this one now: all, but for what it would use up itself."""
        place = self._place_of(kind_of(claim))
        return self.units - (0 if place is None else min(self._left[place][1], claim.weight))

    def barred(self, claim: Claim) -> int:
        """What this one can't have as long as these reservations last."""
        if not self._left or self.is_for(claim):
            return 0
        own = max([one.units for one, _ in self._left if one.is_for(claim)], default=0)
        return sum([one.units for one, _ in self._left]) - own

    def first(self, queue: Iterable[Waiter]) -> Iterator[Waiter]:
        """These waiters, those first for whom units are kept."""
        others = []
        for waiter in queue:
            if self.is_for(waiter.claim):
                yield waiter
            else:
                others.append(waiter)
        yield from others

    def reason(self, claim: Claim, now: float) -> str:
        """What is kept from this one, for whom and for how long."""
        found = [one for one, _ in self._left if not one.is_for(claim)]
        return "; ".join(one.said(now) for one in found or [one for one, _ in self._left])


NOTHING = Kept((), ())


class Reservations:
    """Those of one pool. `active` are those that count now, the most particular first."""

    def __init__(self) -> None:
        self.all: dict[int, Reservation] = {}
        self.active: tuple[Reservation, ...] = ()
        self._looked_at = -inf

    def put(self, one: Reservation, now: float) -> None:
        self.all[one.id] = one
        self.look(now)

    def drop(self, number: int, now: float) -> None:
        del self.all[number]
        self.look(now)

    def look(self, now: float) -> list[Reservation]:
        """From now on those count whose time it is. Gives those whose time is over."""
        active = [one for one in self.all.values() if one.from_at <= now < one.until_at]
        active.sort(key=lambda one: (-(one.rank is not None) - (one.group != ""), one.id))
        self.active = tuple(active)
        self._looked_at = now
        return [one for one in self.all.values() if one.until_at <= now]

    def next_at(self) -> float:
        """When one begins or ends next; inf where none does."""
        if not self.all:
            return inf
        begins = [one.from_at for one in self.all.values() if one.from_at > self._looked_at]
        return min(begins + [one.until_at for one in self.all.values()], default=inf)

    def why_not(self, new: Reservation, spec: PoolSpec) -> str | None:
        """Why there can't be this one as well, in words and numbers; None where there can."""
        if spec.is_fleet:
            return (
                f"units of {new.pool} are the fleet's, and can't be reserved on one machine; "
                "reserve those of another pool"
            )
        capacity = spec.capacity[3]
        most = capacity if new.is_whole else capacity - 1
        beside = [one for one in self.all.values() if one.overlaps(new)]
        # Overlapping ones are most at the beginning of one of them.
        begins = [max(one.from_at, new.from_at) for one in (*beside, new)]
        reserved = max(
            sum(one.units for one in beside if one.from_at <= at < one.until_at) for at in begins
        )
        if reserved + new.units <= most:
            return None
        already = f", beside {reserved} that are reserved already" if reserved else ""
        asked = f"{new.units} of {new.pool} can't be reserved{already}"
        if new.is_whole or reserved + new.units > capacity:
            return f"{asked}: at level 3 there are {capacity} in all; reserve fewer"
        fewer = f"reserve {most - reserved}, or " if most > reserved else ""
        return (
            f"{asked}: of the {capacity} at level 3 one stays for the others; "
            f'{fewer}say that they may be left with none ("--whole")'
        )
