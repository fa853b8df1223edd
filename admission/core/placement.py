"""Which node work goes to that could not start here: most room first, and no herd.

Of the nodes that may have it, those of the lowest cost that have room are looked at; two of them
are drawn by lot, and the one with more room is taken. The lot is what keeps many who decide at
once, by the same news of a moment ago, from all choosing the same node.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

OPEN = "open"
# Of more nodes than these, a reason says only how many there are.
NAMED_MAX = 3


@dataclass(frozen=True, slots=True)
class Offer:
    """What a node said of itself `age_s` ago: units of the pool, and how many wait for them.

    `state`: `open`, `cordoned` or `draining`. `cost` is what whoever runs it says that it costs.
    """

    node: str
    capacity: int
    out: int
    waiting: int = 0
    labels: frozenset[str] = frozenset()
    cost: float = 0.0
    state: str = OPEN
    age_s: float = 0.0

    @property
    def room(self) -> int:
        """Units that nobody has, or waits for."""
        return max(0, self.capacity - self.out - self.waiting)


@dataclass(frozen=True, slots=True)
class Trouble:
    """How often in a row a node has failed, and how long ago it did so last."""

    failures: int
    ago_s: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the work asks of a node: all of these labels, so many units, at most that cost."""

    labels: frozenset[str] = frozenset()
    weight: int = 1
    cost_max: float = inf


@dataclass(frozen=True, slots=True)
class Caution:
    """Older news than `stale_s` are none. A node that failed `failures_max` times in a row rests
    for `rest_s`.
    """

    stale_s: float = 60.0
    failures_max: int = 2
    rest_s: float = 300.0

    def rests(self, trouble: Trouble | None) -> bool:
        """Whether a node with this behind it is left alone for now."""
        if trouble is None or trouble.failures < self.failures_max:
            return False
        return trouble.ago_s < self.rest_s


CAUTION = Caution()


@dataclass(frozen=True, slots=True)
class Placement:
    """The node, or None and why none. `would_fit`: so many would take the work, but are full."""

    node: str | None
    reason: str
    would_fit: int = 0


def place(
    offers: Sequence[Offer],
    wanted: Wanted,
    troubles: Mapping[str, Trouble],
    numbers: Iterator[float],
    caution: Caution = CAUTION,
) -> Placement:
    """The node that the work is to go to.

    Args:
        offers: of each node that there is, but this one.
        wanted: what the work asks for.
        troubles: of those that failed, by node.
        numbers: from 0 up to 1, by lot; up to two are drawn.
        caution: whom to leave alone.
    """
    objections = {
        offer.node: objection(offer, wanted, troubles.get(offer.node), caution) for offer in offers
    }
    fit = [offer for offer in offers if objections[offer.node] is None]
    with_room = [offer for offer in fit if offer.room >= wanted.weight]
    if not with_room:
        return Placement(None, _in_words(objections), len(fit))
    cheapest = min(offer.cost for offer in with_room)
    chosen = _roomier_of_two([one for one in with_room if one.cost == cheapest], numbers)
    return Placement(chosen.node, f"{chosen.room} of {chosen.capacity} units are free", len(fit))


def objection(
    offer: Offer, wanted: Wanted, trouble: Trouble | None, caution: Caution
) -> str | None:
    """Why this node can't have the work, whatever its room; None where it can."""
    if offer.state != OPEN:
        return offer.state
    if missing := sorted(wanted.labels - offer.labels):
        return f"not labelled {', '.join(missing)}"
    if offer.cost > wanted.cost_max:
        return "costs too much"
    if caution.rests(trouble):
        return "failed, and rests"
    if offer.capacity < wanted.weight:
        return "too small"
    if offer.age_s > caution.stale_s:
        return "not heard of lately"
    return None


def _roomier_of_two(offers: list[Offer], numbers: Iterator[float]) -> Offer:
    left = sorted(offers, key=lambda offer: offer.node)
    first = _draw(left, numbers)
    if not left:
        return first
    second = _draw(left, numbers)
    return first if first.room >= second.room else second


def _draw(offers: list[Offer], numbers: Iterator[float]) -> Offer:
    """Takes one of them out, by lot."""
    if len(offers) == 1:
        return offers.pop()
    return offers.pop(min(int(next(numbers) * len(offers)), len(offers) - 1))


def _in_words(objections: Mapping[str, str | None]) -> str:
    """`build2, build3: full; gpu1: cordoned`; of many nodes only how many."""
    by_reason: dict[str, list[str]] = {}
    for node, why in sorted(objections.items()):
        by_reason.setdefault(why or "full", []).append(node)
    said = [
        f"{', '.join(nodes) if len(nodes) <= NAMED_MAX else f'{len(nodes)} nodes'}: {why}"
        for why, nodes in by_reason.items()
    ]
    return "; ".join(said) or "there is no other node"
