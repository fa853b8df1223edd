"""Small worlds in which it matters who goes first: groups, and those who have waited for long."""

from admission.core.leases import Bound, Claim, Class
from admission.core.order import Ageing
from tests.core import moves as mv
from tests.core.moves import TICK_S, Ask
from tests.core.small import SmallWorld
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
    ageing=Ageing(2 * TICK_S, TICK_S),
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
    ageing=Ageing(2 * TICK_S, TICK_S),
)

WHO_GOES_FIRST = (GROUPS, SHARES, SHARES_UNWRITTEN, AGEING, RESTART_AGEING)
