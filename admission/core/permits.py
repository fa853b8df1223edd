"""What the fleet permits of a pool whose units several machines share: the event that says so.

It is a fact as those in `core.events`, which has it in its union; `core.permitting` goes by it.
"""

from admission.core.values import value


@value
class Permitted:
    """From now on so many units of a fleet pool may be added to what is out, until `until_at`.

    `why`: in words, why there are no more.
    """

    pool: str
    units: int
    until_at: float
    why: str = ""
