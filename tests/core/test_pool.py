from dataclasses import replace
from itertools import product

import pytest

from admission.core.filling import fitting, grantable, is_next
from admission.core.leases import Caller, Claim, Class, Lease, State, Waiter
from admission.core.levels import LEVELS
from admission.core.places import obstacle, places_of, reason_of
from admission.core.pool import LIVES, Pool
from tests.core.worlds import ANN, NEVER, agents, spec

CALLER = Caller(1, 1)


def pool_of(*capacity: int, name: str = "agents", level: int = 0) -> Pool:
    return Pool(spec(name, *capacity), LEVELS[level])


def lease(number: int, weight: int = 1, state: State = State.HELD) -> Lease:
    return Lease(number, Claim(ANN, weight=weight), ticket=number, granted_at=0.0, state=state)


def put(pool: Pool, *leases: Lease) -> None:
    for one in leases:
        pool.put(one)


def waiter(ticket: int, weight: int = 1, rank: Class = Class.NORMAL) -> Waiter:
    return Waiter(ticket, Claim(ANN, weight=weight, rank=rank), CALLER, queued_at=0.0)


def join(pool: Pool, *waiters: Waiter) -> None:
    for one in waiters:
        pool.add(one)


# --- units ----------------------------------------------------------------------------------------


def test_units_in_use_are_those_of_the_leases_that_are_out() -> None:
    pool = pool_of(5)
    put(pool, lease(1, 2), lease(2, 1, State.DETACHED), lease(3, 2, State.YIELDED))
    assert pool.in_use == 3


def test_capacity_follows_the_level_and_what_is_out_above_it_is_overcommitted() -> None:
    pool = pool_of(5, 3, 2, 1)
    put(pool, lease(1, 3))
    assert (pool.capacity, pool.overcommitted) == (5, 0)
    pool.level = LEVELS[2]
    assert (pool.capacity, pool.overcommitted) == (2, 1)


# --- the queue ------------------------------------------------------------------------------------


def test_waiters_are_served_by_class_and_then_as_they_came() -> None:
    pool = pool_of(1)
    first, batch, critical, second = (
        waiter(1),
        waiter(2, rank=Class.BATCH),
        waiter(3, rank=Class.CRITICAL),
        waiter(4),
    )
    join(pool, batch, second, critical, first)
    assert list(pool.queue()) == [critical, first, second, batch]
    assert [pool.position(one) for one in pool.queue()] == [1, 2, 3, 4]
    pool.remove(first)
    assert list(pool.queue()) == [critical, second, batch]


def test_an_update_keeps_the_place() -> None:
    pool = pool_of(1)
    join(pool, waiter(1), waiter(2))
    back = replace(waiter(1), caller=Caller(2, 9), deadline_at=60.0)
    pool.update(back)
    assert next(pool.queue()) is back
    with pytest.raises(AssertionError):
        pool.update(replace(back, claim=Claim(ANN, rank=Class.BATCH)))


def test_nobody_overtakes_the_front_however_small() -> None:
    pool = pool_of(2)
    pool.order.ageing = NEVER
    put(pool, lease(1))
    join(pool, waiter(1, weight=2), waiter(2))
    assert pool.front() == waiter(1, weight=2)
    assert fitting(pool, 0.0) is None


def test_who_wants_more_than_this_level_has_is_passed_over_and_keeps_its_place() -> None:
    pool = pool_of(2, 2, 1, 1, level=3)
    large, small = waiter(1, weight=2), waiter(2)
    join(pool, large, small)
    assert pool.front() is small
    pool.level = LEVELS[0]
    assert pool.front() is large


def test_who_is_away_is_passed_over_unless_it_was_the_daemon_that_went() -> None:
    pool = pool_of(1)
    away = replace(waiter(1), caller=None, away_until=10.0)
    join(pool, away, waiter(2))
    assert pool.front() == waiter(2)
    pool.update(replace(away, keeps_place=True))
    assert pool.front() is None


def test_a_grant_waits_for_the_delay_of_the_level_since_the_last_one() -> None:
    pool = pool_of(5, 3, 2, 1, level=1)
    join(pool, waiter(1))
    pool.last_grant_at = 10.0
    assert pool.ready_at() == 10.5
    assert fitting(pool, 10.4) == waiter(1)
    assert grantable(pool, 10.4) is None
    assert grantable(pool, 10.5) == waiter(1)


def test_a_pool_of_constant_size_never_waits_between_grants() -> None:
    pool = pool_of(2, level=3)
    join(pool, waiter(1))
    pool.last_grant_at = 10.0
    assert grantable(pool, 10.0) == waiter(1)


def test_asking_whether_a_newcomer_would_be_granted_leaves_the_queue_as_it_was() -> None:
    pool = pool_of(1)
    assert is_next(pool, waiter(1), 0.0)
    assert not pool.waiters
    put(pool, lease(1))
    assert not is_next(pool, waiter(1), 0.0)
    assert obstacle(pool, waiter(1), 0.0) == "1 of 1 agents run"
    assert not list(pool.queue())


# --- the life of a lease --------------------------------------------------------------------------


ALIVE = [state for state in State if state is not State.ENDED]


@pytest.mark.parametrize(("before", "after"), [*product(State, ALIVE)])
def test_a_lease_lives_as_the_table_says_and_no_other_way(before: State, after: State) -> None:
    pool = pool_of(1)
    put(pool, lease(1, state=before))
    if after in LIVES[before]:
        moved = pool.move(pool.leases[1], after)
        assert moved.state is after
        assert pool.leases == {1: moved}
    else:
        with pytest.raises(AssertionError, match="lease 1"):
            pool.move(pool.leases[1], after)
        assert pool.leases == {1: lease(1, state=before)}


@pytest.mark.parametrize("before", ALIVE)
def test_a_lease_that_ends_leaves_the_table(before: State) -> None:
    pool = pool_of(1)
    put(pool, lease(1, state=before))
    pool.end(pool.leases[1])
    assert not pool.leases


def test_one_that_has_ended_can_t_end_again() -> None:
    pool = pool_of(1)
    with pytest.raises(AssertionError, match="lease 1 has ended already"):
        pool.end(lease(1, state=State.ENDED))


def test_nothing_follows_the_end_and_the_end_may_follow_anything_else() -> None:
    assert not LIVES[State.ENDED]
    assert all(State.ENDED in LIVES[state] for state in State if state is not State.ENDED)


# --- what waiters are told ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "numbers"),
    [("st", (1, 21, 101)), ("nd", (2, 22)), ("rd", (3, 23)), ("th", (4, 11, 12, 13, 20, 111, 112))],
)
def test_a_position_is_said_as_a_person_says_it(ending: str, numbers: tuple[int, ...]) -> None:
    pool = pool_of(1)
    join(pool, *(waiter(ticket) for ticket in range(1, 113)))
    assert [pool.ordinal(waiter(number)) for number in numbers] == [
        f"{number}{ending}" for number in numbers
    ]


def test_each_waiter_is_told_why_it_waits() -> None:
    pool = pool_of(2, 2, 1, 1, level=3)
    large, away = waiter(1, weight=2), replace(waiter(2), caller=None)
    join(pool, large, away, waiter(3), waiter(4))
    put(pool, lease(1))
    assert [place.reason for place in places_of(pool, 0.0)] == [
        "weight 2 is more than the 1 of agents at level 3 (heavy)",
        "its client is away",
        "1 of 1 agents run",
        "1 of 1 agents run",
    ]


def test_whoever_is_not_at_the_front_is_told_how_many_are_ahead() -> None:
    pool = pool_of(5, 3, 2, 1, level=1)
    first, second, third = waiter(1), waiter(2), waiter(3)
    join(pool, first, second, third)
    pool.last_grant_at = 0.0
    assert reason_of(pool, first, 0.0) == "grants keep 0.5 s apart at level 1 (light)"
    assert reason_of(pool, first, 0.5) == "its turn has come"
    assert reason_of(pool, third, 0.5) == "2 ahead in the queue"


def test_after_a_restart_newcomers_are_told_whom_they_wait_for() -> None:
    pool = pool_of(1)
    join(pool, replace(waiter(1), caller=None, keeps_place=True), waiter(2))
    assert "before a restart" in reason_of(pool, waiter(2), 0.0)


def test_other_pools_speak_of_units() -> None:
    pool = pool_of(3, name="operations")
    put(pool, lease(1, 3))
    join(pool, waiter(1))
    assert reason_of(pool, waiter(1), 0.0) == "3 of 3 units of operations are out"


def test_nobody_guesses_at_a_wait_before_the_first_lease_has_ended() -> None:
    pool = pool_of(1)
    join(pool, waiter(1))
    assert [place.eta_s for place in places_of(pool, 0.0)] == [None]


def test_the_guess_at_a_wait_is_how_long_leases_are_out_times_the_turns_ahead() -> None:
    pool = pool_of(2)
    put(pool, lease(1, 2, State.YIELDED), lease(2, 2))
    join(pool, waiter(1), waiter(2, weight=2))
    for hold_s in (10.0, 90.0):
        pool.note_hold(hold_s)
    # The lease that is out counts with the 60 s that it has reached; the yielded one does not.
    assert [place.eta_s for place in places_of(pool, 60.0)] == [30.0, 90.0]
    assert [place.position for place in places_of(pool, 60.0)] == [1, 2]


def test_a_guess_is_never_sooner_than_the_delay_between_grants_allows() -> None:
    pool = Pool(agents(5, 3, 2, 1), LEVELS[3])
    join(pool, waiter(1), waiter(2), waiter(3, weight=2))
    pool.note_hold(0.5)
    assert [place.eta_s for place in places_of(pool, 0.0)] == [0.5, 2.0, None]


def test_only_the_latest_holds_count_for_the_guess() -> None:
    pool = pool_of(1)
    join(pool, waiter(1))
    for hold_s in [1_000.0] * 100 + [10.0] * 30:
        pool.note_hold(hold_s)
    assert [place.eta_s for place in places_of(pool, 0.0)] == [10.0]
