"""Bugs that semaphores, queues and lease servers have had, as edits to this core.

`scripts/plant_bugs.py` plants them one at a time and wants the tests of the core to find each.
`before` stands exactly once in its file. A new rule in the core comes with a bug here.
"""

from tests.core.bugs_of_advice import WHAT_IS_RECOMMENDED
from tests.core.bugs_of_deferring import WHAT_CAN_WAIT
from tests.core.bugs_of_demand import ON_DEMAND
from tests.core.bugs_of_forecasts import WHAT_IS_FORESEEN
from tests.core.bugs_of_hand import WHAT_A_HAND_WISHES
from tests.core.bugs_of_nesting import WHO_RUNS_UNDER_WHOM
from tests.core.bugs_of_order import WHO_GOES_FIRST
from tests.core.bugs_of_permits import WHAT_THE_FLEET_PERMITS
from tests.core.bugs_of_placement import WHERE_WORK_GOES
from tests.core.bugs_of_shedding import UNDER_PRESSURE
from tests.core.bugs_of_trees import WHAT_A_HOLDER_LEAVES
from tests.core.planting import Bug, Edit, bug

WAS_OUT = (
    "        was_out = old is not None and old.is_out\n"
    "        is_out = new is not None and new.is_out\n"
)

WHO_IS_SERVED = (
    bug(
        "a cancelled front waiter wakes nobody",
        "admission.py",
        "        self._settle(now)\n",
        "        if not isinstance(event, ev.Cancel):\n            self._settle(now)\n",
    ),
    bug(
        "a waiter is granted after its cancel",
        "admission.py",
        'self.ledger.leave(one, "cancelled", "the request was cancelled")',
        'self.ledger.refuse(event.caller, "cancelled", "the request was cancelled")',
    ),
    bug(
        "a cancel that comes after the grant is lost",
        "admission.py",
        "                self.ledger.end(now, one, Reason.RELEASED)\n",
        "                pass\n",
    ),
    bug(
        "a small request overtakes a large one",
        "pool.py",
        "        capacity = self.capacity\n\n        def is_passed_over",
        "        capacity = self.capacity - self.in_use\n\n        def is_passed_over",
    ),
    bug(
        "one that is too large for the level stops all",
        "pool.py",
        "            return waiter.claim.weight > capacity - kept.barred(waiter.claim)\n",
        "            return False\n",
    ),
    bug(
        "classes are served as they come",
        "order.py",
        "        rank = waiter.claim.rank - climbed\n",
        "        rank = 0\n",
    ),
    Bug(
        "a grown capacity admits one too many",
        (
            Edit(
                "filling.py",
                "    if pool.free <= 0 or not pool.order.waiters:\n",
                "    if not pool.order.waiters:\n",
            ),
            Edit(
                "pool.py",
                "waiter.claim.weight <= self.free - self.kept_from(waiter)\n",
                "self.in_use + waiter.claim.weight <= self.spec.capacity_max\n",
            ),
        ),
    ),
    bug(
        "nobody is woken as the delay between grants ends",
        "admission.py",
        "                    self._ready_at = min(self._ready_at, pool.ready_at())\n",
        "                    pass\n",
    ),
    bug(
        "one that is too large for the level is waited for",
        "pool.py",
        "        has_room = first.claim.weight <= self.capacity\n",
        "        has_room = True\n",
    ),
    bug(
        "the level's delay between grants is ignored",
        "pool.py",
        "        return now >= self.ready_at() or self.is_meant(waiter)\n",
        "        return True\n",
    ),
    bug(
        "a counter beside the table drifts",
        "pool.py",
        "        self._count(self.leases.pop(lease.id), None)\n",
        "        self._count(replace(self.leases.pop(lease.id), state=State.HELD), None)\n",
    ),
)

WHAT_ENDS = (
    bug(
        "a reused PID is taken for the holder",
        "admission.py",
        "        for one in self.ledger.of(holder):\n",
        "        same = [one for one in self.ledger.holders() if one.pid == holder.pid]\n"
        "        for one in [one for each in same for one in self.ledger.of(each)]:\n",
    ),
    bug(
        "the second lease of a dead holder is forgotten",
        "admission.py",
        "        for one in self.ledger.of(holder):\n",
        "        for one in self.ledger.of(holder)[:1]:\n",
    ),
    bug(
        "a smaller capacity revokes leases",
        "admission.py",
        "        self._settle(now)\n",
        "        for pool in self.pools.values():\n"
        "            while pool.overcommitted:\n"
        "                self.ledger.end(now, min(pool.leases.values(), key=id), Reason.REVOKED)\n"
        "        self._settle(now)\n",
    ),
    bug(
        "a wait that ends with the grant gets both",
        "admission.py",
        "        self._expire(now)\n        self._dispatch(now, event)\n",
        "        self._dispatch(now, event)\n"
        "        self._settle(now)\n"
        "        self._expire(now)\n",
    ),
    bug(
        "a renewed ttl is ignored",
        "holding.py",
        "        ledger.put_lease(lease)\n        ledger.persist(ev.Renewed(",
        "        ledger.persist(ev.Renewed(",
    ),
    bug(
        "the time before a renewal ends the lease all the same",
        "ledger.py",
        "            if found is not None and self._due_at(found) == due_at:\n",
        "            if found is not None and self._due_at(found) < inf:\n",
    ),
    bug(
        "a lease hangs on the connection that first asked",
        "ledger.py",
        "lease = replace(lease, caller=caller, state=state, detached_until=inf)",
        "lease = replace(lease, state=state, detached_until=inf)",
    ),
    bug(
        "a process bound lease ends with its connection",
        "ledger.py",
        "isinstance(one, Waiter) or one.claim.bound is Bound.CONNECTION:",
        "True:",
    ),
    bug(
        "a holder is no longer watched after its first lease",
        "ledger.py",
        "            if not keys:\n                del self._keys[handle]\n"
        "                if isinstance(handle, Holder):\n"
        "                    self.effects.append(ev.Unwatch(handle))\n",
        "            if not keys:\n                del self._keys[handle]\n"
        "            if isinstance(handle, Holder):\n"
        "                self.effects.append(ev.Unwatch(handle))\n",
    ),
)

WHO_COMES_BACK = (
    bug(
        "a place is lost when the request is repeated",
        "admission.py",
        "            queueing.come_back(self.ledger, now, event.caller, known, wait_s)\n",
        '            self.ledger.leave(known, "cancelled", "it was asked again")\n'
        "            queueing.enqueue(self.ledger, now, known.claim, event.caller, event.wait_s)\n",
    ),
    bug(
        "a place is lost when the connection breaks",
        "admission.py",
        "            elif one.claim.request is None and one.lease is None:\n",
        "            elif one.lease is None:\n",
    ),
    bug(
        "a request id serves whoever has the PID",
        "admission.py",
        "        if known.claim.holder != event.claim.holder:\n",
        "        if known.claim.holder.pid != event.claim.holder.pid:\n",
    ),
    bug(
        "a request id serves every user who knows it",
        "admission.py",
        "        if known := [one for one in known if one.claim.uid == claim.uid]:\n",
        "        if known:\n",
    ),
    bug(
        "anybody cancels a request by its id",
        "admission.py",
        "if event.uid in (None, one.claim.uid)]",
        "if event.caller]",
    ),
    bug(
        "one user fills the queue",
        "limits.py",
        "    if mine < limits.share(uid, limits.waiters_max, len(uids) - mine):\n",
        "    if mine < limits.waiters_max:\n",
    ),
    bug(
        "a yielded lease is still counted",
        "pool.py",
        WAS_OUT,
        "        was_out, is_out = old is not None, new is not None\n",
    ),
    bug(
        "a lease is regained without waiting",
        "holding.py",
        "    if lease.is_out:\n        ledger.effects.append(ev.Told(",
        "    if not lease.is_out:\n"
        "        lease = ledger.pools[lease.claim.pool].move(lease, State.HELD)\n"
        "    if lease.is_out:\n        ledger.effects.append(ev.Told(",
    ),
    bug(
        "who yielded waits behind newcomers",
        "order.py",
        "        return rank, None if waiter.lease is None else (2, 0, waiter.ticket)\n",
        "        return rank, None\n",
    ),
    bug(
        "the wait to regain outlives the lease",
        "ledger.py",
        '        self.drop_regain(lease, "unknown_lease", f"lease {lease.id} ended: {reason}")\n',
        "",
    ),
)

WHAT_SURVIVES = (
    bug(
        "a fence does not grow after a restart",
        "restart.py",
        "                ledger.last_lease = max(ledger.last_lease, lease.id)\n",
        "",
    ),
    bug(
        "detached leases are not counted after a restart",
        "pool.py",
        WAS_OUT,
        WAS_OUT.replace(".is_out", ".state is State.HELD"),
    ),
    bug(
        "a newcomer is granted before old waiters returned",
        "restart.py",
        "away_until=now + grace_s, keeps_place=True)",
        "away_until=now + grace_s)",
    ),
    bug(
        "a reused PID keeps a dead holder's lease alive over a restart",
        "restart.py",
        "        if holder not in event.living:\n",
        "        if holder.pid not in {one.pid for one in event.living}:\n",
    ),
    bug(
        "a yielded lease is out again after a restart",
        "restart.py",
        "state = State.YIELDED if lease.state is State.YIELDED else State.DETACHED",
        "state = State.DETACHED",
    ),
    bug(
        "the answer comes before the record",
        "admission.py",
        "        return effects\n",
        "        return sorted(effects, key=lambda one: isinstance(one, ev.Persist))\n",
    ),
    bug(
        "the watch on a holder comes after it queues",
        "admission.py",
        "        return effects\n",
        "        return sorted(effects, key=lambda one: isinstance(one, ev.Watch))\n",
    ),
    bug(
        "a grant that could not be written is kept",
        "admission.py",
        "        for record in reversed(records):\n",
        "        for record in records[:0]:\n",
    ),
    bug(
        "who was granted too soon waits at the tail",
        "ledger.py",
        "        self.enqueue(waiter)\n        pool = ",
        "        self.last_ticket += 1\n"
        "        waiter = replace(waiter, ticket=self.last_ticket)\n"
        "        self.enqueue(waiter)\n        pool = ",
    ),
    bug(
        "a lease is granted that nobody could write down",
        "queueing.py",
        "    return filling.grantable(pool, now) if ledger.journal_works else None\n",
        "    return filling.grantable(pool, now)\n",
    ),
    bug(
        "what could not be written is ended all the same",
        "admission.py",
        "            self._take_back(now, event.records)  # what never was can't be over\n",
        "            self._expire(now)\n            self._take_back(now, event.records)\n",
    ),
    bug(
        "a request is judged by a level that has just ended",
        "admission.py",
        "            self._adopt_level()  # the event is judged by the level in force",
        "            pass  #",
    ),
)

WHAT_MEMORY_ALLOWS = (
    bug(
        "what was granted since the sample is forgotten",
        "budget.py",
        "        unshown = self.unshown_bytes(leases) + ",
        "        unshown = ",
    ),
    bug(
        "a full machine admits nobody, not even one",
        "budget.py",
        "        if not weights:\n            return None\n",
        "",
    ),
    bug(
        "a yielded lease is taken to be at work",
        "budget.py",
        "        weights = [one.claim.weight for one in leases if one.is_out]\n",
        "        weights = [one.claim.weight for one in leases]\n",
    ),
    bug(
        "what a yielded lease still owes is forgotten",
        "budget.py",
        "for one in leases)\n\n    def unshown(",
        "for one in leases if one.is_out)\n\n    def unshown(",
    ),
    bug(
        "one that regains its units is counted twice",
        "budget.py",
        "0.0 if waiter.lease is not None else self.mean_bytes * weight",
        "self.mean_bytes * weight",
    ),
    bug(
        "the budget is asked only when a sample comes",
        "pool.py",
        "        return self.objection(waiter) is None\n",
        "        return True\n",
    ),
    bug(
        "a machine that slept admits at once",
        "pool.py",
        "        return max(spaced_at, self.hold_until) if self.in_use else spaced_at\n",
        "        return spaced_at\n",
    ),
)

BUGS: tuple[Bug, ...] = (
    *WHO_GOES_FIRST,
    *WHO_RUNS_UNDER_WHOM,
    *WHO_IS_SERVED,
    *WHERE_WORK_GOES,
    *WHAT_ENDS,
    *WHO_COMES_BACK,
    *WHAT_SURVIVES,
    *WHAT_A_HOLDER_LEAVES,
    *WHAT_MEMORY_ALLOWS,
    *WHAT_A_HAND_WISHES,
    *WHAT_IS_FORESEEN,
    *UNDER_PRESSURE,
    *WHAT_CAN_WAIT,
    *ON_DEMAND,
    *WHAT_IS_RECOMMENDED,
    *WHAT_THE_FLEET_PERMITS,
)
