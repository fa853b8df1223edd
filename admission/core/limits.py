"""How much the core takes on, and what it refuses before it even waits."""

from dataclasses import dataclass

from admission.core.events import Acquire
from admission.core.leases import Waiter
from admission.core.ledger import Ledger
from admission.core.pool import Pool


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the core takes on. `grace_s`: how long an absent client's lease or place is kept."""

    waiters_max: int = 10_000
    waiters_per_connection_max: int = 64
    grace_s: float = 10.0


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
    mine = ledger.of(event.caller.connection)
    if sum(isinstance(one, Waiter) for one in mine) >= limits.waiters_per_connection_max:
        return (
            "queue_full",
            f"{limits.waiters_per_connection_max} requests of this connection wait already, "
            "and that is the limit; wait for some of them first",
        )
    return None
