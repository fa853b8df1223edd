"""What clients are told unasked: their places in the queue, and the news that watchers follow."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import trio

from admission.core.foretelling import Foretold
from admission.core.leases import Caller, Claim
from admission.core.ledger import Ledger
from admission.core.limits import Limits
from admission.core.places import Place, places_of
from admission.core.pool import Pool
from admission.protocol import Frame, NoSlot
from admission.service.access import Access
from admission.service.peers import Peer
from admission.service.views import place_map

# A watcher with more than this unread is told `lagged` instead; requests have their own limit.
WATCHER_BACKLOG_BYTES_MAX = 64 * 1024
PLACES_INTERVAL_S = 0.5
# Telling 10,000 waiters their places takes a while; they hear of it less often.
WAITERS_TOLD_PER_S = 2_000
# One can watch every topic, so more than a few are a mistake or a flood.
WATCHES_PER_CONNECTION_MAX = 64
# Each piece of news is sent to each of them before anything else is done.
WATCHES_MAX = 1_024


class Line(Protocol):
    """One connection, as the daemon sees it."""

    number: int
    peer: Peer

    def send(self, frame: Frame) -> None:
        """Sends, or keeps what can't be sent yet; closes the line of one who never reads."""

    @property
    def backlog_bytes(self) -> int:
        """What was given to `send` and could not be sent yet."""


@dataclass(slots=True)
class Watcher:
    """One `watch` request."""

    line: Line
    id: int
    topics: frozenset[str]
    sequence: int = 0
    missed: int = 0


class Watchers:
    """Everybody who follows the news. A slow reader loses events, is told how many, and costs no
    more than its backlog.
    """

    def __init__(self, access: Access | None = None) -> None:
        self.limits = Limits()
        self._access = access or Access()
        self._watchers: dict[int, dict[int, Watcher]] = {}  # by connection, then by request

    def __bool__(self) -> bool:
        return bool(self._watchers)

    def add(self, line: Line, message_id: int, topics: Iterable[str], level: Frame) -> None:
        """One more watcher, or an old one anew. It is told the `level` in force first, so that
        none is missed.

        Raises:
            NoSlot: the connection, its user, or all together have too many.
        """
        mine = self._watchers.setdefault(line.number, {})
        if message_id not in mine and (why := self._why_not(line, len(mine))):
            message = f"{why}, and that is the limit; one can follow every topic"
            raise NoSlot(message, "queue_full")
        watcher = mine[message_id] = Watcher(line, message_id, frozenset(topics))
        if "level" in watcher.topics:
            _tell(watcher, level)

    def _why_not(self, line: Line, of_line: int) -> str | None:
        if of_line >= WATCHES_PER_CONNECTION_MAX:
            return f"{WATCHES_PER_CONNECTION_MAX} watches of this connection are open"
        uids = [one.line.peer.uid for mine in self._watchers.values() for one in mine.values()]
        own = uids.count(line.peer.uid)
        share = self.limits.share(line.peer.uid, WATCHES_MAX, len(uids) - own)
        if len(uids) >= WATCHES_MAX or own >= share:
            return f"{own} watches of yours are open, {len(uids)} in all"
        return None

    def remove_line(self, number: int) -> None:
        self._watchers.pop(number, None)

    def publish(self, topic: str, event: Frame, claim: Claim | None = None) -> None:
        """Tells who follows the topic; of this claim, if it is about one, what each may know."""
        for mine in self._watchers.values():
            for watcher in mine.values():
                if topic in watcher.topics:
                    line = watcher.line
                    row = event if claim is None else self._access.row(line.peer, claim, event)
                    _tell(watcher, row)


def _tell(watcher: Watcher, event: Frame) -> None:
    if watcher.line.backlog_bytes > WATCHER_BACKLOG_BYTES_MAX:
        watcher.missed += 1
        return
    if watcher.missed:
        watcher.sequence += 1
        lagged = {"event": "lagged", "missed": watcher.missed, "seq": watcher.sequence}
        watcher.line.send({"id": watcher.id, **lagged})
        watcher.missed = 0
    watcher.sequence += 1
    watcher.line.send({"id": watcher.id, **event, "seq": watcher.sequence})


class Places:
    """Tells each waiter where it stands, when that has changed since it was last told.

    A waiter that came back on a new connection has been told nothing there yet. Whoever changes
    something about them says so by `changed`.
    """

    def __init__(self) -> None:
        self.changed = trio.Event()
        # How long each was told that it may be, and how that has done.
        self.foretold = Foretold()
        self._told: dict[int, tuple[Caller | None, int, str]] = {}

    async def keep_telling(
        self, ledger: Ledger, lines: dict[int, Line], clock: Callable[[], float]
    ) -> None:
        """As long as there are any, and not too often."""
        while True:
            await self.changed.wait()
            self.changed = trio.Event()
            self.report(ledger.pools.values(), lines, clock())
            await trio.sleep(max(PLACES_INTERVAL_S, ledger.waiting / WAITERS_TOLD_PER_S))

    def report(self, pools: Iterable[Pool], lines: dict[int, Line], now: float) -> None:
        told: dict[int, tuple[Caller | None, int, str]] = {}
        for pool in pools:
            for place in places_of(pool, now):
                ticket, caller = place.waiter.ticket, place.waiter.caller
                told[ticket] = news = (caller, place.position, place.reason)
                if self._told.get(ticket) != news:
                    if not place.waiter.is_deferred:
                        self.foretold.note(ticket, place.eta_s, now)
                    _report(place, len(pool.waiters), lines)
        for ticket in self._told.keys() - told.keys():
            self.foretold.leave(ticket)
        self._told = told


def _report(place: Place, waiting: int, lines: dict[int, Line]) -> None:
    caller = place.waiter.caller
    line = None if caller is None else lines.get(caller.connection)
    if caller is not None and line is not None:
        line.send({"id": caller.id, "event": "queued", **place_map(place), "of": waiting})
