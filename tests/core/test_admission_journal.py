"""A journal that can't be written: what was promised is taken back, and the rest goes on."""

from math import inf

import pytest

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor
from admission.core.leases import Bound, Caller, Claim
from tests.core.worlds import ANN, BEN, CAT, World, agents


def full_disk(*capacity: int) -> World:
    world = World(agents(*capacity))
    world.disk_room = 0
    return world


def test_a_grant_that_can_not_be_written_is_told_to_nobody_and_taken_back() -> None:
    world = full_disk(1)
    asked = world.acquire(0.0, Claim(ANN))
    assert world.is_waiting(asked)
    assert world.core.ledger.held == 0
    assert not world.core.journal_works
    world.mend_journal(1.0)
    assert world.is_held(asked)


def test_while_it_can_not_be_written_nothing_is_granted_and_the_rest_goes_on() -> None:
    world = World(agents(2))
    first, second = world.acquire(0.0, Claim(ANN)), world.acquire(0.0, Claim(BEN))
    waiting = world.acquire(0.0, Claim(CAT), wait_s=30.0)
    world.disk_room = 0
    assert isinstance(world.release(1.0, first), ev.Done)
    assert isinstance(world.release(2.0, second), ev.Done)
    assert world.is_waiting(waiting)
    world.pass_time(30.0)
    refused = world.answer(waiting)
    assert isinstance(refused, ev.Refused)
    assert refused.code == "timeout"
    assert "the journal can't be written" in refused.message


def test_who_will_not_wait_is_told_that_it_is_the_journal() -> None:
    world = full_disk(1)
    first = world.acquire(0.0, Claim(ANN), wait_s=0)  # granted, and taken back in the next step
    second = world.acquire(0.0, Claim(ANN), wait_s=0)
    for asked in (first, second):
        refused = world.answer(asked)
        assert isinstance(refused, ev.Refused)
        assert refused.code == "journal_unavailable"
        assert refused.message.startswith("no slot now: the journal can't be written;")
    assert world.core.ledger.waiting == 0


def test_who_was_granted_too_soon_waits_at_the_head_again() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    first, second = world.acquire(0.0, Claim(BEN)), world.acquire(0.0, Claim(CAT))
    world.disk_room = 0
    world.release(1.0, held)
    assert world.is_waiting(first)
    world.mend_journal(2.0)
    assert world.is_held(first)
    assert world.is_waiting(second)


def test_of_several_grants_in_one_step_those_that_were_written_stay() -> None:
    world = World(agents(3, 3, 3, 1))
    world.set_level(0.0, 3)
    held = world.acquire(0.0, Claim(ANN))
    first, second = world.acquire(0.0, Claim(BEN)), world.acquire(0.0, Claim(CAT))
    world.disk_room = 2  # for the level and for the first grant
    world.set_level(10.0, 0)
    assert world.is_held(held)
    assert world.is_held(first)
    assert world.is_waiting(second)
    world.mend_journal(20.0)
    assert world.is_held(second)


def test_a_lease_that_was_regained_too_soon_is_yielded_again() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    world.disk_room = 0
    again = world.regain(2.0, asked)
    assert world.is_waiting(again)
    assert world.core.pools["agents"].in_use == 0
    world.mend_journal(3.0)
    assert world.is_held(again)


def test_a_regain_that_will_not_wait_is_refused_when_it_can_not_be_written() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    world.disk_room = 0
    assert world.refusal(world.regain(2.0, asked, wait_s=0)) == "journal_unavailable"
    assert world.is_held(asked)


@pytest.mark.parametrize("bound", Bound)
def test_a_grant_that_was_taken_back_leaves_no_trace_when_its_waiter_goes(bound: Bound) -> None:
    world = full_disk(1)
    world.acquire(0.0, Claim(ANN, bound=bound))
    world.close(1.0, ANN.pid)
    assert not world.core.needs(ANN)
    world.mend_journal(2.0)
    assert (world.core.ledger.held, world.core.ledger.waiting) == (0, 0)


def test_a_grant_is_taken_back_though_its_ttl_has_passed_meanwhile() -> None:
    world = full_disk(1)
    world.step_s = 5.0  # so long after the grant the failure is noticed
    asked = world.acquire(0.0, Claim(ANN, ttl_s=3.0))
    assert world.is_waiting(asked)
    world.mend_journal(6.0)
    assert world.lease(asked).expires_at == 9.0


def test_a_regained_lease_whose_ttl_has_passed_meanwhile_is_taken_back_and_then_ends() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN, ttl_s=3.0))
    world.yield_(1.0, asked)
    world.disk_room = 0
    world.step_s = 5.0
    again = world.regain(2.0, asked)
    assert world.refusal(again) == "unknown_lease"
    assert world.core.ledger.held == 0


def test_a_fence_that_nobody_was_told_of_may_be_skipped_and_the_next_is_higher() -> None:
    world = World(agents(2))
    first = world.acquire(0.0, Claim(ANN))
    world.disk_room = 0
    second = world.acquire(1.0, Claim(BEN))
    world.mend_journal(2.0)
    assert world.lease(second).id > world.lease(first).id


def test_no_delay_is_waited_for_while_nothing_is_granted() -> None:
    world = World(agents(5, 3, 2, 1))
    world.set_level(0.0, 3)
    held = world.acquire(0.0, Claim(ANN))
    waiting = world.acquire(0.0, Claim(BEN))
    world.disk_room = 0
    world.release(1.0, held)
    assert world.core.wakeup() == inf
    world.mend_journal(1.5)
    assert world.core.wakeup() == 2.0
    world.pass_time(2.0)
    assert world.is_held(waiting)


def test_only_promises_among_what_was_not_written_are_taken_back() -> None:
    core = Admission((agents(1),), Governor())
    effects = core.handle(0.0, ev.Acquire(Caller(1, 1), Claim(ANN)))
    unwritten = tuple(effect.record for effect in effects if isinstance(effect, ev.Persist))
    core.handle(0.0, ev.JournalFailed((ev.Left(9, "cancelled"), *unwritten)))
    assert (core.ledger.held, core.ledger.waiting) == (0, 1)
