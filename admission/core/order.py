"""Who goes first: the queue of one pool, whoever may be served and whatever room there is.

By class; within a class those whom a hand put ahead, then those whom age has brought there, then
those who had their units before and only yielded, then all others in fair shares by group, and last
those whom a hand put back. A group is a user's: of two, that which has fewer units out goes first,
then that whose last grant is longer ago by virtual time, then that whose first waiter came first.
Within a group, and among the aged, first come first served.

Virtual time is that of start-time fair queuing (Goyal, Vin, Cheng: "Start-time Fair Queuing",
SIGCOMM 1996), with weights for lengths: a grant starts at the group's tag, but not before the last
grant of any has started, and the tag grows by its weight. A group that comes to wait starts no
earlier than the present, so that it has saved nothing; once nobody waits, all begin anew.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf

from admission.core.leases import Claim, Class, Waiter

RANKS = range(len(Class))
Group = tuple[int, str]
# Units out, tag, ticket of the first who waits, group: of those who wait, as they are served.
Head = tuple[int, int, int, Group]

# Who does not go by shares: of which kind (put ahead, aged, yielded, put back), how far ahead, and
# the ticket.
First = tuple[int, int, int]
PUT_BACK = 3

NO_LINES: dict[int, list[int]] = {}

# Of so many groups that wait for nothing is remembered how far ahead they are.
IDLE_MAX = 1_000


def group_of(claim: Claim) -> Group:
    """Whoever shares fairly: the group within its user, so that two users never share one."""
    return claim.uid, claim.group


@dataclass(frozen=True, slots=True)
class Ageing:
    """What it does that one has waited: for how long one of a class waits before it stands in the
    next higher one, each time; and for how long one that asks for more than is free lets smaller
    ones pass, from when it came.
    """

    normal_s: float = 600.0
    batch_s: float = 1800.0
    fill_in_s: float = 300.0

    def climbs_at(self, waiter: Waiter, times: int) -> float:
        """When this one has climbed so many classes."""
        rank = waiter.claim.rank
        if rank is Class.CRITICAL:
            return inf
        return waiter.queued_at + times * (self.normal_s if rank is Class.NORMAL else self.batch_s)

    def climbed(self, waiter: Waiter, now: float) -> int:
        """How many classes above its own it stands by now."""
        times = 0
        while times < waiter.claim.rank and now >= self.climbs_at(waiter, times + 1):
            times += 1
        return times


class Queue:
    """See the module. Whose units are out it is told by `count`, and of grants by `charge`."""

    def __init__(self) -> None:
        self.ageing = Ageing()
        self.waiters: dict[int, Waiter] = {}
        # Those of them that are put off.
        self._deferred: set[int] = set()
        # Of those who have climbed: how many classes.
        self._climbed: dict[int, int] = {}
        # Those who don't go by shares, by the class in which they stand: in order, before the
        # others and behind them; and of each group that waits, the others' tickets, by class too.
        self._first: list[list[First]] = [[] for _ in RANKS]
        self._last: list[list[First]] = [[] for _ in RANKS]
        self._lines: dict[Group, dict[int, list[int]]] = {}
        # Invariant: one of each group in `_lines`, sorted, but for those in `_touched`, which have
        # none until somebody asks for the order: a grant changes all that a head is made of.
        self._heads: list[list[Head]] = [[] for _ in RANKS]
        self._touched: set[Group] = set()
        # An index over the pool's leases: no group has 0.
        self.out: dict[Group, int] = {}
        self._waiting: dict[Group, int] = {}
        # When the last grant started, and the tags: of groups that wait, and of those that do not
        # and are ahead of it.
        self._started = 0
        self._tags: dict[Group, int] = {}
        self._idle_tags: dict[Group, int] = {}

    # --- who waits ------------------------------------------------------------------------------

    def add(self, waiter: Waiter) -> None:
        group = group_of(waiter.claim)
        self.waiters[waiter.ticket] = waiter
        if waiter.is_deferred:
            self._deferred.add(waiter.ticket)
        self._waiting[group] = self._waiting.get(group, 0) + 1
        if group not in self._tags:
            self._tags[group] = max(self._started, self._idle_tags.pop(group, 0))
            self._lines[group] = {}
        self._line_up(waiter, group)

    @property
    def has_deferred(self) -> bool:
        return bool(self._deferred)

    def remove(self, waiter: Waiter) -> None:
        group = group_of(waiter.claim)
        self._step_out(waiter, group)
        self._climbed.pop(waiter.ticket, None)
        del self.waiters[waiter.ticket]
        if waiter.is_deferred:
            self._deferred.discard(waiter.ticket)
        self._waiting[group] -= 1
        if not self._waiting[group]:
            del self._waiting[group], self._lines[group]
            self._note_idle(group, self._tags.pop(group))
        if not self.waiters:
            self._started = 0
            self._idle_tags.clear()

    def update(self, waiter: Waiter) -> None:
        """The same ticket with another caller or deadline, or moved by a hand."""
        old = self.waiters[waiter.ticket]
        assert (waiter.claim, waiter.lease) == (old.claim, old.lease), "another place"
        if waiter.is_deferred != old.is_deferred:
            self._deferred ^= {waiter.ticket}
        if waiter.ahead == old.ahead:
            self.waiters[waiter.ticket] = waiter
            return
        group = group_of(waiter.claim)
        self._step_out(old, group)
        self.waiters[waiter.ticket] = waiter
        self._line_up(waiter, group)

    def age(self, waiter: Waiter, now: float) -> None:
        """It stands in the class that it has reached by now."""
        climbed = self.ageing.climbed(waiter, now)
        if climbed == self._climbed.get(waiter.ticket, 0):
            return
        group = group_of(waiter.claim)
        self._step_out(waiter, group)
        self._climbed[waiter.ticket] = climbed
        self._line_up(waiter, group)

    def rank_of(self, waiter: Waiter) -> int:
        """The class in which it stands."""
        return waiter.claim.rank - self.climbed(waiter)

    def climbed(self, waiter: Waiter) -> int:
        """How many classes above its own it stands."""
        return self._climbed.get(waiter.ticket, 0)

    def ages_at(self, waiter: Waiter) -> float:
        """When it is next to be aged; inf where there is no class above it."""
        climbed = self._climbed.get(waiter.ticket, 0)
        if climbed >= waiter.claim.rank:
            return inf
        return self.ageing.climbs_at(waiter, climbed + 1)

    # --- shares ---------------------------------------------------------------------------------

    def count(self, claim: Claim, units: int) -> None:
        """So many units of this claim's group more are out; or fewer."""
        group = group_of(claim)
        self._touch(group)
        out = self.out.get(group, 0) + units
        if out:
            self.out[group] = out
        else:
            self.out.pop(group, None)

    def charge(self, claim: Claim) -> None:
        """One of this claim's group was granted what it asked for, and waits no more."""
        if not self.waiters:
            return  # nobody is there whom it could be ahead of
        group = group_of(claim)
        tag = self._tags.get(group, self._idle_tags.pop(group, 0))
        self._started = max(self._started, tag)
        self._set_tag(group, self._started + claim.weight)

    def forgive(self, claim: Claim) -> None:
        """A grant was taken back: the group is ahead of nobody."""
        self._set_tag(group_of(claim), self._started)

    def _set_tag(self, group: Group, tag: int) -> None:
        if group not in self._waiting:
            self._note_idle(group, tag)
            return
        self._touch(group)
        self._tags[group] = tag

    def _note_idle(self, group: Group, tag: int) -> None:
        if tag > self._started:
            self._idle_tags[group] = tag
        if len(self._idle_tags) > IDLE_MAX:
            del self._idle_tags[next(iter(self._idle_tags))]

    # --- order ----------------------------------------------------------------------------------

    def first(self) -> Waiter | None:
        """The first `in_order`, whoever is passed over; None where nobody waits."""
        if self._touched:
            self._put_heads()
        for first, heads, last in zip(self._first, self._heads, self._last, strict=True):
            if found := first or heads or last:
                return self.waiters[found[0][2]]
        return None

    def in_order(self, is_passed_over: Callable[[Waiter], bool]) -> Iterator[Waiter]:
        """All who wait; the first few of them are cheap, however many there are.

        Each stands where it would be served if all before it had been and none had left, less
        those who are passed over.
        """
        self._put_heads()
        ahead: dict[Group, int] = {}
        for rank in RANKS:
            yield from self._as_listed(self._first[rank], ahead, is_passed_over)
            yield from self._in_shares(rank, ahead, is_passed_over)
            yield from self._as_listed(self._last[rank], ahead, is_passed_over)

    def _as_listed(
        self, listed: list[First], ahead: dict[Group, int], is_passed_over: Callable[[Waiter], bool]
    ) -> Iterator[Waiter]:
        for _, _, ticket in listed:
            waiter = self.waiters[ticket]
            yield waiter
            if not is_passed_over(waiter):
                group = group_of(waiter.claim)
                ahead[group] = ahead.get(group, 0) + waiter.claim.weight

    def _in_shares(
        self, rank: int, ahead: dict[Group, int], is_passed_over: Callable[[Waiter], bool]
    ) -> Iterator[Waiter]:
        heads = self._heads[rank]
        if ahead:
            heads = sorted(_pushed_back(head, ahead.get(head[3], 0)) for head in heads)
        # Those behind a head that was served already, with their places in their lines.
        behind: list[tuple[Head, int]] = []
        next_head = 0
        while behind or next_head < len(heads):
            if behind and (next_head == len(heads) or behind[0][0] < heads[next_head]):
                head, place = heappop(behind)
            else:
                head, place = heads[next_head], 0
                next_head += 1
            _, _, ticket, group = head
            waiter = self.waiters[ticket]
            yield waiter
            if not is_passed_over(waiter):
                ahead[group] = ahead.get(group, 0) + waiter.claim.weight
                head = _pushed_back(head, waiter.claim.weight)
            line = self._lines[group][rank]
            if place + 1 < len(line):
                heappush(behind, ((head[0], head[1], line[place + 1], group), place + 1))

    def _line_up(self, waiter: Waiter, group: Group) -> None:
        rank, first = self._place(waiter)
        if first is not None:
            insort(self._listed(rank, first), first)
            return
        line = self._lines[group].setdefault(rank, [])
        if not line or waiter.ticket < line[0]:
            self._touch(group)
        insort(line, waiter.ticket)

    def _step_out(self, waiter: Waiter, group: Group) -> None:
        rank, first = self._place(waiter)
        if first is not None:
            listed = self._listed(rank, first)
            del listed[bisect_left(listed, first)]
            return
        line = self._lines[group][rank]
        if line[0] == waiter.ticket:
            self._touch(group)
        del line[bisect_left(line, waiter.ticket)]
        if not line:
            del self._lines[group][rank]

    def _listed(self, rank: int, first: First) -> list[First]:
        return self._last[rank] if first[0] == PUT_BACK else self._first[rank]

    def _place(self, waiter: Waiter) -> tuple[int, First | None]:
        """In which class it stands; and where, if it doesn't go by shares."""
        climbed = self._climbed.get(waiter.ticket, 0)
        rank = waiter.claim.rank - climbed
        if waiter.ahead:
            kind = 0 if waiter.ahead > 0 else PUT_BACK
            return rank, (kind, -waiter.ahead, waiter.ticket)
        if climbed:
            return rank, (1, 0, waiter.ticket)
        return rank, None if waiter.lease is None else (2, 0, waiter.ticket)

    def _touch(self, group: Group) -> None:
        """Something that its heads are made of is about to change."""
        if group in self._touched or (lines := self._lines.get(group)) is None:
            return
        for rank, line in lines.items():
            if line:
                heads = self._heads[rank]
                del heads[bisect_left(heads, self._head(group, line))]
        self._touched.add(group)

    def _put_heads(self) -> None:
        for group in self._touched:
            # A group of whom nobody waits any more has no lines.
            for rank, line in self._lines.get(group, NO_LINES).items():
                insort(self._heads[rank], self._head(group, line))
        self._touched.clear()

    def _head(self, group: Group, line: list[int]) -> Head:
        return self.out.get(group, 0), self._tags[group], line[0], group


def _pushed_back(head: Head, units: int) -> Head:
    """Where a group stands when so many units more are out, and were granted."""
    out, tag, ticket, group = head
    return out + units, tag + units, ticket, group


class Listing:
    """The places of all who wait at a moment, and about where they are once some have left.

    Whoever leaves moves up those of its group, and with them others. That is not reckoned anew
    for each of ten thousand who leave at once, but once a sixteenth of them are gone.
    """

    def __init__(self, waiters: Iterable[Waiter], capacity: int) -> None:
        self.capacity = capacity
        self._places = {waiter.ticket: place for place, waiter in enumerate(waiters)}
        self._gone: list[int] = []

    @property
    def is_worn(self) -> bool:
        return 16 * len(self._gone) >= max(1, len(self._places))

    def remove(self, ticket: int) -> None:
        insort(self._gone, self._places[ticket])

    def position(self, ticket: int) -> int:
        """From 1."""
        place = self._places[ticket]
        return place - bisect_left(self._gone, place) + 1
