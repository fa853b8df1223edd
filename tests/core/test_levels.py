from itertools import pairwise

import pytest

from admission.core.levels import LEVELS, PoolSpec, pools_of


def test_a_heavier_level_allows_less_and_keeps_grants_further_apart() -> None:
    for lighter, heavier in pairwise(LEVELS):
        assert heavier.level == lighter.level + 1
        assert heavier.max_agents < lighter.max_agents
        assert heavier.max_concurrent <= lighter.max_concurrent
        assert heavier.delay_ms > lighter.delay_ms
        assert heavier.memory_below_pct > lighter.memory_below_pct
        assert heavier.cpu_below_pct > lighter.cpu_below_pct


def test_even_the_heaviest_level_lets_one_agent_run() -> None:
    agents, operations = pools_of(LEVELS)
    assert agents == PoolSpec("agents", (5, 3, 2, 1))
    assert operations == PoolSpec("operations", (3, 2, 1, 1))


def test_a_delay_is_the_same_in_seconds() -> None:
    assert [row.delay_s for row in LEVELS] == [0.0, 0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("capacity", "is_spaced", "capacity_max"),
    [((1, 1, 1, 1), False, 1), ((5, 3, 2, 1), True, 5), ((1, 2, 2, 1), True, 2)],
)
def test_only_a_pool_that_follows_the_level_keeps_its_grants_apart(
    capacity: tuple[int, int, int, int], is_spaced: bool, capacity_max: int
) -> None:
    pool = PoolSpec("any", capacity)
    assert pool.is_spaced is is_spaced
    assert pool.capacity_max == capacity_max
