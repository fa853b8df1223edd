import pytest

from admission.core.growth import Growth, Limit, is_bad
from admission.core.sample import Sample

GROWTH = Growth(cut_fraction=0.7, cut_every_s=30.0, calm_s=60.0, grow_every_s=30.0)


def sample(at: float, memory_used_pct: float = 50.0) -> Sample:
    return Sample(at, memory_used_pct, 10.0)


def numbers(limit: Limit, *moments: tuple[float, float, int]) -> list[int]:
    """The limit after each (instant, memory in percent, agents that are out)."""
    found = []
    for at, memory_used_pct, agents_out in moments:
        limit.take(sample(at, memory_used_pct), GROWTH, agents_out)
        found.append(limit.agents)
    return found


@pytest.mark.parametrize(
    ("harmful", "is_harm"),
    [
        (Sample(0.0, 91.9), False),
        (Sample(0.0, 92.0), True),
        (Sample(0.0, memory_stall_pct=5.0), False),
        (Sample(0.0, memory_stall_pct=5.1), True),
        (Sample(0.0, memory_pressure=2), False),
        (Sample(0.0, memory_pressure=4), True),
        (Sample(0.0), False),
    ],
)
def test_harm_is_what_a_sample_shows_of_it(harmful: Sample, is_harm: bool) -> None:
    assert is_bad(harmful, GROWTH) == is_harm


def test_after_harm_it_is_cut_to_a_share_of_what_is_out_once_in_a_while() -> None:
    moments = [(0.0, 95.0, 10), (10.0, 95.0, 10), (29.9, 95.0, 10), (30.0, 95.0, 6)]
    assert numbers(Limit(10), *moments) == [7, 7, 7, 4]


def test_it_is_never_cut_below_one() -> None:
    assert numbers(Limit(3), (0.0, 99.0, 1), (30.0, 99.0, 0)) == [1, 1]


def test_a_cut_never_raises_it() -> None:
    assert numbers(Limit(10), (0.0, 95.0, 4), (30.0, 95.0, 9)) == [2, 2]


def test_it_grows_by_one_at_a_time_after_a_calm() -> None:
    limit = Limit(5)
    numbers(limit, (0.0, 95.0, 5))
    moments = [(59.9, 50.0, 3), (60.0, 50.0, 3), (89.9, 50.0, 4), (90.0, 50.0, 4), (120.0, 50.0, 5)]
    assert numbers(limit, *moments) == [3, 4, 4, 5, 5]


def test_it_does_not_grow_while_fewer_are_out_than_may_be() -> None:
    limit = Limit(5)
    numbers(limit, (0.0, 95.0, 5))
    idle = [(100.0 * index, 10.0, 1) for index in range(1, 9)]
    assert set(numbers(limit, *idle)) == {3}


def test_another_maximum_keeps_what_was_cut() -> None:
    cut, whole = Limit(10), Limit(10)
    numbers(cut, (0.0, 95.0, 10))
    cut.adopt(20)
    whole.adopt(20)
    assert (cut.agents, whole.agents) == (7, 20)
    whole.adopt(4)
    assert whole.agents == 4
