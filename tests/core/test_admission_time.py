"""Waits that end, leases that expire, grants kept apart, and capacity that follows the level."""

from math import inf

from admission.core import events as ev
from admission.core.governor import Patience
from admission.core.leases import Claim, Reason
from admission.core.limits import Limits
from admission.core.sample import Sample
from tests.core.worlds import ANN, BEN, CAT, World, agents, spec

# --- waits ----------------------------------------------------------------------------------------


def test_a_wait_ends_at_its_time_and_says_why_in_numbers() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN), wait_s=30.0)
    assert world.core.wakeup() == 30.0
    world.pass_time(29.9)
    assert world.is_waiting(asked)
    world.pass_time(30.0)
    assert world.answer(asked) == ev.Refused(
        asked,
        "timeout",
        'no slot within 30 s: 1 of 1 agents run, you were 1st; see "admission leases"',
    )


def test_a_slot_that_comes_free_at_the_very_end_of_a_wait_goes_to_the_next() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN), wait_s=30.0)
    behind = world.acquire(0.0, Claim(CAT))
    world.release(30.0, held)
    assert world.refusal(asked) == "timeout"
    assert world.is_held(behind)


def test_a_front_waiter_that_times_out_lets_the_next_one_in() -> None:
    world = World(agents(2))
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN, weight=2), wait_s=30.0)
    behind = world.acquire(0.0, Claim(CAT))
    world.pass_time(30.0)
    assert world.is_held(behind)


def test_who_waits_for_ever_has_no_deadline() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN))
    assert world.core.wakeup() == inf


# --- ttl ------------------------------------------------------------------------------------------


def test_a_lease_expires_when_its_ttl_was_not_renewed() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN, ttl_s=60.0))
    waiting = world.acquire(0.0, Claim(BEN))
    world.pass_time(60.0)
    assert world.answers[asked][-1] == ev.LeaseEnded(asked, 1, Reason.TTL_PASSED)
    assert world.is_held(waiting)


def test_a_renewed_lease_lives_on_for_another_ttl() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN, ttl_s=60.0))
    told = world.renew(50.0, asked)
    assert isinstance(told, ev.Told)
    assert told.lease.expires_at == 110.0
    world.pass_time(109.9)
    assert world.is_held(asked)
    world.pass_time(110.0)
    assert not world.is_held(asked)


def test_a_lease_without_a_ttl_is_renewed_by_saying_so() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    (told,) = world.feed(50.0, ev.Renew(world.caller(ANN.pid), 1))
    assert isinstance(told, ev.Told)
    assert told.lease == world.lease(asked)


def test_it_is_too_late_to_renew_at_the_very_end() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN, ttl_s=60.0))
    refused = world.renew(60.0, asked)
    assert isinstance(refused, ev.Refused)
    assert refused.code == "unknown_lease"


# --- grants kept apart ----------------------------------------------------------------------------


def test_at_a_level_above_normal_grants_keep_its_delay_apart() -> None:
    world = World(agents(5, 3, 2, 1))
    world.set_level(0.0, 1)
    first, second, third = [world.acquire(10.0, Claim(ANN)) for _ in range(3)]
    assert world.is_held(first)
    assert world.core.wakeup() == 10.5
    world.pass_time(10.4)
    assert world.is_waiting(second)
    world.pass_time(10.5)
    assert world.is_held(second)
    assert world.is_waiting(third)
    assert world.core.wakeup() == 11.0


def test_a_regained_lease_counts_as_a_grant_for_the_delay() -> None:
    world = World(agents(5, 3, 2, 1))
    world.set_level(0.0, 1)
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    world.regain(10.0, asked)
    waiting = world.acquire(10.0, Claim(BEN))
    world.pass_time(10.4)
    assert world.is_waiting(waiting)
    world.pass_time(10.5)
    assert world.is_held(waiting)


def test_pools_of_constant_size_and_other_pools_do_not_wait() -> None:
    world = World(agents(5, 3, 2, 1), spec("operations", 3, 2, 1, 1), spec("sqlite", 2))
    world.set_level(0.0, 2)
    for pool in ("agents", "operations", "sqlite", "sqlite"):
        assert world.is_held(world.acquire(0.0, Claim(ANN, pool=pool)))


def test_who_will_not_wait_is_told_of_the_delay() -> None:
    world = World(agents(5, 3, 2, 1))
    world.set_level(0.0, 1)
    world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.2, Claim(BEN), wait_s=0)
    refused = world.answer(asked)
    assert isinstance(refused, ev.Refused)
    assert "grants keep 0.5 s apart at level 1 (light)" in refused.message
    assert world.is_held(world.acquire(0.5, Claim(BEN), wait_s=0))


# --- capacity that changes ------------------------------------------------------------------------


def test_a_smaller_capacity_revokes_nothing_and_grants_nothing_until_it_fits() -> None:
    world = World(agents(3, 3, 2, 1))
    held = [world.acquire(0.0, Claim(ANN)) for _ in range(3)]
    waiting = world.acquire(0.0, Claim(BEN))
    world.set_level(10.0, 3)
    assert all(world.is_held(one) for one in held)
    assert world.core.pools["agents"].overcommitted == 2
    for index, asked in enumerate(held):
        assert world.is_waiting(waiting)
        world.release(20.0 + index, asked)
    assert world.is_held(waiting)
    assert world.core.pools["agents"].overcommitted == 0


def test_a_larger_capacity_grants_all_that_fits_now() -> None:
    world = World(agents(5, 3, 2, 1))
    world.set_level(0.0, 3)
    first, second, third = [world.acquire(10.0, Claim(ANN)) for _ in range(3)]
    world.set_level(20.0, 0)
    assert all(world.is_held(asked) for asked in (first, second, third))


def test_the_level_rises_and_falls_with_the_samples() -> None:
    world = World(agents(5, 3, 2, 1), patience=Patience(dwell_s=30.0))
    for at, memory_used_pct in ((0.0, 95.0), (10.0, 10.0), (39.9, 10.0)):
        world.feed(at, ev.Sampled(Sample(at, memory_used_pct, 10.0)))
        assert world.core.level.level == 3
    effects = world.feed(40.0, ev.Sampled(Sample(40.0, 10.0, 10.0)))
    assert world.core.level.level == 2
    assert world.core.pools["agents"].capacity == 2
    (persist,) = effects
    assert isinstance(persist, ev.Persist)
    assert isinstance(persist.record, ev.LevelChanged)
    assert (persist.record.level, persist.record.by_hand_until) == (2, None)


# --- a level set by hand --------------------------------------------------------------------------


def test_a_level_set_by_hand_is_answered_and_written_even_if_it_stays_the_same() -> None:
    world = World(agents(5, 3, 2, 1))
    persist, answer = world.feed(0.0, ev.SetLevel(world.caller(0), 0))
    assert persist == ev.Persist(ev.LevelChanged(0, ("set by hand",), inf))
    assert isinstance(answer, ev.ToldLevel)


def test_a_level_set_by_hand_for_a_while_ends_by_itself_and_lets_waiters_in() -> None:
    world = World(agents(2, 2, 2, 1))
    world.set_level(0.0, 3, for_s=60.0)
    world.acquire(1.0, Claim(ANN))
    waiting = world.acquire(1.0, Claim(BEN))
    assert world.core.wakeup() == 60.0
    world.pass_time(59.9)
    assert world.is_waiting(waiting)
    world.pass_time(60.0)
    assert world.is_held(waiting)
    assert not world.core.governor.is_by_hand
    assert world.core.wakeup() == inf


def test_a_level_given_back_is_the_governors_again() -> None:
    world = World(agents(5, 3, 2, 1))
    world.feed(0.0, ev.Sampled(Sample(0.0, 85.0, 10.0)))
    world.set_level(1.0, 0)
    assert world.core.level.level == 0
    world.set_level(2.0, None)
    assert world.core.level.level == 2


def test_a_request_is_judged_by_the_level_in_force_and_not_by_one_that_ends_with_it() -> None:
    world = World(agents(2, 2, 2, 1))
    world.acquire(0.0, Claim(ANN))
    world.set_level(0.0, 3, for_s=60.0)
    asked = world.acquire(60.0, Claim(BEN), wait_s=0)
    assert world.is_held(asked)


def test_a_request_is_not_granted_by_a_level_that_ends_with_it() -> None:
    world = World(agents(1, 1, 1, 2))
    world.acquire(0.0, Claim(ANN))
    world.set_level(0.0, 3, for_s=60.0)
    asked = world.acquire(60.0, Claim(BEN), wait_s=0)
    assert world.refusal(asked) == "timeout"


# --- one deadline ---------------------------------------------------------------------------------


def test_the_one_deadline_is_the_earliest_of_all() -> None:
    world = World(agents(5, 3, 2, 1), limits=Limits(grace_s=10.0))
    world.set_level(0.0, 3, for_s=100.0)
    assert world.core.wakeup() == 100.0
    world.acquire(0.0, Claim(ANN, ttl_s=90.0))
    assert world.core.wakeup() == 90.0
    world.acquire(0.0, Claim(BEN, request=b"b"), wait_s=80.0)
    assert world.core.wakeup() == 80.0
    world.close(5.0, BEN.pid)
    assert world.core.wakeup() == 15.0
    world.pass_time(15.0)
    assert world.core.wakeup() == 90.0


def test_nothing_spins_where_somebody_waits_for_room() -> None:
    world = World(agents(5, 3, 2, 1))
    world.set_level(0.0, 3)
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(CAT))
    assert world.core.wakeup() == inf
