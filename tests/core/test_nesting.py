"""A wait for one's own end is refused, and nothing else is."""

from admission.core import events as ev
from admission.core.leases import Bound, Caller, Claim
from tests.core.worlds import ANN, BEN, CAT, LAST_LEASE, World, agents, spec


def code(world: World, asked: Caller) -> str:
    answer = world.answer(asked)
    return answer.code if isinstance(answer, ev.Refused) else "granted"


def test_a_lease_of_its_own_is_granted_where_there_is_room() -> None:
    world = World(agents(2))
    outer = world.acquire(0.0, Claim(ANN))
    inner = world.acquire(1.0, Claim(BEN), parent=LAST_LEASE, above=(BEN, ANN), is_new=True)
    assert world.lease(inner).id != world.lease(outer).id


def test_a_lease_of_its_own_is_refused_where_it_could_never_be_granted() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    inner = world.acquire(1.0, Claim(BEN), parent=LAST_LEASE, above=(BEN, ANN), is_new=True)
    assert code(world, inner) == "would_deadlock"


def test_it_is_refused_without_the_environment_too() -> None:
    world = World(agents(1))
    world.acquire(0.0, Claim(ANN))
    inner = world.acquire(1.0, Claim(BEN), above=(BEN, ANN), is_new=True)
    assert code(world, inner) == "would_deadlock"


def test_it_waits_where_others_hold_what_it_needs() -> None:
    world = World(agents(2))
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(CAT))
    inner = world.acquire(1.0, Claim(BEN), parent=LAST_LEASE, above=(BEN, ANN), is_new=True)
    assert world.is_waiting(inner)


def test_it_waits_where_a_lower_level_has_room_for_both() -> None:
    world = World(agents(2, 1, 1, 1))
    world.acquire(0.0, Claim(ANN))
    world.set_level(0.0, 3)
    inner = world.acquire(1.0, Claim(BEN), parent=LAST_LEASE, above=(BEN, ANN), is_new=True)
    assert world.is_waiting(inner)


def test_all_that_stand_above_count_together() -> None:
    world = World(agents(3))
    world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    world.acquire(0.0, Claim(BEN, bound=Bound.PROCESS))
    line = (CAT, BEN, ANN)
    two = world.acquire(1.0, Claim(CAT, weight=2), parent=LAST_LEASE, above=line, is_new=True)
    assert code(world, two) == "would_deadlock"


def test_what_is_more_than_the_pool_is_impossible_wherever_it_is_asked_for() -> None:
    world = World(agents(1))
    asked = world.acquire(
        0.0, Claim(BEN, weight=2), parent=LAST_LEASE, above=(BEN, ANN), is_new=True
    )
    assert code(world, asked) == "impossible"


def test_an_agent_is_not_waited_for_within_an_operation() -> None:
    world = World(agents(2), spec("operations", 1))
    operation = world.acquire(0.0, Claim(ANN, pool="operations"))
    inner = world.acquire(1.0, Claim(BEN), parent=world.lease(operation).id, above=(BEN, ANN))
    assert code(world, inner) == "would_deadlock"


def test_it_may_be_had_within_an_operation_if_that_needs_no_wait() -> None:
    world = World(agents(2), spec("operations", 1))
    world.acquire(0.0, Claim(ANN, pool="operations"))
    inner = world.acquire(1.0, Claim(BEN), parent=LAST_LEASE, above=(BEN, ANN), wait_s=0)
    assert world.lease(inner).claim.pool == "agents"


def test_an_operation_is_waited_for_within_an_agent() -> None:
    world = World(agents(2), spec("operations", 1))
    agent = world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(CAT, pool="operations"))
    claim = Claim(BEN, pool="operations")
    inner = world.acquire(1.0, claim, parent=world.lease(agent).id, above=(BEN, ANN))
    assert world.is_waiting(inner)


def test_a_yielded_lease_is_in_nobodys_way() -> None:
    world = World(agents(1))
    outer = world.acquire(0.0, Claim(ANN))
    world.yield_(1.0, outer)
    inner = world.acquire(2.0, Claim(BEN), parent=LAST_LEASE, above=(BEN, ANN), is_new=True)
    assert world.lease(inner).id == 2


def test_a_lease_beside_the_one_above_is_not_shared() -> None:
    """An agent that builds two things at once holds two units for them, and not one."""
    world = World(agents(1), spec("operations", 2))
    above = world.lease(world.acquire(0.0, Claim(ANN))).id
    claim = Claim(ANN, pool="operations")
    first = world.acquire(1.0, claim, parent=above, above=(ANN,))
    second = world.acquire(2.0, claim, parent=above, above=(ANN,))
    assert world.lease(first).id != world.lease(second).id
    assert world.is_waiting(world.acquire(3.0, claim, parent=above, above=(ANN,)))
