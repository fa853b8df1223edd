"""Who else there is, and how much room they have: the nodes of the configuration, each asked by
its own `admission status`, and those of the fleet, of which this machine's daemon knows.
"""

import json
import random
from math import inf

import trio

from admission.core.placement import CAUTION, OPEN, Offer
from admission.protocol import AdmissionError, BadConfiguration, Frame, Unreachable
from admission_client import aio
from admission_client.granted import mapping, number, rows, text, whole, words_of
from admission_client.overflow import troubles
from admission_client.overflow.nodes import Node, Settings
from admission_client.overflow.reach import (
    SAID_BYTES_MAX,
    NodeFailed,
    line_to,
    run_to_end,
    why_failed,
)

# So many are asked at a time; of more, some by lot.
ASKED_MAX = 8
# Without a fleet, and a daemon that has never heard of any.
NO_FLEET = ("no_fleet", "unknown_op")


class Peers:
    """The other nodes.

    Args:
        settings: which there are, and how they are reached.
        pool: of which room is wanted.
        cwd: where we are.
        socket: of this machine's daemon.
    """

    def __init__(self, settings: Settings, pool: str, cwd: str, socket: str | None) -> None:
        self.nodes = dict(settings.nodes)
        self._settings = settings
        self._pool = pool
        self._cwd = cwd
        self._socket = socket

    async def check(self) -> None:
        """Sees whether there is anybody to ask.

        Raises:
            BadConfiguration: nobody.
        """
        if not self._settings.nodes and await self._fleet() is None:
            raise BadConfiguration(
                f"--overflow needs other nodes: name them in {self._settings.path}, each by a "
                "table [overflow.nodes.NAME]"
            )

    async def offers(self) -> tuple[list[Offer], list[NodeFailed]]:
        """What the others offer, and who could not say so. A failure is noted; who rests is not
        asked.
        """
        fleet = await self._fleet() or {"nodes": []}
        # A node that is gone is taken out of the fleet, so however old its word is, it holds; as
        # long as we hear of it.
        age_s = 0.0 if fleet.get("state") == "joined" else inf
        heard = [self._heard(row, age_s) for row in rows(fleet, "nodes")]
        offers = [offer for offer in heard if offer is not None]
        told = {offer.node for offer in offers}
        known = troubles.troubles_of(self._settings.nodes)
        asked, failures = [], list[NodeFailed]()
        for node in self._settings.nodes.values():
            if node.name in told:
                continue
            if CAUTION.rests(known.get(node.name)):
                # Only to be told of: that it rests goes before whatever else could be said.
                offers.append(Offer(node.name, 1, 1, labels=node.labels, cost=node.cost))
            else:
                asked.append(node)

        async def ask(node: Node) -> None:
            try:
                offers.append(await self._ask(node))
            except NodeFailed as problem:
                troubles.failed(node.name)
                failures.append(problem)
                offers.append(Offer(node.name, 0, 0, state="failed just now"))

        async with trio.open_nursery() as nursery:
            for node in random.sample(asked, min(ASKED_MAX, len(asked))):
                nursery.start_soon(ask, node)
        return offers, failures

    async def _ask(self, node: Node) -> Offer:
        line = line_to(node, self._settings, self._cwd, "status", "--json")
        try:
            done = await run_to_end(line, 2 * self._settings.table.connect_s)
        except trio.TooSlowError:
            raise NodeFailed(f"node {node.name} {why_failed(node, None, b'')}") from None
        except OSError as problem:
            said = f"can't be reached: {line[0]}: {problem.strerror}"
            raise NodeFailed(f"node {node.name} {said}") from None
        if done.returncode:
            said = why_failed(node, done.returncode, done.stderr[-SAID_BYTES_MAX:])
            raise NodeFailed(f"node {node.name} {said}")
        try:
            return self._read(node, _object_in(done.stdout))
        except (ValueError, Unreachable):
            said = "does not say its state as this version of admission does"
            raise NodeFailed(f"node {node.name} {said}") from None

    def _read(self, node: Node, status: Frame) -> Offer:
        paused = status.get("paused")
        is_paused = isinstance(paused, dict) and self._pool in paused
        if self._pool not in mapping(status, "capacity"):
            return Offer(node.name, 0, 0, state=f"has no pool {self._pool}")
        return Offer(
            node=node.name,
            capacity=whole(mapping(status, "capacity"), self._pool),
            out=whole(mapping(status, "in_use"), self._pool),
            waiting=whole(mapping(status, "waiting"), self._pool),
            labels=node.labels,
            cost=node.cost,
            state="paused" if is_paused else OPEN,
        )

    # --- the fleet ------------------------------------------------------------------------------

    async def _fleet(self) -> Frame | None:
        """What this machine's daemon knows of the fleet; None where there is none."""
        try:
            async with aio.Client(self._socket) as client:
                return await client.ask("fleet")
        except AdmissionError as problem:
            # A daemon that is away now is back in a moment, and the place in its queue with it.
            return None if problem.code in NO_FLEET else {"nodes": []}

    def _heard(self, told: Frame, age_s: float) -> Offer | None:
        """One of the fleet's offers; None of ourselves, and where nobody is there to be reached."""
        node = self._settings.of_fleet(told)
        if told.get("self") or node is None:
            return None
        try:
            is_agents = self._pool == "agents"
            capacity = told if is_agents else mapping(told, "pools")
            offer = Offer(
                node=node.name,
                capacity=whole(capacity, "capacity" if is_agents else self._pool),
                out=whole(told, "out") if is_agents else 0,  # it says so of no other pool
                waiting=whole(told, "waiting") if is_agents else 0,
                labels=node.labels | frozenset(words_of(told, "labels")),
                cost=number(told, "cost"),
                state=text(told, "state"),
                age_s=age_s,
            )
        except Unreachable:
            return None
        self.nodes[node.name] = node
        return offer


def _object_in(said: bytes) -> Frame:
    """The JSON that was printed, from the first line on that begins it; a login shell may have said
    something before.
    """
    text = said.decode(errors="replace")
    start = 0 if text.startswith("{") else text.find("\n{") + 1
    found = json.loads(text[start:])
    if not isinstance(found, dict):
        raise ValueError
    return found
