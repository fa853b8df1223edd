"""Once is once: the same request again, and a process that runs under a lease already."""

import pytest

from admission.core import events as ev
from admission.core.leases import UNSEEN, Bound, Caller, Claim, Holder
from admission.core.limits import Limits
from tests.core.worlds import ANN, ANN_AGAIN, BEN, CAT, World, agents, spec

# --- the same request again -----------------------------------------------------------------------


def test_a_request_that_was_granted_gets_the_same_lease_again() -> None:
    world = World(agents(2))
    asked = world.acquire(0.0, Claim(ANN, request=b"r"))
    again = world.acquire(1.0, Claim(ANN, request=b"r"), connection=7)
    assert world.lease(again).id == world.lease(asked).id
    assert world.core.ledger.held == 1


def test_the_lease_hangs_on_the_connection_that_asked_last() -> None:
    world = World(agents(2))
    world.acquire(0.0, Claim(ANN, request=b"r"))
    again = world.acquire(1.0, Claim(ANN, request=b"r"), connection=7)
    world.close(2.0, ANN.pid)
    assert world.is_held(again)
    world.close(3.0, 7)
    assert not world.is_held(again)


def test_a_request_that_waits_keeps_its_place_and_is_answered_where_it_asked_last() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN, request=b"r"))
    behind = world.acquire(0.0, Claim(CAT))
    again = world.acquire(1.0, Claim(BEN, request=b"r"), connection=7)
    assert world.refusal(asked) == "cancelled"
    world.release(2.0, held)
    assert world.is_held(again)
    assert world.is_waiting(behind)
    assert world.lease(again).waited_s == 2.0


def test_asking_again_sets_the_wait_anew() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN, request=b"r"), wait_s=10.0)
    again = world.acquire(5.0, Claim(BEN, request=b"r"), wait_s=10.0, connection=7)
    world.pass_time(10.0)
    assert world.is_waiting(again)
    world.pass_time(15.0)
    assert world.refusal(again) == "timeout"


def test_asking_again_without_a_wait_takes_the_slot_now_or_gives_up_the_place() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN, request=b"r"))
    again = world.acquire(1.0, Claim(BEN, request=b"r"), wait_s=0, connection=7)
    assert world.refusal(asked) == "cancelled"
    assert world.refusal(again) == "timeout"
    world.release(2.0, held)
    assert world.core.ledger.held == 0


def test_who_comes_back_without_a_wait_is_granted_if_there_is_room_by_now() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN, request=b"r"))
    world.close(1.0, BEN.pid)
    world.release(2.0, held)
    assert world.is_held(world.acquire(3.0, Claim(BEN, request=b"r"), wait_s=0, connection=7))


@pytest.mark.parametrize("stranger", [BEN, ANN_AGAIN])
def test_another_process_can_not_use_a_request_id(stranger: Holder) -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN, request=b"held"))
    waiting = world.acquire(0.0, Claim(CAT, request=b"waiting"))
    for request in (b"held", b"waiting"):
        asked = world.acquire(1.0, Claim(stranger, request=request), connection=7)
        assert world.answer(asked) == ev.Refused(
            asked,
            "not_permitted",
            "this request id is another process's; use a fresh one of 16 random bytes",
        )
    assert world.is_held(held)
    assert world.is_waiting(waiting)


def test_a_request_id_whose_lease_has_ended_is_fresh_again() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN, request=b"r"))
    world.release(1.0, asked)
    again = world.acquire(2.0, Claim(ANN, request=b"r"))
    assert world.lease(again).id == 2


# --- a connection that breaks while its request waits ---------------------------------------------


def test_a_waiter_with_a_request_id_keeps_its_place_for_the_grace_and_no_longer() -> None:
    world = World(agents(1), limits=Limits(grace_s=10.0))
    held = world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN, request=b"b"))
    behind = world.acquire(0.0, Claim(CAT))
    world.close(1.0, BEN.pid)
    again = world.acquire(10.9, Claim(BEN, request=b"b"), connection=7)
    world.release(12.0, held)
    assert world.is_held(again)
    world.release(13.0, again)
    world.acquire(14.0, Claim(BEN, request=b"b"))
    world.close(15.0, BEN.pid)
    world.pass_time(25.0)
    assert world.is_held(behind)
    assert world.core.ledger.waiting == 0


def test_nobody_waits_for_one_whose_client_is_away() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN, request=b"b"))
    behind = world.acquire(0.0, Claim(CAT))
    world.close(1.0, BEN.pid)
    world.release(2.0, held)
    assert world.is_held(behind)
    again = world.acquire(3.0, Claim(BEN, request=b"b"), connection=7)
    world.release(4.0, behind)
    assert world.is_held(again)


def test_a_wait_that_ends_while_its_client_is_away_is_over_when_it_comes_back() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN, request=b"b"), wait_s=5.0)
    world.close(1.0, BEN.pid)
    world.pass_time(5.0)
    assert world.core.ledger.waiting == 0
    assert asked not in world.answers


# --- a process that runs under a lease already ----------------------------------------------------


def test_what_runs_under_a_lease_shares_it_and_does_not_wait_behind_itself() -> None:
    world = World(agents(1))
    outer = world.acquire(0.0, Claim(ANN))
    inner = world.acquire(1.0, Claim(BEN), parent=world.lease(outer).id, above=(BEN, ANN))
    assert world.answer(inner) == ev.Told(inner, world.lease(outer), shared=True)
    assert world.core.ledger.held == 1


def test_a_shared_lease_stays_the_outer_ones() -> None:
    world = World(agents(1))
    outer = world.acquire(0.0, Claim(ANN))
    inner = world.acquire(1.0, Claim(BEN), parent=1, above=(BEN, ANN))
    world.cancel(2.0, inner)
    world.close(3.0, BEN.pid)
    world.exit(4.0, BEN)
    assert world.is_held(outer)


def test_the_environment_alone_shares_nothing() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    for above in ((), (BEN,), (BEN, ANN_AGAIN)):
        assert world.is_waiting(world.acquire(1.0, Claim(BEN), parent=1, above=above))


def test_ancestry_alone_shares_nothing_either() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    assert world.is_waiting(world.acquire(1.0, Claim(BEN), above=(BEN, ANN)))


def test_an_agent_within_an_operation_within_an_agent_shares_the_outer_agents_lease() -> None:
    world = World(agents(1), spec("operations", 1))
    agent = world.acquire(0.0, Claim(ANN))
    operation = world.acquire(
        1.0, Claim(BEN, pool="operations"), parent=world.lease(agent).id, above=(BEN, ANN)
    )
    assert world.lease(operation).claim.pool == "operations"
    inner = world.acquire(2.0, Claim(CAT), parent=world.lease(operation).id, above=(CAT, BEN, ANN))
    assert world.lease(inner).id == world.lease(agent).id


def test_of_two_leases_above_the_nearer_one_is_shared() -> None:
    world = World(agents(2))
    world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    near = world.acquire(0.0, Claim(BEN, bound=Bound.PROCESS))
    inner = world.acquire(1.0, Claim(CAT), parent=world.lease(near).id, above=(CAT, BEN, ANN))
    assert world.lease(inner).id == world.lease(near).id


def test_a_yielded_lease_is_not_shared_as_its_units_are_not_there() -> None:
    world = World(agents(1))
    outer = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, outer)
    inner = world.acquire(2.0, Claim(BEN), parent=world.lease(outer).id, above=(BEN, ANN))
    assert world.lease(inner).id == 2


def test_a_detached_lease_is_shared_as_its_holder_still_runs() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    world.restart(1.0)
    inner = world.acquire(2.0, Claim(BEN), parent=1, above=(BEN, ANN))
    told = world.answer(inner)
    assert isinstance(told, ev.Told)
    assert told.shared


def test_a_message_id_is_its_connections_own() -> None:
    world = World(agents(2))
    mine = Caller(1, 5)
    world.lines |= {1, 2}
    world.feed(0.0, ev.Acquire(mine, Claim(ANN)))
    world.feed(0.0, ev.Acquire(Caller(2, 5), Claim(BEN)))
    world.cancel(1.0, mine)
    assert not world.is_held(mine)
    assert world.is_held(Caller(2, 5))


def test_another_users_request_of_the_same_id_is_another_request() -> None:
    world = World(agents(2))
    mine = world.acquire(0.0, Claim(ANN, request=b"r", uid=1))
    theirs = world.acquire(1.0, Claim(BEN, request=b"r", uid=2))
    assert world.lease(mine) != world.lease(theirs)
    again = world.acquire(2.0, Claim(ANN, request=b"r", uid=1), connection=9)
    assert world.lease(again).id == world.lease(mine).id


def test_a_user_cancels_only_what_is_his_and_the_operator_whatever_has_the_id() -> None:
    world = World(agents(3))
    mine = world.acquire(0.0, Claim(ANN, request=b"r", uid=1))
    theirs = world.acquire(0.0, Claim(BEN, request=b"r", uid=2))
    answers = [world.cancel_request(1.0, b"r", 9, uid=uid) for uid in (3, 1, 1)]
    assert [getattr(answer, "found", None) for answer in answers] == [False, True, False]
    assert not world.is_held(mine)
    assert world.is_held(theirs)
    world.cancel_request(2.0, b"r", 9)
    assert world.core.ledger.held == 0


def test_those_who_can_not_be_seen_are_told_apart_by_what_they_know() -> None:
    """Of another PID namespace: all of them have the one holder that is nobody."""
    world = World(agents(3))
    mine = world.acquire(0.0, Claim(UNSEEN, request=b"r", secret=b"s"), connection=1)
    other = world.acquire(0.0, Claim(UNSEEN, request=b"q", secret=b"t"), connection=2)
    again = world.acquire(1.0, Claim(UNSEEN, request=b"r"), connection=3)
    assert world.lease(again).id == world.lease(mine).id
    world.close(2.0, 2)
    assert not world.is_held(other)
    assert world.core.ledger.held == 1
    world.close(2.0, 3)
    assert world.core.ledger.held == 0


def test_who_can_not_be_seen_comes_back_after_a_restart() -> None:
    world = World(agents(2))
    world.acquire(0.0, Claim(UNSEEN, request=b"r", secret=b"s"), connection=1)
    number = world.core.ledger.last_lease
    world.restart(1.0)
    assert world.core.ledger.held == 1
    again = world.acquire(2.0, Claim(UNSEEN, request=b"r"), connection=2)
    assert world.lease(again).id == number
    world.restart(3.0)
    world.pass_time(30.0)
    assert world.core.ledger.held == 0, "nobody came"
