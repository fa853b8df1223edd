"""How much the core takes on, and what it refuses before it even waits."""

from dataclasses import dataclass

from admission.core.events import Acquire
from admission.core.leases import Waiter
from admission.core.ledger import Ledger
from admission.core.pool import Pool


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the core takes on. `grace_s`: how long an absent client's lease or place is kept.

    `user_share_pct`: what a user may take of whatever is limited, of what the other users leave;
    those among `unshared` are held by the limit alone. `alarm_s`: who has waited for longer is told
    of, by class.
    """

    waiters_max: int = 10_000
    waiters_per_connection_max: int = 64
    grace_s: float = 10.0
    user_share_pct: float = 100.0
    unshared: frozenset[int] = frozenset()
    alarm_s: tuple[float, float, float] = (30.0, 600.0, 3600.0)

    def share(self, uid: int, most: int, others: int) -> int:
        """How many of `most` this user may have while the others have so many.

        A share of the rest, and not of the whole: so no number of users takes all of it, and
        whoever has to put things right finds room. One is everybody's, where there is one.
        """
        left = most - others
        return left if uid in self.unshared else max(1, int(left * self.user_share_pct / 100))


def refusal_of(
    event: Acquire, pool: Pool, ledger: Ledger, limits: Limits
) -> tuple[str, str] | None:
    """Why this request can't even wait: a code and a message. None where it can."""
    weight, most = event.claim.weight, pool.capacity_max
    assert weight >= 1
    if weight > most:
        return (
            "impossible",
            f'weight {weight} can never be granted: pool "{pool.spec.name}" holds {most} at '
            "most; ask for less, or configure more",
        )
    if ledger.waiting >= limits.waiters_max:
        message = f"{limits.waiters_max} wait already, and that is the limit; try again later"
        return "queue_full", message
    most_of_one = limits.waiters_per_connection_max
    if ledger.waiting >= most_of_one and _waiters(ledger, event.caller.connection) >= most_of_one:
        return (
            "queue_full",
            f"{most_of_one} requests of this connection wait already, "
            "and that is the limit; wait for some of them first",
        )
    return _refusal_of_user(event.claim.uid, ledger, limits)


def _waiters(ledger: Ledger, connection: int) -> int:
    return sum(isinstance(one, Waiter) for one in ledger.of(connection))


def _refusal_of_user(uid: int, ledger: Ledger, limits: Limits) -> tuple[str, str] | None:
    if limits.user_share_pct == 100 or uid in limits.unshared:
        return None
    uids = [waiter.claim.uid for pool in ledger.pools.values() for waiter in pool.waiters.values()]
    mine = uids.count(uid)
    if mine < limits.share(uid, limits.waiters_max, len(uids) - mine):
        return None
    message = f"{mine} of your requests wait already, and that is your share; wait for some first"
    return "queue_full", message
