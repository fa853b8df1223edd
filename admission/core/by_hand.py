"""What a hand can want of the queue: the events, and what is written down of them.

They are facts as those in `core.events`, which has them in its unions.
"""

from admission.core.leases import Caller, Class
from admission.core.reserving import Reservation
from admission.core.values import value

# --- events -------------------------------------------------------------------------------------


@value
class Reserve:
    """Units of a pool are to be kept free for some, from `from_in_s` on and for `for_s`.

    They are for those of this class and of this group; None and "": of any. `is_whole`: they may
    leave others nothing. `uid`: whose wish it is.
    """

    caller: Caller
    pool: str
    units: int
    for_s: float
    rank: Class | None = None
    group: str = ""
    from_in_s: float = 0.0
    is_whole: bool = False
    uid: int = 0


@value
class Unreserve:
    caller: Caller
    reservation: int


@value
class Pause:
    """No new grants in this pool, or in any (None). `for_s`: None until `Unpause`."""

    caller: Caller
    pool: str | None = None
    for_s: float | None = None


@value
class Unpause:
    caller: Caller
    pool: str | None = None


@value
class Move:
    """A waiter goes to the front of its class; or to its back, behind those who come later too."""

    caller: Caller
    ticket: int
    is_back: bool = False


ByHand = Reserve | Unreserve | Pause | Unpause | Move

# --- records ------------------------------------------------------------------------------------


@value
class Reserved:
    reservation: Reservation


@value
class Unreserved:
    """A reservation has ended: its time is over, or a hand took it back."""

    reservation: int
    why: str


@value
class Paused:
    """`until_at`: inf until a hand says otherwise."""

    pool: str
    until_at: float


@value
class Unpaused:
    pool: str


@value
class Moved:
    ticket: int
    ahead: int


Record = Reserved | Unreserved | Paused | Unpaused | Moved
