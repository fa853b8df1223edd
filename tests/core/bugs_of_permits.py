"""Bugs in what the fleet permits; see `tests.core.bugs`."""

from tests.core.planting import bug

WHAT_THE_FLEET_PERMITS = (
    bug(
        "a grant uses up no permit",
        "pool.py",
        "        self.permits -= waiter.claim.weight if self.spec.is_fleet else 0\n",
        "",
    ),
    bug(
        "a grant that can't be written has used its permit",
        "pool.py",
        "        self.permits += waiter.claim.weight if self.spec.is_fleet else 0\n",
        "",
    ),
    bug(
        "what is given back is lent again without asking the fleet",
        "pool.py",
        "        return min(free, self.permits) if self.spec.is_fleet else free\n",
        "        return free\n",
    ),
    bug(
        "a fleet pool lends more here than it has in all",
        "pool.py",
        "        return min(free, self.permits) if self.spec.is_fleet else free\n",
        "        return self.permits if self.spec.is_fleet else free\n",
    ),
    bug(
        "permits last for ever",
        "permitting.py",
        "        if pool.permitted_until <= now:\n",
        "        if pool.permitted_until < -now:\n",
    ),
    bug(
        "now or not is answered before the fleet is",
        "permitting.py",
        "    return max(wait_s, ASK_S)\n",
        "    return wait_s\n",
    ),
    bug(
        "permits add up",
        "permitting.py",
        "        pool.permits = event.units if event.until_at > now else 0\n",
        "        pool.permits += event.units if event.until_at > now else 0\n",
    ),
    bug(
        "what comes too late is permitted once more",
        "permitting.py",
        "event.units if event.until_at > now else 0",
        "event.units",
    ),
    bug(
        "a permit that may be gone is lent again",
        "fleet.py",
        "for permit in self.ours - self.returned - self.lease_of.keys()\n",
        "for permit in self.ours - self.lease_of.keys()\n",
    ),
    bug(
        "who was cut off for longer than its lease lends on",
        "fleet.py",
        '        if self.standing in ("refuse", "lost"):\n',
        '        if self.standing == "refuse":\n',
    ),
    bug(
        "of those that hold too little nobody gives way",
        "fleet.py",
        "now - self._unused_since[one] >= UNUSED_S]",
        "now - self._unused_since[one] < 0]",
    ),
    bug(
        "who stands one place later holds as well",
        "fleet.py",
        "        return self.line.place(permit) < self.capacity\n",
        "        return self.line.place(permit) <= self.capacity\n",
    ),
    bug(
        "a permit is for one lease after the other",
        "fleet.py",
        "self.holds(permit) and not (is_joined and permit in self.spent)",
        "self.holds(permit)",
    ),
    bug(
        "those who came first give back",
        "fleet.py",
        "key=self.line.place)[lacking:]",
        "key=self.line.place)[:-lacking]",
    ),
)
