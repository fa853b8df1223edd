from dataclasses import replace

import pytest

from admission.core import events as ev
from admission.core.budget import GIB, Budget, Memory, said
from admission.core.governor import Governor, Throttle
from admission.core.leases import Caller, Claim, Lease, State, Waiter
from admission.core.levels import LEVELS
from admission.core.places import places_of
from admission.core.sample import Sample
from tests.core.worlds import ANN, BEN, CAT, World, agents, spec

# Round figures: an agent of 1 GiB that bursts to 2, debts that fade within a minute.
PLAIN = Budget(ceiling_pct=90.0, mean_bytes=GIB, peak_bytes=2 * GIB, ramp_s=60.0)
STEADY = replace(PLAIN, peak_bytes=GIB)


def reading(used_gib: float, *, at: float = 100.0, budget: Budget = STEADY) -> Memory:
    """A machine of 20 GiB, of which 18 may be spoken for."""
    return Memory(at, used_gib * GIB, 20 * GIB, budget)


def lease(granted_at: float, weight: int = 1, state: State = State.HELD) -> Lease:
    return Lease(1, Claim(ANN, weight=weight), ticket=1, granted_at=granted_at, state=state)


def waiter(weight: int = 1, regains: int | None = None) -> Waiter:
    return Waiter(2, Claim(BEN, weight=weight), Caller(1, 1), queued_at=0.0, lease=regains)


# --- what is owed ---


@pytest.mark.parametrize(
    ("granted_at", "owed_gib"),
    [(100.0, 1.0), (130.0, 1.0), (70.0, 0.5), (40.0, 0.0), (-500.0, 0.0)],
)
def test_a_young_lease_owes_what_the_reading_can_not_show_yet(
    granted_at: float, owed_gib: float
) -> None:
    assert reading(5.0).unshown_bytes([lease(granted_at)]) == owed_gib * GIB


def test_a_lease_owes_by_its_weight_and_also_while_its_units_are_yielded() -> None:
    leases = [lease(100.0, weight=3), lease(100.0, state=State.YIELDED)]
    assert reading(5.0).unshown_bytes(leases) == 4 * GIB


def test_bursts_add_up_as_the_root_of_their_squares() -> None:
    assert reading(5.0, budget=PLAIN).burst_bytes([1] * 4) == 2 * GIB
    assert reading(5.0, budget=PLAIN).burst_bytes([3, 4]) == 5 * GIB
    assert reading(5.0, budget=replace(PLAIN, spread=0.0)).burst_bytes([1] * 4) == 0


def test_agents_that_take_nothing_are_let_in_as_long_as_there_is_any_memory() -> None:
    nothing = replace(PLAIN, mean_bytes=0, peak_bytes=0)
    leases = [lease(100.0)]
    assert reading(18.0, budget=nothing).objection(waiter(), leases) is None
    assert reading(18.1, budget=nothing).objection(waiter(), leases) is not None


def test_an_agent_is_reckoned_smaller_on_a_small_machine() -> None:
    small = Memory(0.0, 0.0, 8 * GIB, replace(PLAIN, share_pct=12.5))
    assert (small.peak_bytes, small.mean_bytes) == (GIB, GIB / 2)
    assert reading(0.0, budget=PLAIN).peak_bytes == 2 * GIB


# --- what is refused ---


def test_what_fits_exactly_is_granted_and_a_byte_more_is_not() -> None:
    old = [lease(0.0)]
    assert reading(17.0).objection(waiter(), old) is None
    assert reading(17.0 + 1 / GIB).objection(waiter(), old) is not None


def test_one_that_regains_its_units_is_in_the_reading_already() -> None:
    leases = [lease(0.0), replace(lease(0.0, state=State.YIELDED), id=7)]
    assert reading(18.0).objection(waiter(regains=7), leases) is None
    assert reading(18.0).objection(waiter(), leases) is not None


def test_with_nothing_out_one_is_granted_however_full_the_machine_is() -> None:
    assert reading(20.0).objection(waiter(weight=9), []) is None
    assert reading(20.0).objection(waiter(), [lease(0.0, state=State.YIELDED)]) is None
    assert reading(20.0).objection(waiter(), [lease(0.0)]) is not None


def test_the_reason_names_every_figure() -> None:
    leases = [lease(100.0), lease(70.0), lease(0.0)]
    assert reading(15.3, budget=PLAIN).objection(waiter(), leases) == (
        "memory: 15.3 GiB used, 1.5 GiB promised but not shown, 1 GiB for this one and "
        "2 GiB for bursts are more than 18 GiB (90 % of 20 GiB)"
    )


def test_sizes_are_said_in_gib_with_one_decimal_where_it_matters() -> None:
    assert [said(size * GIB) for size in (16, 9.14, 0)] == ["16 GiB", "9.1 GiB", "0 GiB"]


# --- in the core: a machine of 10 bytes, an agent of 2 ---

TINY = Budget(ceiling_pct=90.0, mean_bytes=2, peak_bytes=2, share_pct=100.0, ramp_s=10.0)
CALM = tuple(replace(row, memory_below_pct=1000.0, delay_ms=0) for row in LEVELS)


def world_with(budget: Budget = TINY, used_pct: float = 30.0) -> World:
    world = World(agents(5), spec("operations", 5), levels=CALM, budget=budget)  # type: ignore[arg-type]
    sample(world, 0.0, used_pct)
    return world


def sample(world: World, at: float, used_pct: float | None) -> None:
    world.feed(at, ev.Sampled(Sample(at, used_pct, 0.0, memory_total_bytes=10)))


def test_five_waiters_are_not_all_let_in_on_one_good_reading() -> None:
    world = world_with()
    asked = [world.acquire(1.0, Claim(ANN)) for _ in range(5)]
    assert [world.is_held(one) for one in asked] == [True, True, True, False, False]


def test_a_waiter_is_let_in_by_the_sample_that_has_room_for_it() -> None:
    world = world_with(used_pct=60.0)
    world.acquire(1.0, Claim(ANN))
    asked = world.acquire(1.0, Claim(BEN))
    sample(world, 5.0, 70.0)
    assert world.is_waiting(asked)
    sample(world, 12.0, 70.0)
    assert world.is_held(asked)


def test_a_waiter_is_let_in_when_a_lease_that_owed_ends() -> None:
    world = world_with(used_pct=50.0)
    first, second = world.acquire(1.0, Claim(ANN)), world.acquire(1.0, Claim(BEN))
    asked = world.acquire(2.0, Claim(CAT))
    assert world.is_held(second)
    assert world.is_waiting(asked)
    world.release(3.0, first)
    assert world.is_held(asked)


def test_the_place_in_the_queue_says_what_the_budget_has_against_it() -> None:
    world = world_with()
    for _ in range(3):
        world.acquire(1.0, Claim(ANN))
    world.acquire(1.0, Claim(BEN))
    world.acquire(1.0, Claim(CAT))
    first, second = places_of(world.core.pools["agents"], 1.0)
    assert first.reason.startswith("memory: ")
    assert second.reason == "1 ahead in the queue"


def test_nobody_overtakes_a_waiter_that_the_budget_holds_back() -> None:
    world = world_with(used_pct=60.0)
    world.acquire(1.0, Claim(ANN))
    large = world.acquire(1.0, Claim(BEN, weight=2))
    small = world.acquire(1.0, Claim(CAT))
    sample(world, 20.0, 60.0)
    assert world.is_waiting(large)
    assert world.is_waiting(small)


def test_without_a_reading_of_memory_the_budget_says_nothing() -> None:
    world = world_with(used_pct=100.0)
    sample(world, 1.0, None)
    asked = [world.acquire(1.0, Claim(ANN)) for _ in range(5)]
    assert all(world.is_held(one) for one in asked)


def test_switched_off_the_budget_says_nothing() -> None:
    world = world_with(replace(TINY, is_on=False), used_pct=100.0)
    asked = [world.acquire(1.0, Claim(ANN)) for _ in range(5)]
    assert all(world.is_held(one) for one in asked)


def test_only_agents_are_budgeted() -> None:
    world = world_with(used_pct=100.0)
    asked = [world.acquire(1.0, Claim(ANN, pool="operations")) for _ in range(5)]
    assert all(world.is_held(one) for one in asked)


def test_a_level_set_by_hand_leaves_the_budget_on() -> None:
    world = world_with()
    world.set_level(1.0, 0)
    asked = [world.acquire(1.0, Claim(ANN)) for _ in range(5)]
    assert [world.is_held(one) for one in asked] == [True, True, True, False, False]


def test_the_budget_sees_the_most_that_was_used_within_its_window() -> None:
    governor = Governor(throttle=Throttle(budget=replace(TINY, window_s=30.0)))
    used_bytes = []
    for at, used_pct in ((0.0, 40.0), (10.0, 60.0), (39.0, 10.0), (41.0, 10.0)):
        governor.take(Sample(at, used_pct, 0.0, memory_total_bytes=10))
        assert governor.memory is not None
        used_bytes.append(governor.memory.used_bytes)
    assert used_bytes == [4.0, 6.0, 6.0, 1.0]


def test_settings_that_change_are_those_that_the_last_sample_is_judged_by() -> None:
    world = world_with(used_pct=80.0)
    world.acquire(0.0, Claim(ANN))
    asked = world.acquire(0.0, Claim(BEN))
    governor = world.core.governor
    assert world.is_waiting(asked)
    governor.adopt(replace(governor.throttle, budget=replace(TINY, is_on=False)))
    assert governor.memory is None
    governor.adopt(replace(governor.throttle, budget=TINY))
    assert governor.memory is not None
