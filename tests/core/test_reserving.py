"""Reservations: who is let through, who waits, and what can't be reserved."""

from dataclasses import replace

import pytest

from admission.core import events as ev
from admission.core.budget import GIB, Budget
from admission.core.leases import Caller, Claim, Class, Holder
from admission.core.levels import LEVELS
from admission.core.places import places_of
from admission.core.sample import Sample
from tests.core import hand
from tests.core.worlds import ANN, BEN, CAT, World, agents, spec

DAN = Holder(104, 1)
URGENT = Claim(CAT, rank=Class.CRITICAL)


def test_what_is_reserved_is_kept_from_others_who_are_told_for_whom_and_how_long() -> None:
    world = World(agents(2))
    hand.reserve(world, 0.0, 1, for_s=1500.0, rank=Class.CRITICAL)
    world.acquire(0.0, Claim(ANN))
    other = world.acquire(0.0, Claim(BEN))
    assert world.is_waiting(other)
    words = "1 of agents is reserved for class critical for another 25 min"
    assert hand.told(world, 0.0, other) == words
    assert hand.told(world, 780.0, other) == words.replace("25", "12")
    assert world.is_held(world.acquire(0.0, URGENT))


def test_whoever_wants_no_wait_is_refused_with_that_reason() -> None:
    world = World(agents(2))
    hand.reserve(world, 0.0, 1, group="ci")
    world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN), wait_s=0)
    answer = world.answer(asked)
    assert isinstance(answer, ev.Refused)
    assert "1 of agents is reserved for group ci for another 10 min" in answer.message


def test_it_begins_and_ends_by_itself_at_its_time() -> None:
    world = World(agents(2))
    hand.reserve(world, 0.0, 1, for_s=60.0, from_in_s=30.0, rank=Class.CRITICAL)
    world.acquire(0.0, Claim(ANN))
    held = world.acquire(29.0, Claim(BEN))
    assert world.is_held(held)
    world.release(31.0, held)
    late = world.acquire(31.0, Claim(BEN))
    assert world.is_waiting(late)
    assert world.core.wakeup() == 90.0
    world.pass_time(90.0)
    assert world.is_held(late)
    assert not world.core.pools["agents"].reservations.all


def test_whoever_it_is_for_goes_before_all_who_wait_as_soon_as_one_is_free() -> None:
    world = World(agents(2))
    first, second = world.acquire(0.0, Claim(ANN)), world.acquire(0.0, Claim(ANN))
    others = [world.acquire(0.0, Claim(BEN, rank=Class.CRITICAL)) for _ in range(2)]
    hand.reserve(world, 1.0, 1, group="ci")
    meant = world.acquire(2.0, Claim(CAT, rank=Class.BATCH, group="ci"))
    assert next(places_of(world.core.pools["agents"], 2.0)).waiter.caller == meant
    world.release(3.0, first)
    assert world.is_held(meant)
    world.release(4.0, second)
    # What was kept is out now; all that is free is the others'.
    assert world.is_held(others[0])


def test_beyond_what_is_kept_for_it_a_group_is_served_as_all_are() -> None:
    world = World(agents(3))
    hand.reserve(world, 0.0, 1, group="ci")
    held = [world.acquire(0.0, Claim(ANN)) for _ in range(2)]
    assert world.is_held(world.acquire(0.0, Claim(CAT, group="ci")))
    other = world.acquire(1.0, Claim(BEN))
    meant = world.acquire(2.0, Claim(CAT, group="ci"))
    world.release(3.0, held[0])
    assert world.is_held(other)
    assert world.is_waiting(meant)


def test_within_it_neither_the_delay_nor_the_budget_holds_anybody_up() -> None:
    budget = Budget(ceiling_pct=90.0, mean_bytes=GIB, peak_bytes=GIB, share_pct=100.0)
    levels = tuple(replace(row, memory_below_pct=1e3) for row in LEVELS)
    world = World(agents(5, 4, 3, 3), budget=budget, levels=levels)  # type: ignore[arg-type]
    world.feed(0.0, ev.Sampled(Sample(0.0, 85.0, 1.0, memory_total_bytes=20 * GIB)))
    world.set_level(0.0, 2)
    world.acquire(0.0, Claim(ANN))
    hand.reserve(world, 0.0, 1, rank=Class.CRITICAL)
    other = world.acquire(5.0, Claim(BEN))
    assert "promised but not shown" in hand.told(world, 5.0, other)
    assert world.is_held(world.acquire(0.0, URGENT))


def test_the_budget_counts_what_is_kept_as_promised() -> None:
    budget = Budget(ceiling_pct=90.0, mean_bytes=GIB, peak_bytes=GIB, share_pct=100.0, ramp_s=1.0)
    world = World(agents(5), budget=budget)
    world.acquire(0.0, Claim(ANN))
    # 18 may be spoken for, and 15.9 are: there is room for two, not for three.
    world.feed(9.0, ev.Sampled(Sample(9.0, 79.5, 1.0, memory_total_bytes=20 * GIB)))
    hand.reserve(world, 9.0, 2, rank=Class.CRITICAL)
    other = world.acquire(9.0, Claim(BEN))
    assert "2 GiB promised but not shown" in hand.told(world, 9.0, other)
    hand.unreserve(world, 9.0, 1)
    assert world.is_held(other)


def test_who_asks_for_more_than_is_left_for_others_is_passed_over_and_not_waited_for() -> None:
    world = World(agents(3))
    hand.reserve(world, 0.0, 2, rank=Class.CRITICAL)
    large = world.acquire(0.0, Claim(ANN, weight=2))
    assert "2 of agents are reserved for class critical" in hand.told(world, 0.0, large)
    assert world.is_held(world.acquire(0.0, Claim(BEN)))


def test_with_class_and_group_both_must_match_and_each_lease_counts_once() -> None:
    world = World(agents(4))
    hand.reserve(world, 0.0, 1, rank=Class.CRITICAL)
    hand.reserve(world, 0.0, 1, rank=Class.CRITICAL, group="ci")
    kept = world.core.pools["agents"].kept
    world.acquire(0.0, Claim(ANN, rank=Class.CRITICAL, group="ci"))
    # It counts towards the more particular one, so that the other stays for whom it is.
    assert kept().units == 1
    assert kept().is_for(Claim(BEN, rank=Class.CRITICAL))
    assert not kept().is_for(Claim(BEN, group="ci"))
    world.acquire(0.0, Claim(BEN, rank=Class.CRITICAL, group="ci"))
    assert kept().units == 0


def test_where_the_level_has_taken_its_room_it_admits_no_more_than_there_is() -> None:
    world = World(agents(4, 3, 2, 2))
    hand.reserve(world, 0.0, 1, rank=Class.CRITICAL)
    held = [world.acquire(0.0, Claim(ANN)) for _ in range(3)]
    world.set_level(0.0, 3)
    urgent = world.acquire(0.0, URGENT)
    world.release(1.0, held[0])
    assert world.is_waiting(urgent)
    world.release(2.0, held[1])
    assert world.is_held(urgent)


# --- what can't be -------------------------------------------------------------------------------


def test_one_is_left_for_the_others_unless_it_may_be_the_whole() -> None:
    world = World(agents(5, 3, 3, 3))
    hand.reserve(world, 0.0, 1, rank=Class.CRITICAL)
    no = hand.refused(hand.reserve(world, 0.0, 2, group="ci"))
    assert no.code == "impossible"
    assert no.message == (
        "2 of agents can't be reserved, beside 1 that are reserved already: of the 3 at level 3 "
        'one stays for the others; reserve 1, or say that they may be left with none ("--whole")'
    )
    hand.reservation(hand.reserve(world, 0.0, 2, group="ci", is_whole=True))
    none = hand.refused(hand.reserve(world, 0.0, 1, is_whole=True))
    assert "at level 3 there are 3 in all; reserve fewer" in none.message


def test_only_what_is_reserved_at_the_same_time_adds_up() -> None:
    world = World(agents(3))
    hand.reservation(hand.reserve(world, 0.0, 2, for_s=60.0, group="a"))
    hand.reservation(hand.reserve(world, 0.0, 2, for_s=60.0, from_in_s=60.0, group="b"))
    no = hand.refused(hand.reserve(world, 0.0, 1, for_s=60.0, from_in_s=30.0, group="c"))
    assert no.code == "impossible"
    hand.reservation(hand.reserve(world, 0.0, 2, for_s=60.0, from_in_s=120.0, group="c"))


def test_the_one_agent_of_the_highest_level_is_reserved_as_the_whole() -> None:
    world = World(agents(5, 3, 2, 1))
    assert hand.refused(hand.reserve(world, 0.0, 1, rank=Class.CRITICAL)).code == "impossible"
    hand.reservation(hand.reserve(world, 0.0, 1, rank=Class.CRITICAL, is_whole=True))
    world.set_level(0.0, 3)
    other = world.acquire(0.0, Claim(ANN))
    assert "1 of agents is reserved" in hand.told(world, 0.0, other)
    assert world.is_held(world.acquire(0.0, URGENT))


def test_of_a_pool_that_is_not_there_nothing_is_reserved() -> None:
    assert hand.refused(hand.reserve(World(), 0.0, 1, pool="none")).code == "unknown_pool"


def test_there_are_at_most_so_many() -> None:
    world = World(agents(3))
    for number in range(32):
        hand.reservation(hand.reserve(world, 0.0, 1, for_s=1.0, from_in_s=float(number)))
    assert hand.refused(hand.reserve(world, 0.0, 1, from_in_s=100.0)).code == "queue_full"


# --- how they end --------------------------------------------------------------------------------


def test_taken_back_its_units_are_the_others_in_the_same_step() -> None:
    world = World(agents(2))
    number = hand.reservation(hand.reserve(world, 0.0, 1, rank=Class.CRITICAL)).id
    world.acquire(0.0, Claim(ANN))
    other = world.acquire(0.0, Claim(BEN))
    answer = hand.unreserve(world, 1.0, number)
    assert answer == ev.Done(Caller(0, world.last_message), found=True)
    assert world.is_held(other)
    again = hand.unreserve(world, 2.0, number)
    assert again == ev.Done(Caller(0, world.last_message), found=False)


@pytest.mark.parametrize("is_rewritten", [False, True])
def test_they_survive_a_restart_and_end_at_their_time_all_the_same(is_rewritten: bool) -> None:
    world = World(agents(2))
    hand.reserve(world, 0.0, 1, for_s=60.0, rank=Class.CRITICAL)
    gone = hand.reservation(hand.reserve(world, 0.0, 1, for_s=60.0, group="x", is_whole=True)).id
    hand.unreserve(world, 1.0, gone)
    if is_rewritten:
        world.rewrite_journal()
    world.restart(30.0)
    world.acquire(30.0, Claim(ANN))
    other = world.acquire(30.0, Claim(BEN))
    assert world.is_waiting(other)
    world.pass_time(60.0)
    assert world.is_held(other)
    # Numbers are not given out twice.
    assert hand.reservation(hand.reserve(world, 61.0, 1, group="y")).id > gone


def test_one_whose_time_passed_while_no_daemon_was_there_is_over() -> None:
    world = World(agents(1))
    hand.reserve(world, 0.0, 1, for_s=60.0, is_whole=True, group="x")
    world.restart(70.0)
    assert world.is_held(world.acquire(70.0, Claim(ANN)))
    assert not world.core.pools["agents"].reservations.all


def test_a_pool_without_one_is_not_looked_through() -> None:
    world = World(agents(1), spec("operations", 1))
    hand.reserve(world, 0.0, 1, group="x", is_whole=True)
    assert world.is_held(world.acquire(0.0, Claim(DAN, pool="operations")))
    assert Caller(0, 1) in world.answers
