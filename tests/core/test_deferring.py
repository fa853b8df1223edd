"""Who can wait until the load is low: when it starts, and whom it holds up."""

from dataclasses import replace
from typing import Any

import pytest

from admission.core import by_hand
from admission.core import events as ev
from admission.core.deferral import Defer
from admission.core.estimates import Estimate
from admission.core.foresight import Foresight, Remembered
from admission.core.governor import Governor, Throttle
from admission.core.leases import Bound, Caller, Claim
from admission.core.places import places_of
from admission.core.pool import Pool
from admission.core.profile import HOURS, Hour
from admission.core.sample import Sample
from tests.core.worlds import ANN, BEN, CAT, World, agents

GIB = 1 << 30
IDLE_S, MAX_S = Defer().idle_s, Defer().max_s


def put_off(world: World, now: float, by_s: float | None = None, **claim: Any) -> Caller:
    caller = world.caller(CAT.pid)
    asked = replace(Claim(CAT, task="nightly"), **claim)
    world.feed(now, ev.Acquire(caller, asked, by_s=by_s, defer=True))
    return caller


def sample(
    world: World,
    at: float,
    *,
    cpu_pct: float | None = 5.0,
    used_pct: float | None = 20.0,
    local_h: float | None = None,
) -> None:
    reading = Sample(at, used_pct, cpu_pct, memory_total_bytes=16 * GIB)
    world.feed(at, ev.Sampled(reading, local_h))


def rest(world: World, since: float, until: float, **reading: float | None) -> None:
    """Samples each minute."""
    at = since
    while at <= until:
        sample(world, at, **reading)
        at += 60.0


def why(world: World, now: float) -> str:
    return next(iter(places_of(world.core.pools["agents"], now))).reason


def test_it_starts_once_the_machine_has_been_idle_for_a_while() -> None:
    world = World(agents(2))
    rest(world, 0.0, 300.0)
    asked = put_off(world, 301.0)
    assert world.is_waiting(asked)
    assert why(world, 301.0) == "deferred until the load is low, at the latest in 8.0 h"
    rest(world, 360.0, IDLE_S - 60.0)
    assert world.is_waiting(asked)
    sample(world, IDLE_S)
    assert world.is_held(asked)


@pytest.mark.parametrize("cpu_pct", [None, 21.0])
def test_one_busy_or_unknown_reading_begins_the_rest_anew(cpu_pct: float | None) -> None:
    world = World(agents(2))
    asked = put_off(world, 0.0)
    rest(world, 0.0, 540.0)
    sample(world, 570.0, cpu_pct=cpu_pct)
    rest(world, 600.0, 600.0 + IDLE_S - 60.0)
    assert world.is_waiting(asked)
    sample(world, 600.0 + IDLE_S)
    assert world.is_held(asked)


def test_neither_sleep_nor_silence_is_rest() -> None:
    world = World(agents(2))
    asked = put_off(world, 0.0)
    rest(world, 0.0, 300.0)
    sample(world, 300.0 + IDLE_S)
    assert world.is_waiting(asked)
    world.feed(301.0 + IDLE_S, ev.Woke())
    rest(world, 360.0 + IDLE_S, 300.0 + 2 * IDLE_S)
    assert world.is_waiting(asked)


def test_at_its_end_it_is_one_like_any_other_with_its_age() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    asked = put_off(world, 0.0, by_s=100.0)
    later = world.acquire(50.0, Claim(BEN))
    assert world.core.wakeup() == 100.0
    world.pass_time(100.0)
    assert world.is_waiting(asked)
    world.release(110.0, held)
    assert world.is_held(asked)
    assert world.is_waiting(later)


def test_where_there_is_room_it_starts_at_its_end() -> None:
    world = World(agents(1))
    asked = put_off(world, 0.0)
    assert world.core.wakeup() == MAX_S
    world.pass_time(MAX_S)
    assert world.is_held(asked)


def test_meanwhile_it_blocks_nobody() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN))
    asked = put_off(world, 0.0)
    second = world.acquire(1.0, Claim(BEN))
    world.release(2.0, held)
    assert world.is_held(second)
    world.release(3.0, second)
    assert world.is_held(world.acquire(4.0, Claim(ANN)))
    assert world.is_waiting(asked)


def test_a_task_known_to_last_is_kept_twice_its_time_before_its_end() -> None:
    world = World(agents(2))
    world.core.pools["agents"].expects = lambda claim: Estimate(1.0, 1.0, 1.0, 30.0, 5)
    # The books know nothing of estimates: the core alone is asked.
    claim = Claim(CAT, bound=Bound.PROCESS)
    world.core.handle(0.0, ev.Acquire(Caller(9, 1), claim, by_s=100.0, defer=True))
    assert world.core.wakeup() == 40.0


def test_memory_in_use_promised_and_needed_must_fit_together() -> None:
    world = World(agents(3))
    asked = put_off(world, 0.0)
    # 2 GiB at its height, below 88 % of 16 GiB.
    rest(world, 0.0, IDLE_S, used_pct=76.0)
    assert world.is_waiting(asked)
    rest(world, IDLE_S, IDLE_S, used_pct=75.0)
    assert world.is_held(asked)


def test_without_a_reading_of_memory_nobody_is_let_go() -> None:
    world = World(agents(3))
    asked = put_off(world, 0.0)
    rest(world, 0.0, 2 * IDLE_S, used_pct=None)
    assert world.is_waiting(asked)


def test_one_is_let_go_at_a_time_and_none_while_anybody_waits() -> None:
    world = World(agents(2))
    first, second = put_off(world, 0.0), put_off(world, 0.0)
    rest(world, 0.0, IDLE_S)
    assert world.is_held(first)
    assert world.is_waiting(second)
    both = world.acquire(IDLE_S, Claim(ANN, weight=2))
    rest(world, IDLE_S + 60.0, 2 * IDLE_S)
    assert world.is_waiting(second)
    world.cancel(2 * IDLE_S + 1.0, both)
    sample(world, 2 * IDLE_S + 60.0)
    assert world.is_held(second)


def test_the_next_one_is_let_go_no_sooner_than_after_another_while() -> None:
    world = World(agents(3))
    first, second = put_off(world, 0.0), put_off(world, 0.0)
    rest(world, 0.0, 2 * IDLE_S - 60.0)
    assert (world.is_held(first), world.is_waiting(second)) == (True, True)
    sample(world, 2 * IDLE_S)
    assert world.is_held(second)


def test_a_pause_and_a_reservation_hold_it_up() -> None:
    world = World(agents(2))
    asked = put_off(world, 0.0, weight=2)
    world.feed(0.0, by_hand.Pause(world.caller(ANN.pid), "agents"))
    rest(world, 0.0, IDLE_S)
    assert world.core.pools["agents"].waiters[1].is_deferred
    world.feed(IDLE_S, by_hand.Unpause(world.caller(ANN.pid), "agents"))
    world.feed(IDLE_S, by_hand.Reserve(world.caller(ANN.pid), "agents", 1, 1000.0, group="g"))
    sample(world, IDLE_S + 60.0)
    assert world.core.pools["agents"].waiters[1].is_deferred
    assert world.is_waiting(asked)


def test_another_daemon_knows_who_is_put_off_and_who_no_longer_is() -> None:
    world = World(agents(1))
    held = world.acquire(0.0, Claim(ANN, bound=Bound.PROCESS))
    put_off(world, 0.0, by_s=100.0, request=b"a" * 16)
    put_off(world, 0.0, by_s=900.0, request=b"b" * 16)
    world.pass_time(100.0)
    world.restart(101.0)
    first, second = world.core.pools["agents"].waiters.values()
    assert (first.is_deferred, second.is_deferred) == (False, True)
    assert second.deferred_until == 900.0
    assert world.lease(held).id in world.core.pools["agents"].leases


def test_it_is_an_alarm_only_from_its_end_on() -> None:
    throttle = Throttle()
    assert throttle.defer.max_s > 3600  # else it would ring anyway
    world = World(agents(1))
    put_off(world, 0.0)
    (waiter,) = world.core.pools["agents"].waiters.values()
    world.core.alarms._bounds_s = (1.0, 1.0, 1.0)
    assert world.core.alarms._due_at(waiter) == MAX_S + 1.0


# --- where the week is known ----------------------------------------------------------------------


def rhythmic(busy_pct: float) -> World:
    """Three weeks of days at 20 % and nights busy; the profile has proven itself."""
    world = World(agents(3))
    world.throttle = Throttle(foresight=Foresight("shadow"))
    world.core.governor = Governor(throttle=world.throttle)
    hours = tuple(
        Hour(number, pct, pct)
        for number in range(3 * HOURS)
        for pct in [busy_pct if number % 2 else 20.0]
    )
    world.core.governor.forecasts.remember(Remembered(hours, hours))
    return world


def is_let_go(world: World, local_h: float, lasts_s: float) -> bool:
    core = world.core
    pool: Pool = core.pools["agents"]
    pool.expects = lambda claim: Estimate(1.0, GIB, 1.0, lasts_s, 5)
    core.handle(0.0, ev.Acquire(Caller(9, 1), Claim(CAT, bound=Bound.PROCESS), defer=True))
    reading = Sample(1.0, 20.0, 90.0, memory_total_bytes=16 * GIB)
    core.handle(1.0, ev.Sampled(reading, local_h))
    return bool(pool.leases)


def test_where_the_week_is_known_it_goes_by_the_hours_ahead_and_by_no_rest() -> None:
    assert is_let_go(rhythmic(80.0), 3 * HOURS + 0.1, 600.0)  # a busy CPU, and a calm hour
    assert not is_let_go(rhythmic(85.0), 3 * HOURS + 0.1, 3600.0)  # the next hour is not
    assert not is_let_go(rhythmic(85.0), 3 * HOURS + 1.1, 600.0)


def test_an_hour_that_was_never_seen_is_not_calm() -> None:
    world = rhythmic(80.0)
    world.core.governor.forecasts.profiles["memory"].usual.pop(1)
    assert not is_let_go(world, 3 * HOURS + 0.1, 3600.0)
