"""Bugs in what is done against pressure that remains; see `tests.core.bugs`."""

from tests.core.planting import bug

UNDER_PRESSURE = (
    bug(
        "the last one that runs is asked to end",
        "ladder.py",
        "        if _has_company(ledger, one)\n",
        "",
    ),
    bug(
        "one that a person works with is shed",
        "ladder.py",
        "        if one.is_out and not one.claim.interactive and not one.is_parking\n",
        "        if one.is_out and not one.is_parking\n",
    ),
    bug(
        "one after the other is asked to end without a pause",
        "ladder.py",
        "        self._asked_at = now\n        if victim",
        "        if victim",
    ),
    bug(
        "a restart asks the next one at once",
        "ladder.py",
        "        self._asked_at = now\n        for",
        "        for",
    ),
    bug(
        "who was asked to end is asked again",
        "ladder.py",
        "        victim = replace(victim, is_parking=True)\n",
        "",
    ),
    bug(
        "one that stands still is left to",
        "ladder.py",
        "            is_due = now >= lease.frozen_at + shed.freeze_max_s\n",
        "            is_due = False\n",
    ),
    bug(
        "nobody wakes for one that stands still",
        "admission.py",
        "            due_at = min(due_at, self.ladder.next_at(ledger, self.governor))\n",
        "            pass\n",
    ),
    bug(
        "a restart leaves those who stand still",
        "ladder.py",
        "        for lease in _frozen(ledger):\n            _thaw(ledger, lease)\n",
        "",
    ),
    bug(
        "it is written that one goes on before it does",
        "ladder.py",
        "    ledger.effects.append(shedding.Thaw(lease))\n"
        "    thawed = replace(lease, is_frozen=False)\n"
        "    ledger.put_lease(thawed)\n"
        "    ledger.frozen.discard(lease.id)\n"
        "    ledger.persist(shedding.Thawed(lease.id))\n",
        "    thawed = replace(lease, is_frozen=False)\n"
        "    ledger.put_lease(thawed)\n"
        "    ledger.frozen.discard(lease.id)\n"
        "    ledger.persist(shedding.Thawed(lease.id))\n"
        "    ledger.effects.append(shedding.Thaw(lease))\n",
    ),
    bug(
        "one is stopped before that is written",
        "ladder.py",
        "        ledger.persist(shedding.Frozen(victim.id, now))\n"
        "        ledger.effects.append(shedding.Freeze(victim, reason))\n",
        "        ledger.effects.append(shedding.Freeze(victim, reason))\n"
        "        ledger.persist(shedding.Frozen(victim.id, now))\n",
    ),
    bug(
        "what a lease leaves stands still for ever",
        "ledger.py",
        "            self.effects.append(Thaw(lease))  # nor may what it leaves stand still\n",
        "",
    ),
    bug(
        "one goes on standing still where all others end",
        "ladder.py",
        "            if is_over or is_due or not _has_company(ledger, lease):\n",
        "            if is_over or is_due:\n",
    ),
    bug(
        "one is stopped again before it has rested",
        "ladder.py",
        "                and now >= one.frozen_at + shed.freeze_rest_s\n",
        "",
    ),
    bug(
        "one is stopped that has to renew its lease meanwhile",
        "ladder.py",
        "                and one.due_at > now + shed.freeze_max_s\n",
        "",
    ),
    bug(
        "who was parked comes last",
        "queueing.py",
        "ahead=int(is_back)",
        "ahead=0",
    ),
    bug(
        "another user's parked lease opens the way",
        "queueing.py",
        "    is_back = resumes is not None and ledger.parked.get(resumes) == claim.uid\n",
        "    is_back = resumes is not None and resumes in ledger.parked\n",
    ),
    bug(
        "one parked lease opens the way again and again",
        "queueing.py",
        "        del ledger.parked[resumes]\n",
        "        pass\n",
    ),
    bug(
        "a restart forgets who was asked to end",
        "restart.py",
        "            lease = replace(lease, is_parking=True)\n",
        "            pass\n",
    ),
    bug(
        "advice has no end",
        "ladder.py",
        "        elif used_pct < shed.advise_pct - shed.advise_margin_pct:\n"
        "            self._end_advice(ledger)\n",
        "        elif used_pct < shed.advise_pct - shed.advise_margin_pct:\n            return\n",
    ),
)
