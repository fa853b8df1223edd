"""What stands in etcd under which key: offers, orders and permits."""

from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

import msgspec
from msgspec import Struct

Reach = dict[str, str | list[str]]
Order = Literal["cordon", "drain"]
State = Literal["open", "cordoned", "draining"]
STATES: dict[str | None, State] = {None: "open", "cordon": "cordoned", "drain": "draining"}


class Offer(Struct):
    """What a node says of itself. `capacity`, `out` and `waiting` are those of the pool `agents`;
    `pools`: how large each fleet pool is by its configuration. `at_s`: when it said so, by its own
    wall clock, which may be wrong.
    """

    node: str
    instance: str = ""
    level: int = 0
    capacity: int = 0
    out: int = 0
    waiting: int = 0
    labels: list[str] = []
    cost: float = 0.0
    state: State = "open"
    reach: Reach = {}
    pools: dict[str, int] = {}
    at_s: float = 0.0


_offers = msgspec.json.Decoder(Offer)


def offer_of(value: bytes) -> Offer | None:
    """The offer that this is; None where it is none, as another version may write another."""
    try:
        return _offers.decode(value)
    except (msgspec.DecodeError, ValueError):
        return None


class OfNode(NamedTuple):
    """The key is a node's offer."""

    node: str


class OfOrder(NamedTuple):
    """The key is an order to a node."""

    node: str


class OfPermit(NamedTuple):
    """The key is a permit for a unit of a pool."""

    pool: str
    node: str


class Keys:
    """The keys under a prefix; those of several fleets can stand in one etcd."""

    def __init__(self, prefix: str) -> None:
        self.prefix = f"{prefix.rstrip('/')}/"

    def node(self, node: str) -> str:
        return f"{self.prefix}nodes/{quote(node, safe='')}"

    def order(self, node: str) -> str:
        return f"{self.prefix}orders/{quote(node, safe='')}"

    def permit(self, pool: str, node: str, number: str) -> str:
        return f"{self.prefix}permits/{quote(pool, safe='')}/{quote(node, safe='')}/{number}"

    def read(self, key: str) -> OfNode | OfOrder | OfPermit | None:
        """What stands under this key; None for what is not ours."""
        match key.removeprefix(self.prefix).split("/"):
            case ["nodes", node]:
                return OfNode(unquote(node))
            case ["orders", node]:
                return OfOrder(unquote(node))
            case ["permits", pool, node, _]:
                return OfPermit(unquote(pool), unquote(node))
            case _:
                return None
