"""Every small world with one who is put off; `tests.core.test_every_small_world` walks it."""

from dataclasses import replace

import pytest

from admission.core.budget import Budget
from admission.core.deferral import Defer
from admission.core.leases import Bound, Claim, Class
from tests.core import moves as mv
from tests.core.moves import TICK_S, Ask
from tests.core.small import SmallWorld
from tests.core.test_every_small_world import walk
from tests.core.worlds import ANN, BEN, agents

# Else the age of each lease would tell worlds apart.
NO_DEBT = Budget(is_on=False, ramp_s=TICK_S / 2, peak_bytes=60, mean_bytes=10, share_pct=60.0)
OFF = Ask(Claim(ANN, task="a", request=b"a" * 16, bound=Bound.PROCESS), 1, defer_s=4 * TICK_S)
URGENT = Ask(Claim(BEN, task="b", rank=Class.CRITICAL, bound=Bound.PROCESS), 2)
PLAIN = Ask(Claim(BEN, task="b", bound=Bound.PROCESS), 2)

DEFERRING = SmallWorld(
    "deferring",
    300,
    agents(2, 1, 1, 1),
    (OFF, PLAIN),
    (mv.acquire, mv.release, mv.sample, mv.cancel, mv.close, mv.again, mv.tick),
    budget=NO_DEBT,
    defer=Defer(idle_s=TICK_S),
)
KILLED = replace(
    DEFERRING,
    name="deferring, and the daemon is killed",
    states=100,
    pool=agents(1),
    asks=(replace(OFF, defer_s=2 * TICK_S), PLAIN),
    verbs=(mv.acquire, mv.release, mv.sample, mv.kill, mv.tick),
    is_killed=True,
)
BY_HAND = replace(
    DEFERRING,
    name="deferring where a hand reserves and pauses",
    pool=agents(2),
    asks=(replace(OFF, defer_s=2 * TICK_S), URGENT),
    verbs=(mv.acquire, mv.release, mv.sample, mv.reserve, mv.pause, mv.tick),
)


@pytest.mark.parametrize("small", [DEFERRING, KILLED, BY_HAND], ids=lambda small: small.name)
def test_in_every_world_with_one_put_off_all_that_always_holds_does(small: SmallWorld) -> None:
    assert walk(small) >= small.states
