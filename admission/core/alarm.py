"""One alarm: something waits, or is held, for longer than it should."""

from admission.core.leases import Claim
from admission.core.values import value


@value
class Alarm:
    """`is_held`: `number` is a lease, and not a ticket. `for_s`: for how long by now."""

    is_held: bool
    number: int
    claim: Claim
    for_s: float
    reason: str
