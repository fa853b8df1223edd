"""Bugs in reservations, pauses, who is put ahead, and alarms; see `tests.core.bugs`."""

from tests.core.planting import bug

WHAT_A_HAND_WISHES = (
    bug(
        "what is reserved is granted to anybody",
        "pool.py",
        "        return self.kept().from_others(waiter.claim)\n",
        "        return 0\n",
    ),
    bug(
        "a lease of whom it is for uses up nothing",
        "reserving.py",
        "                self._left[place] = one, max(0, left - lease.claim.weight)\n",
        "                self._left[place] = one, left\n",
    ),
    bug(
        "one lease counts towards every reservation that it matches",
        "reserving.py",
        "            if lease.is_out and (place :=",
        "            while lease.is_out and (place :=",
    ),
    bug(
        "whoever has class or group may use what is for both",
        "reserving.py",
        "self.rank in (None, rank) and self.group",
        "self.rank in (None, rank) or self.group",
    ),
    bug(
        "who is meant waits behind who came first",
        "pool.py",
        "kept.first(self.queue()) if kept.is_for_any(self._kinds) else self.queue()",
        "self.queue()",
    ),
    bug(
        "who is meant is granted beyond the capacity",
        "pool.py",
        "        return waiter.claim.weight <= ",
        "        return waiter.claim.weight - self.is_meant(waiter) <= ",
    ),
    bug(
        "who is meant keeps the delay like others",
        "pool.py",
        "        return now >= self.ready_at() or self.is_meant(waiter)\n",
        "        return now >= self.ready_at()\n",
    ),
    bug(
        "what is kept is no promise to the budget",
        "pool.py",
        "leases, kept = self.leases.values(), self.kept_from(waiter)\n",
        "leases, kept = self.leases.values(), 0\n",
    ),
    bug(
        "who is meant is held up by the budget",
        "pool.py",
        "        if self.memory is None or self.is_meant(waiter):\n",
        "        if self.memory is None:\n",
    ),
    bug(
        "one that is too large beside a reservation stops all",
        "reserving.py",
        "        return sum([one.units for one, _ in self._left]) - own\n",
        "        return 0\n",
    ),
    bug(
        "reservations that overlap are not added up",
        "reserving.py",
        "        if reserved + new.units <= most:\n",
        "        if new.units <= most:\n",
    ),
    bug(
        "a reservation begins at once",
        "reserving.py",
        "if one.from_at <= now < one.until_at]",
        "if now < one.until_at]",
    ),
    bug(
        "the end of a reservation wakes nobody",
        "reserving.py",
        "        return min(begins + [one.until_at for one in self.all.values()], default=inf)\n",
        "        return min(begins, default=inf)\n",
    ),
    bug(
        "a reservation that was taken back is there after a restart",
        "restart.py",
        "                pool.reservations.all.pop(number, None)\n",
        "                pass\n",
    ),
    bug(
        "a compacted journal forgets reservations",
        "restart.py",
        "        yield from (by_hand.Reserved(one) for one in pool.reservations.all.values())\n",
        "",
    ),
    bug(
        "a pause is no obstacle to who yielded",
        "pool.py",
        "        if self.paused_until is not None:\n            return False\n",
        "        if self.paused_until is not None and waiter.lease is None:\n"
        "            return False\n",
    ),
    bug(
        "the end of a pause wakes nobody",
        "operating.py",
        "min([*pauses, *begins_and_ends], default=inf)",
        "min(begins_and_ends, default=inf)",
    ),
    bug(
        "a restart goes on where a hand had paused",
        "restart.py",
        "            yield by_hand.Paused(pool.spec.name, pool.paused_until)\n",
        "            pass\n",
    ),
    bug(
        "who is put ahead goes before higher classes",
        "order.py",
        "            return rank, (kind, -waiter.ahead, waiter.ticket)\n",
        "            return 0, (kind, -waiter.ahead, waiter.ticket)\n",
    ),
    bug(
        "who is put back goes before all others",
        "order.py",
        "            kind = 0 if waiter.ahead > 0 else PUT_BACK\n",
        "            kind = 0\n",
    ),
    bug(
        "who is put back is lost in the queue",
        "order.py",
        "            yield from self._as_listed(self._last[rank], ahead, is_passed_over)\n",
        "",
    ),
    bug(
        "of two who are put back the first stays last",
        "operating.py",
        "min(ahead, min([0, *others]) - 1)",
        "min(ahead, -1)",
    ),
    bug(
        "who was put back and is put ahead goes by shares",
        "operating.py",
        "max(ahead, max([0, *others]) + 1)",
        "max(ahead, 0 if ahead < 0 else max([0, *others]) + 1)",
    ),
    bug(
        "a restart forgets who was put ahead",
        "restart.py",
        "                waiters[ticket] = replace(waiters[ticket], ahead=ahead)\n",
        "                pass\n",
    ),
    bug(
        "who is granted in that step raises an alarm",
        "admission.py",
        "        self._settle(now)\n",
        "        effects += self.alarms.ring(self.ledger, self.governor, now)\n"
        "        self._settle(now)\n",
    ),
    bug(
        "an alarm is forgotten as soon as it was told",
        "alarms.py",
        "            self._rung[key] = None\n",
        "",
    ),
    bug(
        "a lease that is yielded is held for too long",
        "alarms.py",
        "isinstance(found, Waiter) or (found.is_out and found.over_at == at)",
        "isinstance(found, Waiter) or found.over_at == at",
    ),
    bug(
        "who regains goes on where it was",
        "alarms.py",
        "        if regained := ledger.lease(record.lease):",
        "        if regained := None:",
    ),
    bug(
        "a wait by a deadline does not end",
        "queueing.py",
        "    return min([each for each in (one_s, other_s) if each is not None], default=None)\n",
        "    return one_s\n",
    ),
    bug(
        "who can't start in time waits all the same",
        "queueing.py",
        "    if eta_s is None or eta_s <= by_s:\n",
        "    if eta_s is None or eta_s < inf:\n",
    ),
)
