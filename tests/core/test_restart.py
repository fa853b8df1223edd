"""Another daemon takes over: what was out stays out, places are kept, the dead are buried."""

from math import inf

import pytest

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor
from admission.core.leases import Bound, Caller, Claim, Class, Lease, Reason, State
from admission.core.limits import Limits
from admission.core.sample import Sample
from tests.core.worlds import ANN, ANN_AGAIN, BEN, CAT, World, agents, spec

GRACE = Limits(grace_s=10.0)


def the_lease(world: World, number: int) -> Lease:
    lease = world.core.ledger.lease(number)
    assert lease is not None
    return lease


# --- leases ---------------------------------------------------------------------------------------


def test_a_process_bound_lease_goes_on_as_if_nothing_had_happened() -> None:
    world = World(agents(1), limits=GRACE)
    asked = world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS, ttl_s=60.0))
    world.restart(5.0)
    lease = the_lease(world, 1)
    assert (lease.state, lease.expires_at) == (State.HELD, 60.0)
    world.pass_time(59.0)
    assert world.is_held(asked)
    world.pass_time(60.0)
    assert not world.is_held(asked)


def test_a_connection_bound_lease_is_out_for_the_grace_and_then_ends() -> None:
    world = World(agents(1), limits=GRACE)
    asked = world.acquire(0.0, Claim(ANN))
    world.restart(5.0)
    newcomer = world.acquire(6.0, Claim(BEN))
    assert the_lease(world, 1).state is State.DETACHED
    world.pass_time(14.9)
    assert world.is_waiting(newcomer)
    world.pass_time(15.0)
    assert not world.is_held(asked)
    assert world.is_held(newcomer)


def test_who_knows_the_secret_takes_its_lease_up_again() -> None:
    world = World(agents(1), limits=GRACE)
    asked = world.acquire(0.0, Claim(ANN, secret=b"secret"))
    world.restart(5.0)
    guess = world.resume(6.0, world.lease(asked), 7, secret=b"a guess")
    assert world.answer(guess) == ev.Refused(
        guess,
        "not_permitted",
        "lease 1 has another secret; only its holder can take it up again",
    )
    again = world.resume(7.0, world.lease(asked), 7, secret=b"secret")
    assert world.lease(again).state is State.HELD
    world.pass_time(60.0)
    assert world.is_held(asked)
    world.close(61.0, 7)
    assert not world.is_held(asked)


def test_who_repeats_its_request_takes_its_lease_up_again_too() -> None:
    world = World(agents(1), limits=GRACE)
    asked = world.acquire(0.0, Claim(ANN, request=b"r"))
    world.restart(5.0)
    again = world.acquire(6.0, Claim(ANN, request=b"r"))
    assert world.lease(again).id == world.lease(asked).id
    world.pass_time(60.0)
    assert world.is_held(asked)


def test_a_yielded_lease_stays_yielded_and_regains_its_units() -> None:
    world = World(agents(1), limits=GRACE)
    asked = world.acquire(0.0, Claim(ANN, secret=b"s"))
    world.yield_(1.0, asked)
    world.restart(5.0)
    assert the_lease(world, 1).state is State.YIELDED
    world.resume(6.0, world.lease(asked), ANN.pid, secret=b"s")
    assert the_lease(world, 1).state is State.YIELDED
    assert the_lease(world, 1).detached_until == inf
    assert world.is_held(world.regain(7.0, asked))


def test_a_regained_lease_stays_regained_and_a_renewed_one_renewed() -> None:
    world = World(agents(2), limits=GRACE)
    regained = world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    renewed = world.acquire(0.0, Claim(BEN, bound=Bound.PROCESS, ttl_s=60.0))
    world.yield_(1.0, regained)
    world.regain(2.0, regained)
    world.renew(50.0, renewed)
    world.restart(51.0)
    assert the_lease(world, 1).state is State.HELD
    assert the_lease(world, 2).expires_at == 110.0


def test_a_yielded_lease_may_be_given_up_while_detached() -> None:
    world = World(agents(1), limits=GRACE)
    asked = world.acquire(0.0, Claim(ANN))
    world.restart(5.0)
    told = world.yield_(6.0, asked)
    assert isinstance(told, ev.Told)
    assert told.lease.state is State.YIELDED
    assert world.is_held(world.acquire(7.0, Claim(BEN)))
    world.pass_time(15.0)
    assert not world.is_held(asked)


# --- the dead -------------------------------------------------------------------------------------


def test_the_leases_and_places_of_the_dead_are_buried_and_the_living_keep_theirs() -> None:
    world = World(agents(2), limits=GRACE)
    dead = world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    living = world.acquire(0.0, Claim(ANN_AGAIN, bound=Bound.PROCESS), connection=7)
    world.acquire(0.0, Claim(ANN))
    world.dead.add(ANN)  # while nobody watched
    world.restart(5.0)
    assert not world.is_held(dead)
    assert world.is_held(living)
    assert world.core.ledger.waiting == 0
    assert not world.core.needs(ANN)


def test_the_wait_to_regain_a_dead_holders_lease_is_buried_with_it() -> None:
    world = World(agents(1), limits=GRACE)
    asked = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, asked)
    world.acquire(2.0, Claim(BEN))
    world.regain(3.0, asked)
    world.dead.add(ANN)
    world.restart(5.0)
    assert (world.core.ledger.held, world.core.ledger.waiting) == (1, 0)


def test_the_living_are_watched_from_the_start() -> None:
    world = World(agents(1), limits=GRACE)
    world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    world.acquire(0.0, Claim(BEN, request=b"b"))
    world.restart(5.0)
    assert world.watched == {ANN, BEN}
    world.exit(6.0, ANN)
    assert world.core.ledger.held == 0


# --- places ---------------------------------------------------------------------------------------


def test_a_place_is_kept_for_the_grace_and_no_newcomer_is_granted_before() -> None:
    world = World(agents(1), limits=GRACE)
    held = world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    world.acquire(0.0, Claim(BEN, request=b"b"))
    world.restart(5.0)
    newcomer = world.acquire(6.0, Claim(CAT))
    world.release(7.0, held)
    assert world.is_waiting(newcomer)
    again = world.acquire(8.0, Claim(BEN, request=b"b"))
    assert world.is_held(again)
    assert world.is_waiting(newcomer)


def test_a_place_that_nobody_comes_back_for_is_given_up() -> None:
    world = World(agents(1), limits=GRACE)
    held = world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    world.acquire(0.0, Claim(BEN))
    world.restart(5.0)
    newcomer = world.acquire(6.0, Claim(CAT))
    world.release(7.0, held)
    world.pass_time(14.9)
    assert world.is_waiting(newcomer)
    world.pass_time(15.0)
    assert world.is_held(newcomer)


def test_those_who_came_back_stand_as_they_stood() -> None:
    world = World(agents(1), limits=GRACE)
    held = world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    world.acquire(1.0, Claim(BEN, request=b"b"))
    world.acquire(2.0, Claim(CAT, request=b"c"))
    world.restart(5.0)
    second = world.acquire(6.0, Claim(CAT, request=b"c"))
    first = world.acquire(7.0, Claim(BEN, request=b"b"))
    world.release(8.0, held)
    assert world.is_held(first)
    assert world.is_waiting(second)
    assert world.lease(first).waited_s == 7.0


def test_who_waits_to_regain_keeps_its_place_too() -> None:
    world = World(agents(1), limits=GRACE)
    asked = world.acquire(0.0, Claim(ANN, secret=b"s", bound=Bound.PROCESS))
    world.yield_(1.0, asked)
    held = world.acquire(2.0, Claim(BEN, bound=Bound.PROCESS))
    world.regain(3.0, asked)
    world.restart(5.0)
    newcomer = world.acquire(6.0, Claim(CAT))
    world.release(7.0, held)
    assert world.is_waiting(newcomer)
    again = world.regain(8.0, asked)
    assert world.is_held(again)


# --- numbers and level ----------------------------------------------------------------------------


def test_fences_grow_across_restarts_even_when_nothing_is_left() -> None:
    world = World(agents(1))
    for number in (1, 2, 3):
        asked = world.acquire(float(number), Claim(ANN))
        assert world.lease(asked).id == number
        world.release(float(number), asked)
        world.restart(float(number))


def test_tickets_of_those_who_wait_are_not_given_out_again() -> None:
    world = World(agents(1), limits=GRACE)
    world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    world.acquire(0.0, Claim(BEN, request=b"b"))
    world.restart(5.0)
    world.acquire(6.0, Claim(CAT))
    tickets = [waiter.ticket for waiter in world.core.pools["agents"].queue()]
    assert tickets == [2, 3]


def test_the_delay_since_the_last_grant_is_kept() -> None:
    world = World(agents(5, 3, 2, 1), limits=GRACE)
    world.set_level(0.0, 2)
    world.acquire(10.0, Claim(ANN, bound=Bound.PROCESS))
    world.restart(10.2)
    waiting = world.acquire(10.3, Claim(BEN))
    assert world.core.wakeup() == 11.0
    world.pass_time(11.0)
    assert world.is_held(waiting)


def test_a_level_set_by_hand_is_in_force_again_until_its_end() -> None:
    world = World(agents(5, 3, 2, 1))
    world.set_level(0.0, 3, for_s=60.0)
    world.restart(30.0)
    assert world.core.level.level == 3
    assert world.core.governor.is_by_hand
    world.pass_time(60.0)
    assert world.core.level.level == 0


def test_a_level_by_hand_that_ended_while_the_daemon_was_away_has_ended() -> None:
    world = World(agents(5, 3, 2, 1))
    world.set_level(0.0, 3, for_s=60.0)
    world.restart(90.0)
    assert world.core.level.level == 0
    assert not world.core.governor.is_by_hand


def test_the_governors_level_goes_on_from_where_it_was() -> None:
    world = World(agents(5, 3, 2, 1))
    world.set_level(0.0, 1)
    world.set_level(1.0, None)
    world.feed(2.0, ev.Sampled(Sample(2.0, 85.0, 10.0)))
    world.restart(3.0)
    assert world.core.level.level == 2
    assert world.core.governor.reasons == ("the level before the restart",)


def test_less_capacity_after_a_restart_takes_nothing_away() -> None:
    world = World(agents(2), limits=GRACE)
    for _ in range(2):
        world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    core = Admission((agents(1),), Governor(), GRACE)
    core.handle(5.0, ev.Restarted(tuple(world.core.snapshot()), frozenset({ANN})))
    assert core.pools["agents"].overcommitted == 1


# --- the journal ----------------------------------------------------------------------------------


def test_what_belongs_to_a_pool_that_is_no_more_is_left_out() -> None:
    world = World(agents(1), spec("sqlite", 1))
    for _ in range(2):
        world.acquire(0.0, Claim(ANN, pool="sqlite"))
    core = Admission((agents(1),), Governor())
    core.handle(5.0, ev.Restarted(tuple(world.core.snapshot()), frozenset({ANN})))
    assert (core.ledger.held, core.ledger.waiting) == (0, 0)
    assert core.ledger.last_lease == 1


def test_a_snapshot_leads_where_all_the_records_lead() -> None:
    world = World(agents(2), spec("operations", 1), limits=GRACE)
    kept = world.acquire(0.0, Claim(ANN, ttl_s=60.0))
    ended = world.acquire(0.0, Claim(ANN))
    world.acquire(1.0, Claim(BEN, request=b"b"))
    cancelled = world.acquire(1.0, Claim(CAT))
    world.cancel(2.0, cancelled)
    world.release(3.0, ended)
    world.acquire(4.0, Claim(CAT, rank=Class.CRITICAL))
    world.yield_(5.0, kept)
    world.regain(6.0, kept)
    world.renew(7.0, kept)
    world.set_level(8.0, 1, for_s=60.0)
    after_records, after_snapshot = (
        Admission((agents(2), spec("operations", 1)), Governor(), GRACE) for _ in range(2)
    )
    living = frozenset({ANN, BEN, CAT})
    after_records.handle(9.0, ev.Restarted(tuple(world.journal), living))
    after_snapshot.handle(9.0, ev.Restarted(tuple(world.core.snapshot()), living))
    assert list(after_records.snapshot()) == list(after_snapshot.snapshot())


@pytest.mark.parametrize(
    "record",
    [
        ev.Yielded(9),
        ev.Renewed(9, 60.0),
        ev.Regained(9, 9),
        ev.Left(9, "timeout"),
        ev.Ended(9, Reason.RELEASED),
    ],
)
def test_a_record_of_what_is_not_known_is_passed_over(record: ev.Record) -> None:
    core = Admission((agents(1),), Governor())
    core.handle(0.0, ev.Restarted((record,), frozenset()))
    assert (core.ledger.held, core.ledger.waiting) == (0, 0)


def test_only_the_first_event_can_be_a_restart() -> None:
    core = Admission((agents(1),), Governor())
    core.handle(0.0, ev.Acquire(Caller(1, 1), Claim(ANN)))
    with pytest.raises(AssertionError, match="only the first event"):
        core.handle(1.0, ev.Restarted((), frozenset()))


def test_a_daemon_that_dies_while_it_takes_over_has_changed_nothing() -> None:
    world = World(agents(1), limits=GRACE)
    asked = world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    waiting = world.acquire(0.0, Claim(BEN, request=b"b"))
    for effects in range(4):
        world.restart(5.0, dying_again_after=effects)
        assert world.is_held(asked)
        assert world.core.ledger.waiting == 1
    assert waiting not in world.answers


@pytest.mark.parametrize("until", [None, inf])
@pytest.mark.parametrize(("written", "taken"), [(67, 3), (-1, 0)])
def test_a_level_that_only_another_version_knows_is_the_nearest(
    written: int, taken: int, until: float | None
) -> None:
    core = Admission((agents(1),), Governor())
    record = ev.LevelChanged(written, (), by_hand_until=until)
    core.handle(0.0, ev.Restarted((record,), frozenset()))
    assert core.level.level == taken
