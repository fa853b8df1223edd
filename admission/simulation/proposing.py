"""Settings that are tried beside those in force: other bounds of the levels, more agents."""

from collections.abc import Sequence
from dataclasses import replace

from admission.core.governor import Throttle
from admission.core.levels import Level, PoolSpec

# A bound that is moved stays within these.
LEAST_PCT, MOST_PCT = 1.0, 99.0


def with_bounds_moved(throttle: Throttle, points: float) -> Throttle:
    """The bounds of levels 0 to 2, memory and CPU, so many percentage points higher, or lower."""
    first, second, third, last = throttle.levels
    levels = (_moved(first, points), _moved(second, points), _moved(third, points), last)
    return replace(throttle, levels=levels)


def _moved(level: Level, points: float) -> Level:
    return replace(
        level,
        memory_below_pct=_within(level.memory_below_pct + points),
        cpu_below_pct=_within(level.cpu_below_pct + points),
    )


def _within(pct: float) -> float:
    return min(max(pct, LEAST_PCT), MOST_PCT)


def with_agents(
    throttle: Throttle, pools: Sequence[PoolSpec], agents: int
) -> tuple[Throttle, tuple[PoolSpec, ...]]:
    """So many agents at level 0."""
    first, *others = throttle.levels
    second, third, last = others
    levels = (replace(first, max_agents=agents), second, third, last)
    return replace(throttle, levels=levels), tuple(
        replace(one, capacity=(agents, *one.capacity[1:])) if one.name == "agents" else one
        for one in pools
    )
