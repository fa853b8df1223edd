"""Shares of a fleet pool: never more than there is, in order, and nobody waits for ever."""

from random import Random

import pytest

from admission.core.fleet import ASKED_MAX, UNUSED_S, Line, Plan, Share
from tests.core.fleets import Machine, Store

CAPACITY = 4
HAPPENINGS = (*["ask"] * 3, *["act"] * 4, "end", "end", "hear", "hear", "away", "come")


def share_with(*ours: str, others: tuple[str, ...] = (), capacity: int = 2) -> Share:
    """Ours before the others', each made at a revision of its own."""
    share = Share(capacity)
    for revision, permit in enumerate((*ours, *others), start=1):
        share.put(permit, revision, is_ours=permit in ours)
    share.join()
    return share


def test_a_line_is_in_the_order_in_which_permits_were_made() -> None:
    line = Line()
    for permit, revision in (("b", 2), ("c", 2), ("a", 3), ("z", 1)):
        line.put(permit, revision)
    assert [line.at(place) for place in range(5)] == ["z", "b", "c", "a", None]
    line.put("z", 9)  # it was there
    line.drop("c")
    line.drop("c")
    assert [line.place(one) for one in ("z", "b", "a")] == [0, 1, 2]


def test_who_waits_here_is_asked_for_a_request_each() -> None:
    assert share_with().plan(0.0, [1, 3, 1]) == Plan(ask=(1, 3, 1))
    assert share_with("a").plan(0.0, [1, 3, 1]) == Plan(ask=(3, 1))
    assert share_with("a", "b").plan(0.0, [1, 3, 1]) == Plan(ask=(2, 1))
    many = share_with().plan(0.0, [1] * 100)
    assert many.ask == (1,) * ASKED_MAX


def test_what_is_asked_for_is_not_asked_for_again() -> None:
    share = share_with()
    share.asked["a"] = 0.0
    assert share.plan(0.0, [1]) == Plan()
    share.put("a", 1, is_ours=True)
    assert share.plan(0.0, [1]) == Plan()


def test_a_permit_is_for_one_lease() -> None:
    share = share_with("a", "b")
    assert share.bind(7, 1) == 1
    share.release(7)
    assert share.free() == ["b"], "another is free here, and the first goes back"
    assert share.plan(0.0, [1]) == Plan(give_back=("a",))
    assert share.bind(8, 2) is None


def test_the_latest_go_back_that_nobody_waits_for() -> None:
    assert share_with("a", "b", "c").plan(0.0, [1]) == Plan(give_back=("b", "c"))


def test_one_that_is_too_little_gives_way_unless_the_next_is_its_own() -> None:
    share = share_with("a", others=("x", "y"))
    share.asked["b"] = 0.0
    assert share.plan(0.0, [2]) == Plan()
    assert share.due_at() == UNUSED_S
    assert share.plan(UNUSED_S, [2]).give_back == ("a",)
    share = share_with("a", others=("x",))
    share.put("b", 9, is_ours=True)
    assert share.plan(0.0, [2]) == Plan()
    assert share.plan(9 * UNUSED_S, [2]) == Plan(), "whatever ends next is for it"


def test_away_nothing_is_lent_or_what_comes_back_here() -> None:
    share = share_with("a", "b", capacity=3)
    share.bind(7, 1)
    share.standing = "refuse"
    share.release(7)
    assert (share.free(), share.plan(0.0, [1])) == ([], Plan())
    share.standing, share.most = "share", 1
    assert share.free() == ["a"]
    share.most = 2
    assert share.free() == ["a", "b"]
    share.note_returned("a")
    assert share.free() == ["b"], "who knows whether it is still there"
    share.standing = "lost"
    assert share.free() == []
    share.join()
    assert share.plan(0.0, [1]).give_back == ("a",), "said once more"


def test_what_waits_and_who_is_ahead() -> None:
    share = share_with("a", others=("x", "y"), capacity=1)
    share.put("b", 9, is_ours=True)
    assert share.counts() == (1, 3)
    assert share.ahead() == 2


class Fleet:
    """Three machines, and all that can befall them."""

    def __init__(self, seed: int) -> None:
        self.luck = Random(seed)
        self.store = Store()
        self.machines = [Machine(name, self.store, CAPACITY, CAPACITY // 3) for name in "abc"]
        for one in self.machines:
            one.join()
        self.now = 0.0

    def step(self) -> None:
        luck, one = self.luck, self.luck.choice(self.machines)
        self.now += 0.1
        what = luck.choice(
            [
                "ask",
                "ask",
                "ask",
                "end",
                "end",
                "hear",
                "hear",
                "act",
                "act",
                "act",
                "act",
                "away",
                "come",
            ]
        )
        if what == "ask" and len(one.waiting) < 4:
            one.ask(luck.choice([1, 1, 1, 2, 3]), is_first=luck.random() < 0.2)
        elif what == "end" and one.out:
            one.end(luck.choice([*one.out]))
        elif what == "hear" and not one.is_cut:
            one.hear(luck.randint(one.heard, len(self.store.news)))
        elif what == "act":
            one.act(self.now, luck)
        elif what == "away":
            self.befall(one)
        elif what == "come" and one.is_cut:
            one.join()
        self.settle()

    def befall(self, one: Machine) -> None:
        """It is cut off: for a while, for longer than its lease, or because its daemon died."""
        if one.share.standing == "lost":
            self.expire(one)
            return
        match self.luck.randint(0, 5):
            case 0:
                one.cut("refuse")
            case 1 | 2:
                one.cut("share")
            case 3:
                one.cut("lost")
                if self.luck.random() < 0.7:
                    self.expire(one)
            case 4 if self.luck.random() < 0.5:
                one.restart()
                one.join()
            case _:
                pass

    def expire(self, one: Machine) -> None:
        ours = [permit for permit, (_, owner) in self.store.permits.items() if owner == one.name]
        self.store.delete(ours)

    def settle(self) -> None:
        for one in self.machines:
            fences = one.settle()
            assert fences == sorted(fences)
        holding = self.store.holding(CAPACITY)
        assert sum(one.held for one in self.machines) <= CAPACITY, "more than there are"
        for one in self.machines:
            for permit, lease in one.share.lease_of.items():
                if lease not in one.lost and lease in one.out:
                    assert permit in holding, f"{permit} of lease {lease} does not hold"

    def come_to_rest(self) -> None:
        """All is well again: everybody who waits is served, one after the other."""
        for one in self.machines:
            one.join()
        for _ in range(400):
            self.now += UNUSED_S / 2
            for one in self.machines:
                one.hear(len(self.store.news))
                self.settle()
                one.act(self.now)
            oldest = next((one for one in self.machines if one.out), None)
            if oldest is not None and self.luck.random() < 0.3:
                oldest.end(min(oldest.out))
            if not any(one.waiting or one.out for one in self.machines):
                return
        raise AssertionError("somebody waits for ever")


@pytest.mark.parametrize("block", range(3))
def test_whatever_befalls_them_never_more_are_out_than_there_are(block: int) -> None:
    for seed in range(block * 40, block * 40 + 40):
        fleet = Fleet(seed)
        try:
            for _ in range(150):
                fleet.step()
            fleet.come_to_rest()
            for one in fleet.machines:
                one.hear(len(fleet.store.news))
                one.act(fleet.now)
        except AssertionError as objection:
            raise AssertionError(f"seed {seed}: {objection}") from objection
        assert not fleet.store.permits, "what nobody needs is given back"
