"""Bugs in what is learnt of tasks and in the budget by it; see `tests.core.bugs`."""

from tests.core.planting import bug

ON_DEMAND = (
    bug(
        "what a lease takes already is owed once more",
        "demand.py",
        "        return share * max(0.0, mean_bytes - tally.reading.memory_bytes)\n",
        "        return share * mean_bytes\n",
    ),
    bug(
        "one that takes more than its task as a rule pays for another",
        "demand.py",
        "        return share * max(0.0, mean_bytes - tally.reading.memory_bytes)\n",
        "        return share * (mean_bytes - tally.reading.memory_bytes)\n",
    ),
    bug(
        "what a lease was seen to take is believed for ever",
        "demand.py",
        "        return None if tally is None or self.memory.at - tally.at > fresh_s else tally\n",
        "        return tally\n",
    ),
    bug(
        "a lease's own height does not count",
        "demand.py",
        "        if tally is None or tally.peak_bytes <= found.peak_bytes:\n",
        "        if True:\n",
    ),
    bug(
        "one that regains its units is reckoned as new",
        "demand.py",
        "        each.append(self.burst_bytes(waiter.claim, own))\n",
        "        each.append(self.burst_bytes(waiter.claim, None))\n",
    ),
    bug(
        "bursts add up",
        "demand.py",
        "sqrt(sum(burst * burst for burst in each))",
        "sum(each)",
    ),
    bug(
        "an old lease owes as much as a young one",
        "demand.py",
        "        share = 1.0 if is_young else",
        "        share = 1.0 if True else",
    ),
    bug(
        "all of the memory counts for a task that never fits",
        "demand.py",
        "        if found.peak_bytes <= total - rest:\n",
        "        if found.peak_bytes <= total:\n",
    ),
    bug(
        "a single run says that a task never fits",
        "demand.py",
        "found.runs < settings.sure_runs",
        "not found.runs",
    ),
    bug(
        "a run that was cut short is as good as a whole one",
        "learning.py",
        "            count = figures.runs if to > value else figures.whole\n",
        "            count = figures.runs\n",
    ),
    bug(
        "nobody wakes for a task that has paused for long enough",
        "admission.py",
        "            due_at = min(due_at, self.learner.next_at())\n",
        "            pass\n",
    ),
    bug(
        "a task that pauses holds up those behind it",
        "pool.py",
        "            if self.pauses_until(waiter) is not None:\n                return True\n",
        "",
    ),
    bug(
        "a task that pauses is granted where it is the first",
        "pool.py",
        " and (not self._is_pausing or self.pauses_until(first) is None)",
        "",
    ),
    bug(
        "a task pauses for each run that was ever killed",
        "learning.py",
        "            if run.ended is Ended.FINISHED:\n                break\n",
        "",
    ),
    bug(
        "what is heard late is not learnt",
        "learning.py",
        "                self.estimates.amend(run, amended, at)\n",
        "",
    ),
    bug(
        "an old look takes the place of a newer one",
        "learning.py",
        "                if event.at >= tally.at:\n",
        "                if True:\n",
    ),
    bug(
        "one that is as heavy passes a heavy one",
        "filling.py",
        "pool.height_bytes(waiter) < below_bytes and ",
        "",
    ),
    bug(
        "a heavy one is passed for as long as lighter ones come",
        "demand.py",
        "any(self.expected(one).peak_bytes >= NEARLY * own.peak_bytes for one in before)",
        "any(True for one in before)",
    ),
    bug(
        "a heavy one is passed while one is out that came after it",
        "demand.py",
        " if one.is_out and one.ticket < waiter.ticket)",
        " if one.is_out)",
    ),
    bug(
        "one of which nothing is known is passed as heavy",
        "demand.py",
        "        if not own.runs:\n            return False\n",
        "",
    ),
    bug(
        "one that regains its units is passed as heavy",
        "demand.py",
        "        if not settings.mixes or waiter.lease is not None:\n",
        "        if not settings.mixes:\n",
    ),
    bug(
        "what was once expected of a task is expected for ever",
        "learning.py",
        'where that is long ago."""\n        self._known.clear()\n',
        'where that is long ago."""\n',
    ),
)
