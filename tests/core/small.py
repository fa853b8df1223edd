"""What a small world is, all of whose states `test_every_small_world` visits."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from admission.core.budget import Budget
from admission.core.deferral import Defer
from admission.core.levels import LEVELS, Levels, PoolSpec
from admission.core.order import Ageing
from admission.core.shedding import Shed
from tests.core.moves import TICK_S, Asks, Moves
from tests.core.worlds import NEVER, NO_ALARMS, World

FIRST, SECOND, THIRD, LAST = (replace(row, delay_ms=0) for row in LEVELS)
UNSPACED: Levels = (FIRST, SECOND, THIRD, LAST)


@dataclass(frozen=True, slots=True)
class SmallWorld:
    """What there is and what can happen.

    `states`: how many there are at least, so that a walk that goes nowhere is noticed.
    `inner`: pools to be taken within the first.
    `is_killed`: the daemon may die between any two effects, and another takes over.
    """

    name: str
    states: int
    pool: PoolSpec
    asks: Asks
    verbs: tuple[Callable[[World, Asks], Moves], ...]
    levels: Levels = UNSPACED
    budget: Budget | None = None
    grace_s: float = 2 * TICK_S
    is_killed: bool = False
    inner: tuple[PoolSpec, ...] = ()
    ageing: Ageing = NEVER
    alarm_s: tuple[float, float, float] = NO_ALARMS
    shed: Shed | None = None
    defer: Defer | None = None
