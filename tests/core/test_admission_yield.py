"""Units given back for a while, and taken again: before newcomers, and not before their turn."""

import pytest

from admission.core import events as ev
from admission.core.leases import Bound, Caller, Claim, Class, Reason, State
from admission.core.limits import Limits
from admission.core.order import Ageing
from tests.core.worlds import ANN, BEN, CAT, NO_ALARMS, World, agents


def test_yielded_units_go_to_whoever_waits() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    waiting = world.acquire(0.0, Claim(BEN))
    told = world.yield_(1.0, asked)
    assert isinstance(told, ev.Told)
    assert told.lease.state is State.YIELDED
    assert world.is_held(waiting)
    assert world.is_held(asked)


def test_units_that_nobody_took_meanwhile_are_regained_at_once() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    again = world.regain(2.0, asked)
    assert world.lease(again).id == world.lease(asked).id
    assert world.lease(again).state is State.HELD
    assert world.core.pools["agents"].in_use == 1


def test_who_regains_waits_for_the_units_like_anybody() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    held = world.acquire(2.0, Claim(BEN))
    again = world.regain(3.0, asked)
    assert world.is_waiting(again)
    assert world.core.pools["agents"].in_use == 1
    world.release(4.0, held)
    assert world.is_held(again)


def test_who_regains_goes_before_newcomers_of_its_class_and_not_before_a_higher_one() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    held = world.acquire(2.0, Claim(BEN))
    newcomer = world.acquire(3.0, Claim(CAT))
    critical = world.acquire(3.0, Claim(CAT, rank=Class.CRITICAL))
    again = world.regain(4.0, asked)
    world.release(5.0, held)
    assert world.is_held(critical)
    world.release(6.0, critical)
    assert world.is_held(again)
    assert world.is_waiting(newcomer)


def test_to_regain_what_was_not_yielded_changes_nothing() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    assert world.lease(world.regain(1.0, asked)) == world.lease(asked)


def test_to_yield_twice_changes_nothing() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    (told,) = world.feed(2.0, ev.Yield(world.caller(ANN.pid), 1))
    assert isinstance(told, ev.Told)
    assert told.lease.state is State.YIELDED


def test_to_regain_again_keeps_the_place_and_is_answered_there() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    held = world.acquire(2.0, Claim(BEN))
    first = world.regain(3.0, asked)
    second = world.regain(4.0, asked)
    assert world.refusal(first) == "cancelled"
    assert world.core.ledger.waiting == 1
    world.release(5.0, held)
    assert world.is_held(second)


def test_to_regain_without_a_wait_is_now_or_not_and_leaves_the_lease_yielded() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    held = world.acquire(2.0, Claim(BEN))
    assert world.refusal(world.regain(3.0, asked, wait_s=0)) == "timeout"
    assert world.core.pools["agents"].leases[1].state is State.YIELDED
    world.release(4.0, held)
    assert world.is_held(world.regain(5.0, asked, wait_s=0))


def test_to_yield_while_regaining_is_to_think_better_of_it() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    held = world.acquire(2.0, Claim(BEN))
    again = world.regain(3.0, asked)
    world.yield_(4.0, asked)
    assert world.refusal(again) == "cancelled"
    world.release(5.0, held)
    assert world.core.pools["agents"].in_use == 0


def test_a_cancelled_regain_leaves_the_lease_yielded() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    world.acquire(2.0, Claim(BEN))
    again = world.regain(3.0, asked)
    world.cancel(4.0, again)
    assert world.refusal(again) == "cancelled"
    assert world.core.pools["agents"].leases[1].state is State.YIELDED


@pytest.mark.parametrize(
    ("at", "end"),
    [
        (4.0, ev.Release(Caller(ANN.pid, 99), 1)),
        (4.0, ev.ConnectionClosed(ANN.pid)),
        (4.0, ev.HolderExited(ANN)),
        (60.0, ev.TimePassed()),
    ],
)
def test_whatever_ends_a_lease_ends_the_wait_to_regain_it(at: float, end: ev.Event) -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN, ttl_s=60.0))
    world.yield_(1.0, asked)
    world.acquire(2.0, Claim(BEN))
    again = world.caller(7)  # another connection of Ann's, which is still there to hear of it
    world.feed(3.0, ev.Regain(again, 1))
    world.feed(at, end)
    refused = world.answer(again)
    assert isinstance(refused, ev.Refused)
    assert refused.code == "unknown_lease"
    assert refused.message.startswith("lease 1 ended: ")
    assert world.core.ledger.waiting == 0


@pytest.mark.parametrize("end", [ev.ConnectionClosed(ANN.pid), ev.HolderExited(ANN)])
def test_a_lease_and_the_wait_to_regain_it_end_together_where_both_hang_on_one(
    end: ev.Event,
) -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    held = world.acquire(2.0, Claim(BEN))
    world.regain(3.0, asked)
    world.feed(4.0, end)
    assert (world.core.ledger.held, world.core.ledger.waiting) == (1, 0)
    assert world.is_held(held)


def test_a_client_that_gives_two_requests_one_id_cancels_both() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    world.acquire(2.0, Claim(BEN))
    world.feed(3.0, ev.Regain(asked, 1))
    world.cancel(4.0, asked)
    assert not world.core.needs(ANN)
    assert world.core.ledger.waiting == 0


def test_a_wait_to_regain_survives_its_connection_as_the_lease_does() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    world.yield_(1.0, asked)
    held = world.acquire(2.0, Claim(BEN))
    world.regain(3.0, asked)
    newcomer = world.acquire(3.0, Claim(CAT))
    world.close(4.0, ANN.pid)
    again = world.regain(5.0, asked)
    world.release(6.0, held)
    assert world.is_held(again)
    assert world.is_waiting(newcomer)


def test_a_yielded_lease_ends_like_any_other() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    world.exit(2.0, ANN)
    assert world.answers[asked][-1] == ev.LeaseEnded(asked, 1, Reason.HOLDER_EXITED)
    assert world.core.ledger.held == 0


def test_a_look_that_is_late_ends_what_was_due_in_its_order() -> None:
    """A waiter that had to be aged meanwhile does not go before the lease that it waits for."""
    ageing = Ageing(3.0, 2.0, fill_in_s=1.0)
    world = World(agents(1), ageing=ageing, limits=Limits(grace_s=10.0, alarm_s=NO_ALARMS))
    asked = world.acquire(0.0, Claim(ANN, request=b"a" * 16))
    world.yield_(0.0, asked)
    world.acquire(0.0, Claim(BEN, bound=Bound.PROCESS))
    world.regain(0.0, asked)
    world.restart(0.5)
    world.pass_time(11.0)
    assert not world.is_held(asked)
