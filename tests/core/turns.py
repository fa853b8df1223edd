"""Who goes first, said once more in other words than the core's: nothing sorted, nothing kept but
what each group has had.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from admission.core.leases import Class, Lease, State, Waiter
from admission.core.order import Ageing

Group = tuple[str, int, str]


def group_of(one: Lease | Waiter) -> Group:
    """Among whom shares are fair: the group of this name of this user, in this pool."""
    return one.claim.pool, one.claim.uid, one.claim.group


@dataclass
class Share:
    """What a group has and has had: units out, and when in virtual time its next grant starts."""

    out: int
    starts: int


@dataclass
class Standing:
    """What there is to compare of one who waits."""

    waiter: Waiter
    climbed: int
    share: Share

    @property
    def rank(self) -> int:
        return self.waiter.claim.rank - self.climbed

    @property
    def origin(self) -> int:
        """How it came to its class: by its age, by an earlier grant, or as most do."""
        if self.climbed:
            return 1
        return 3 if self.waiter.lease is None else 2

    def goes_before(self, other: "Standing") -> bool:
        """The class first, then whom a hand put ahead, then who climbed there, then who yielded;
        and last whom a hand put back.

        Of the rest who has less out, then who has had less. At last who came first.
        """
        if self.rank != other.rank:
            return self.rank < other.rank
        if self.waiter.ahead != other.waiter.ahead:
            return self.waiter.ahead > other.waiter.ahead
        if self.waiter.ahead:
            return self.waiter.ticket < other.waiter.ticket
        if self.origin != other.origin:
            return self.origin < other.origin
        if self.origin == 3 and self.share.out != other.share.out:
            return self.share.out < other.share.out
        if self.origin == 3 and self.share.starts != other.share.starts:
            return self.share.starts < other.share.starts
        return self.waiter.ticket < other.waiter.ticket


class Turns:
    """See the module. `virtual` is where virtual time stands in each pool, `starts` when the next
    grant of each group starts.
    """

    def __init__(self, ageing: Ageing) -> None:
        self.ageing = ageing
        self.virtual: dict[str, int] = {}
        self.starts: dict[Group, int] = {}

    def rank(self, now: float, waiter: Waiter) -> int:
        """The class in which it stands."""
        return waiter.claim.rank - sum(now >= at for at in self.climbs(waiter))

    def climbs(self, waiter: Waiter) -> list[float]:
        """When it climbs: one of class normal once, one of class batch twice."""
        if waiter.claim.rank == Class.NORMAL:
            return [waiter.queued_at + self.ageing.normal_s]
        if waiter.claim.rank == Class.BATCH:
            return [waiter.queued_at + times * self.ageing.batch_s for times in (1, 2)]
        return []

    def shares(
        self, waiting: list[Waiter], newcomer: Waiter | None, leases: Iterable[Lease]
    ) -> dict[Group, Share]:
        """Of the groups of those who wait and of a newcomer, if there is one."""
        groups = {group_of(one) for one in waiting}
        found = {group: Share(0, self.starts.get(group, 0)) for group in groups}
        if newcomer is not None and group_of(newcomer) not in groups:
            group = group_of(newcomer)
            found[group] = Share(0, self._starts_now(group))
        for lease in leases:
            if lease.state != State.YIELDED and group_of(lease) in found:
                found[group_of(lease)].out += lease.claim.weight
        return found

    def line(
        self,
        now: float,
        waiting: list[Waiter],
        shares: dict[Group, Share],
        is_passed_over: Callable[[Waiter], bool],
    ) -> list[Waiter]:
        """One after the other is sought before whom nobody goes, and then its group has more."""
        left = [
            Standing(one, one.claim.rank - self.rank(now, one), shares[group_of(one)])
            for one in waiting
        ]
        line = []
        while left:
            first = left[0]
            for standing in left:
                first = standing if standing.goes_before(first) else first
            left = [one for one in left if one is not first]
            line.append(first.waiter)
            if not is_passed_over(first.waiter):
                first.share.out += first.waiter.claim.weight
                first.share.starts += first.waiter.claim.weight
        return line

    def join(self, waiter: Waiter, waiting: list[Waiter]) -> None:
        """It is the first of its group, or not, among those who wait."""
        if not waiting:
            self._begin_anew(waiter.claim.pool)
        group = group_of(waiter)
        if all(group_of(one) != group for one in waiting):
            self.starts[group] = self._starts_now(group)

    def charge(self, waiter: Waiter, others: list[Waiter]) -> None:
        """It has had what it asked for, and its group is that much behind the others who wait."""
        pool, group = waiter.claim.pool, group_of(waiter)
        if not others:
            self._begin_anew(pool)
            return
        self.virtual[pool] = self._starts_now(group)
        self.starts[group] = self.virtual[pool] + waiter.claim.weight

    def forgive(self, waiter: Waiter) -> None:
        """It has not had it, after all."""
        self.starts[group_of(waiter)] = self.virtual.get(waiter.claim.pool, 0)

    def _starts_now(self, group: Group) -> int:
        """A group that did not wait starts now at the earliest."""
        return max(self.starts.get(group, 0), self.virtual.get(group[0], 0))

    def _begin_anew(self, pool: str) -> None:
        """Nobody waits, so nobody is behind anybody."""
        self.virtual[pool] = 0
        self.starts = {group: at for group, at in self.starts.items() if group[0] != pool}
