"""Who goes first: fair shares by group, and ageing, in figures."""

from dataclasses import replace
from itertools import count
from math import inf

import pytest

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.budget import Budget
from admission.core.filling import is_next
from admission.core.governor import Governor, Throttle
from admission.core.leases import Caller, Claim, Class, Holder, Lease, Waiter
from admission.core.levels import LEVELS
from admission.core.limits import Limits
from admission.core.order import IDLE_MAX, Ageing, Queue
from admission.core.pool import Pool
from tests.core.worlds import ANN, BEN, NEVER, World, agents, spec

CALLER = Caller(1, 1)


def waiter(ticket: int, group: str = "", uid: int = 0, **more: object) -> Waiter:
    claim = replace(Claim(ANN, group=group, uid=uid), **more)  # type: ignore[arg-type]
    return Waiter(ticket, claim, CALLER, queued_at=0.0)


def queue_of(*waiters: Waiter) -> Queue:
    queue = Queue()
    for one in waiters:
        queue.add(one)
    return queue


def tickets(queue: Queue) -> list[int]:
    return [one.ticket for one in queue.in_order(lambda _: False)]


def serve(queue: Queue) -> Waiter:
    """Whoever is first leaves with its units."""
    first = next(queue.in_order(lambda _: False))
    queue.remove(first)
    queue.charge(first.claim)
    queue.count(first.claim, first.claim.weight)
    return first


# --- shares ---------------------------------------------------------------------------------------


def test_groups_take_turns_however_many_of_one_were_there_first() -> None:
    queue = queue_of(*(waiter(ticket, "many") for ticket in range(1, 6)), waiter(6, "one"))
    assert tickets(queue) == [1, 6, 2, 3, 4, 5]


def test_the_same_name_of_another_user_is_another_group() -> None:
    queue = queue_of(waiter(1, "a"), waiter(2, "a"), waiter(3, "a", uid=7))
    assert tickets(queue) == [1, 3, 2]


def test_who_has_fewer_units_out_goes_first_though_it_was_served_last() -> None:
    queue = queue_of(waiter(1, "a"), waiter(2, "a"), waiter(3, "b"), waiter(4, "b"))
    first, second = serve(queue), serve(queue)
    assert (first.ticket, second.ticket) == (1, 3)
    queue.count(second.claim, -1)
    assert tickets(queue) == [4, 2]


def test_with_as_many_units_out_who_was_served_longer_ago_goes_first() -> None:
    queue = queue_of(waiter(1, "a"), waiter(2, "a"), waiter(3, "b"))
    queue.count(serve(queue).claim, -1)
    assert tickets(queue) == [3, 2]


def test_a_group_that_comes_back_has_saved_nothing_and_is_not_ahead_of_its_share_either() -> None:
    queue = queue_of(waiter(1, "a"), waiter(2, "b"), waiter(3, "b"), waiter(4, "c"), waiter(5, "c"))
    for _ in range(3):
        queue.count(serve(queue).claim, -1)  # a, b and c
    queue.add(waiter(6, "a"))  # as far as those two, and later than they
    queue.add(waiter(7, "new"))  # it starts at the present, where the last grant has started
    assert tickets(queue) == [7, 3, 5, 6]


def test_once_nobody_waits_all_begin_anew() -> None:
    queue = queue_of(waiter(1, "a"), waiter(2, "b"))
    for _ in range(2):
        queue.count(serve(queue).claim, -1)
    queue.add(waiter(3, "a"))
    queue.add(waiter(4, "c"))
    assert tickets(queue) == [3, 4]


def test_of_groups_that_are_gone_only_so_many_are_remembered() -> None:
    queue = queue_of(waiter(1, "a", weight=2))
    for ticket in range(2, 3 * IDLE_MAX):
        queue.add(waiter(ticket, str(ticket)))
        one = queue.waiters[ticket]
        queue.remove(one)
        queue.charge(one.claim)
    assert len(queue._idle_tags) == IDLE_MAX


def test_an_away_or_too_large_one_does_not_hold_up_its_group() -> None:
    queue = queue_of(waiter(1, "a", weight=9), waiter(2, "a"), waiter(3, "b"))
    in_order = queue.in_order(lambda one: one.claim.weight > 5)
    assert [one.ticket for one in in_order] == [1, 2, 3]


def test_what_a_yielded_lease_regains_comes_before_the_shares() -> None:
    queue = queue_of(waiter(1, "a"), waiter(2, "a"), replace(waiter(3, "b"), lease=1))
    queue.count(Claim(ANN, group="b"), 5)
    assert tickets(queue) == [3, 1, 2]


def grants_by_group(groups: int, grants: int, waiting_of_each: int) -> list[int]:
    """How many each group gets that always wants more; all of them hold for as long."""
    queue, numbers = Queue(), count(1)
    for group in range(groups):
        for _ in range(waiting_of_each * (1 + group)):
            queue.add(waiter(next(numbers), str(group)))
    got = [0] * groups
    out: list[Waiter] = []
    for _ in range(grants):
        if len(out) == 3:
            queue.count(out.pop(0).claim, -1)
        one = serve(queue)
        got[int(one.claim.group)] += 1
        out.append(one)
        queue.add(waiter(next(numbers), one.claim.group))
    return got


@pytest.mark.parametrize("groups", [2, 3, 5, 7])
def test_groups_that_always_want_more_get_as_many_grants(groups: int) -> None:
    got = grants_by_group(groups, 1_000, 3)
    jain = sum(got) ** 2 / (groups * sum(one * one for one in got))
    assert jain >= 0.98
    assert sum(got) == 1_000


def test_one_person_is_served_within_two_grants_of_an_autopilot_with_fifty_waiters() -> None:
    world = World(spec("agents", 2), ageing=NEVER)
    asked = []
    for number in range(52):
        claim = Claim(Holder(1_000 + number, 1), group="autopilot")
        asked.append(world.acquire(0.0, claim, connection=1 + number % 3))
    person = world.acquire(1.0, Claim(BEN))
    for grants in range(3):
        if world.is_held(person):
            break
        world.release(2.0 + grants, asked[grants])
    assert world.is_held(person)
    assert grants <= 2


# --- ageing ---------------------------------------------------------------------------------------


def test_a_waiter_climbs_a_class_each_time_its_bound_has_passed() -> None:
    ageing = Ageing(normal_s=10.0, batch_s=20.0)
    batch, normal = waiter(1, rank=Class.BATCH), waiter(2)
    assert [ageing.climbed(batch, now) for now in (19.9, 20.0, 40.0, 999.0)] == [0, 1, 2, 2]
    assert [ageing.climbed(normal, now) for now in (9.9, 10.0, 999.0)] == [0, 1, 1]
    assert ageing.climbed(waiter(3, rank=Class.CRITICAL), 999.0) == 0
    assert NEVER.climbed(batch, 1e9) == 0


def test_the_aged_stand_before_those_who_came_to_the_class_by_themselves() -> None:
    queue = queue_of(waiter(3), waiter(4, "b"), waiter(1, rank=Class.BATCH))
    queue.add(waiter(2, "b", rank=Class.BATCH))
    queue.add(replace(waiter(5), lease=1))
    queue.ageing = Ageing(normal_s=inf, batch_s=20.0)
    for one in list(queue.waiters.values()):
        queue.age(one, 20.0)
    assert tickets(queue) == [1, 2, 5, 4, 3]
    assert queue.ages_at(queue.waiters[1]) == 40.0
    assert queue.ages_at(queue.waiters[3]) == inf


def test_other_bounds_hold_for_those_who_wait_already() -> None:
    world = World(agents(1), ageing=Ageing(normal_s=100.0))
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(ANN))
    world.acquire(0.0, Claim(BEN, rank=Class.CRITICAL))
    assert world.core.wakeup() == 100.0
    world.feed(50.0, ev.Configured(world.throttle, (), Ageing(normal_s=10.0)))
    assert [one.claim.rank for one in world.core.pools["agents"].queue()] == [1, 0]
    world.feed(51.0, ev.Configured(world.throttle, (), Ageing(normal_s=60.0)))
    assert [one.claim.rank for one in world.core.pools["agents"].queue()] == [0, 1]
    assert world.core.wakeup() == 60.0


def test_the_age_of_a_waiter_goes_on_over_a_restart() -> None:
    world = World(agents(1), ageing=Ageing(normal_s=100.0))
    world.acquire(0.0, Claim(ANN))
    world.acquire(10.0, Claim(ANN, request=b"old"))
    world.restart(120.0)
    world.acquire(121.0, Claim(BEN, rank=Class.CRITICAL))
    assert [one.claim.request for one in world.core.pools["agents"].queue()] == [b"old", None]


@pytest.mark.parametrize(
    ("rank", "above", "bound_s"),
    [(Class.NORMAL, Class.CRITICAL, 60.0), (Class.BATCH, Class.NORMAL, 90.0)],
)
def test_no_stream_of_the_class_above_keeps_anybody_waiting_beyond_the_bound(
    rank: Class, above: Class, bound_s: float
) -> None:
    """Ten of a group wait; of the class above one more comes each second, and each takes one."""
    throttle = Throttle(LEVELS, budget=Budget(is_on=False))
    core = Admission((spec("one", 1),), Governor(throttle=throttle), Limits(), Ageing(60.0, 90.0))
    numbers, held = count(1), []

    def ask(now: float, of: Class) -> None:
        number = next(numbers)
        claim = Claim(Holder(number, 1), pool="one", rank=of, group=of.name)
        feed(now, ev.Acquire(Caller(number, 1), claim))

    def feed(now: float, event: ev.Event) -> None:
        for effect in core.handle(now, event):
            if isinstance(effect, ev.Told):
                held.append(effect.lease)

    for _ in range(11):
        ask(0.0, above)
    for _ in range(10):
        ask(0.0, rank)
    for second in range(1, 200):
        feed(float(second), ev.Release(Caller(0, 1), held[-1].id))
        ask(float(second), above)
    waited_s = [lease.waited_s for lease in held if lease.claim.rank is rank]
    assert len(waited_s) == 10
    # The first at its bound; each of the others waits for the one before it as well.
    assert min(waited_s) >= bound_s
    assert max(waited_s) <= bound_s + 10


# --- cost -----------------------------------------------------------------------------------------


def test_ten_thousand_who_leave_at_once_are_told_their_places_without_a_count_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = Pool(spec("one", 1), LEVELS[0])
    for ticket in range(1, 10_001):
        pool.add(waiter(ticket, str(ticket % 7)))
    listings = 0
    honest = Queue.in_order

    def in_order(self: Queue, is_passed_over: object) -> object:
        nonlocal listings
        listings += 1
        return honest(self, is_passed_over)  # type: ignore[arg-type]

    monkeypatch.setattr(Queue, "in_order", in_order)
    for one in list(pool.waiters.values()):
        assert pool.position(one) >= 1
        pool.remove(one)
    assert listings < 200


def test_a_place_is_exact_where_few_wait_and_near_where_many_leave() -> None:
    pool = Pool(spec("one", 1), LEVELS[0])
    for ticket in range(1, 201):
        pool.add(waiter(ticket, str(ticket % 3)))
    for ticket in range(1, 101):
        pool.remove(pool.waiters[ticket])
        exact = {one.ticket: place for place, one in enumerate(pool.queue(), start=1)}
        for one in list(pool.waiters.values())[::20]:
            assert abs(pool.position(one) - exact[one.ticket]) <= 26
    assert not is_next(pool, Waiter(999, Claim(ANN, weight=2), CALLER, 0.0), 0.0)


def test_a_lease_that_only_changes_its_caller_is_counted_once() -> None:
    pool = Pool(spec("one", 5), LEVELS[0])
    lease = Lease(1, Claim(ANN, weight=2, group="a"), ticket=1, granted_at=0.0)
    pool.put(lease)
    pool.put(replace(lease, caller=CALLER))
    assert (pool.in_use, pool.order.out) == (2, {(0, "a"): 2})
    pool.end(lease)
    assert (pool.in_use, pool.order.out) == (0, {})
