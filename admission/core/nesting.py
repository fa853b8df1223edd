"""Who runs under whom: a lease that is shared, and a wait that could never end.

A process that runs under a lease would wait behind itself for another of the same pool. And two
that hold a unit of one pool each and wait for the other's would wait for ever, so pools are taken
in one order, that of the configuration: `agents` first, `operations` within.
"""

from collections.abc import Mapping

from admission.core import events as ev
from admission.core.leases import Lease
from admission.core.pool import Pool


def enclosing_lease(event: ev.Acquire, pool: Pool) -> Lease | None:
    """The lease of this pool that the asking process already runs under.

    `parent`, from the environment, only says that there is one, perhaps of another pool, and that
    one which is newer is not meant: a process may hold others beside it. What counts is who holds
    it: the asking process, or one that stands above it.
    """
    if event.parent is None or event.is_new:
        return None
    meant = [lease for lease in pool.leases.values() if _is_meant(lease, event)]
    out = {holder: lease for lease in meant for holder in lease.holders}
    return next((out[holder] for holder in event.ancestors if holder in out), None)


def deadlock(event: ev.Acquire, pools: Mapping[str, Pool]) -> str | None:
    """Why this request would wait for what can't end before it is granted; None where it would not.

    Who does not wait can't wait for ever.
    """
    if event.wait_s == 0 or (event.parent is None and not event.is_new):
        return None
    above = {
        name: [one for one in pool.leases.values() if _is_above(one, event)]
        for name, pool in pools.items()
    }
    name, weight = event.claim.pool, event.claim.weight
    held, most = sum(one.claim.weight for one in above[name]), pools[name].capacity_max
    if held + weight > most:
        return (
            f"this runs under {held} of {name} already, and {weight} more can never be had as "
            f"well: there are {most}; share that lease, or ask from outside of it"
        )
    order = list(pools)
    for inner in order[order.index(name) + 1 :]:
        if above[inner]:
            return (
                f"this runs under lease {above[inner][0].id} of {inner}, and {name} is not to be "
                f"waited for within {inner}: take {name} first, and {inner} within, or do not wait"
            )
    return None


def _is_meant(lease: Lease, event: ev.Acquire) -> bool:
    return lease.is_out and (event.parent is None or lease.id <= event.parent)


def _is_above(lease: Lease, event: ev.Acquire) -> bool:
    return _is_meant(lease, event) and any(one in event.ancestors for one in lease.holders)
