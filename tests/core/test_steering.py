"""Other settings at run time, and throttling that a hand switches off: nobody loses a lease."""

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor, Patience, Throttle
from admission.core.leases import Caller, Claim, Holder
from admission.core.levels import LEVELS, PoolSpec, pools_of
from admission.core.sample import Sample

GIB = 1 << 30


def holding(count: int) -> Admission:
    core = Admission(pools_of(LEVELS), Governor())
    for number in range(1, count + 1):
        core.handle(0.0, ev.Acquire(Caller(1, number), Claim(Holder(number, 1))))
    return core


def configured(core: Admission, *specs: PoolSpec, throttle: Throttle | None = None) -> None:
    core.handle(1.0, ev.Configured(throttle or Throttle(), specs))


def test_a_pool_that_is_made_smaller_takes_no_lease_away() -> None:
    core = holding(5)
    configured(core, PoolSpec("agents", (2, 2, 1, 1)))
    agents = core.pools["agents"]
    assert (agents.in_use, agents.capacity, agents.overcommitted) == (5, 2, 3)


def test_a_pool_that_is_made_larger_lets_the_next_one_in_at_once() -> None:
    core = holding(6)
    assert len(core.pools["agents"].waiters) == 1
    configured(core, PoolSpec("agents", (6, 3, 2, 1)))
    assert core.pools["agents"].in_use == 6


def test_a_new_pool_can_be_had_and_one_that_is_not_named_stays() -> None:
    core = holding(1)
    configured(core, PoolSpec("sqlite", (1, 1, 1, 1)))
    assert set(core.pools) == {"agents", "operations", "sqlite"}
    core.handle(2.0, ev.Acquire(Caller(1, 9), Claim(Holder(9, 1), pool="sqlite")))
    assert core.pools["sqlite"].in_use == 1


def test_other_bounds_hold_for_the_next_sample() -> None:
    core = holding(0)
    core.handle(0.0, ev.Sampled(Sample(0.0, 65.0, 10.0)))
    assert core.level.level == 0
    first, *rest = LEVELS
    lower = type(first)(0, "normal", 5, 3, 100, 0, "high", 60.0, 60.0)
    configured(core, throttle=Throttle(levels=(lower, *rest)))  # type: ignore[arg-type]
    core.handle(2.0, ev.Sampled(Sample(2.0, 65.0, 10.0)))
    assert core.level.level == 1


def test_settings_change_without_forgetting_a_hand_or_the_past() -> None:
    core = holding(0)
    core.handle(0.0, ev.Sampled(Sample(0.0, 85.0, 10.0)))
    core.handle(1.0, ev.SetLevel(Caller(1, 1), 1, 60.0))
    configured(core, throttle=Throttle(patience=Patience(dwell_s=5.0)))
    assert core.level.level == 1
    core.handle(61.5, ev.TimePassed())
    assert core.level.level == 2


def test_throttling_that_a_hand_switches_off_holds_level_0_without_the_budget() -> None:
    core = holding(2)
    full = Sample(2.0, 95.0, 10.0, memory_total_bytes=16 * GIB, memory_available_bytes=GIB)
    core.handle(2.0, ev.Sampled(full))
    core.handle(3.0, ev.Acquire(Caller(1, 9), Claim(Holder(9, 1))))
    assert (core.level.level, core.pools["agents"].in_use) == (3, 2)
    core.handle(4.0, ev.SetLevel(Caller(1, 10), 0, 60.0))
    assert core.pools["agents"].in_use == 2, "a level set by hand leaves the budget on"
    core.handle(5.0, ev.SetLevel(Caller(1, 11), 0, 60.0, is_off=True))
    assert core.pools["agents"].in_use == 3
    assert core.governor.reasons[0] == "throttling is disabled by hand"


def test_throttling_that_was_switched_off_comes_back_by_itself() -> None:
    core = holding(2)
    core.handle(2.0, ev.Sampled(Sample(2.0, 95.0, 10.0, memory_total_bytes=16 * GIB)))
    core.handle(3.0, ev.SetLevel(Caller(1, 9), 0, 10.0, is_off=True))
    core.handle(14.0, ev.TimePassed())
    assert core.level.level == 3
    assert core.pools["agents"].memory is not None


def test_throttling_that_is_off_stays_so_across_a_restart() -> None:
    core = holding(1)
    core.handle(2.0, ev.Sampled(Sample(2.0, 95.0, 10.0, memory_total_bytes=16 * GIB)))
    core.handle(3.0, ev.SetLevel(Caller(1, 9), 0, 60.0, is_off=True))
    after = Admission(pools_of(LEVELS), Governor())
    after.handle(4.0, ev.Restarted(tuple(core.snapshot()), frozenset({Holder(1, 1)})))
    after.handle(5.0, ev.Sampled(Sample(5.0, 95.0, 10.0, memory_total_bytes=16 * GIB)))
    assert after.level.level == 0
    assert after.pools["agents"].memory is None
