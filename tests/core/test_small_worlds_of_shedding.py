"""Every small world under pressure that remains; `tests.core.test_every_small_world` walks it."""

from admission.core.budget import Budget
from admission.core.leases import Bound, Claim, Class
from admission.core.shedding import Shed
from tests.core import moves as mv
from tests.core.moves import TICK_S, Ask
from tests.core.small import SmallWorld
from tests.core.test_every_small_world import walk
from tests.core.worlds import ANN, BEN, agents

LADDER = Shed(
    ("advise", "freeze", "park"),
    advise_pct=40.0,
    park_pct=40.0,
    park_every_s=2 * TICK_S,
    freeze_max_s=TICK_S,
    freeze_rest_s=3 * TICK_S,
)
# Else the age of each lease would tell worlds apart.
NO_BUDGET = Budget(is_on=False, ramp_s=TICK_S)
A = Ask(Claim(ANN, task="a", bound=Bound.PROCESS, parkable=True), 1)
B = Ask(Claim(BEN, task="b", bound=Bound.PROCESS, parkable=True, rank=Class.BATCH), 2)

SHEDDING = SmallWorld(
    "shedding",
    600,
    agents(2),
    (A, B),
    (mv.acquire, mv.release, mv.press, mv.tick),
    shed=LADDER,
    budget=NO_BUDGET,
)


def test_in_every_world_under_pressure_all_that_always_holds_does() -> None:
    """Of daemons that are killed meanwhile tell `tests.core.test_interleavings_of_shedding`."""
    assert walk(SHEDDING) >= SHEDDING.states
