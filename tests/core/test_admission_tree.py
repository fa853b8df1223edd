"""Leases that end when the holder and all that it started have exited."""

import pytest

from admission.core import events as ev
from admission.core.leases import Bound, Claim, Lease, Reason, State
from tests.core.worlds import ANN, BEN, CAT, KID, LAST_LEASE, LATER_KID, World, agents


def tree(**fields: object) -> Claim:
    return Claim(ANN, bound=Bound.TREE, **fields)  # type: ignore[arg-type]


def the_lease(world: World) -> Lease:
    lease = world.core.ledger.lease(1)
    assert lease is not None
    return lease


def left_behind(**fields: object) -> World:
    """Ann has a lease, has started a child and is gone; the lease follows the child."""
    world = World(agents(1))
    world.acquire(0.0, tree(**fields))
    world.start(KID, ANN)
    world.exit(1.0, ANN)
    world.look_all(1.0)
    assert the_lease(world).tree == (KID,)
    return world


# --- its end --------------------------------------------------------------------------------------


def test_a_tree_of_one_ends_with_its_holder() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, tree())
    waiter = world.acquire(0.0, Claim(BEN))
    world.exit(1.0, ANN)
    assert the_lease(world).holders == ()  # it is being looked for
    assert world.is_waiting(waiter)
    world.look_all(1.0)
    assert world.is_held(waiter)
    assert world.answers[asked][1] == ev.LeaseEnded(asked, 1, Reason.HOLDER_EXITED)


def test_a_lease_follows_a_child_until_that_has_exited_too() -> None:
    world = left_behind()
    waiter = world.acquire(2.0, Claim(BEN))
    assert world.watched == {KID, BEN}
    world.exit(3.0, KID)
    world.look_all(3.0)
    assert world.is_held(waiter)
    assert world.watched == {BEN}


def test_a_lease_follows_what_a_child_has_started_since() -> None:
    world = left_behind()
    world.start(LATER_KID, KID)
    world.exit(2.0, KID)
    assert the_lease(world).holders == ()
    world.look_all(2.0)
    assert the_lease(world).holders == (LATER_KID,)
    assert world.journal[-1] == ev.Followed(1, (LATER_KID,))


def test_a_look_that_saw_a_child_before_its_end_does_not_keep_the_lease() -> None:
    world = left_behind()
    world.start(LATER_KID, KID)
    world.exit(2.0, LATER_KID)  # of which nobody knew
    world.feed(2.0, ev.TreeFound(1, (KID, LATER_KID)))
    assert the_lease(world).tree == (KID,)
    assert world.wanted == {1}
    world.look_all(2.0)
    assert the_lease(world).tree == (KID,)


def test_nobody_is_watched_whom_no_look_finds_any_more() -> None:
    world = left_behind()
    world.feed(2.0, ev.TreeFound(1, (LATER_KID,)))
    assert world.watched == {LATER_KID}


@pytest.mark.parametrize("left", [(), (KID,)])
def test_what_is_found_of_a_lease_that_has_ended_or_whose_holder_lives_is_nothing(
    left: tuple[object, ...],
) -> None:
    world = World(agents(2))
    world.acquire(0.0, tree())
    event = ev.TreeFound(1, left)  # type: ignore[arg-type]
    assert world.feed(1.0, event) == []
    assert the_lease(world).holders == (ANN,)
    world.release(2.0, world.acquire(2.0, Claim(BEN)))
    assert world.feed(3.0, ev.TreeFound(2, event.left)) == []
    assert world.core.ledger.held == 1


def test_only_trees_are_looked_for() -> None:
    world = World(agents(3))
    world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    world.acquire(0.0, Claim(ANN, bound=Bound.CONNECTION))
    world.acquire(0.0, tree())
    world.exit(1.0, ANN)
    assert world.core.ledger.held == 1
    assert world.wanted == {3}


def test_a_tree_is_not_its_connections() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, tree())
    world.close(1.0, asked.connection)
    assert world.is_held(asked)


def test_a_ttl_ends_a_lease_whoever_it_follows() -> None:
    world = left_behind(ttl_s=10.0)
    world.pass_time(10.0)
    assert world.core.ledger.held == 0
    assert world.watched == set()


def test_a_waiter_whose_holder_exits_leaves_the_queue() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(BEN))
    asked = world.acquire(0.0, tree())
    world.start(KID, ANN)
    world.exit(1.0, ANN)
    assert world.refusal(asked) == "holder_gone"
    assert world.wanted == set()


# --- what the children may ------------------------------------------------------------------------


def test_a_child_shares_the_lease_that_was_left_to_it() -> None:
    world = left_behind()
    asked = world.acquire(2.0, Claim(KID), wait_s=0, parent=LAST_LEASE, above=(KID,))
    told = world.answer(asked)
    assert isinstance(told, ev.Told)
    assert (told.lease.id, told.shared) == (1, True)


def test_a_child_gives_back_what_is_its_own() -> None:
    for above, reason in (((LATER_KID, KID), Reason.RELEASED), ((BEN,), Reason.REVOKED)):
        world = left_behind()
        caller = world.caller(9)
        done = world.feed(2.0, ev.Release(caller, 1, above))
        ended = [one.record for one in done if isinstance(one, ev.Persist)]
        assert ended == [ev.Ended(1, reason)]
        assert world.watched == set()


def test_a_child_regains_the_units_that_its_parent_yielded() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, tree())
    world.yield_(0.0, asked)
    world.start(KID, ANN)
    other = world.acquire(0.0, Claim(BEN))
    gone = world.regain(0.5, asked)
    world.exit(1.0, ANN)
    assert world.refusal(gone) == "holder_gone"
    assert world.refusal(world.regain(1.0, asked)) == "holder_gone"  # nobody is known to be left
    world.look_all(1.0)
    assert the_lease(world).state is State.YIELDED
    again = world.regain(2.0, asked)
    assert world.is_waiting(again)
    world.release(3.0, other)
    assert world.lease(again).state is State.HELD
    assert the_lease(world).holders == (KID,)


def test_somebody_depends_on_those_who_are_followed_and_on_no_holder_that_is_gone() -> None:
    world = left_behind()
    assert [world.core.needs(one) for one in (ANN, KID, CAT)] == [False, True, False]


# --- a restart ------------------------------------------------------------------------------------


def test_a_holder_that_died_with_the_daemon_is_looked_for_and_not_buried() -> None:
    world = World(agents(1))
    world.acquire(0.0, tree())
    world.start(KID, ANN)
    world.watched.clear()  # nobody hears of it
    world.exit(1.0, ANN)
    world.restart(2.0)
    assert (the_lease(world).is_left, the_lease(world).holders) == (True, ())
    waiter = world.acquire(2.0, Claim(BEN))
    world.look_all(2.0)
    assert the_lease(world).holders == (KID,)
    assert world.is_waiting(waiter)


def test_those_who_were_followed_and_live_stay_watched_over_a_restart() -> None:
    world = left_behind()
    world.start(LATER_KID, ANN)
    world.feed(2.0, ev.TreeFound(1, (KID, LATER_KID)))
    world.watched.clear()
    world.exit(3.0, KID)
    world.restart(4.0)
    assert the_lease(world).tree == (LATER_KID,)
    assert world.watched == {LATER_KID}
    assert world.wanted == {1}


def test_a_journal_that_was_written_anew_knows_whom_a_lease_follows() -> None:
    world = left_behind()
    world.rewrite_journal()
    world.restart(2.0)
    assert the_lease(world).holders == (KID,)


def test_a_tree_that_has_died_with_the_daemon_frees_its_slot() -> None:
    world = left_behind()
    world.watched.clear()
    world.exit(2.0, KID)
    world.restart(3.0)
    world.look_all(3.0)
    assert world.core.ledger.held == 0


def test_a_tree_whose_holder_lives_goes_on_as_if_nothing_had_happened() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, tree())
    world.restart(1.0)
    assert world.is_held(asked)
    assert the_lease(world).holders == (ANN,)
    assert world.wanted == set()
