"""What an operator does with the queue, blocking: list it, move and cancel waiters, pause, reserve,
and drain pools. `aio_operating` has the same with `await`.
"""

import time

from admission.protocol import BadRequest, Frame, NoSlot
from admission_client.blocking import FAREWELL_S, RECONNECT_S, Client
from admission_client.dialogue import Disconnected
from admission_client.durations import said
from admission_client.granted import mapping, number, rows, text, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # Called with the leases that are still out, and with None when the time it asked for has
    # passed. Returns after how many seconds it wants to be called again; None: not without news.
    OnLeft = Callable[[list[Frame] | None], float | None]

# Of those that are still out, as many as a sentence can take.
NAMED_MAX = 3
# After these it is looked again who is still out.
NEWS = ("ended", "yielded", "regained", "granted", "unpaused", "lagged")
TOPICS = ["lease", "queue"]


class Drained:
    """The pools that are to be drained, and how they were found; without I/O.

    They are drained one after the other, in the order of the configuration, which is that in which
    they are taken: so who holds an agent's slot can still get the `operations` that it needs to
    come to its end.
    """

    def __init__(self, status: Frame, pool: str | None) -> None:
        there = list(mapping(status, "capacity"))
        if pool is not None and pool not in there:
            raise BadRequest(
                f'there is no pool "{pool}"; there are: {", ".join(there)}', "unknown_pool"
            )
        self.pools = there if pool is None else [pool]
        self._paused = dict(mapping(status, "paused"))
        self._begun_at = time.monotonic()
        self._begun: list[str] = []

    def begin(self, pool: str) -> Frame:
        """The fields of the `pause` by which a pool's drain begins."""
        self._begun.append(pool)
        return {"pool": pool}

    def undone(self) -> "Iterator[tuple[str, Frame]]":
        """The requests after which all is as it was found."""
        for pool in self._begun:
            if pool not in self._paused:
                yield "unpause", {"pool": pool}
            elif self._paused[pool] is not None:
                left_s = number(self._paused, pool) - (time.monotonic() - self._begun_at)
                fields = {"pool": pool, "for_s": left_s}
                yield ("pause", fields) if left_s > 0 else ("unpause", {"pool": pool})

    def check(self, pool: str, status: Frame) -> None:
        """Raises where another hand ended the pause, so that the drain would have no end."""
        if pool not in mapping(status, "paused"):
            raise NoSlot(f"{pool} is no longer paused: somebody ended that; drain it again", "")


def still_out(held: list[Frame]) -> list[Frame]:
    """Of these leases those whose units are out. A yielded one can't get its units back while the
    pool is paused, so nobody waits for it.
    """
    return [one for one in held if text(one, "state") != "yielded"]


def too_long(pool: str, left: list[Frame], waited_s: float) -> NoSlot:
    """What to raise where a pool does not come empty in time."""
    return NoSlot(f"{pool} is not empty after {said(waited_s)}: {left_text(left)}; grants go on")


def left_text(left: list[Frame]) -> str:
    """Who still runs, for a person: `2 still run: lease 7 (docs, for 4 min), lease 9`."""
    named = []
    for one in left[:NAMED_MAX]:
        about = ", ".join(filter(None, [text(one, "task"), f"for {said(number(one, 'age_s'))}"]))
        named.append(f"lease {whole(one, 'lease')} ({about})")
    more = f" and {len(left) - NAMED_MAX} more" if len(left) > NAMED_MAX else ""
    return f"{len(left)} still run{'s' * (len(left) == 1)}: {', '.join(named)}{more}"


class Operator(Client):
    """A `Client` for whoever rules the queue. Not every user may: the operator and root."""

    # --- the queue ------------------------------------------------------------------------------

    def leases(self, pool: str | None = None) -> list[Frame]:
        """Who holds what, as rows of the daemon's answer."""
        return self._all(given(pool=pool))["leases"]

    def queue(self, pool: str | None = None) -> list[Frame]:
        """Who waits, in order within each pool, as rows of the daemon's answer."""
        return self._all(given(pool=pool))["waiting"]

    def move(self, ticket: int, to: str = "front") -> bool:
        """Has a waiter stand at the `front` or the `back` of its class; False: no such ticket."""
        return bool(self.ask("move", {"ticket": ticket, "to": to}).get("found"))

    def cancel_ticket(self, ticket: int) -> bool:
        """Takes a waiter out of the queue, who is told so; False: no such ticket."""
        return bool(self.ask("cancel", {"ticket": ticket}).get("found"))

    def _all(self, wanted: Frame) -> dict[str, list[Frame]]:
        """What `leases` answers, put together from as many answers as it takes."""
        found: dict[str, list[Frame]] = {"leases": [], "waiting": []}
        after: object = [0, 0]
        while after is not None:
            part = self.ask("leases", {**wanted, "after": after})
            for name, all_ in found.items():
                all_ += rows(part, name)
            after = part.get("more")
        return found

    def recommendations(self) -> list[Frame]:
        """What is worth doing, the weightiest first: `rule`, `what`, `why`, `command`."""
        return rows(self.ask("recommendations"), "recommendations")

    # --- pauses and reservations ----------------------------------------------------------------

    def pause(self, pool: str | None = None, for_s: float | None = None) -> None:
        """Has nothing granted in a pool, or in all; for so long, or until `unpause`."""
        self.ask("pause", given(pool=pool, for_s=for_s))

    def unpause(self, pool: str | None = None) -> bool:
        """Has leases granted again; False where nothing was paused."""
        return bool(self.ask("unpause", given(pool=pool)).get("found"))

    def reserve(
        self,
        units: int,
        for_s: float,
        *,
        pool: str = "agents",
        class_: str | None = None,
        group: str = "",
        from_s: float = 0.0,
        is_whole: bool = False,
    ) -> int:
        """Keeps units free for a class, a group or both, and gives the reservation's number.

        Raises:
            BadRequest: so much can't be reserved, or for nobody in particular.
        """
        asked = {"units": units, "for_s": for_s, "pool": pool, "from_s": from_s}
        asked |= {"whole": is_whole, "class": class_, "group": group}
        return whole(self.ask("reserve", asked), "reservation")

    def unreserve(self, reservation: int) -> bool:
        """Ends a reservation; False where there is none of this number."""
        return bool(self.ask("unreserve", {"reservation": reservation}).get("found"))

    # --- draining -------------------------------------------------------------------------------

    def drain(
        self,
        pool: str | None = None,
        wait_s: float | None = None,
        on_left: "OnLeft | None" = None,
        *,
        then_unpause: bool = False,
    ) -> None:
        """Has nothing granted any more in a pool, or in all, and waits until nothing is out there.
        It ends paused. Where it is given up before, by Ctrl-C or as the wait is over, all is as it
        was found, and grants go on.

        Args:
            pool: None for all, one after the other, in the order of the configuration.
            wait_s: at most so many seconds; None for ever.
            on_left: told of who is still out.
            then_unpause: have leases granted again as soon as it is empty.

        Raises:
            NoSlot: it was not empty within the wait, or another hand ended the pause.
            AdmissionError: it was refused, or no daemon could be had.
        """
        drained = Drained(self.ask("status"), pool)
        give_up_at = None if wait_s is None else time.monotonic() + wait_s
        try:
            for one in drained.pools:
                self.ask("pause", drained.begin(one))
                self._await_empty(drained, one, wait_s, give_up_at, on_left)
        except BaseException:
            self._undo(drained)
            raise
        if then_unpause:
            for one in drained.pools:
                self.unpause(one)

    def _undo(self, drained: Drained) -> None:
        """On a connection of its own: an answer may be under way on this one."""
        self.close()
        for op, fields in drained.undone():
            try:
                self.ask(op, fields)
            except Disconnected:
                self._reconnect(FAREWELL_S)
                self.ask(op, fields)

    def _await_empty(
        self,
        drained: Drained,
        pool: str,
        wait_s: float | None,
        give_up_at: float | None,
        on_left: "OnLeft | None",
    ) -> None:
        with Operator(self.path) as news:
            while True:
                try:
                    news.ask("watch", {"topics": TOPICS})
                    while left := still_out(self.leases(pool)):
                        drained.check(pool, self.ask("status"))
                        again_s = None if on_left is None else on_left(left)
                        if not news.has_news(again_s, give_up_at, on_left):
                            raise too_long(pool, left, wait_s or 0.0)
                    return
                except Disconnected:
                    news.close()
                    self._reconnect(RECONNECT_S)

    def has_news(
        self, again_s: float | None, give_up_at: float | None, on_left: "OnLeft | None"
    ) -> bool:
        """Waits for news of what is watched here after which to look again; False: it is over."""
        while True:
            if any(event.get("event") in NEWS for event in self._dialogue.take_events()):
                return True
            left_s = None if give_up_at is None else give_up_at - time.monotonic()
            if left_s is not None and left_s <= 0:
                return False
            waits = [wait for wait in (again_s, left_s) if wait is not None]
            if not self._receive(min(waits, default=None)) and on_left is not None:
                again_s = on_left(None)


def given(**fields: object) -> Frame:
    """These fields, less those that are None."""
    return {name: value for name, value in fields.items() if value is not None}
