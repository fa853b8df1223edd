"""Who holds and who waits, from the daemon's answers and, between two of them, from its news.

A whole look at many leases costs the daemon much more than what is new since the last one. So a
page sees an end by its news, a grant by asking for what is newer than what is known, and only now
and then everything.
"""

from collections.abc import Mapping

from admission.protocol import Frame
from admission_client.dashboard.instants import Instants, settled
from admission_client.granted import number, rows, whole


class Present:
    """See the module. `waiting`: who waits, in the order of service."""

    def __init__(self) -> None:
        self.waiting: list[Frame] = []
        self._leases: dict[int, Frame] = {}
        # Ended since the look began whose answer may still name them.
        self._gone: set[int] = set()
        self._waiting_instants = Instants()

    @property
    def newest(self) -> int:
        """The highest number of a lease that is known; 0 of none."""
        return max(self._leases, default=0)

    def begin(self) -> None:
        """A look at everything is asked for now."""
        self._gone.clear()

    def take(self, answers: list[Frame], now: float, *, is_all: bool) -> None:
        """What `leases` answered, in its order.

        Args:
            answers: each with `leases` and `waiting`.
            now: in seconds since 1970.
            is_all: whether it was asked for all leases, and not just for newer ones.
        """
        before = self._leases
        if is_all:
            self._leases = {}
        for row in (row for answer in answers for row in rows(answer, "leases")):
            named = whole(row, "lease")
            if named not in self._gone:
                self._leases[named] = _held(row, before.get(named), now)
        waiting = [row for answer in answers for row in rows(answer, "waiting")]
        self.waiting = [self._waits(row, now) for row in waiting]
        self._waiting_instants.turn()

    def hear(self, event: Frame) -> None:
        """A piece of news about a lease."""
        named, lease = event.get("event"), event.get("lease")
        if not isinstance(lease, int):
            return
        if named == "ended":
            self._gone.add(lease)
            self._leases.pop(lease, None)
        elif named in ("yielded", "regained") and lease in self._leases:
            state = "yielded" if named == "yielded" else "held"
            self._leases[lease] = {**self._leases[lease], "state": state}

    def leases(self) -> list[Frame]:
        """Who holds, in the order of the leases' numbers."""
        return [self._leases[named] for named in sorted(self._leases)]

    def _waits(self, row: Frame, now: float) -> Frame:
        instants, ticket = self._waiting_instants, whole(row, "ticket")
        deferred_s = row.get("deferred_s")
        is_deferred = isinstance(deferred_s, (int, float))
        return {
            **without(row, "waiting_s", "deferred_s"),
            "since": instants.of(now - number(row, "waiting_s"), ticket),
            "deferred_until": instants.of(now + number(row, "deferred_s"), ticket, "put off")
            if is_deferred
            else None,
        }


def _held(row: Frame, before: Frame | None, now: float) -> Frame:
    """A row of a lease. What it was told with before holds, but for what can change."""
    since = now - number(row, "age_s")
    stopped_s = row.get("stopped_s")
    told = before or {}
    found = {
        **without(row, "age_s", "waited_ms", "stopped_s"),
        "waited_s": whole(row, "waited_ms") / 1000,
        "since": settled(since, told.get("since")),
        "stopped_since": None,
    }
    if isinstance(stopped_s, (int, float)):
        found["stopped_since"] = settled(now - stopped_s, told.get("stopped_since"))
    return found


def without(row: Mapping[str, object], *names: str) -> Frame:
    """The rest of it."""
    return {name: one for name, one in row.items() if name not in names}


def rows_of(found: Frame, name: str) -> list[Frame]:
    """The rows of that name; none where a daemon of another version has no such."""
    return rows(found, name) if name in found else []
