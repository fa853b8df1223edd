"""The queue and its ends: who is served when, and what becomes of who asked. Yielding, time, the
level and the journal have files of their own.
"""

from admission.core import events as ev
from admission.core.leases import Bound, Caller, Claim, Class, Reason, State
from tests.core.worlds import ANN, ANN_AGAIN, BEN, CAT, World, agents, spec

# --- order ----------------------------------------------------------------------------------------


def test_a_lease_is_granted_at_once_where_there_is_room() -> None:
    world = World(agents(2))
    asked = world.acquire(0.0, Claim(ANN, weight=2, task="refactor"))
    lease = world.lease(asked)
    assert (lease.id, lease.claim.task, lease.state) == (1, "refactor", State.HELD)
    assert (lease.granted_at, lease.waited_s) == (0.0, 0.0)


def test_first_come_is_first_served() -> None:
    world = World(agents(1))
    held, *waiting = [world.acquire(0.0, Claim(ANN)) for _ in range(4)]
    for index, asked in enumerate(waiting):
        assert [world.is_waiting(one) for one in waiting] == [False] * index + [True] * (3 - index)
        world.release(60.0 * (index + 1), held)
        held = asked
        assert world.is_held(held)
    assert world.lease(held).waited_s == 180.0


def test_a_higher_class_goes_first_and_a_lower_one_last() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    batch = world.acquire(1.0, Claim(BEN, rank=Class.BATCH))
    normal = world.acquire(2.0, Claim(BEN, rank=Class.NORMAL))
    critical = world.acquire(3.0, Claim(BEN, rank=Class.CRITICAL))
    for asked in (critical, normal, batch):
        world.release(60.0, held)
        assert world.is_held(asked)
        held = asked


def test_small_requests_do_not_overtake_a_large_one() -> None:
    world = World(agents(3))
    first, second, third = [world.acquire(0.0, Claim(ANN)) for _ in range(3)]
    large = world.acquire(1.0, Claim(BEN, weight=3))
    small = world.acquire(1.0, Claim(CAT))
    for held in (first, second):
        world.release(2.0, held)
        assert world.is_waiting(large)
        assert world.is_waiting(small)
    world.release(3.0, third)
    assert world.is_held(large)
    assert world.is_waiting(small)


def test_one_that_is_too_large_for_this_level_is_passed_over_and_keeps_its_place() -> None:
    world = World(agents(2, 2, 1, 1))
    world.set_level(0.0, 3)
    held = world.acquire(0.0, Claim(ANN))
    large = world.acquire(1.0, Claim(BEN, weight=2))
    small, last = world.acquire(2.0, Claim(CAT)), world.acquire(2.0, Claim(CAT))
    world.release(10.0, held)
    assert world.is_held(small)
    assert world.is_waiting(large)
    world.set_level(20.0, 0)
    world.release(30.0, small)
    assert world.is_held(large)
    assert world.is_waiting(last)


def test_each_pool_has_units_and_a_queue_of_its_own() -> None:
    world = World(agents(1), spec("operations", 1))
    world.acquire(0.0, Claim(ANN))
    assert world.is_waiting(world.acquire(0.0, Claim(ANN)))
    building = world.acquire(0.0, Claim(ANN, pool="operations"))
    testing = world.acquire(0.0, Claim(ANN, pool="operations"))
    assert world.is_held(building)
    world.release(1.0, building)
    assert world.is_held(testing)


def test_a_pool_that_there_is_not_is_refused_with_the_names_of_those_that_there_are() -> None:
    world = World(agents(1), spec("operations", 1))
    asked = world.acquire(0.0, Claim(ANN, pool="agent"))
    assert world.answer(asked) == ev.Refused(
        asked, "unknown_pool", 'there is no pool "agent"; the pools are agents, operations'
    )


# --- a request that will not wait -----------------------------------------------------------------


def test_who_will_not_wait_is_granted_now_or_refused_now() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN), wait_s=0)
    assert world.is_held(held)
    asked = world.acquire(1.0, Claim(BEN), wait_s=0)
    assert world.answer(asked) == ev.Refused(
        asked,
        "timeout",
        'no slot now: 1 of 1 agents run; wait for one with "--wait", or see "admission leases"',
    )


def test_a_refused_request_changes_nothing_but_its_own_reply() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    before = list(world.core.snapshot())
    for event in (
        ev.Acquire(world.caller(2), Claim(BEN), wait_s=0),
        ev.Acquire(world.caller(2), Claim(BEN, weight=9)),
        ev.Acquire(world.caller(2), Claim(BEN, pool="nonesuch")),
        ev.Release(world.caller(2), 9),
        ev.Renew(world.caller(2), 9),
        ev.Yield(world.caller(2), 9),
        ev.Regain(world.caller(2), 9),
        ev.Resume(world.caller(2), 9, b""),
        ev.Resume(world.caller(2), 1, b"a guess"),
    ):
        (effect,) = world.feed(1.0, event)
        assert isinstance(effect, ev.Refused)
        assert list(world.core.snapshot()) == before


def test_who_will_not_wait_does_not_overtake_who_does() -> None:
    world = World(agents(2))
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN, weight=2))
    asked = world.acquire(0.0, Claim(CAT), wait_s=0)
    refused = world.answer(asked)
    assert isinstance(refused, ev.Refused)
    assert refused.message.startswith("no slot now: 1 of 2 agents run;")


# --- cancel ---------------------------------------------------------------------------------------


def test_a_cancelled_front_waiter_lets_the_next_one_in() -> None:
    world = World(agents(2))
    world.acquire(0.0, Claim(ANN))
    front = world.acquire(0.0, Claim(BEN, weight=2))
    behind = world.acquire(0.0, Claim(CAT))
    assert world.cancel(1.0, front) == ev.Done(Caller(BEN.pid, world.last_message), found=True)
    assert world.refusal(front) == "cancelled"
    assert world.is_held(behind)


def test_a_cancelled_waiter_is_not_granted_later() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN))
    world.cancel(1.0, asked)
    world.release(2.0, held)
    assert world.core.ledger.held == 0


def test_who_cancels_too_late_holds_nothing_either() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    waiting = world.acquire(0.0, Claim(BEN))
    world.cancel(1.0, asked)
    assert not world.is_held(asked)
    assert world.is_held(waiting)


def test_a_request_is_cancelled_by_its_own_id_from_any_connection() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN, request=b"held"))
    waiting = world.acquire(0.0, Claim(BEN, request=b"waiting"))
    answer = world.cancel_request(1.0, b"waiting", connection=77)
    assert isinstance(answer, ev.Done)
    assert answer.found
    assert world.refusal(waiting) == "cancelled"
    world.cancel_request(2.0, b"held", connection=77)
    assert not world.is_held(held)


def test_to_cancel_what_is_not_there_says_so() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    elsewhere = Caller(BEN.pid, asked.id)
    for answer in (world.cancel(1.0, elsewhere), world.cancel_request(1.0, b"never", 7)):
        assert isinstance(answer, ev.Done)
        assert answer.found is False
    assert world.is_held(asked)


# --- release --------------------------------------------------------------------------------------


def test_a_released_lease_can_not_be_released_again() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN))
    assert isinstance(world.release(1.0, asked), ev.Done)
    refused = world.release(2.0, asked)
    assert isinstance(refused, ev.Refused)
    assert refused.code == "unknown_lease"
    assert refused.message.startswith("there is no lease 1: it has ended, or never was;")


def test_the_holder_and_what_runs_below_it_release_and_anybody_else_revokes() -> None:
    world = World(agents(3))
    own, below, other = [world.acquire(0.0, Claim(ANN)) for _ in range(3)]
    ended = [
        effect.record.reason
        for event in (
            ev.Release(world.caller(ANN.pid), 1),
            ev.Release(world.caller(77), 2, (BEN, ANN)),
            ev.Release(world.caller(77), 3, (BEN, CAT)),
        )
        for effect in world.feed(1.0, event)
        if isinstance(effect, ev.Persist) and isinstance(effect.record, ev.Ended)
    ]
    assert ended == [Reason.RELEASED, Reason.RELEASED, Reason.REVOKED]
    assert [len(world.answers[asked]) for asked in (own, below, other)] == [1, 1, 2]
    assert world.answers[other][-1] == ev.LeaseEnded(other, 3, Reason.REVOKED)


# --- connections and processes that end -----------------------------------------------------------


def test_a_connection_bound_lease_ends_with_its_connection() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN, bound=Bound.CONNECTION))
    waiting = world.acquire(0.0, Claim(BEN))
    world.close(1.0, ANN.pid)
    assert not world.is_held(asked)
    assert world.is_held(waiting)


def test_a_process_bound_lease_outlives_its_connection_and_ends_with_its_process() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    waiting = world.acquire(0.0, Claim(BEN))
    world.close(1.0, ANN.pid)
    assert world.is_held(asked)
    world.exit(2.0, ANN)
    assert not world.is_held(asked)
    assert world.is_held(waiting)


def test_a_connection_bound_lease_ends_with_its_process_too_whoever_keeps_the_connection() -> None:
    world = World(agents(1))
    asked = world.acquire(0.0, Claim(ANN), connection=77)
    world.exit(1.0, ANN)
    assert world.answers[asked][-1] == ev.LeaseEnded(asked, 1, Reason.HOLDER_EXITED)


def test_a_waiter_leaves_with_its_connection() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN))
    last = world.acquire(0.0, Claim(CAT))
    world.close(1.0, BEN.pid)
    world.release(2.0, held)
    assert world.is_held(last)


def test_a_waiter_leaves_with_its_process() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN))
    world.exit(1.0, BEN)
    refused = world.answer(asked)
    assert refused == ev.Refused(asked, "holder_gone", f"process {BEN.pid} is gone")
    world.release(2.0, held)
    assert world.core.ledger.held == 0


def test_all_leases_and_waiters_of_a_dead_process_end_at_once() -> None:
    world = World(agents(2), spec("operations", 1))
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(ANN), connection=77)
    world.acquire(0.0, Claim(ANN, pool="operations", bound=Bound.PROCESS))
    world.acquire(0.0, Claim(ANN))
    world.exit(1.0, ANN)
    assert (world.core.ledger.held, world.core.ledger.waiting) == (0, 0)


def test_the_end_of_one_process_is_not_that_of_another_with_its_pid() -> None:
    world = World(agents(2))
    old = world.acquire(0.0, Claim(ANN), connection=1)
    new = world.acquire(0.0, Claim(ANN_AGAIN), connection=2)
    world.exit(1.0, ANN)
    assert not world.is_held(old)
    assert world.is_held(new)
    assert world.core.needs(ANN_AGAIN)
    assert not world.core.needs(ANN)


def test_who_was_dead_before_it_was_watched_keeps_nothing() -> None:
    world = World(agents(1))
    world.dead.add(ANN)
    asked = world.acquire(0.0, Claim(ANN))
    assert not world.is_held(asked)
    assert world.answers[asked][-1] == ev.LeaseEnded(asked, 1, Reason.HOLDER_EXITED)


# --- the order of effects -------------------------------------------------------------------------


def test_a_holder_is_watched_before_it_queues_and_a_grant_is_written_before_it_is_told() -> None:
    world = World(agents(1))
    watch, granted, told = world.feed(0.0, ev.Acquire(world.caller(1), Claim(ANN)))
    assert watch == ev.Watch(ANN)
    assert isinstance(granted, ev.Persist)
    assert isinstance(granted.record, ev.Granted)
    assert isinstance(told, ev.Told)
    watch, queued = world.feed(0.0, ev.Acquire(world.caller(2), Claim(BEN)))
    assert watch == ev.Watch(BEN)
    assert isinstance(queued, ev.Persist)
    assert isinstance(queued.record, ev.Queued)


def test_what_ends_is_written_before_it_is_told_and_grants_come_last() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN))
    kinds = [
        effect.record if isinstance(effect, ev.Persist) else effect
        for effect in world.feed(1.0, ev.HolderExited(ANN))
    ]
    assert [type(kind) for kind in kinds] == [
        ev.Unwatch,
        ev.Ended,
        ev.LeaseEnded,
        ev.Granted,
        ev.Told,
    ]
