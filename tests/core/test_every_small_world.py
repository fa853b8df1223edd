"""Every world that can come of a few requests and a handful of things that can befall them.

Breadth first, and each state once, whatever leads there: so no luck is involved, unlike in
`test_interleavings`, and the first objection of the witness has the shortest story.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from admission.core import events as ev
from admission.core.budget import Budget
from admission.core.leases import Bound, Claim, Class
from admission.core.levels import LEVELS
from admission.core.limits import Limits
from tests.core import moves as mv
from tests.core.deaths import Moments
from tests.core.moves import TICK_S, Ask, Move
from tests.core.small import UNSPACED, SmallWorld
from tests.core.snapshots import copy_of, fingerprint
from tests.core.worlds import ANN, ANN_AGAIN, BEN, CAT, KID, LAST_LEASE, World, agents, spec
from tests.core.worlds_of_order import WHO_GOES_FIRST
from tests.core.worlds_of_permits import WHAT_THE_FLEET_PERMITS

# Ann's process, another that got her PID, a small request behind a large one, a second lease.
QUEUE = SmallWorld(
    "queue",
    150,
    agents(2, 2, 1, 1),
    (
        Ask(Claim(ANN, task="a"), 1),
        Ask(Claim(ANN, task="a2", bound=Bound.PROCESS), 1),
        Ask(Claim(ANN_AGAIN, task="b", weight=2), 2),
        Ask(Claim(BEN, task="c"), 3),
    ),
    (mv.acquire, mv.cancel, mv.release, mv.close, mv.end_process, mv.set_level),
)

CLASSES = SmallWorld(
    "classes",
    300,
    agents(2, 2, 1, 1),
    (
        Ask(Claim(ANN, task="a", rank=Class.BATCH), 1),
        Ask(Claim(BEN, task="b", rank=Class.NORMAL, weight=2), 2),
        Ask(Claim(CAT, task="c", rank=Class.CRITICAL), 3),
    ),
    (mv.acquire, mv.cancel, mv.release, mv.give_back, mv.regain, mv.set_level),
)

SHARING = SmallWorld(
    "sharing",
    300,
    agents(2, 2, 1, 1),
    (
        Ask(Claim(ANN, task="a", weight=2), 1),
        Ask(Claim(BEN, task="below a"), 2, parent=LAST_LEASE, above=(BEN, ANN)),
        Ask(Claim(CAT, task="c"), 3),
    ),
    (mv.acquire, mv.cancel, mv.release, mv.give_back, mv.regain, mv.set_level),
)

# Two pools, taken in the right order and in the wrong one, shared and not.
NESTING = SmallWorld(
    "nesting",
    300,
    agents(2, 2, 1, 1),
    (
        Ask(Claim(ANN, task="a"), 1),
        Ask(Claim(BEN, task="own"), 2, parent=LAST_LEASE, above=(BEN, ANN), is_new=True),
        Ask(Claim(BEN, task="within", pool="operations"), 3, parent=2, above=(BEN, ANN)),
        Ask(Claim(CAT, task="inside out"), 4, parent=LAST_LEASE, above=(CAT, BEN)),
    ),
    (mv.acquire, mv.release, mv.give_back, mv.regain, mv.end_process, mv.set_level),
    inner=(spec("operations", 1),),
)

# Deadlines, grants kept apart, a level that ends by itself, and a daemon that looks too late.
TIME = SmallWorld(
    "time",
    500,
    agents(2, 2, 1, 1),
    (
        Ask(Claim(ANN, task="a", ttl_s=2 * TICK_S), 1),
        Ask(Claim(BEN, task="b"), 2, wait_s=2 * TICK_S),
        Ask(Claim(CAT, task="c"), 3, wait_s=0),
    ),
    (mv.acquire, mv.release, mv.renew, mv.tick, mv.be_late, mv.set_level_for_a_while),
    levels=LEVELS,
)

YIELDING = SmallWorld(
    "yielding",
    700,
    agents(1),
    (
        Ask(Claim(ANN, task="a", bound=Bound.PROCESS), 1),
        Ask(Claim(BEN, task="b", ttl_s=2 * TICK_S), 2, wait_s=TICK_S),
        Ask(Claim(CAT, task="c"), 3),
    ),
    (mv.acquire, mv.cancel, mv.give_back, mv.regain, mv.close, mv.end_process, mv.tick),
)

# Connections break and requests are repeated, once by a process that got the asker's PID.
RETURN = SmallWorld(
    "coming back",
    200,
    agents(1),
    (
        Ask(Claim(ANN, task="a", request=b"a"), 1),
        Ask(Claim(ANN_AGAIN, task="a's heir", request=b"a"), 2),
        Ask(Claim(BEN, task="b", request=b"b", bound=Bound.PROCESS), 3, wait_s=2 * TICK_S),
        Ask(Claim(CAT, task="c"), 4),
    ),
    (mv.acquire, mv.again, mv.cancel, mv.release, mv.close, mv.tick),
)

JOURNAL = SmallWorld(
    "journal",
    400,
    agents(2),
    (
        Ask(Claim(ANN, task="a"), 1),
        Ask(Claim(BEN, task="b", weight=2), 2),
        Ask(Claim(CAT, task="c"), 3, wait_s=0),
    ),
    (mv.acquire, mv.cancel, mv.release, mv.give_back, mv.regain, mv.end_process, mv.break_disk),
)

# A child that outlives its holder, while somebody waits; looks that take their time. In the
# `restart` among these worlds there are two, who start each other.
TREE = SmallWorld(
    "tree",
    90,
    agents(1),
    (Ask(Claim(ANN, task="a", bound=Bound.TREE), 1), Ask(Claim(BEN, task="b"), 2)),
    (mv.acquire, mv.release, mv.fork_once, mv.end_process, mv.look, mv.tell_seen),
)

# The child asks for itself, and gives back what is not its alone.
TREE_SHARED = SmallWorld(
    "sharing in a tree",
    100,
    agents(2),
    (
        Ask(Claim(ANN, task="a", bound=Bound.TREE), 1),
        Ask(Claim(KID, task="below a"), 2, parent=LAST_LEASE, above=(KID, ANN)),
    ),
    (
        *(mv.acquire, mv.release_below, mv.give_back, mv.regain),
        *(mv.fork_once, mv.end_process, mv.look, mv.tell_seen),
    ),
)

TREE_YIELDED = SmallWorld(
    "tree with yielded leases",
    100,
    agents(1),
    (Ask(Claim(ANN, task="a", bound=Bound.TREE), 1), Ask(Claim(BEN, task="b"), 2)),
    (mv.acquire, mv.give_back, mv.regain, mv.fork_once, mv.end_process, mv.look, mv.tell_seen),
)

# Again two processes with one PID.
PAIR = (
    Ask(Claim(ANN, task="a", request=b"a"), 1),
    Ask(Claim(ANN_AGAIN, task="b", request=b"b", bound=Bound.PROCESS), 2),
)

RESTART = SmallWorld(
    "restart",
    80,
    agents(1),
    PAIR,
    (mv.acquire, mv.again, mv.release, mv.close, mv.end_process, mv.tick),
    grace_s=TICK_S,
    is_killed=True,
)

RESTART_YIELDED = SmallWorld(
    "restart with yielded leases",
    400,
    agents(1),
    (Ask(Claim(ANN, task="a"), 1), Ask(Claim(BEN, task="b", bound=Bound.PROCESS), 2)),
    (mv.acquire, mv.resume, mv.give_back, mv.regain, mv.tick),
    grace_s=TICK_S,
    is_killed=True,
)

RESTART_AT_A_LEVEL = SmallWorld(
    "restart at a level",
    200,
    agents(2, 2, 1, 1),
    PAIR,
    (mv.acquire, mv.again, mv.release, mv.set_level_for_a_while, mv.tick),
    grace_s=TICK_S,
    is_killed=True,
)

RESTART_UNWRITTEN = SmallWorld(
    "restart with a full disk",
    300,
    agents(1),
    PAIR,
    (mv.acquire, mv.again, mv.release, mv.break_disk),
    is_killed=True,
)

RESTART_TREE = SmallWorld(
    "restart with trees",
    400,
    agents(1),
    (Ask(Claim(ANN, task="a", bound=Bound.TREE), 1),),
    (mv.acquire, mv.fork, mv.end_process, mv.look, mv.tell_seen),
    is_killed=True,
)

# Memory for one more, or not; what was granted shows after a tick. The levels have no say.
BUDGET = SmallWorld(
    "budget",
    200,
    agents(3),
    (
        Ask(Claim(ANN, task="a"), 1),
        Ask(Claim(BEN, task="b"), 2),
        Ask(Claim(CAT, task="c", weight=2), 3, wait_s=2 * TICK_S),
    ),
    (mv.acquire, mv.release, mv.tick, mv.sample),
    levels=tuple(replace(row, memory_below_pct=1e3) for row in UNSPACED),  # type: ignore[arg-type]
    budget=Budget(ceiling_pct=90, mean_bytes=20, peak_bytes=31, share_pct=100, ramp_s=TICK_S),
)

BUDGET_YIELDED = replace(
    BUDGET,
    name="budget with yielded leases",
    asks=(BUDGET.asks[0], BUDGET.asks[2]),
    verbs=(mv.acquire, mv.give_back, mv.regain, mv.tick, mv.sample),
)

# The quick ones first.
WORLDS = (
    QUEUE,
    CLASSES,
    *WHO_GOES_FIRST,
    *WHAT_THE_FLEET_PERMITS,
    SHARING,
    NESTING,
    TIME,
    BUDGET,
    BUDGET_YIELDED,
    RETURN,
    RESTART,
    TREE,
    TREE_SHARED,
    TREE_YIELDED,
    JOURNAL,
    RESTART_UNWRITTEN,
    RESTART_AT_A_LEVEL,
    YIELDING,
    RESTART_YIELDED,
    RESTART_TREE,
)


@dataclass(frozen=True, slots=True)
class Story:
    """How a world came to be."""

    last: str = "nothing has happened"
    before: "Story | None" = None

    def __str__(self) -> str:
        return self.last if self.before is None else f"{self.before}\n  {self.last}"


def nexts(small: SmallWorld, world: World, story: Story) -> Iterator[tuple[World, Story]]:
    """All worlds that are one move away."""
    for verb in small.verbs:
        for move in verb(world, small.asks):
            yield from _outcomes(small, world, move, story)


def _outcomes(
    small: SmallWorld, world: World, move: Move, story: Story
) -> Iterator[tuple[World, Story]]:
    """What a move leads to: all of it and, where the daemon may be killed, each part of it."""
    whole = Story(move.label, story)
    after = _after(small, world, move, whole)
    # Of what leaves no trace the next daemon knows nothing: to be killed after it is nothing else.
    for effects in after.moments.telling if small.is_killed else ():
        part = Story(f"{move.label}, and the daemon is killed after {effects} effects", story)
        yield _after(small, world, move, part, effects), part
    yield after, whole


def _after(
    small: SmallWorld, world: World, move: Move, story: Story, effects_left: int | None = None
) -> World:
    after = copy_of(world)
    after.moments = Moments()
    after.effects_left = effects_left
    try:
        move.make(after, *move.args)
    except Exception as objection:
        raise AssertionError(f"{type(objection).__name__}: {objection}\n{story}") from objection
    after.answers.clear()
    if not small.is_killed:
        after.journal.clear()  # nobody will read it
    mv.forget(after)
    return after


def walk(small: SmallWorld) -> int:
    """Visits every state of a small world, and gives their number."""
    limits = Limits(grace_s=small.grace_s, alarm_s=small.alarm_s)
    start = World(
        *(small.pool, *small.inner),
        levels=small.levels,
        limits=limits,
        budget=small.budget,
        ageing=small.ageing,
        shed=small.shed,
    )
    if small.defer:
        start.throttle = replace(start.throttle, defer=small.defer)
        start.feed(0.0, ev.Configured(start.throttle, start.specs, start.ageing))
    start.has_groups = len({(ask.claim.uid, ask.claim.group) for ask in small.asks}) > 1
    seen = {fingerprint(start)}
    to_visit = deque([(start, Story())])
    while to_visit:
        for world, story in nexts(small, *to_visit.popleft()):
            mark = fingerprint(world)
            if mark not in seen:
                seen.add(mark)
                to_visit.append((world, story))
    return len(seen)


@pytest.mark.parametrize("small", WORLDS, ids=lambda small: small.name)
def test_in_every_small_world_all_that_always_holds_does(small: SmallWorld) -> None:
    assert walk(small) >= small.states
