"""What is done against pressure that remains, when nothing new is admitted any more: a ladder, each
rung of which has to be asked for.

Advise: who works is told to finish and to begin nothing large. Freeze: one holder stands still for
a few seconds, which helps against too much at once for the CPUs and frees no memory. Park: the
holder that lost least by it ends in its own way, and is queued again by whoever started it.

Here are the settings and the facts, which `core.events` has in its unions; `core.ladder` decides.
"""

from dataclasses import dataclass
from typing import Literal

from admission.core.leases import Lease
from admission.core.values import value

Rung = Literal["advise", "freeze", "park"]

ADVISE: Rung = "advise"
FREEZE: Rung = "freeze"
PARK: Rung = "park"

# The ids of so many parked leases are known to whoever comes back for one.
PARKED_KEPT = 256


@dataclass(frozen=True, slots=True)
class Shed:
    """How the ladder is used.

    Attributes:
        policy: the rungs that are used; none unless they were asked for.
        advise_pct: from so much memory in use on, advice is given.
        advise_margin_pct: it is over this far below.
        park_pct: from so much memory in use on, a holder is asked to end.
        park_every_s: one in so long, as what it had needs time to show.
        freeze_cpu_stall_pct: from so much of the time that tasks wait for a CPU (Linux PSI `some`)
            on, a holder is stopped.
        freeze_margin_pct: it goes on this far below.
        freeze_max_s: it goes on after so long in any case.
        freeze_rest_s: it is not stopped again for so long since it was.
    """

    policy: tuple[Rung, ...] = ()
    advise_pct: float = 90.0
    advise_margin_pct: float = 5.0
    park_pct: float = 94.0
    park_every_s: float = 10.0
    freeze_cpu_stall_pct: float = 95.0
    freeze_margin_pct: float = 20.0
    freeze_max_s: float = 20.0
    freeze_rest_s: float = 300.0


# --- records ------------------------------------------------------------------------------------


@value
class Frozen:
    """A promise: the lease's holder is stopped only once this is written."""

    lease: int
    at: float


@value
class Thawed:
    """Written once it goes on, and not before."""

    lease: int


@value
class Parking:
    """The holder is asked to end; however it does, its lease is parked."""

    lease: int


@value
class Parked:
    """In a compacted journal: a lease that was parked, for whoever comes back for it."""

    lease: int
    uid: int


Record = Frozen | Thawed | Parking | Parked


# --- effects ------------------------------------------------------------------------------------


@value
class Advised:
    """Told once as it begins (`level` 1) and once as it ends (0)."""

    level: int
    reason: str


@value
class Freeze:
    """Stop all that this lease's holder runs, and start it again by `Thaw`."""

    lease: Lease
    reason: str


@value
class Thaw:
    """Have it go on. It may never have been stopped."""

    lease: Lease


@value
class Park:
    """Ask the holder to end, as it was to be asked, and tell whoever took the lease."""

    lease: Lease
    reason: str


Effect = Advised | Freeze | Thaw | Park
