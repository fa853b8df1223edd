"""Pauses, who is put ahead, who is taken out of the queue, and who must have started by when."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from admission.core import events as ev
from admission.core.leases import Caller, Claim, Class
from admission.core.levels import LEVELS
from admission.core.order import Ageing
from admission.core.sample import Sample
from tests.core import hand
from tests.core.worlds import ANN, BEN, CAT, World, agents, spec


def found(answer: ev.Answer) -> bool | None:
    assert isinstance(answer, ev.Done), answer
    return answer.found


# --- pauses --------------------------------------------------------------------------------------


def test_while_a_pool_is_paused_nothing_is_granted_there_and_who_waits_is_told() -> None:
    world = World(agents(2), spec("operations", 1))
    hand.pause(world, 0.0, "agents", for_s=300.0)
    asked = world.acquire(0.0, Claim(ANN))
    assert hand.told(world, 60.0, asked) == "paused by hand; 4 min to go"
    assert world.is_held(world.acquire(0.0, Claim(BEN, pool="operations")))
    assert world.core.wakeup() == 300.0
    world.pass_time(300.0)
    assert world.is_held(asked)


def test_a_pause_without_an_end_lasts_until_a_hand_ends_it_and_holds_in_all_pools() -> None:
    world = World(agents(1), spec("operations", 1))
    hand.pause(world, 0.0)
    asked = [world.acquire(0.0, Claim(ANN)), world.acquire(0.0, Claim(BEN, pool="operations"))]
    assert world.core.wakeup() == inf
    assert [hand.told(world, 9e9, one) for one in asked] == ["paused by hand"] * 2
    assert found(hand.unpause(world, 1.0, "operations"))
    assert [world.is_held(one) for one in asked] == [False, True]
    assert found(hand.unpause(world, 2.0))
    assert world.is_held(asked[0])
    assert found(hand.unpause(world, 3.0)) is False


def test_who_holds_goes_on_and_who_yielded_waits() -> None:
    world = World(agents(2))
    held, yielded = world.acquire(0.0, Claim(ANN)), world.acquire(0.0, Claim(BEN))
    world.yield_(1.0, yielded)
    hand.pause(world, 2.0, "agents")
    regained = world.regain(3.0, yielded)
    assert world.is_waiting(regained)
    assert world.is_held(held)


def test_a_hand_goes_before_a_reservation() -> None:
    world = World(agents(2))
    hand.reserve(world, 0.0, 1, rank=Class.CRITICAL)
    hand.pause(world, 0.0, "agents")
    assert world.is_waiting(world.acquire(0.0, Claim(ANN, rank=Class.CRITICAL)))


def test_a_pause_survives_a_restart() -> None:
    world = World(agents(1))
    hand.pause(world, 0.0, "agents", for_s=60.0)
    hand.pause(world, 0.0, "agents", for_s=90.0)
    world.rewrite_journal()
    world.restart(1.0)
    asked = world.acquire(1.0, Claim(ANN))
    world.pass_time(60.0)
    assert world.is_waiting(asked)
    world.pass_time(90.0)
    assert world.is_held(asked)


def test_a_pool_that_is_not_there_is_not_paused() -> None:
    world = World()
    assert hand.refused(hand.pause(world, 0.0, "none")).code == "unknown_pool"
    assert hand.refused(hand.unpause(world, 0.0, "none")).code == "unknown_pool"


# --- who is put ahead, and who is taken out ------------------------------------------------------


def test_who_is_put_ahead_goes_before_its_class_and_not_before_a_higher_one() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    urgent = world.acquire(0.0, Claim(BEN, rank=Class.CRITICAL))
    first, second, third = (world.acquire(0.0, Claim(BEN)) for _ in range(3))
    assert found(hand.put_ahead(world, 1.0, hand.waiter(world, second).ticket))
    assert found(hand.put_ahead(world, 1.0, hand.waiter(world, third).ticket))
    queue = [one.caller for one in world.core.pools["agents"].queue()]
    assert queue == [urgent, third, second, first]
    world.restart(2.0)
    again = [one.ticket for one in world.core.pools["agents"].queue()]
    assert again == [2, 5, 4, 3]
    assert held not in (urgent, first)


def test_who_is_put_back_goes_behind_its_class_and_who_comes_later_and_before_a_lower_one() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    low = world.acquire(0.0, Claim(BEN, rank=Class.BATCH))
    first, second, third = (world.acquire(0.0, Claim(BEN)) for _ in range(3))
    assert found(hand.put_back(world, 1.0, hand.waiter(world, first).ticket))
    assert found(hand.put_back(world, 1.0, hand.waiter(world, second).ticket))
    later = world.acquire(2.0, Claim(CAT))
    queue = [one.caller for one in world.core.pools["agents"].queue()]
    assert queue == [third, later, first, second, low]
    assert found(hand.put_ahead(world, 3.0, hand.waiter(world, second).ticket))
    queue = [one.caller for one in world.core.pools["agents"].queue()]
    assert queue == [second, third, later, first, low]
    world.restart(4.0)
    assert [one.ticket for one in world.core.pools["agents"].queue()] == [4, 5, 6, 3, 2]


def test_who_is_put_back_stands_before_its_class_once_it_has_aged() -> None:
    world = World(agents(1), ageing=Ageing(normal_s=60.0))
    world.acquire(0.0, Claim(ANN))
    back = world.acquire(0.0, Claim(BEN))
    world.acquire(1.0, Claim(BEN))
    urgent = world.acquire(1.0, Claim(CAT, rank=Class.CRITICAL))
    hand.put_back(world, 2.0, hand.waiter(world, back).ticket)
    world.pass_time(60.0)
    assert [one.caller for one in world.core.pools["agents"].queue()][:2] == [urgent, back]


def test_who_does_not_wait_is_not_moved() -> None:
    assert found(hand.put_ahead(World(), 0.0, 7)) is False
    assert found(hand.put_back(World(), 0.0, 7)) is False


def test_whoever_was_put_first_already_is_left_there() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    ticket = hand.waiter(world, world.acquire(0.0, Claim(BEN))).ticket
    assert found(hand.put_ahead(world, 1.0, ticket))
    only = next(world.core.pools["agents"].queue())
    assert found(hand.put_ahead(world, 1.0, ticket))
    assert next(world.core.pools["agents"].queue()) is only


def cancel_ticket(world: World, ticket: int, uid: int | None = None) -> bool | None:
    caller = world.caller(0)
    world.feed(1.0, ev.Cancel(caller, uid=uid, ticket=ticket))
    return found(world.answer(caller))


def test_a_waiter_is_taken_out_by_its_ticket_and_told_so() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN, uid=7))
    ticket = hand.waiter(world, asked).ticket
    assert cancel_ticket(world, ticket, uid=8) is False
    assert cancel_ticket(world, ticket, uid=7)
    answer = world.answer(asked)
    assert isinstance(answer, ev.Refused)
    assert answer.code == "cancelled"


def test_what_was_granted_meanwhile_is_not_ended_by_its_ticket() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    assert cancel_ticket(world, world.lease(held).ticket) is False
    assert world.is_held(held)


# --- who must have started by when ---------------------------------------------------------------


def ask_by(world: World, now: float, by_s: float, wait_s: float | None = None) -> Caller:
    caller = world.caller(CAT.pid)
    world.feed(now, ev.Acquire(caller, Claim(CAT), wait_s, by_s=by_s))
    return caller


def held_before(world: World, for_s: float) -> None:
    """So that there is something to guess from."""
    held = world.acquire(0.0, Claim(ANN))
    world.release(for_s, held)


def test_who_could_only_start_too_late_is_refused_at_once_with_the_estimate() -> None:
    world = World(agents(1))
    held_before(world, 600.0)
    world.acquire(600.0, Claim(BEN))
    asked = ask_by(world, 600.0, 60.0)
    assert world.answer(asked) == ev.Refused(
        asked,
        "timeout",
        "it must start within 60 s, and by the estimate it could in 5 min: 1 of 1 agents run; give "
        "it longer, or ask later",
    )


def test_who_may_start_in_time_waits_and_leaves_at_its_deadline() -> None:
    world = World(agents(1))
    held_before(world, 600.0)
    held = world.acquire(600.0, Claim(BEN))
    asked = ask_by(world, 600.0, 900.0)
    assert world.core.wakeup() == 1500.0
    shorter = ask_by(world, 600.0, 1800.0, wait_s=5.0)
    world.pass_time(605.0)
    assert world.refusal(shorter) == "timeout"
    world.pass_time(1500.0)
    assert world.refusal(asked) == "timeout"
    assert world.is_held(held)


def test_without_an_estimate_nobody_is_refused_for_it_nor_where_there_is_room() -> None:
    world = World(agents(2))
    assert world.is_held(ask_by(world, 0.0, 0.001))
    world.acquire(0.0, Claim(BEN))
    assert world.is_waiting(ask_by(world, 0.0, 1.0))


def test_a_pause_counts_in_the_estimate() -> None:
    world = World(agents(1))
    held_before(world, 10.0)
    hand.pause(world, 20.0, for_s=300.0)
    assert world.refusal(ask_by(world, 20.0, 60.0)) == "timeout"
    hand.pause(world, 20.0)
    assert world.is_waiting(ask_by(world, 20.0, 60.0))


# --- nothing holds everything back ---------------------------------------------------------------

LONGEST_DELAY_S = max(row.delay_s for row in LEVELS)


@given(
    level=st.none() | st.integers(0, 3),
    used_pct=st.floats(0, 100) | st.none(),
    cpu_pct=st.floats(0, 100) | st.none(),
    has_slept=st.booleans(),
    weights=st.lists(st.integers(1, 5), min_size=1, max_size=3),
)
def test_with_nothing_out_the_front_waiter_is_granted_within_the_delay_whatever_reads(
    level: int | None,
    used_pct: float | None,
    cpu_pct: float | None,
    has_slept: bool,
    weights: list[int],
) -> None:
    world = World(agents(5, 3, 2, 1))
    held = world.acquire(0.0, Claim(ANN))
    world.feed(0.0, ev.Sampled(Sample(0.0, used_pct, cpu_pct, memory_total_bytes=1 << 34)))
    if level is not None:
        world.set_level(0.0, level)
    if has_slept:
        world.feed(0.0, ev.Woke())
    asked = [world.acquire(0.0, Claim(BEN, weight=weight)) for weight in weights]
    world.release(0.0, held)
    pool = world.core.pools["agents"]
    if not pool.in_use and any(weight <= pool.capacity for weight in weights):
        assert world.core.wakeup() <= LONGEST_DELAY_S
        world.pass_time(world.core.wakeup())
        assert pool.in_use
    assert len(asked) == len(weights)
