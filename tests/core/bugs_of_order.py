"""Bugs in who goes first: shares of groups, and ageing; see `tests.core.bugs`."""

from tests.core.planting import bug

WHO_GOES_FIRST = (
    bug(
        "groups are served as they come",
        "order.py",
        "return self.out.get(group, 0), self._tags[group], line[0], group",
        "return 0, 0, line[0], group",
    ),
    bug(
        "two users share a group of one name",
        "order.py",
        "    return claim.uid, claim.group\n",
        "    return 0, claim.group\n",
    ),
    bug(
        "a group that was idle has saved up",
        "order.py",
        "max(self._started, self._idle_tags.pop(group, 0))",
        "self._idle_tags.pop(group, 0)",
    ),
    bug(
        "a group that was idle owes nothing any more",
        "order.py",
        "max(self._started, self._idle_tags.pop(group, 0))",
        "self._started",
    ),
    bug(
        "a group is told of what it gets, and not of what it gives back",
        "pool.py",
        "        self.order.count(claim, units)\n",
        "        self.order.count(claim, max(units, 0))\n",
    ),
    bug(
        "what is regained is charged a second time",
        "pool.py",
        "        if waiter.lease is None:\n"
        "            self._listing = None\n"
        "            self.order.charge(waiter.claim)\n",
        "        self.order.charge(waiter.claim)\n",
    ),
    bug(
        "a group owes what was taken back from it",
        "ledger.py",
        "        pool.note_taken_back(waiter)\n",
        "",
    ),
    bug(
        "one who is away pushes its group back",
        "order.py",
        "            if not is_passed_over(waiter):\n                ahead[group] =",
        "            if waiter:\n                ahead[group] =",
    ),
    bug(
        "nobody is woken when a waiter climbs",
        "ledger.py",
        "        due_at = min(one.deadline_at, one.away_until, ages_at)\n",
        "        due_at = min(one.deadline_at, one.away_until)\n",
    ),
    bug(
        "nobody is woken when a waiter climbs a second time",
        "order.py",
        "        return self.ageing.climbs_at(waiter, climbed + 1)\n",
        "        return inf if climbed else self.ageing.climbs_at(waiter, 1)\n",
    ),
    bug(
        "who has climbed stands behind those who yielded",
        "order.py",
        "            return rank, (1, 0, waiter.ticket)\n",
        "            return rank, (3, 0, waiter.ticket)\n",
    ),
    bug(
        "who has climbed stands at the end of its new class",
        "order.py",
        "        if climbed:\n            return rank, (1, 0, waiter.ticket)\n",
        "",
    ),
    bug(
        "a large one is passed for ever",
        "filling.py",
        "    return max(now, pool.ready_at()) < passed_until(pool, waiter)\n",
        "    return True\n",
    ),
    bug(
        "whether one may be passed is judged before the delay between grants",
        "filling.py",
        "    return max(now, pool.ready_at()) < passed_until(pool, waiter)\n",
        "    return now < passed_until(pool, waiter)\n",
    ),
    bug(
        "one of a lower class passes",
        "filling.py",
        "        if waiter.is_away or pool.order.rank_of(waiter) != rank or passed",
        "        if waiter.is_away or passed",
    ),
    bug(
        "only the first of two large ones may not be passed for ever",
        "filling.py",
        "        if not lets_pass(pool, waiter, now):\n            return None\n",
        "",
    ),
    bug(
        "one with room that waits for memory is passed",
        "filling.py",
        "    if pool.has_room(waiter):\n        return pool.waits_for_as_heavy(waiter)\n",
        "",
    ),
    bug(
        "one for whom units are reserved is passed",
        "filling.py",
        "    if pool.paused_until is not None or pool.is_meant(waiter):\n",
        "    if pool.paused_until is not None:\n",
    ),
    bug(
        "a waiter is as young as the daemon",
        "restart.py",
        "            ledger.age(now, away)\n",
        "",
    ),
)
