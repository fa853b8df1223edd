"""What a daemon does about a fleet that is in none: nothing. `service.fleet` has the others."""

from collections.abc import Callable

from admission.core import events as ev
from admission.core.leases import Lease
from admission.protocol import AdmissionError, Frame, Unavailable

Answer = Callable[[Frame | AdmissionError], None]


class Alone:
    """See the module."""

    def look_at_clock(self) -> None:
        """Before each event: whether what is ours in the fleet surely still is."""

    def note(self, record: ev.Record) -> None:
        """A record was written."""

    def note_configured(self) -> None:
        """Other settings hold from now on."""

    def dress(self, row: Frame) -> Frame:
        """What is told of a lease, with what the fleet says of it."""
        return row

    def remind(self, lease: Lease) -> None:
        """Somebody was just told of this lease: what else is to be said of it."""

    def problems(self) -> list[str]:
        """A line for `degraded` where something is wrong."""
        return []

    def told(self) -> Frame:
        """The answer to `fleet`.

        Raises:
            Unavailable: there is no fleet.
        """
        raise Unavailable(
            "this daemon is in no fleet; name etcd's endpoints in [fleet] of its configuration, "
            "and start it anew",
            "no_fleet",
        )

    def order(self, node: str, order: str, answer: Answer) -> None:
        """Gives a node an order (`cordon`, `drain`; `open`: none); answers later.

        Raises:
            Unavailable: there is no fleet.
        """
        self.told()

    async def run(self) -> None:
        """Until cancelled, where there is anything to do."""


ALONE = Alone()
