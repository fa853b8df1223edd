"""Small worlds in which it matters who goes first: groups, and those who have waited for long."""

from dataclasses import replace
from math import inf

from admission.core.leases import Bound, Claim, Class
from admission.core.order import Ageing
from tests.core import moves as mv
from tests.core.moves import TICK_S, Ask
from tests.core.small import FIRST, LAST, SECOND, THIRD, SmallWorld
from tests.core.worlds import ANN, BEN, CAT, agents

# Two of a group, one of another, any of which may give its units back for a while.
GROUPS = SmallWorld(
    "groups",
    300,
    agents(2, 2, 1, 1),
    (
        Ask(Claim(ANN, task="a", group="a"), 1),
        Ask(Claim(ANN, task="a2", group="a"), 2),
        Ask(Claim(BEN, task="b", group="b"), 3),
    ),
    (mv.acquire, mv.cancel, mv.release, mv.give_back, mv.regain, mv.set_level),
)

# Several of a group, one of another, who may be away, and one of another user.
SHARES = SmallWorld(
    "shares",
    400,
    agents(1),
    (
        Ask(Claim(ANN, task="a", group="a"), 1),
        Ask(Claim(ANN, task="a2", group="a"), 2),
        Ask(Claim(BEN, task="b", group="b", request=b"b", bound=Bound.PROCESS), 4),
        Ask(Claim(CAT, task="c", group="a", uid=7), 5),
    ),
    (mv.acquire, mv.release, mv.cancel),
)

# A disk that is full at times, so that grants are taken back.
SHARES_UNWRITTEN = SmallWorld(
    "shares with a full disk",
    1000,
    agents(1),
    SHARES.asks,
    (mv.acquire, mv.release, mv.break_disk),
)

AGEING = SmallWorld(
    "ageing",
    500,
    agents(1),
    (
        Ask(Claim(ANN, task="a", rank=Class.BATCH), 1),
        Ask(Claim(BEN, task="b", group="b"), 2),
        Ask(Claim(BEN, task="b2", group="b"), 3, wait_s=2 * TICK_S),
        Ask(Claim(CAT, task="c", rank=Class.CRITICAL), 4),
    ),
    (mv.acquire, mv.release, mv.tick, mv.be_late),
    ageing=Ageing(2 * TICK_S, TICK_S, fill_in_s=0.0),
)

RESTART_AGEING = SmallWorld(
    "restart of those who age",
    140,
    agents(1),
    (
        Ask(Claim(ANN, task="a", rank=Class.BATCH, request=b"a"), 1),
        Ask(Claim(BEN, task="b", request=b"b", bound=Bound.PROCESS), 2),
    ),
    (mv.acquire, mv.again, mv.release, mv.tick),
    grace_s=TICK_S,
    is_killed=True,
    ageing=Ageing(2 * TICK_S, TICK_S, fill_in_s=0.0),
)

# Large ones before a small one, whom it may pass for a while; another class, which may not.
FILLING = SmallWorld(
    "filling in",
    500,
    agents(2),
    (
        Ask(Claim(ANN, task="a"), 1),
        Ask(Claim(BEN, task="large", weight=2), 2),
        Ask(Claim(CAT, task="large too", weight=2, group="c"), 3),
        Ask(Claim(ANN, task="small"), 4),
    ),
    (mv.acquire, mv.release, mv.tick),
    ageing=Ageing(inf, inf, fill_in_s=2 * TICK_S),
)

# Where grants keep apart, so that one who might fill in can be too late.
FILLING_SPACED = SmallWorld(
    "filling in where grants keep apart",
    100,
    agents(2, 1, 1, 1),
    (FILLING.asks[0], FILLING.asks[1], FILLING.asks[3]),
    FILLING.verbs,
    levels=(replace(FIRST, delay_ms=1500), SECOND, THIRD, LAST),
    ageing=FILLING.ageing,
)

# Who may be passed was asked for before the daemon was killed.
RESTART_FILLING = SmallWorld(
    "restart of those who fill in",
    200,
    agents(2),
    (
        Ask(Claim(ANN, task="a", bound=Bound.PROCESS), 1),
        Ask(Claim(BEN, task="large", weight=2, request=b"l"), 2),
        Ask(Claim(CAT, task="small"), 3),
    ),
    (mv.acquire, mv.again, mv.release, mv.tick),
    grace_s=TICK_S,
    is_killed=True,
    ageing=Ageing(inf, inf, fill_in_s=TICK_S),
)

WHO_GOES_FIRST = (
    GROUPS,
    SHARES,
    SHARES_UNWRITTEN,
    AGEING,
    RESTART_AGEING,
    FILLING,
    FILLING_SPACED,
    RESTART_FILLING,
)
