"""Which node work goes to: never one that may not have it, and never all to the same one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.core.placement import (
    Caution,
    Offer,
    Placement,
    Trouble,
    Wanted,
    place,
)

ANY = Wanted()


def lots(seed: int) -> Iterator[float]:
    random = Random(seed)
    while True:
        yield random.random()


def decide(*offers: Offer, wanted: Wanted = ANY, seed: int = 0, **troubles: Trouble) -> Placement:
    return place(offers, wanted, troubles, lots(seed))


# --- one at a time ------------------------------------------------------------------------------


def test_of_two_nodes_the_one_with_more_room_is_taken() -> None:
    for seed in range(20):
        assert decide(Offer("a", 5, 4), Offer("b", 8, 5), seed=seed).node == "b"


def test_who_waits_there_has_the_room_first() -> None:
    assert decide(Offer("a", 5, 0, waiting=4), Offer("b", 5, 3)).node == "b"


@pytest.mark.parametrize(
    ("offer", "wanted", "why"),
    [
        (Offer("a", 5, 0, state="cordoned"), ANY, "a: cordoned"),
        (Offer("a", 5, 0, state="draining"), ANY, "a: draining"),
        (Offer("a", 5, 0, age_s=61.0), ANY, "a: not heard of lately"),
        (Offer("a", 5, 5), ANY, "a: full"),
        (Offer("a", 5, 0), Wanted(weight=6), "a: too small"),
        (Offer("a", 5, 4), Wanted(weight=2), "a: full"),
        (Offer("a", 5, 0, cost=2.0), Wanted(cost_max=1.0), "a: costs too much"),
        (
            Offer("a", 5, 0, labels=frozenset({"gpu"})),
            Wanted(frozenset({"gpu", "cloud"})),
            "a: not labelled cloud",
        ),
    ],
)
def test_who_may_not_have_it_is_not_taken_and_the_reason_says_why(
    offer: Offer, wanted: Wanted, why: str
) -> None:
    assert decide(offer, wanted=wanted) == Placement(None, why, int(why == "a: full"))


def test_without_other_nodes_the_reason_says_so() -> None:
    assert decide() == Placement(None, "there is no other node")


def test_of_many_nodes_the_reason_names_none() -> None:
    many = [Offer(str(number), 5, 5) for number in range(4)]
    found = decide(*many, Offer("x", 5, 0, state="cordoned"))
    assert found.reason == "4 nodes: full; x: cordoned"


def test_a_dear_node_is_taken_only_where_no_cheaper_one_has_room() -> None:
    own, cloud = Offer("own", 5, 4), Offer("cloud", 100, 0, cost=1.0)
    assert decide(own, cloud).node == "own"
    assert decide(replace(own, out=5), cloud).node == "cloud"


def test_a_node_that_failed_twice_rests_for_a_while() -> None:
    offer = Offer("a", 5, 0)
    assert decide(offer, a=Trouble(1, 0.0)).node == "a"
    assert decide(offer, a=Trouble(2, 299.0)).reason == "a: failed, and rests"
    assert decide(offer, a=Trouble(2, 300.0)).node == "a"


def test_numbers_at_their_bounds_choose_somebody() -> None:
    offers = [Offer(name, 5, 0) for name in "abc"]
    for number in (0.0, 1 - 2**-53):
        assert place(offers, ANY, {}, repeat(number)).node in {"a", "b", "c"}


# --- whatever is offered ------------------------------------------------------------------------

offers_of_any_kind = st.lists(
    st.builds(
        Offer,
        st.sampled_from("abcdefgh"),
        st.integers(0, 6),
        st.integers(0, 7),
        st.integers(0, 2),
        st.frozensets(st.sampled_from(["gpu", "cloud"])),
        st.sampled_from([0.0, 1.0]),
        st.sampled_from(["open", "open", "cordoned", "draining"]),
        st.sampled_from([0.0, 60.0, 60.5]),
    ),
    unique_by=lambda offer: offer.node,
)
any_wanted = st.builds(
    Wanted,
    st.frozensets(st.sampled_from(["gpu", "cloud"])),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.0]),
)
any_troubles = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.builds(Trouble, st.integers(0, 3), st.sampled_from([0.0, 299.0, 300.0])),
)


def may_have(offer: Offer, wanted: Wanted, troubles: Mapping[str, Trouble]) -> bool:
    """The rules once more, as one sentence: the model."""
    trouble = troubles.get(offer.node, Trouble(0, 0.0))
    return (
        offer.state == "open"
        and wanted.labels <= offer.labels
        and offer.cost <= wanted.cost_max
        and offer.age_s <= 60.0
        and not (trouble.failures >= 2 and trouble.ago_s < 300.0)
        and offer.capacity - offer.out - offer.waiting >= wanted.weight
    )


@given(offers_of_any_kind, any_wanted, any_troubles, st.integers(0, 1000))
def test_the_node_taken_is_one_that_the_model_allows(
    offers: list[Offer], wanted: Wanted, troubles: dict[str, Trouble], seed: int
) -> None:
    allowed = {one.node: one for one in offers if may_have(one, wanted, troubles)}
    found = place(offers, wanted, troubles, lots(seed))
    assert (found.node is None) == (not allowed)
    assert found.reason
    if found.node is not None:
        least = min(one.cost for one in allowed.values())
        tier = sorted(
            (one for one in allowed.values() if one.cost == least), key=lambda one: one.room
        )
        assert found.node in {one.node for one in tier}
        if len(tier) > 1:  # two are drawn, so it is never the one with the least room alone
            assert allowed[found.node].room >= tier[1].room or tier[0].room == tier[1].room
            assert allowed[found.node].room > tier[0].room or tier[0].room == tier[1].room


@given(st.permutations([Offer(name, 9, taken) for taken, name in enumerate("abcdef")]))
def test_the_same_lot_chooses_the_same_node_in_whatever_order_they_are_told(
    offers: list[Offer],
) -> None:
    for seed in range(3):
        told = decide(*offers, seed=seed)
        assert told == decide(*sorted(offers, key=lambda offer: offer.node), seed=seed)


# --- many at once, by old news ------------------------------------------------------------------

Decide = Callable[[Sequence[Offer], Iterator[float]], str | None]


def by_lot(offers: Sequence[Offer], numbers: Iterator[float]) -> str | None:
    return place(offers, ANY, {}, numbers).node


def most_room(offers: Sequence[Offer], _: Iterator[float]) -> str | None:
    return max(offers, key=lambda offer: offer.room).node


def crowding(decide: Decide, capacities: Sequence[int], deciders: int) -> float:
    """The most that one node is sent over what each is sent on average, by one old view for all."""
    view = [Offer(str(number), size, 0) for number, size in enumerate(capacities)]
    worst = 0.0
    for seed in range(20):
        numbers = lots(seed)
        sent = [decide(view, numbers) for _ in range(deciders)]
        most = max(sent.count(offer.node) for offer in view)
        worst = max(worst, most * len(view) / deciders)
    return worst


@pytest.mark.parametrize("capacities", [[8] * 10, [20] + [4] * 9, [8] * 5 + [3] * 5])
def test_many_who_decide_by_the_same_old_news_do_not_all_choose_one(
    capacities: list[int],
) -> None:
    assert crowding(by_lot, capacities, 100) <= 3.0
    assert crowding(most_room, capacities, 100) == 10.0


def refusals(decide: Decide, stale: int, seed: int = 1) -> float:
    """What share of the work finds its node full: ten nodes of 8, two pieces of work an instant,
    each of which takes 20, by news that are so many instants old.
    """
    numbers, out, ends = lots(seed), [0] * 10, dict[int, list[int]]()
    told, refused = [list(out)], 0
    for now in range(300):
        for node in ends.pop(now, []):
            out[node] -= 1
        news = told[max(0, len(told) - 1 - stale)]
        view = [Offer(str(node), 8, news[node]) for node in range(10)]
        for _ in range(2):
            node = int(decide(view, numbers) or 0)
            if out[node] == 8:
                refused += 1
                continue
            out[node] += 1
            ends.setdefault(now + 20, []).append(node)
        told.append(list(out))
    return refused / 600


def test_by_old_news_few_find_their_node_full() -> None:
    assert refusals(by_lot, stale=1) <= 0.01
    assert refusals(by_lot, stale=10) <= 0.15
    assert refusals(most_room, stale=10) >= 0.5


def test_caution_is_a_setting() -> None:
    offer = Offer("a", 5, 0, age_s=10.0)
    strict = Caution(stale_s=5.0, failures_max=1, rest_s=10.0)
    assert place([offer], ANY, {}, lots(0), strict).node is None
    fresh = replace(offer, age_s=0.0)
    assert place([fresh], ANY, {"a": Trouble(1, 9.0)}, lots(0), strict).node is None
    assert place([fresh], ANY, {"a": Trouble(1, 10.0)}, lots(0), strict).node == "a"
