"""The four throttle levels and their parameters, as one table; every figure is configuration."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Level:
    """One row: what the level allows, and the bounds within which it holds.

    `memory_below_pct` and `cpu_below_pct` are percents (0 to 100) of the machine; the level holds
    while both readings are below them. The last row holds whatever they are.
    """

    level: int
    name: str
    max_agents: int
    max_concurrent: int
    batch_size: int
    delay_ms: int
    reasoning_effort: str
    memory_below_pct: float
    cpu_below_pct: float

    @property
    def delay_s(self) -> float:
        return self.delay_ms / 1000


Levels = tuple[Level, Level, Level, Level]

# Source: the table of levels in docs/design.md, which is the user's own.
LEVELS: Levels = (
    Level(0, "normal", 5, 3, 100, 0, "high", 70.0, 60.0),
    Level(1, "light", 3, 2, 50, 500, "medium", 80.0, 75.0),
    Level(2, "medium", 2, 1, 25, 1000, "medium", 90.0, 90.0),
    Level(3, "heavy", 1, 1, 10, 2000, "low", 100.0, 100.0),
)


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A pool as configured: units by level, and whether its grants keep the level's delay apart.

    A pool of constant size guards a thing (one database) and not the machine, so it needs no
    spacing. `is_fleet`: its units are those of several machines, and only what the fleet permits is
    granted here.
    """

    name: str
    capacity: tuple[int, int, int, int]
    is_fleet: bool = False

    @property
    def is_spaced(self) -> bool:
        return len(set(self.capacity)) > 1

    @property
    def capacity_max(self) -> int:
        return max(self.capacity)


def pools_of(levels: Levels) -> tuple[PoolSpec, PoolSpec]:
    """The two pools that are always there."""
    first, second, third, last = levels
    agents = (first.max_agents, second.max_agents, third.max_agents, last.max_agents)
    operations = (
        first.max_concurrent,
        second.max_concurrent,
        third.max_concurrent,
        last.max_concurrent,
    )
    return PoolSpec("agents", agents), PoolSpec("operations", operations)
