"""Every small world in which a hand reserves, pauses and puts ahead, and in which alarms ring.

As in `tests.core.test_every_small_world`, whose walk this is.
"""

from dataclasses import replace

import pytest

from admission.core.budget import Budget
from admission.core.leases import Bound, Claim, Class
from admission.core.levels import LEVELS
from admission.core.order import Ageing
from tests.core import moves as mv
from tests.core.moves import TICK_S, Ask
from tests.core.small import SmallWorld
from tests.core.test_every_small_world import BUDGET, walk
from tests.core.worlds import ANN, BEN, CAT, agents

CRITICAL = Ask(Claim(ANN, task="a", rank=Class.CRITICAL), 1)
NORMAL = Ask(Claim(BEN, task="b"), 2)
OF_GROUP = Ask(Claim(CAT, task="c", group="g", rank=Class.BATCH), 3)

# Two reservations at once, for some of those who ask.
RESERVING = SmallWorld(
    "reserving",
    200,
    agents(2),
    (CRITICAL, NORMAL, OF_GROUP),
    (mv.acquire, mv.release, mv.reserve, mv.reserve_for_group, mv.unreserve, mv.tick),
)

# Who is not meant is passed over where it could never have so many, and waits where it could.
RESERVING_SIZES = SmallWorld(
    "reserving for some of several sizes",
    1000,
    agents(3),
    (
        Ask(Claim(ANN, task="a", rank=Class.CRITICAL, weight=2), 1),
        Ask(Claim(BEN, task="b", weight=3), 2),
        Ask(Claim(CAT, task="c", weight=2), 3, wait_s=TICK_S),
        Ask(Claim(CAT, task="d", rank=Class.CRITICAL, group="g"), 4),
    ),
    (mv.acquire, mv.release, mv.reserve, mv.reserve_for_group, mv.tick),
)

# Grants that are kept apart, but for those whom units are kept for.
RESERVING_SPACED = SmallWorld(
    "reserving where grants keep apart",
    300,
    agents(3, 2, 2, 2),
    (CRITICAL, NORMAL),
    (mv.acquire, mv.release, mv.reserve, mv.tick, mv.set_level_for_a_while),
    levels=LEVELS,
)

RESERVING_BUDGET = replace(
    BUDGET,
    name="reserving within the budget",
    states=1000,
    asks=(CRITICAL, NORMAL, OF_GROUP),
    verbs=(mv.acquire, mv.release, mv.reserve, mv.tick, mv.sample),
    budget=Budget(ceiling_pct=90, mean_bytes=20, peak_bytes=31, share_pct=100, ramp_s=TICK_S),
)

RESERVING_YIELDED = SmallWorld(
    "reserving with yielded leases",
    50,
    agents(2),
    (CRITICAL, NORMAL),
    (mv.acquire, mv.give_back, mv.regain, mv.reserve, mv.tick),
)

PAUSING = SmallWorld(
    "pausing",
    400,
    agents(1),
    (CRITICAL, replace(NORMAL, wait_s=2 * TICK_S)),
    (mv.acquire, mv.give_back, mv.regain, mv.release, mv.pause, mv.reserve_for_group, mv.tick),
)

MOVING = SmallWorld(
    "putting ahead",
    300,
    agents(1),
    (NORMAL, Ask(Claim(CAT, task="c"), 3), Ask(Claim(CAT, task="d"), 4)),
    (mv.acquire, mv.release, mv.put_ahead, mv.cancel_ticket, mv.give_back, mv.regain),
)

PUTTING_BACK = replace(
    MOVING,
    name="putting back",
    states=29,
    asks=MOVING.asks[:2],
    verbs=(mv.acquire, mv.release, mv.put_ahead, mv.put_back, mv.give_back, mv.regain),
)

# Age brings one out of the back of its class, to the back of the next one.
PUTTING_BACK_AGED = SmallWorld(
    "putting back who ages",
    50,
    agents(1),
    (NORMAL, Ask(Claim(CAT, task="c", rank=Class.BATCH), 3), Ask(Claim(CAT, task="d"), 4)),
    (mv.acquire, mv.release, mv.put_back, mv.tick),
    ageing=Ageing(2 * TICK_S, TICK_S, fill_in_s=0.0),
)

PAIR = (
    Ask(Claim(ANN, task="a", request=b"a", bound=Bound.PROCESS), 1),
    Ask(Claim(BEN, task="b", request=b"b", rank=Class.CRITICAL), 2),
)

RESTART_RESERVED = SmallWorld(
    "restart with reservations",
    200,
    agents(2),
    PAIR,
    (mv.acquire, mv.again, mv.release, mv.reserve, mv.unreserve, mv.tick),
    grace_s=TICK_S,
    is_killed=True,
)

RESTART_PAUSED = SmallWorld(
    "restart with a pause",
    100,
    agents(1),
    PAIR,
    (mv.acquire, mv.release, mv.pause, mv.tick),
    grace_s=TICK_S,
    is_killed=True,
)

RESTART_MOVED = SmallWorld(
    "restart with some put ahead",
    190,
    agents(1),
    (*PAIR, Ask(Claim(CAT, task="c", request=b"c"), 3)),
    (mv.acquire, mv.put_ahead),
    is_killed=True,
)

# Who waits for too long, and who holds for too long: for a tick and for two.
HELD_LONG = Claim(ANN, task="a", max_hold_s=TICK_S, end_after_max=True, bound=Bound.PROCESS)
ALARMS = SmallWorld(
    "alarms",
    35,
    agents(1),
    (Ask(HELD_LONG, 1), Ask(replace(CRITICAL.claim, holder=BEN, task="b"), 2)),
    (mv.acquire, mv.give_back, mv.regain, mv.release, mv.cancel, mv.tick, mv.be_late),
    alarm_s=(2 * TICK_S, TICK_S, TICK_S),
)

RESTART_ALARMS = SmallWorld(
    "restart with alarms",
    60,
    agents(1),
    (Ask(HELD_LONG, 1), Ask(replace(CRITICAL.claim, holder=BEN, task="b"), 2)),
    (mv.acquire, mv.release, mv.tick),
    grace_s=TICK_S,
    is_killed=True,
    alarm_s=(2 * TICK_S, TICK_S, TICK_S),
)

ALARMS_UNWRITTEN = replace(
    ALARMS,
    name="alarms with a full disk",
    states=200,
    verbs=(mv.acquire, mv.give_back, mv.regain, mv.release, mv.break_disk, mv.tick),
)

WORLDS = (
    RESERVING,
    RESERVING_SIZES,
    RESERVING_SPACED,
    RESERVING_BUDGET,
    RESERVING_YIELDED,
    PAUSING,
    MOVING,
    PUTTING_BACK,
    PUTTING_BACK_AGED,
    ALARMS,
    ALARMS_UNWRITTEN,
    RESTART_MOVED,
    RESTART_RESERVED,
    RESTART_PAUSED,
    RESTART_ALARMS,
)


@pytest.mark.parametrize("small", WORLDS, ids=lambda small: small.name)
def test_in_every_world_with_a_hand_in_it_all_that_always_holds_does(small: SmallWorld) -> None:
    assert walk(small) >= small.states
