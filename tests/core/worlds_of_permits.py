"""Small worlds with a fleet pool, of which the fleet permits more, less or nothing any more."""

from math import inf

from admission.core.leases import Bound, Claim, Class
from admission.core.levels import PoolSpec
from admission.core.order import Ageing
from admission.core.permits import Permitted
from tests.core import moves as mv
from tests.core.moves import TICK_S, Ask, Asks, Move, Moves
from tests.core.small import SmallWorld
from tests.core.worlds import ANN, BEN, CAT, World


def permit(world: World, asks: Asks) -> Moves:
    """The fleet permits nothing, one unit or two; or it did, and the word comes late."""
    pool, soon = world.specs[0].name, world.now + TICK_S
    for units, until_at in ((0, inf), (1, soon), (2, inf), (2, world.now)):
        label = f"{units} are permitted until {until_at}"
        yield Move(label, World.feed, (world.now, Permitted(pool, units, until_at)))


def fleet(name: str, capacity: int) -> PoolSpec:
    return PoolSpec(name, (capacity,) * 4, is_fleet=True)


PERMITS = SmallWorld(
    "permits",
    170,
    fleet("agents", 2),
    (
        Ask(Claim(ANN, task="a"), 1),
        Ask(Claim(BEN, task="b", weight=2, rank=Class.CRITICAL), 2),
        Ask(Claim(CAT, task="c"), 3, wait_s=0),
    ),
    (mv.acquire, mv.release, mv.tick, permit),
    ageing=Ageing(inf, inf, fill_in_s=TICK_S),
)

PERMITS_YIELDED = SmallWorld(
    "permits for yielded leases",
    100,
    fleet("agents", 2),
    (Ask(Claim(ANN, task="a"), 1, wait_s=0), Ask(Claim(BEN, task="b", bound=Bound.PROCESS), 2)),
    (mv.acquire, mv.release, mv.give_back, mv.regain, mv.break_disk, permit),
)

RESTART_PERMITS = SmallWorld(
    "restart with permits",
    40,
    fleet("agents", 1),
    (Ask(Claim(ANN, task="a", request=b"a"), 1), Ask(Claim(BEN, task="b", bound=Bound.PROCESS), 2)),
    (mv.acquire, mv.again, mv.release, permit),
    grace_s=TICK_S,
    is_killed=True,
)

WHAT_THE_FLEET_PERMITS = (PERMITS, PERMITS_YIELDED, RESTART_PERMITS)
