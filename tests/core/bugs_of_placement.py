"""Bugs in where work goes that finds no room here; see `tests.core.bugs`."""

from tests.core.planting import bug

WHERE_WORK_GOES = (
    bug(
        "all who decide at once choose the node with the most room",
        "placement.py",
        "    first = _draw(left, numbers)\n",
        "    return max(left, key=lambda offer: offer.room)\n    first = _draw(left, numbers)\n",
    ),
    bug(
        "of two nodes the fuller one is taken",
        "placement.py",
        "first.room >= second.room",
        "first.room <= second.room",
    ),
    bug(
        "who waits on a node has no claim to its room",
        "placement.py",
        "self.capacity - self.out - self.waiting)",
        "self.capacity - self.out)",
    ),
    bug(
        "a node's cost counts for nothing",
        "placement.py",
        "[one for one in with_room if one.cost == cheapest]",
        "with_room",
    ),
    bug(
        "a cordoned node is sent work",
        "placement.py",
        "    if offer.state != OPEN:\n",
        '    if offer.state == "draining":\n',
    ),
    bug(
        "a node with one of the labels will do",
        "placement.py",
        "missing := sorted(wanted.labels - offer.labels)",
        "missing := sorted(wanted.labels) * (not wanted.labels & offer.labels)",
    ),
    bug(
        "a node that failed rests for ever",
        "placement.py",
        "        return trouble.ago_s < self.rest_s\n",
        "        return True\n",
    ),
    bug(
        "one failure is enough to rest",
        "placement.py",
        "trouble.failures < self.failures_max",
        "trouble.failures <= 0",
    ),
    bug(
        "old news count as new",
        "placement.py",
        "    if offer.age_s > caution.stale_s:\n",
        "    if offer.age_s < 0:\n",
    ),
    bug(
        "a node is sent more than it has room for",
        "placement.py",
        "offer.room >= wanted.weight]",
        "offer.room]",
    ),
    bug(
        "the order in which nodes are told decides",
        "placement.py",
        "    left = sorted(offers, key=lambda offer: offer.node)\n",
        "    left = list(offers)\n",
    ),
)
