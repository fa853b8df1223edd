"""Fleet pools: units that several machines share; of them only what the fleet permits is lent here.

The core decides as ever who goes first here, and when. How many units it may add to what is out
comes in with an event. Each permit is good for one grant: what is given back here goes back to the
fleet, where others may stand before whoever waits here.
"""

from admission.core.pool import Pool
from admission.core.values import value

# "Now or not at all" takes as long as the fleet needs to answer, at most.
ASK_S = 1.0


@value
class Permitted:
    """From now on so many units of a fleet pool may be added to what is out, until `until_at`.

    `why`: in words, why there are no more.
    """

    pool: str
    units: int
    until_at: float
    why: str = ""


def adopt(pools: dict[str, Pool], event: Permitted) -> None:
    """Lets the pool go by what the fleet says. A pool of this machine alone takes nothing of it."""
    pool = pools.get(event.pool)
    if pool is not None and pool.spec.is_fleet:
        pool.permits, pool.permitted_until, pool.why_no_more = (
            event.units,
            event.until_at,
            event.why,
        )


def expire(pools: dict[str, Pool], now: float) -> None:
    """Nothing is granted by a permit that another machine may have by now."""
    for pool in pools.values():
        if pool.permits and pool.permitted_until <= now:
            pool.permits = 0


def patience_s(pool: Pool, wait_s: float | None) -> float | None:
    """How long one waits who would wait for so long: in a fleet pool no shorter than it takes to
    ask the fleet.
    """
    if wait_s is None or not pool.spec.is_fleet:
        return wait_s
    return max(wait_s, ASK_S)
