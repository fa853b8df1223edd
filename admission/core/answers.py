"""What clients are answered: those of the effects that go to whoever asked."""

from admission.core.leases import Caller, Lease, Reason
from admission.core.reserving import Reservation
from admission.core.values import value


@value
class Told:
    """The answer to a request that changed or found a lease; `shared`: it was held already."""

    caller: Caller
    lease: Lease
    shared: bool = False


@value
class Done:
    """The answer to a request that needs no more than a yes, or says whether there was one."""

    caller: Caller
    found: bool | None = None


@value
class ToldLevel:
    """The answer to a level set by hand: the level in force."""

    caller: Caller


@value
class ToldReservation:
    """The answer to `Reserve`."""

    caller: Caller
    reservation: Reservation


@value
class Refused:
    caller: Caller
    code: str
    message: str


@value
class LeaseEnded:
    """Tells the one who asked for a lease that it ended other than by its own wish."""

    caller: Caller
    lease: int
    reason: Reason


Answer = Told | ToldLevel | ToldReservation | Done | Refused | LeaseEnded
