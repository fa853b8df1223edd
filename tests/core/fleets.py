"""A fleet that does not exist: a store, and machines that hear of it late, or not at all."""

from dataclasses import dataclass, field
from random import Random

from admission.core.fleet import Share


@dataclass
class Store:
    """All permits that there are, and what has happened to them, in order."""

    revision: int = 0
    permits: dict[str, tuple[int, str]] = field(default_factory=dict)
    news: list[tuple[str, int, str]] = field(default_factory=list)

    def put(self, permits: list[str], owner: str) -> None:
        self.revision += 1
        for permit in permits:
            self.permits[permit] = (self.revision, owner)
            self.news.append((permit, self.revision, owner))

    def delete(self, permits: list[str]) -> None:
        self.revision += 1
        for permit in permits:
            if self.permits.pop(permit, None):
                self.news.append((permit, 0, ""))

    def holding(self, capacity: int) -> set[str]:
        order = sorted(self.permits, key=lambda one: (self.permits[one][0], one))
        return set(order[:capacity])


class Machine:
    """One that lends what is its share, as it knows it, to whoever waits there."""

    def __init__(self, name: str, store: Store, capacity: int, most: int) -> None:
        self.name, self.store = name, store
        self.share = self._fresh(capacity, most)
        self.heard = 0
        self.waiting: list[tuple[int, int]] = []
        # What is out, and of that what was told that it is lost; and the units of each.
        self.out: dict[int, int] = {}
        self.lost: set[int] = set()
        self.fences: dict[int, int] = {}
        self.is_cut = False
        self.numbers = 0

    def _fresh(self, capacity: int, most: int) -> Share:
        share = Share(capacity)
        share.most = most
        return share

    # --- the store ------------------------------------------------------------------------------

    def hear(self, upto: int) -> None:
        """What has happened up to there reaches it."""
        for permit, revision, owner in self.store.news[self.heard : upto]:
            if revision:
                self.share.put(permit, revision, is_ours=owner == self.name)
            elif (lease := self.share.drop(permit)) is not None:
                self.lose(lease)
        self.heard = max(self.heard, upto)

    def join(self) -> None:
        """It reaches the store again, and sees all that is there."""
        self.is_cut = False
        for permit in self.share.ours | {one for one in self.seen() if one in self.share.line}:
            if permit not in self.store.permits and (lease := self.share.drop(permit)) is not None:
                self.lose(lease)
        for permit in self.seen():
            if permit not in self.store.permits:
                self.share.drop(permit)
        for permit, (revision, owner) in self.store.permits.items():
            self.share.put(permit, revision, is_ours=owner == self.name)
        self.heard = len(self.store.news)
        self.share.join()
        for lease in sorted(self.out.keys() - self.lost - {*self.share.lease_of.values()}):
            fence = self.share.adopt(lease, self.out[lease])
            if fence is None:
                self.lose(lease)

    def seen(self) -> list[str]:
        return [permit for permit, _, _ in self.store.news[: self.heard]]

    def restart(self) -> None:
        """Another daemon, which knows who holds and nothing of permits."""
        self.share = self._fresh(self.share.capacity, self.share.most)
        self.heard = 0

    def cut(self, standing: str) -> None:
        self.is_cut = True
        self.share.standing = standing  # type: ignore[assignment]
        if standing == "lost":
            for lease in [*self.out]:
                self.lose(lease)

    def lose(self, lease: int) -> None:
        if lease in self.out:
            self.lost.add(lease)

    # --- here -----------------------------------------------------------------------------------

    def ask(self, units: int, *, is_first: bool) -> None:
        self.numbers += 1
        self.waiting.insert(0 if is_first else len(self.waiting), (self.numbers, units))

    def end(self, lease: int) -> None:
        del self.out[lease]
        self.lost.discard(lease)
        self.share.release(lease)

    def settle(self) -> list[int]:
        """Lends what it can. Gives the fencing tokens."""
        fences = []
        while self.waiting and len(self.share.free()) >= self.waiting[0][1]:
            lease, units = self.waiting.pop(0)
            fence = self.share.bind(lease, units)
            assert fence is not None
            self.out[lease] = units
            fences.append(fence)
        return fences

    def act(self, now: float, luck: Random | None = None) -> None:
        """Asks for what it wants and gives back what it does not; of that some gets lost."""
        if self.is_cut:
            return
        plan = self.share.plan(now, [units for _, units in self.waiting])
        for permit in plan.give_back:
            self.share.note_returned(permit)
        is_lost = luck is not None and luck.random() < 0.1
        if plan.give_back and not (is_lost and luck and luck.random() < 0.5):
            self.store.delete([*plan.give_back])
        for units in plan.ask:
            self.numbers += 1
            permits = [f"{self.name}/{self.numbers:06}-{unit}" for unit in range(units)]
            for permit in permits:
                self.share.asked[permit] = now
            if not (is_lost and luck and luck.random() < 0.5):
                self.store.put(permits, self.name)
        if is_lost:
            self.cut("refuse")

    @property
    def held(self) -> int:
        return sum(units for lease, units in self.out.items() if lease not in self.lost)
