"""Bugs in who is put off, and for how long; see `tests.core.bugs`."""

from tests.core.planting import bug

WHAT_CAN_WAIT = (
    bug(
        "nobody wakes for the end of one that is put off",
        "ledger.py",
        "        return min(due_at, one.deferred_until) if one.is_deferred else due_at\n",
        "        return due_at\n",
    ),
    bug(
        "one that is put off blocks those behind it",
        "pool.py",
        "            if waiter.is_deferred or (waiter.is_away and not waiter.keeps_place):\n",
        "            if waiter.is_away and not waiter.keeps_place:\n",
    ),
    bug(
        "one that is put off is served as the first of all",
        "pool.py",
        "        if first.is_deferred or not first.caller:\n",
        "        if not first.caller:\n",
    ),
    bug(
        "a restart puts off again who no longer was",
        "restart.py",
        "        waiters[waiter.ticket] = replace(waiter, is_deferred=False)\n",
        "        pass\n",
    ),
    bug(
        "one after the other is let go with each sample",
        "deferring.py",
        "    if sample.at - calm.let_go_at < throttle.defer.idle_s:\n        return False\n",
        "",
    ),
    bug(
        "one is let go while others wait",
        "deferring.py",
        "        if not is_passed_over(waiter):\n            return None\n",
        "",
    ),
    bug(
        "one is let go for whom there is no memory",
        "deferring.py",
        "    if used_bytes + unshown_bytes + peak_bytes > memory.ceiling_bytes:\n",
        "    if used_bytes > memory.ceiling_bytes:\n",
    ),
    bug(
        "sleep is rest",
        "admission.py",
        "                self.calm.forget()\n",
        "                pass\n",
    ),
    bug(
        "who must have started by then is refused at that instant",
        "deferring.py",
        "        by_s = None  # it says no more than that\n",
        "        pass\n",
    ),
    bug(
        "who is put off is an alarm",
        "alarms.py",
        "        return max(one.queued_at, one.deferred_until) + self._bounds_s",
        "        return one.queued_at + self._bounds_s",
    ),
)
