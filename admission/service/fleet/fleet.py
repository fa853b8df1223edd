"""This node in the fleet: joins it, says what it offers, hears of the others, and lends permits.

A session lasts as long as etcd answers. When it does not, what is lent stays lent, and new grants
follow `[fleet] when_away`; when it has not for so long that etcd may have ended this node's lease,
what is lent is lost: nothing more is granted, and the holders are told.
"""

import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import trio

from admission.core import by_hand
from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.leases import Caller, Lease
from admission.protocol import AdmissionError, Frame, Unavailable
from admission.service.alone import Alone, Answer
from admission.service.config import FleetConfig
from admission.service.ending import ask_to_end
from admission.service.fleet import state as state_file
from admission.service.fleet.etcd import Account, Away, Entry, Etcd, News, Refused
from admission.service.fleet.keys import STATES, Keys, Offer, offer_of
from admission.service.fleet.lending import Lending
from admission.service.fleet.membership import Membership, boot_clock
from admission.service.fleet.telling import fleet_map, unknown_node
from admission.service.fleet.view import View

# An offer that changes is written no more often; and by all nodes together about so often, as each
# of them hears of it.
OFFER_EVERY_S = 1.0
OFFERS_PER_S = 20
# What was put and is not heard of for so long has not been heard of at all.
UNHEARD_S = 3.0
ANSWER_S = 2.0
PAUSES_S = (0.1, 0.2, 0.5, 1.0)
WISHES_MAX = 16
# What is done to holders of what is lost, besides telling them.
ENDERS = {"tell": None, "end": partial(ask_to_end, name="TERM", why="as it is lost to the fleet")}
# Whoever asks for what was ordered: no connection.
NOBODY = Caller(0, 0)

log = logging.getLogger(__name__)
# It tells of every call.
logging.getLogger("httpx2").setLevel(logging.WARNING)


class Fleet(Alone):
    """See the module.

    Args:
        config: `[fleet]`.
        core: of the daemon.
        clock: likewise.
        feed: gives the core an event.
        tell: tells the one who took a lease.
        path: a file for what this daemon must know of itself after a restart.
    """

    def __init__(
        self,
        config: FleetConfig,
        core: Admission,
        clock: Callable[[], float],
        feed: Callable[[ev.Event], None],
        tell: Callable[[Lease, Frame], None],
        path: Path,
    ) -> None:
        self.config, self.core = config, core
        self._feed, self._path = feed, path
        self._own = state_file.load(path)
        keys = Keys(config.prefix)
        self.view = View(keys, config.node, self._own.instance, clock)
        self.lending = Lending(core, self.view, clock, feed, tell, ENDERS[config.when_lost])
        self.membership = Membership(config.ttl_s)
        # Until the first answer, or the first that fails to come, an earlier daemon's permits are
        # neither sure nor lost.
        self.membership.surely_until = boot_clock() + ANSWER_S + config.ttl_s / 3
        self._answer_s = min(ANSWER_S, config.ttl_s / 4)
        self._etcd: Etcd | None = None
        self._changed = trio.Event()
        self._offer_changed = trio.Event()
        self._session: trio.CancelScope | None = None
        self._wishes: list[tuple[str, str, Answer]] = []
        self._wished = trio.Event()
        self._made = 0
        self._run = secrets.token_hex(3)

    # --- what the daemon says and asks ----------------------------------------------------------

    def note(self, record: ev.Record) -> None:
        """A record was written."""
        if self.lending.note(record):
            self._changed.set()
        self._offer_changed.set()

    def look_at_clock(self) -> None:
        """Before each event: whether what is ours surely still is."""
        if self.view.standing != "lost" and not self.membership.is_sure:
            self.view.set_standing("lost")
            self._settle()
            self.lending.lose_all(self.lending.problem or "this daemon was stopped for too long")
            if self._session is not None:
                self._session.cancel()  # the next one looks at all anew

    def note_configured(self) -> None:
        """Other settings hold here: a pool may be larger or smaller."""
        self._settle()
        self._changed.set()
        self._offer_changed.set()

    @property
    def problem(self) -> str | None:
        return None if self.view.standing == "joined" else self.lending.problem

    def problems(self) -> list[str]:
        """A line for `degraded` where something is wrong."""
        found = [] if self.problem is None else [f"the fleet is away: {self.problem}"]
        if lost := sorted(self.lending.lost):
            numbers = ", ".join(str(one) for one in lost[:8])
            found.append(f"leases lost to the fleet, whose holders go on: {numbers}")
        return found

    def told(self) -> Frame:
        """The answer to `fleet`."""
        return fleet_map(self)

    def dress(self, row: Frame) -> Frame:
        """With its fencing token in the fleet, and whether it is lost."""
        return self.lending.dress(row)

    def remind(self, lease: Lease) -> None:
        """That it is lost."""
        self.lending.remind(lease)

    def order(self, node: str, order: str, answer: Answer) -> None:
        """Gives a node an order (`cordon`, `drain`; `open`: none); answers later."""
        if len(self._wishes) >= WISHES_MAX:
            message = f"{WISHES_MAX} orders wait to be given already; try again in a moment"
            answer(Unavailable(message, "too_many_connections"))
            return
        self._wishes.append((node, order, answer))
        self._wished.set()

    # --- what goes on all the time --------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            nursery.start_soon(self._give_orders)
            failures = 0
            while True:
                self._session = trio.CancelScope()
                try:
                    with self._session:
                        await self._join_and_stay()
                except* Away as problems:
                    failures = 0 if self.view.standing == "joined" else failures + 1
                    self._be_away(str(_first(problems)))
                if self._session.cancelled_caught:
                    self._be_away("etcd is being asked anew for all that there is")
                pause_s = PAUSES_S[min(failures, len(PAUSES_S) - 1)]
                await trio.sleep(pause_s)

    async def _keep_time(self) -> None:
        """Notices when what is ours is no longer surely so."""
        while True:
            left_s = self.membership.surely_until - boot_clock()
            await trio.sleep(max(left_s, 0.02) if self.view.standing != "lost" else 1.0)
            self.look_at_clock()

    def _be_away(self, problem: str) -> None:
        if self.view.standing == "joined":
            log.warning("the fleet is away: %s", problem)
        self.lending.problem = problem
        self._etcd = None
        if self.view.standing != "lost":
            self.view.set_standing(self.config.when_away)
        self._settle()
        self.look_at_clock()

    async def _join_and_stay(self) -> None:
        """A session with etcd.

        Raises:
            Away: it is over.
        """
        config = self.config
        account = Account(config.endpoints, config.user, config.password, config.ca_file)
        async with Etcd(account, self._answer_s) as etcd:
            found = await etcd.range(self.view.keys.prefix)
            mine = [one for one in found.entries if one.key == self.view.keys.node(config.node)]
            said = await self._register(etcd, mine[0] if mine else None)
            self.view.lease = self.membership.lease
            found = await etcd.range(self.view.keys.prefix)
            self._begin(self.view.begin_anew(found))
            self._etcd = etcd
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.membership.keep, etcd)
                nursery.start_soon(self._keep_watching, etcd, found.revision)
                nursery.start_soon(self._keep_asking, etcd)
                nursery.start_soon(self._keep_offering, etcd, said)

    def _begin(self, lost: list[int]) -> None:
        log.info("joined the fleet as %s", self.config.node)
        self.lending.problem = ""
        self.lending.lose(lost, "it was away for longer than its lease in etcd lasts")
        self.lending.adopt()
        self._obey()
        self._settle()
        self._changed.set()

    async def _register(self, etcd: Etcd, entry: Entry | None) -> Offer | None:
        """This node's key under this node's lease, or under one of its own of before. Gives what it
        says, where that was written anew.
        """
        name = self.config.node
        offer = None if entry is None else offer_of(entry.value)
        if entry is not None and (offer is None or offer.instance != self._own.instance):
            raise Refused(
                f'another daemon has joined as "{name}"; give each its own name by [fleet] node '
                f"(one that ended is forgotten within {self.config.ttl_s:g} s)"
            )
        await self.membership.begin(etcd, entry.lease if entry else self.membership.lease)
        if entry is None or entry.lease != self.membership.lease:
            offer = self._offer()
            key, value = self.view.keys.node(name), _written(offer)
            if not await etcd.put_if(key, value, self.membership.lease, entry):
                raise Away(f'what stands in etcd of "{name}" has just changed')
            return offer
        return None

    # --- in a session ---------------------------------------------------------------------------

    async def _keep_watching(self, etcd: Etcd, revision: int) -> None:
        """Hears of all that happens; anew where another endpoint is asked from now on."""
        heard = revision

        def take(news: News) -> None:
            nonlocal heard
            heard = max(heard, news.revision) if news.events else heard
            self._hear(news)

        while True:
            moved = etcd.moved
            async with trio.open_nursery() as nursery:
                nursery.start_soon(etcd.watch, self.view.keys.prefix, heard, take)
                await moved.wait()
                nursery.cancel_scope.cancel()

    def _hear(self, news: News) -> None:
        lost = [one for event in news.events for one in self.view.hear(event)]
        self.lending.lose(lost, "its permit in etcd is gone")
        if news.events:
            self._obey()
            self._settle()
            self._changed.set()

    def _settle(self) -> None:
        self.lending.settle(self.membership.surely_until - boot_clock())

    async def _keep_asking(self, etcd: Etcd) -> None:
        """Asks for permits as they are needed, and gives them back."""
        while True:
            with trio.move_on_after(self.lending.due_in_s()):
                await self._changed.wait()
            self._changed = trio.Event()
            self._settle()
            for pool, share, plan in list(self.lending.plans()):
                for permit in plan.give_back:
                    share.note_returned(permit)
                if plan.give_back:
                    self._settle()
                    await etcd.delete_all(plan.give_back)
                for units in plan.ask:
                    permits = [self._new_permit(pool) for _ in range(units)]
                    share.asked.update(dict.fromkeys(permits, trio.current_time()))
                    value = self._own.instance.encode()
                    entries = [(permit, value) for permit in permits]
                    await etcd.put_all(entries, self.membership.lease)

    def _new_permit(self, pool: str) -> str:
        self._made += 1
        number = f"{self._run}-{self._made:08d}"
        return self.view.keys.permit(pool, self.config.node, number)

    async def _keep_offering(self, etcd: Etcd, said: Offer | None) -> None:
        """Writes this node's offer when it changes; and looks whether what was put is heard of."""
        key = self.view.keys.node(self.config.node)
        while True:
            offer = self._offer()
            if offer != said:
                await etcd.put_all([(key, _written(offer))], self.membership.lease)
                said = offer
            await trio.sleep(offer_every_s(len(self.view.nodes)))
            self._check_is_heard()
            if not any(share.asked for _, share in self.lending.pools()):
                await self._offer_changed.wait()
            self._offer_changed = trio.Event()

    def _check_is_heard(self) -> None:
        asked = [at for _, share in self.lending.pools() for at in share.asked.values()]
        if asked and trio.current_time() - min(asked) > UNHEARD_S and self._session is not None:
            self._session.cancel()

    def _offer(self) -> Offer:
        config, agents = self.config, self.core.pools["agents"]
        return Offer(
            node=config.node,
            instance=self._own.instance,
            level=self.core.level.level,
            capacity=agents.capacity,
            out=agents.in_use,
            waiting=len(agents.waiters),
            labels=list(config.labels),
            cost=config.cost,
            state=STATES.get(self.view.orders.get(config.node), "open"),
            reach=config.reach,
            pools={pool.spec.name: pool.spec.capacity[0] for pool, _ in self.lending.pools()},
        )

    # --- orders ---------------------------------------------------------------------------------

    def _obey(self) -> None:
        """A node that is drained grants nothing; what a hand has paused here stays so."""
        is_drained = self.view.orders.get(self.config.node) == "drain"
        if is_drained != self._own.is_paused:
            self._own.is_paused = is_drained
            try:
                state_file.save(self._path, self._own)
            except Unavailable as problem:
                log.warning("%s", problem)
            log.info("this node is %s by order of the fleet", "drained" if is_drained else "open")
            self._feed(by_hand.Pause(NOBODY) if is_drained else by_hand.Unpause(NOBODY))
        self._offer_changed.set()

    async def _give_orders(self) -> None:
        while True:
            await self._wished.wait()
            self._wished = trio.Event()
            wishes, self._wishes = self._wishes, []
            for node, order, answer in wishes:
                try:
                    answer(await self._give(node, order))
                except AdmissionError as problem:
                    answer(problem)

    async def _give(self, node: str, order: str) -> Frame:
        if self._etcd is None:
            raise Unavailable(f"the fleet is away: {self.lending.problem}", "fleet_away")
        if node not in self.view.nodes and node not in self.view.orders:
            raise unknown_node(node, self.view)
        key = self.view.keys.order(node)
        if order == "open":
            await self._etcd.delete_all([key])
        else:
            await self._etcd.put_all([(key, order.encode())], 0)
        return {"node": node, "state": STATES.get(order, "open")}


def offer_every_s(nodes: int) -> float:
    """How often a node of so many writes its offer, if it changes all the time."""
    return max(OFFER_EVERY_S, nodes / OFFERS_PER_S)


def _written(offer: Offer) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(offer, at_s=round(time.time(), 3)))


def _first(problems: BaseExceptionGroup[BaseException]) -> BaseException:
    found = problems.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
