"""Fleet pools: units that several machines share; of them only what the fleet permits is lent here.

The core decides as ever who goes first here, and when. How many units it may add to what is out
comes in with an event. Each permit is good for one grant: what is given back here goes back to the
fleet, where others may stand before whoever waits here.
"""

from math import inf

from admission.core.ledger import Ledger
from admission.core.permits import Permitted
from admission.core.pool import Pool

# "Now or not at all" takes as long as the fleet needs to answer, at most.
ASK_S = 1.0


def adopt(ledger: Ledger, now: float, event: Permitted) -> None:
    """Lets the pool go by what the fleet says, if that is not over by now. A pool of this machine
    alone takes nothing of it.
    """
    pool = ledger.pools.get(event.pool)
    if pool is not None and pool.spec.is_fleet:
        pool.permits = event.units if event.until_at > now else 0
        pool.permitted_until = event.until_at
        pool.why_no_more = event.why
        ledger.permits_end_at = min(ledger.permits_end_at, event.until_at)


def expire(ledger: Ledger, now: float) -> None:
    """Nothing is granted by a permit that another machine may have by now."""
    pools = [pool for pool in ledger.pools.values() if pool.spec.is_fleet]
    for pool in pools:
        if pool.permitted_until <= now:
            pool.permits = 0
    left = [pool.permitted_until for pool in pools if pool.permitted_until > now]
    ledger.permits_end_at = min(left, default=inf)


def patience_s(pool: Pool, wait_s: float | None) -> float | None:
    """How long one waits who would wait for so long: in a fleet pool no shorter than it takes to
    ask the fleet.
    """
    if wait_s is None or not pool.spec.is_fleet:
        return wait_s
    return max(wait_s, ASK_S)
