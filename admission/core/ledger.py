"""The few things that change the tables: queue, grant, end, and what follows from each.

The ledger keeps the pools, an index over their leases and waiters, and the times at which one is
due. Whatever changes a lease or a waiter goes through here, so that the record, the watch on the
holder and the answer can't be forgotten. It decides nothing: `core.admission` does.
"""

from collections.abc import Hashable, Iterator, Sized
from dataclasses import replace
from heapq import heapify, heappop, heappush
from math import inf

from admission.core import events as ev
from admission.core.leases import Bound, Caller, Holder, Lease, Reason, State, Waiter
from admission.core.levels import Level, PoolSpec
from admission.core.order import Ageing
from admission.core.pool import Pool
from admission.core.shedding import PARKED_KEPT, Thaw

# How a lease ends by what its holder does; of one who was asked to end, that is to be parked.
OF_THE_HOLDER = (Reason.RELEASED, Reason.HOLDER_EXITED, Reason.CONNECTION_CLOSED)

# Names one lease or one waiter: "lease" or "ticket", and its number.
Key = tuple[str, int]

# So many hints are few, whatever they are of.
FEW_HINTS = 64


def lease_key(lease: Lease) -> Key:
    return "lease", lease.id


def waiter_key(waiter: Waiter) -> Key:
    return "ticket", waiter.ticket


class Ledger:
    """See the module."""

    def __init__(self, specs: tuple[PoolSpec, ...], level: Level) -> None:
        self.pools = {spec.name: Pool(spec, level) for spec in specs}
        self.last_lease = 0
        self.last_ticket = 0
        self.last_reservation = 0
        # When a reservation begins or ends next, or a pause ends; `core.operating` keeps it.
        self.next_by_hand_at = inf
        # When the first permit of the fleet's ends that is there; `core.permits` keeps it.
        self.permits_end_at = inf
        # Invariant, checked at every step: granted - ended is the number of leases.
        self.granted = 0
        self.ended = 0
        # Those of the leases whose holders stand still.
        self.frozen: set[int] = set()
        # Leases that were parked, and whose; the last ones.
        self.parked: dict[int, int] = {}
        # Of the step at hand: what is to be done, and of that what is written down.
        self.effects: list[ev.Effect] = []
        self.records: list[ev.Record] = []
        self.journal_works = True
        # Which leases and waiters a holder, connection, caller or request id has. An index, made
        # of nothing that the tables don't say.
        self._keys: dict[Hashable, set[Key]] = {}
        # Hints of when something is due, never removed early: the object itself says if it is.
        self._alarms: list[tuple[float, Key]] = []

    # --- reading --------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        return sum([len(pool.leases) for pool in self.pools.values()])

    @property
    def waiting(self) -> int:
        return sum([len(pool.waiters) for pool in self.pools.values()])

    def lease(self, number: int) -> Lease | None:
        for pool in self.pools.values():
            if found := pool.leases.get(number):
                return found
        return None

    def waiter(self, ticket: int) -> Waiter | None:
        for pool in self.pools.values():
            if found := pool.waiters.get(ticket):
                return found
        return None

    def of(self, handle: Hashable) -> list[Lease | Waiter]:
        """What a holder, connection, caller or request id has: its leases, then its waiters."""
        keys = self._keys.get(handle)
        if not keys:
            return []
        found = [self._find(key) for key in sorted(keys)]
        return [one for one in found if one is not None]

    def has(self, handle: Hashable) -> bool:
        return handle in self._keys

    def regaining(self, lease: Lease) -> Waiter | None:
        """The waiter that asks for this yielded lease's units again."""
        waiters = (one for one in self.of(lease_key(lease)) if isinstance(one, Waiter))
        return next(waiters, None)

    def holders(self) -> list[Holder]:
        return [handle for handle in self._keys if isinstance(handle, Holder)]

    # --- time -----------------------------------------------------------------------------------

    @property
    def soonest_at(self) -> float:
        """Nothing is due before; to ask for this costs nothing."""
        return self._alarms[0][0] if self._alarms else inf

    def next_alarm(self) -> float:
        """When the next lease or waiter is due, or a waiter to be aged; inf where none is."""
        while self._alarms:
            due_at, key = self._alarms[0]
            if self._is_due_at(key, due_at):
                return due_at
            heappop(self._alarms)
        return inf

    def due(self, now: float) -> Iterator[Lease | Waiter]:
        """What is due; each must be ended, aged or made to leave before the next is asked for."""
        while self._alarms and self._alarms[0][0] <= now:
            due_at, key = heappop(self._alarms)
            found = self._find(key)
            if found is not None and self._due_at(found) == due_at:
                yield found

    def ages_first(self, waiter: Waiter) -> bool:
        """Whether it is to be aged before it is due: what is due in between has its turn."""
        return self.pools[waiter.claim.pool].order.ages_at(waiter) < waiter.due_at

    # --- holders --------------------------------------------------------------------------------

    def watch(self, *holders: Holder) -> None:
        """From now on their ends are heard of; comes before anything that depends on them."""
        for holder in holders:
            if holder not in self._keys:
                self.effects.append(ev.Watch(holder))

    # --- waiters --------------------------------------------------------------------------------

    def enqueue(self, waiter: Waiter) -> None:
        self.watch(waiter.claim.holder)
        self.pools[waiter.claim.pool].add(waiter)
        self._link(waiter_key(waiter), handles(waiter))
        self._alarm_waiter(waiter)

    def age(self, now: float, waiter: Waiter) -> None:
        """The waiter stands where it has come to by its age."""
        self.pools[waiter.claim.pool].age(waiter, now)
        self._alarm_waiter(waiter)

    def set_ageing(self, now: float, ageing: Ageing) -> None:
        """From now on waiters age like this, those who wait already as well."""
        for pool in self.pools.values():
            pool.order.ageing = ageing
            for waiter in list(pool.waiters.values()):
                self.age(now, waiter)

    def replace_waiter(self, old: Waiter, new: Waiter) -> None:
        """The same ticket with another caller or deadline, or put ahead by a hand."""
        self.pools[new.claim.pool].update(new)
        self._link(waiter_key(new), handles(new))
        self._unlink(waiter_key(old), [one for one in handles(old) if one not in handles(new)])
        self._alarm_waiter(new)

    def leave(self, waiter: Waiter, code: str, message: str) -> None:
        """The waiter leaves the queue without a grant, and its caller is told why."""
        self.pools[waiter.claim.pool].remove(waiter)
        self._unlink(waiter_key(waiter), handles(waiter))
        self.persist(ev.Left(waiter.ticket, code))
        if waiter.caller is not None:
            self.refuse(waiter.caller, code, message)

    # --- leases ---------------------------------------------------------------------------------

    def grant(self, now: float, pool: Pool, waiter: Waiter) -> None:
        """A waiter leaves the queue with what it asked for."""
        pool.remove(waiter)
        self.admit(now, pool, waiter)
        self._unlink(waiter_key(waiter), handles(waiter))

    def admit(self, now: float, pool: Pool, waiter: Waiter) -> None:
        """It gets what it asked for, whether or not it had to queue."""
        claim, caller = waiter.claim, waiter.caller
        assert caller is not None, "nobody to tell"
        self.watch(claim.holder)
        pool.last_grant_at = now
        pool.note_grant(waiter)
        over_at = inf if claim.max_hold_s is None else now + claim.max_hold_s
        if waiter.lease is not None:
            lease = replace(pool.move(pool.leases[waiter.lease], State.HELD), over_at=over_at)
            self.put_lease(lease)
            self.persist(ev.Regained(lease.id, waiter.ticket, waiter, over_at))
        else:
            self.last_lease += 1
            self.granted += 1
            lease = Lease(
                id=self.last_lease,
                claim=claim,
                ticket=waiter.ticket,
                granted_at=now,
                waited_s=now - waiter.queued_at,
                caller=caller,
                expires_at=inf if claim.ttl_s is None else now + claim.ttl_s,
                over_at=over_at,
            )
            self.put_lease(lease)
            self.persist(ev.Granted(lease, waiter))
        self.effects.append(ev.Told(caller, lease))

    def put_lease(self, lease: Lease) -> None:
        """A lease enters the table, or takes its old self's place there."""
        pool, key = self.pools[lease.claim.pool], lease_key(lease)
        old = pool.leases.get(lease.id)
        pool.put(lease)
        found_by = handles(lease)
        self._link(key, found_by)
        if old is not None:
            self._unlink(key, [one for one in handles(old) if one not in found_by])
        self._alarm(lease.due_at, key)

    def follow(self, lease: Lease, left: tuple[Holder, ...]) -> Lease:
        """The lease depends on these from now on, and on nobody else."""
        self.watch(*left)
        lease = replace(lease, is_left=True, tree=left)
        self.put_lease(lease)
        return lease

    def end(self, now: float, lease: Lease, reason: Reason) -> None:
        if lease.is_frozen:
            self.frozen.discard(lease.id)
            self.effects.append(Thaw(lease))  # nor may what it leaves stand still
        if lease.state is State.YIELDED:
            self.drop_regain(lease, "unknown_lease", f"lease {lease.id} ended: {reason}")
        self.forget(lease)
        self.ended += 1
        self.pools[lease.claim.pool].note_hold(now - lease.granted_at)
        final = Reason.PARKED if lease.is_parking and reason in OF_THE_HOLDER else reason
        if final is Reason.PARKED:
            self.note_parked(lease.id, lease.claim.uid)
        self.persist(ev.Ended(lease.id, final, lease))
        if lease.caller is not None and reason not in (Reason.RELEASED, Reason.CONNECTION_CLOSED):
            self.effects.append(ev.LeaseEnded(lease.caller, lease.id, final))

    def forget_frozen(self, number: int) -> None:
        """Its holder was not stopped, as that could not be written."""
        self.frozen.discard(number)
        if lease := self.lease(number):
            self.put_lease(replace(lease, is_frozen=False))

    def note_parked(self, number: int, uid: int) -> None:
        """Whoever comes back for this lease is known by it, once."""
        self.parked[number] = uid
        while len(self.parked) > PARKED_KEPT:
            del self.parked[next(iter(self.parked))]

    def forget(self, lease: Lease) -> None:
        """The lease leaves the table; `end` is what everybody but a grant taken back wants."""
        self.pools[lease.claim.pool].end(lease)
        self._unlink(lease_key(lease), handles(lease))

    def take_back(self, record: ev.Granted | ev.Regained) -> Waiter:
        """Undoes a grant that could not be written: its waiter is at its place again."""
        waiter = record.waiter
        assert waiter is not None, "a grant that was read back was written"
        # The waiter goes back first, so that its holder is needed all the while.
        self.enqueue(waiter)
        pool = self.pools[waiter.claim.pool]
        pool.note_taken_back(waiter)
        if isinstance(record, ev.Granted):
            self.forget(record.lease)
            self.granted -= 1
        else:
            pool.move(pool.leases[record.lease], State.YIELDED)
        return waiter

    def drop_regain(self, lease: Lease, code: str, message: str) -> None:
        waiter = self.regaining(lease)
        if waiter is not None:
            self.leave(waiter, code, message)

    def take_up(self, lease: Lease, caller: Caller) -> Lease:
        """The lease on its holder's new connection."""
        state = State.HELD if lease.state is State.DETACHED else lease.state
        lease = replace(lease, caller=caller, state=state, detached_until=inf)
        self.put_lease(lease)
        return lease

    # --- answers --------------------------------------------------------------------------------

    def persist(self, record: ev.Record) -> None:
        self.records.append(record)
        self.effects.append(ev.Persist(record))

    def refuse(self, caller: Caller, code: str, message: str) -> None:
        self.effects.append(ev.Refused(caller, code, message))

    def refuse_unknown_pool(self, caller: Caller, name: str) -> None:
        asked = "".join(char if char.isprintable() else "?" for char in name)
        message = f'there is no pool "{asked}"; the pools are {", ".join(self.pools)}'
        self.refuse(caller, "unknown_pool", message)

    # --- the index and the alarms ---------------------------------------------------------------

    def are_many(self, hints: Sized) -> bool:
        """Whether these, of which one a lease and a waiter is right, are mostly of what is gone."""
        most = len(hints) - FEW_HINTS
        return most > 0 and most > 4 * (self.held + self.waiting)

    def _find(self, key: Key) -> Lease | Waiter | None:
        kind, number = key
        return self.lease(number) if kind == "lease" else self.waiter(number)

    def _due_at(self, one: Lease | Waiter) -> float:
        if isinstance(one, Lease):
            return one.due_at
        ages_at = self.pools[one.claim.pool].order.ages_at(one)
        due_at = min(one.deadline_at, one.away_until, ages_at)
        return min(due_at, one.deferred_until) if one.is_deferred else due_at

    def _is_due_at(self, key: Key, at: float) -> bool:
        found = self._find(key)
        return found is not None and self._due_at(found) == at

    def _alarm_waiter(self, waiter: Waiter) -> None:
        self._alarm(self._due_at(waiter), waiter_key(waiter))

    def _alarm(self, due_at: float, key: Key) -> None:
        if due_at == inf:
            return
        heappush(self._alarms, (due_at, key))
        # Hints of what ended early stay until their time; without this they could pile up.
        if self.are_many(self._alarms):
            self._alarms = [(at, key) for at, key in set(self._alarms) if self._is_due_at(key, at)]
            heapify(self._alarms)

    def _link(self, key: Key, to: list[Hashable]) -> None:
        for handle in to:
            if (keys := self._keys.get(handle)) is None:
                self._keys[handle] = {key}
            else:
                keys.add(key)

    def _unlink(self, key: Key, to: list[Hashable]) -> None:
        for handle in to:
            keys = self._keys[handle]
            keys.discard(key)
            if not keys:
                del self._keys[handle]
                if isinstance(handle, Holder):
                    self.effects.append(ev.Unwatch(handle))


def handles(one: Lease | Waiter) -> list[Hashable]:
    """By what a lease or a waiter can be found."""
    found: list[Hashable] = list(one.holders) if isinstance(one, Lease) else [one.claim.holder]
    if one.claim.request is not None:
        found.append(one.claim.request)
    if one.caller is not None:
        found.append(one.caller)
        # A lease that outlives its connection is none of the connection's.
        if isinstance(one, Waiter) or one.claim.bound is Bound.CONNECTION:
            found.append(one.caller.connection)
    if isinstance(one, Waiter) and one.lease is not None:
        found.append(("lease", one.lease))
    return found
