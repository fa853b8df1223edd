"""All that the fleet says, as it is heard of here: who there is, what was ordered, who has what."""

from collections.abc import Callable
from dataclasses import dataclass

from admission.core.fleet import Share, Standing
from admission.service.fleet.etcd import Entry, Found
from admission.service.fleet.keys import Keys, Offer, OfNode, OfOrder, OfPermit, offer_of


@dataclass(frozen=True, slots=True)
class Seen:
    """A node's offer, and when it came here. `entry`: as it stands in etcd."""

    offer: Offer
    at: float
    entry: Entry


class View:
    """See the module.

    Args:
        keys: where things stand.
        node: which node is this one.
        instance: which daemon is this one, as two may have been given one node's name.
        clock: seconds that never go back.
    """

    def __init__(self, keys: Keys, node: str, instance: str, clock: Callable[[], float]) -> None:
        self.keys, self.node, self.instance = keys, node, instance
        self._clock = clock
        self.nodes: dict[str, Seen] = {}
        self.orders: dict[str, str] = {}
        self.shares: dict[str, Share] = {}
        self.standing: Standing = "refuse"
        # That of this node in etcd, under which its permits stand.
        self.lease = 0
        # Permits as they are seen; of those that a range does not find again, the end was missed.
        self._permits: dict[str, OfPermit] = {}

    def age_s(self, seen: Seen) -> float:
        """How long ago this came here."""
        return round(self._clock() - seen.at, 3)

    def share(self, pool: str) -> Share:
        if (share := self.shares.get(pool)) is None:
            share = self.shares[pool] = Share(0)
            share.standing = self.standing
        return share

    def by_node(self, pool: str) -> dict[str, tuple[int, int]]:
        """Of each node that has any, how many permits hold and how many wait."""
        share, found = self.share(pool), dict[str, tuple[int, int]]()
        for key, permit in self._permits.items():
            if permit.pool == pool:
                held, waiting = found.get(permit.node, (0, 0))
                holds = share.holds(key)
                found[permit.node] = (held + holds, waiting + (not holds))
        return dict(sorted(found.items()))

    def begin_anew(self, found: Found) -> list[int]:
        """This is all that there is. Gives the leases that have lost their permits."""
        there = {entry.key for entry in found.entries}
        lost = [one for key in [*self._permits] if key not in there for one in self._drop(key)]
        self.nodes.clear()
        self.orders.clear()
        for entry in found.entries:
            self.put(entry)
        self.standing = "joined"
        for share in self.shares.values():
            share.join()
        return lost

    def hear(self, event: Entry | str) -> list[int]:
        """A key was put, or is gone; likewise."""
        if isinstance(event, Entry):
            self.put(event)
            return []
        match self.keys.read(event):
            case OfNode(node):
                self.nodes.pop(node, None)
            case OfOrder(node):
                self.orders.pop(node, None)
            case OfPermit():
                return self._drop(event)
            case None:
                pass
        return []

    def put(self, entry: Entry) -> None:
        match self.keys.read(entry.key):
            case OfNode(node):
                if (offer := offer_of(entry.value)) is not None:
                    self.nodes[node] = Seen(offer, self._clock(), entry)
            case OfOrder(node):
                self.orders[node] = entry.value.decode(errors="replace")
            case OfPermit() as permit:
                self._permits[entry.key] = permit
                share = self.share(permit.pool)
                share.put(entry.key, entry.made_at, is_ours=self._is_ours(permit, entry))
            case None:
                pass

    def _is_ours(self, permit: OfPermit, entry: Entry) -> bool:
        """Whether this daemon asked for it and keeps it. Under another lease it ends any time."""
        is_by_us = permit.node == self.node and entry.value == self.instance.encode()
        return is_by_us and entry.lease == self.lease

    def _drop(self, key: str) -> list[int]:
        permit = self._permits.pop(key, None)
        if permit is None:
            return []
        lease = self.share(permit.pool).drop(key)
        return [] if lease is None else [lease]

    def set_standing(self, standing: Standing) -> None:
        """Etcd is away, or has been for so long that others may have what was ours."""
        self.standing = standing
        for share in self.shares.values():
            share.standing = standing
            share.most = share.capacity // max(1, len(self.nodes))

    def set_capacity(self, pool: str, configured: int) -> int:
        """How large the pool is: by the smallest word of all nodes, this one's among them, as one
        that is to be changed is changed on one after the other.
        """
        words = [seen.offer.pools.get(pool, configured) for seen in self.nodes.values()]
        share = self.share(pool)
        share.capacity = max(1, min([configured, *words]))
        return share.capacity
