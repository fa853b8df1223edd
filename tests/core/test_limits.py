from admission.core import events as ev
from admission.core.leases import Caller, Claim, Holder
from admission.core.limits import Limits
from tests.core.worlds import ANN, BEN, CAT, World, agents, spec


def full_world(limits: Limits) -> World:
    """Its one unit is out."""
    world = World(agents(1), spec("operations", 1), limits=limits)
    world.acquire(0.0, Claim(CAT))
    return world


def message(world: World, asked: Caller) -> str:
    refused = world.answer(asked)
    assert isinstance(refused, ev.Refused)
    return refused.message


def test_more_than_a_pool_ever_holds_is_impossible_and_says_so_in_numbers() -> None:
    world = World(agents(5, 3, 2, 1))
    asked = world.acquire(0.0, Claim(ANN, weight=6))
    assert world.refusal(asked) == "impossible"
    assert message(world, asked) == (
        'weight 6 can never be granted: pool "agents" holds 5 at most; '
        "ask for less, or configure more"
    )
    assert world.is_held(world.acquire(0.0, Claim(ANN, weight=5)))


def test_what_only_a_lighter_level_allows_may_wait_for_it() -> None:
    world = World(agents(5, 3, 2, 1))
    world.set_level(0.0, 3)
    asked = world.acquire(0.0, Claim(ANN, weight=5))
    assert world.is_waiting(asked)
    world.set_level(1.0, 0)
    assert world.is_held(asked)


def test_one_connection_can_not_fill_the_queue() -> None:
    world = full_world(Limits(waiters_per_connection_max=2))
    waiting = [world.acquire(0.0, Claim(ANN)) for _ in range(2)]
    asked = world.acquire(0.0, Claim(ANN))
    assert world.refusal(asked) == "queue_full"
    assert message(world, asked).startswith("2 requests of this connection wait already")
    assert world.is_waiting(world.acquire(0.0, Claim(BEN)))
    world.cancel(1.0, waiting[0])
    assert world.is_waiting(world.acquire(1.0, Claim(ANN)))


def test_a_connections_leases_are_none_of_its_waiters() -> None:
    world = World(agents(3), limits=Limits(waiters_per_connection_max=1))
    for _ in range(3):
        assert world.is_held(world.acquire(0.0, Claim(ANN)))
    assert world.is_waiting(world.acquire(0.0, Claim(ANN)))
    assert world.refusal(world.acquire(0.0, Claim(ANN))) == "queue_full"


def test_the_queues_of_all_pools_together_have_a_limit() -> None:
    world = full_world(Limits(waiters_max=2))
    world.acquire(0.0, Claim(BEN, pool="operations"))
    for pid in (11, 12):
        assert world.is_waiting(world.acquire(0.0, Claim(Holder(pid, 1))))
    asked = world.acquire(0.0, Claim(ANN, pool="operations"))
    assert world.refusal(asked) == "queue_full"
    assert message(world, asked) == "2 wait already, and that is the limit; try again later"


def test_a_full_queue_hinders_nobody_who_runs_under_a_lease_already() -> None:
    world = World(agents(1), limits=Limits(waiters_max=1))
    outer = world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(CAT))
    inner = world.acquire(1.0, Claim(BEN), parent=world.lease(outer).id, above=(BEN, ANN))
    assert world.lease(inner) == world.lease(outer)


def test_the_same_request_again_takes_no_second_place() -> None:
    world = full_world(Limits(waiters_max=1))
    world.acquire(0.0, Claim(ANN, request=b"r"))
    again = world.acquire(1.0, Claim(ANN, request=b"r"), connection=7)
    assert world.is_waiting(again)


def test_regaining_is_no_newcomers_wait_and_no_limit_stops_it() -> None:
    world = World(agents(1), limits=Limits(waiters_max=1, waiters_per_connection_max=1))
    yielded = world.acquire(0.0, Claim(ANN))
    world.yield_(0.0, yielded)
    world.acquire(0.0, Claim(BEN))
    world.acquire(0.0, Claim(CAT))
    assert world.is_waiting(world.regain(1.0, yielded))


def waits_of(world: World, uid: int, how_many: int) -> list[Caller]:
    """So many requests of one user's, each of a process and a connection of its own."""
    pids = [uid * 1000 + number for number in range(how_many)]
    return [world.acquire(0.0, Claim(Holder(pid, 1), uid=uid)) for pid in pids]


def test_no_user_takes_more_than_a_share_of_what_the_others_leave() -> None:
    world = full_world(Limits(waiters_max=8, user_share_pct=50))
    for uid, most in ((1, 4), (2, 2), (3, 1)):
        *fit, one_more = waits_of(world, uid, most + 1)
        assert all(world.is_waiting(asked) for asked in fit), uid
        assert world.refusal(one_more) == "queue_full"
    assert "4 of your requests wait already" in message(world, waits_of(world, 1, 1)[0])
    assert world.is_waiting(waits_of(world, 4, 1)[0]), "where there is room, one is everybody's"
    assert message(world, waits_of(world, 5, 1)[0]).startswith("8 wait already")


def test_the_share_grows_again_as_the_others_leave() -> None:
    world = full_world(Limits(waiters_max=8, user_share_pct=50))
    *others, _ = waits_of(world, 1, 5)
    *_, refused = waits_of(world, 2, 3)
    assert world.refusal(refused) == "queue_full"
    for asked in others:
        world.cancel(1.0, asked)
    assert [world.is_waiting(asked) for asked in waits_of(world, 3, 3)] == [True] * 3


def test_the_operators_are_held_by_the_limit_alone() -> None:
    world = full_world(Limits(waiters_max=4, user_share_pct=50, unshared=frozenset({7})))
    assert [world.is_waiting(asked) for asked in waits_of(world, 7, 4)] == [True] * 4
    assert message(world, waits_of(world, 7, 1)[0]).startswith("4 wait already")
