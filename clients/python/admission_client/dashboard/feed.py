"""Follows the daemon while somebody looks, and puts on the bulletin what it saw.

One subscription for all who look. News say that something has changed; what it is like then is
asked for, each question at a pace that is no load to the daemon, however busy it is.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from admission.protocol import AdmissionError, BadRequest, Frame, NoSlot
from admission_client.aio import Client
from admission_client.dashboard.bulletin import Bulletin
from admission_client.dashboard.instants import Instants
from admission_client.dashboard.pace import Pace
from admission_client.dashboard.present import Present, rows_of, without
from admission_client.dashboard.state import state, thresholds
from admission_client.granted import number

TOPICS = ["level", "lease", "queue", "sample", "alarms", "shed"]
# Who reloads the page is to find it as it was.
LINGER_S = 20.0
RETRY_S = 0.5
READERS_MAX = 64
# What a look costs the daemon on a machine of today, and each row of it: most of all it reads where
# a holder comes from.
LOOK_COST_S = 0.001_2
ROW_COST_S = 0.000_07
# Of an answer about leases; 1,500 of them, or 2,000 waiters. `state` has the numbers of all.
PAGES_MAX = 8


class Feed:
    """See the module.

    Args:
        path: the daemon's socket.

    Attributes:
        bulletin: what was seen.
        begun: tells this process's numbers from those of another.
        changed: set, and replaced, when there is something new on the bulletin.
        thresholds: from which percentage on the level is 1, 2, 3; None before it is known.
    """

    def __init__(self, path: str | None) -> None:
        self.bulletin = Bulletin()
        self.begun = f"{time.time_ns():x}"
        self.changed = trio.Event()
        self.thresholds: Frame | None = None
        self._path = path
        self._readers = 0
        self._wanted = trio.Event()
        self._unwanted = trio.Event()
        self._news = trio.Event()
        self._stirred = trio.Event()
        self._present = Present()
        self._instants = Instants()
        self._orphan_instants = Instants()
        self._queue: object = None
        self._level: object = None
        self._away_since: float | None = None
        # Of each what is known without being told, and takes the daemon longer.
        self._explain = Pace(300, 5.0, 15.0)
        self._orphans = Pace(500, 5.0, 120.0)
        self._recommend = Pace(500, 30.0, 120.0)

    # --- the readers ----------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While somebody reads the bulletin, it is kept up to date.

        Raises:
            NoSlot: as many read it as may.
        """
        if self._readers >= READERS_MAX:
            raise NoSlot(
                f"{READERS_MAX} pages are open, and that is the limit; close one", "queue_full"
            )
        self._readers += 1
        self._unwanted = trio.Event()
        self._wanted.set()
        try:
            yield
        finally:
            self._readers -= 1
            if not self._readers:
                self._wanted = trio.Event()
                self._unwanted.set()

    def hurry(self) -> None:
        """A hand did something, and is to see what came of it."""
        for pace in (self._explain, self._orphans, self._recommend):
            pace.begin()
        self._stirred.set()
        self._news.set()

    # --- following ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follows the daemon while there is a reader, and for a moment longer; through its
        restarts.
        """
        while True:
            await self._wanted.wait()
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._follow)
                    nursery.start_soon(self._look)
                    nursery.start_soon(self._look_around)
                    await self._until_unwanted()
                    nursery.cancel_scope.cancel()
            except* AdmissionError as problems:
                self._say_away(problems)
            if self._readers:
                await trio.sleep(RETRY_S)
            else:
                self._forget()

    async def _until_unwanted(self) -> None:
        while self._readers:
            await self._unwanted.wait()
            with trio.move_on_after(LINGER_S):
                await self._wanted.wait()

    def _forget(self) -> None:
        """Who comes next is not to take this for the present."""
        self.bulletin.retract()
        self._queue = self._level = self._away_since = None

    async def _follow(self) -> None:
        async with Client(self._path) as client:
            async for event in client.watch(TOPICS):
                self._hear(event)

    def _hear(self, event: Frame) -> None:
        named = event.get("event")
        if named == "sample":
            at = round(time.time() - number(event, "age_s"), 1)
            self._add("sample", {"at": at, **without(event, "id", "event", "seq", "age_s")})
            return
        if named == "level":
            self._hear_level(event)
        if named in ("level", "ended"):
            (self._explain if named == "level" else self._orphans).hurry()
            self._stirred.set()
        self._present.hear(event)
        self._news.set()

    def _hear_level(self, event: Frame) -> None:
        """The first one is that in force, and is no change."""
        before, self._level = self._level, event.get("level")
        if before not in (None, self._level):
            about = {name: event.get(name) for name in ("level", "name", "reasons")}
            self._add("level", {"at": round(time.time(), 1), **about})

    # --- looking --------------------------------------------------------------------------------

    async def _look(self) -> None:
        """At the state, and at who holds and who waits."""
        new, everything = Pace(500, 0.2, 5.0), Pace(2000, 5.0, 60.0)
        async with Client(self._path) as client:
            while True:
                self._news = trio.Event()
                now = trio.current_time()
                pace = everything if now >= everything.soonest_at else new
                pace.ask(now)
                seen = await self._look_once(client, is_all=pace is everything)
                pace.note(trio.current_time(), LOOK_COST_S + seen * ROW_COST_S)
                self._say_back()
                await trio.sleep_until(new.soonest_at)
                with trio.move_on_at(now + new.most_s):
                    await self._news.wait()

    async def _look_once(self, client: Client, *, is_all: bool) -> int:
        """How many rows were answered."""
        present = self._present
        status = await client.ask("status")
        self._put("state", state(status, time.time(), self._instants))
        if is_all:
            present.begin()
        answers: list[Frame] = []
        after: object = [0 if is_all else present.newest, 0]
        while after is not None and len(answers) < PAGES_MAX:
            answers.append(await client.ask("leases", {"after": after}))
            after = answers[-1].get("more")
        now = time.time()
        present.take(answers, now, is_all=is_all)
        self._put("leases", {"leases": present.leases()})
        if self._queue != present.waiting:
            self._queue = present.waiting
            self._put("queue", {"at": round(now, 1), "waiting": present.waiting})
        return sum(len(rows_of(one, kind)) for one in answers for kind in ("leases", "waiting"))

    async def _look_around(self) -> None:
        """At what nobody is told of, each at its own pace."""
        around = {
            "explain": (self._explain, self._take_explain),
            "orphans": (self._orphans, self._take_orphans),
            "recommendations": (self._recommend, self._take_recommendations),
        }
        for pace, _ in around.values():
            pace.begin()  # it may be another daemon
        async with Client(self._path) as client:
            while True:
                self._stirred = trio.Event()
                for op, (pace, take) in around.items():
                    if (now := trio.current_time()) >= pace.due_at:
                        pace.ask(now)
                        if (found := await _ask(client, op)) is not None:
                            take(found)
                        pace.note(trio.current_time())
                with trio.move_on_at(min(pace.due_at for pace, _ in around.values())):
                    await self._stirred.wait()

    def _take_explain(self, found: Frame) -> None:
        self.thresholds = thresholds(found)
        names = ("sources", "to_fall", "forecasts", "by_cpu", "by_memory")
        self._put("why", {"thresholds": self.thresholds, **{n: found.get(n, []) for n in names}})

    def _take_orphans(self, found: Frame) -> None:
        instants, now = self._orphan_instants, time.time()

        def dated(row: Frame) -> Frame:
            since = instants.of(now - number(row, "age_s"), row.get("pid"))
            return {**without(row, "age_s"), "since": since}

        kinds = ("survivors", "agents")
        about = {kind: [dated(row) for row in rows_of(found, kind)] for kind in kinds}
        instants.turn()
        self._put("orphans", {**about, "left_out": found.get("left_out", 0)})

    def _take_recommendations(self, found: Frame) -> None:
        self._put("recommendations", {"recommendations": rows_of(found, "recommendations")})

    # --- the bulletin ---------------------------------------------------------------------------

    def _say_away(self, problems: BaseExceptionGroup[AdmissionError]) -> None:
        if self._away_since is None:
            self._away_since = round(time.time(), 1)
        self.bulletin.retract("back")
        self._put("away", {"since": self._away_since, "why": str(problems.exceptions[0])})

    def _say_back(self) -> None:
        if not self.bulletin.has("back"):
            self._away_since = None
            self.bulletin.retract("away")
            self._put("back", {"since": round(time.time(), 1)})

    def _put(self, name: str, value: object) -> None:
        if self.bulletin.put(name, value):
            self._tell()

    def _add(self, name: str, value: object) -> None:
        self.bulletin.add(name, value)
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


async def _ask(client: Client, op: str) -> Frame | None:
    """An empty answer where the daemon does not know it; None where it can't tell just now. Whether
    it is there at all, others find out.
    """
    try:
        return await client.ask(op)
    except BadRequest:
        return {}
    except AdmissionError:
        return None
