"""What is told of the fleet to whoever asks."""

from itertools import islice, takewhile
from typing import TYPE_CHECKING

import msgspec

from admission.protocol import BadRequest, Frame
from admission.service.fleet.view import Seen, View
from admission.service.queue_views import ROWS_BYTES_MAX, Room

if TYPE_CHECKING:
    from admission.service.fleet.fleet import Fleet

# So many nodes that use a pool are named.
SHOWN_MAX = 64
STANDINGS = {"joined": "joined", "lost": "away", "refuse": "away", "share": "away"}


def fleet_map(fleet: "Fleet") -> Frame:
    """The answer to `fleet`: the pools, and as many nodes as there is room for."""
    view, room = fleet.view, Room(ROWS_BYTES_MAX)
    pools = list(takewhile(room.takes, (_pool(fleet, name) for name in _pools(fleet))))
    rows = (_node(view, seen) for _, seen in sorted(view.nodes.items()))
    nodes = list(takewhile(room.takes, rows))
    return {
        "node": fleet.config.node,
        "state": STANDINGS[view.standing],
        "problem": fleet.problem,
        "when_away": fleet.config.when_away,
        "endpoints": list(fleet.config.endpoints),
        "nodes": nodes,
        "left_out": len(view.nodes) - len(nodes),
        "pools": pools,
    }


def _node(view: View, seen: Seen) -> Frame:
    return {
        **msgspec.to_builtins(seen.offer),
        "seen_s": view.age_s(seen),
        "self": seen.offer.node == view.node,
    }


def _pools(fleet: "Fleet") -> list[str]:
    return [pool.spec.name for pool, _ in fleet.lending.pools()]


def _pool(fleet: "Fleet", name: str) -> Frame:
    share, pool = fleet.view.share(name), fleet.core.pools[name]
    held, waiting = share.counts()
    return {
        "pool": name,
        "capacity": share.capacity,
        "held": held,
        "waiting": waiting,
        "own_held": pool.in_use,
        "own_waiting": len(pool.waiters),
        "nodes": {
            node: {"held": held, "waiting": waiting}
            for node, (held, waiting) in islice(fleet.view.by_node(name).items(), SHOWN_MAX)
        },
        "lost": [number for number in sorted(fleet.lending.lost) if number in pool.leases],
    }


def unknown_node(node: str, view: View) -> BadRequest:
    """That there is no such node, and which there are."""
    asked = "".join(char if char.isprintable() else "?" for char in node)
    known = ", ".join(sorted(view.nodes)[:20])
    return BadRequest(
        f'there is no node "{asked}" in the fleet; there are: {known}', "unknown_node"
    )
