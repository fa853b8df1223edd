"""A core in a small world, its daemon killed at any moment: bytes say what happens next.

What can happen is what can in the small worlds of `tests.core`, all of it at once: so much that no
walk would come to an end there. The witness checks every step.
"""

from dataclasses import replace

from admission.core.leases import Bound, Claim, Class
from admission.core.levels import LEVELS, PoolSpec
from admission.core.limits import Limits
from admission.core.order import Ageing
from tests.core import moves as mv
from tests.core.moves import TICK_S, Ask
from tests.core.worlds import ANN, BEN, CAT, World
from tests.fuzz.material import Dice

STEPS_MAX = 60
# In one of so many steps the daemon is killed after a few effects.
DEATHS = 8
FEW = 6

ASKS = (
    Ask(Claim(ANN, task="a", rank=Class.CRITICAL, request=b"a" * 16), 1),
    Ask(Claim(BEN, task="b", weight=2, request=b"b" * 16, bound=Bound.PROCESS), 2),
    Ask(Claim(CAT, task="c", group="g", rank=Class.BATCH, request=b"c" * 16), 3),
    Ask(Claim(CAT, task="d", group="g", rank=Class.CRITICAL, weight=2), 4),
    Ask(Claim(BEN, task="e", request=b"e" * 16), 5, wait_s=2 * TICK_S),
    Ask(
        Claim(
            ANN, task="f", rank=Class.BATCH, bound=Bound.PROCESS, max_hold_s=TICK_S,
            end_after_max=True,
        ),
        6,
    ),
)  # fmt: skip
VERBS = (
    mv.acquire,
    mv.again,
    mv.cancel,
    mv.cancel_ticket,
    mv.release,
    mv.give_back,
    mv.regain,
    mv.close,
    mv.end_process,
    mv.tick,
    mv.set_level,
    mv.reserve,
    mv.reserve_for_group,
    mv.unreserve,
    mv.pause,
    mv.put_ahead,
    mv.break_disk,
    mv.kill,
)


def live(data: bytes) -> None:
    """What these bytes say happens, one thing after the other.

    Raises:
        AssertionError: something that must hold does not.
    """
    dice = Dice(data)
    world = World(
        PoolSpec("agents", (4, 3, 3, 2)),
        limits=Limits(grace_s=2 * TICK_S, alarm_s=(TICK_S, 3 * TICK_S, 5 * TICK_S)),
        levels=tuple(replace(row, delay_ms=0) for row in LEVELS),  # type: ignore[arg-type]
        ageing=Ageing(6 * TICK_S, 4 * TICK_S),
    )
    for _ in range(STEPS_MAX):
        if dice.is_over:
            return
        moves = [*dice.choice(VERBS)(world, ASKS)]
        if moves:
            move = dice.choice(moves)
            if dice.roll(DEATHS) == 1:
                world.effects_left = dice.roll(FEW)
            move.make(world, *move.args)
            if world.effects_left is not None:
                world.restart(world.now)
            mv.forget(world)
