"""The tables kept a second time: who holds what, who waits, and who may be granted.

The books take nothing from the core but which waiters it granted. Everything else they work out
by looking through all they have each time: slow, plain, and with no index, count or deadline kept
that could go stale. `tests.core.rules` says what each event does to them, and
`tests.core.invariants` compares them with the core.
"""

from collections.abc import Iterator, Set
from dataclasses import replace
from math import inf

from admission.core import events as ev
from admission.core import shedding
from admission.core.governor import Governor
from admission.core.leases import Bound, Holder, Lease, Reason, State, Waiter
from admission.core.levels import PoolSpec
from admission.core.limits import Limits
from admission.core.order import Ageing
from tests.core import books_of_deferring, books_of_shedding
from tests.core.books_of_alarms import Rung
from tests.core.books_of_demand import may_go_before, memory_read, promised_bytes, spoken_for_bytes
from tests.core.books_of_hand import Hand, moved
from tests.core.books_of_learning import Lessons
from tests.core.books_of_permits import Permits
from tests.core.turns import Turns

# So many who ask for too much are passed by one that does not.
PASSED_MAX = 32

# Effects that must come in this order; those of two chains may come mixed.
Chain = list[ev.Effect]


def is_out(lease: Lease) -> bool:
    return lease.state != State.YIELDED


def is_of(connection: int, one: Lease | Waiter) -> bool:
    return one.caller is not None and one.caller.connection == connection


def depends_on(one: Lease | Waiter) -> set[Holder]:
    """Whose end is to be heard of: the process it is for, or those that this one has left."""
    return set(one.tree) if isinstance(one, Lease) and one.is_left else {one.claim.holder}


def survivors(records: tuple[ev.Record, ...]) -> tuple[list[Lease], list[Waiter]]:
    """What a journal says is out and who waits: of each, the last word counts."""
    ended = {one.lease for one in records if isinstance(one, ev.Ended)}
    leases = books_of_shedding.marked(records)
    left = {one.ticket for one in records if isinstance(one, ev.Left | ev.Regained)}
    left |= {lease.ticket for lease in leases.values()}
    for record in records:
        if isinstance(record, ev.Yielded):
            leases[record.lease] = replace(leases[record.lease], state=State.YIELDED)
        elif isinstance(record, ev.Regained):
            lease = replace(leases[record.lease], state=State.HELD, over_at=record.over_at)
            leases[record.lease] = lease
        elif isinstance(record, ev.Renewed):
            lease = leases[record.lease]
            leases[record.lease] = replace(lease, expires_at=record.expires_at)
        elif isinstance(record, ev.Followed):
            lease = leases[record.lease]
            leases[record.lease] = replace(lease, is_left=True, tree=record.left)
    waiters = [one.waiter for one in records if isinstance(one, ev.Queued)]
    waiters_left = [one for one in waiters if one.ticket not in left]
    return (
        [lease for lease in leases.values() if lease.id not in ended],
        [books_of_deferring.marked(records, moved(records, one)) for one in waiters_left],
    )


class Books:
    """See the module. `chains` is what the step at hand must have as effects, less the grants."""

    def __init__(
        self, specs: tuple[PoolSpec, ...], governor: Governor, limits: Limits, ageing: Ageing
    ) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.permits = Permits(self.specs)
        self.limits = limits
        self.turns = Turns(ageing)
        self.leases: dict[int, Lease] = {}
        self.waiters: dict[int, Waiter] = {}
        # One of its own; a level set by hand is kept here and not there.
        self.governor = governor
        self.by_hand: tuple[int, float] | None = None
        self.is_off_by_hand = False
        self.told_level = 0
        self.journal_works = True
        self.last_ticket = 0
        self.last_grant_at: dict[str, float] = {}
        self.chains: list[Chain] = []
        # The waiters that the last step granted, by ticket, as they were before.
        self.granted: dict[int, Waiter] = {}
        # Whether who came last may be refused by an estimate, which the books don't make.
        self.may_be_too_late = False
        self.lessons = Lessons(governor)
        self.hand = Hand()
        self.rung = Rung()
        self.is_advised = False
        self.rest = books_of_deferring.Rest()
        # When a holder was last asked to end, and the leases that were parked, with their users.
        self.parked_at = -inf
        self.parked: list[tuple[int, int]] = []

    def all(self) -> Iterator[Lease | Waiter]:
        """The leases and then the waiters, the oldest first."""
        yield from (self.leases[number] for number in sorted(self.leases))
        yield from (self.waiters[ticket] for ticket in sorted(self.waiters))

    def regaining(self, lease: Lease) -> list[Waiter]:
        return [one for one in self.waiters.values() if one.lease == lease.id]

    # --- what may be ------------------------------------------------------------------------------

    @property
    def level(self) -> int:
        return self.by_hand[0] if self.by_hand else self.governor.row.level

    def out(self, pool: str) -> int:
        leases = [one for one in self.leases.values() if one.claim.pool == pool]
        return sum(one.claim.weight for one in leases if is_out(one))

    def capacity(self, pool: str) -> int:
        return self.specs[pool].capacity[self.level]

    def ready_at(self, pool: str) -> float:
        if len(set(self.specs[pool].capacity)) == 1:
            return -inf
        spaced_at = (
            self.last_grant_at.get(pool, -inf) + self.governor.levels[self.level].delay_ms / 1000
        )
        return max(spaced_at, self.governor.hold_until) if self.out(pool) else spaced_at

    def line(self, now: float, pool: str, newcomer: Waiter | None = None) -> list[Waiter]:
        """All who wait for this pool, as they would be served."""
        waiting = self.of_pool(pool)
        shares = self.turns.shares(waiting, newcomer, self.leases.values())
        if newcomer is not None and newcomer.ticket not in self.waiters:
            waiting.append(newcomer)
        return self.turns.line(now, waiting, shares, self.is_passed_over)

    def is_passed_over(self, waiter: Waiter) -> bool:
        """Whether nobody waits for it: it asks for too much, or its client has left."""
        barred = self.hand.out_of_reach(waiter.claim, self.leases.values())
        if waiter.claim.weight > self.capacity(waiter.claim.pool) - barred:
            return True
        if waiter.is_deferred or (waiter.lease is None and self.lessons.pauses(waiter.claim)):
            return True
        return waiter.caller is None and not waiter.keeps_place

    def of_pool(self, pool: str) -> list[Waiter]:
        return [one for one in self.waiters.values() if one.claim.pool == pool]

    def join(self, waiter: Waiter) -> None:
        """It waits from now on."""
        self.turns.join(waiter, self.of_pool(waiter.claim.pool))
        self.waiters[waiter.ticket] = waiter

    def fits(self, now: float, waiter: Waiter) -> bool:
        """Whether this waiter could be granted, but for the time between two grants."""
        pool, room = waiter.claim.pool, self.capacity(waiter.claim.pool)
        if not self.is_first(waiter):
            room -= self.hand.kept_from(waiter.claim, self.leases.values())
        return (
            self.journal_works
            and waiter.caller is not None
            and pool not in self.hand.paused
            and (not self.specs[pool].is_fleet or self.permits.allow(waiter.claim))
            and self.out(pool) + waiter.claim.weight <= room
            and self.is_affordable(waiter)
            and self._is_next(now, waiter)
        )

    def is_first(self, waiter: Waiter) -> bool:
        """Whether enough is reserved for it."""
        if not self.hand.reservations:
            return False
        return self.hand.is_first(waiter.claim, self.leases.values())

    def is_affordable(self, waiter: Waiter) -> bool:
        """Whether the memory budget has room for it, by the last sample."""
        found = self._memory(waiter.claim.pool)
        if found is None or self.is_first(waiter) or not self.out("agents"):
            return True
        at, used_pct, total_bytes = found
        budget = self.governor.throttle.budget
        leases = [one for one in self.leases.values() if one.claim.pool == "agents"]
        kept = self.hand.kept_from(waiter.claim, leases)
        if self.lessons.has_a_say:
            spoken_for = spoken_for_bytes(self.lessons, waiter, leases, kept)
        else:
            spoken_for = promised_bytes(budget, at, waiter, leases, kept)
        return used_pct * total_bytes + 100 * spoken_for <= budget.ceiling_pct * total_bytes

    def _memory(self, pool: str) -> tuple[float, float, int] | None:
        """What this pool's budget goes by."""
        return None if self.is_off_by_hand else memory_read(self.governor, pool)

    def _is_next(self, now: float, waiter: Waiter) -> bool:
        """Whether nobody must be granted first, however long that takes."""
        if self.of_pool(waiter.claim.pool) in ([], [waiter]):
            return not self.is_passed_over(waiter)
        line = self.line(now, waiter.claim.pool, waiter)
        if self.hand.reservations:
            line.sort(key=lambda one: not self.is_first(one))
        line = [one for one in line if not self.is_passed_over(one)]
        tickets = [one.ticket for one in line]
        if waiter.ticket not in tickets:
            return False
        before = line[: tickets.index(waiter.ticket)]
        return all(self._lets_pass(now, one, waiter) for one in before) and (
            len(before) <= PASSED_MAX
        )

    def _lets_pass(self, now: float, large: Waiter, small: Waiter) -> bool:
        """Whether this one, before the other in the line, may be passed: for a while, by one of
        its class, as what it asks for is not there yet.
        """
        pool = large.claim.pool
        if large.caller is None or self.is_first(large):
            return False
        if self.turns.rank(now, large) != self.turns.rank(now, small):
            return False
        if self.specs[pool].is_fleet and not self.permits.allow(large.claim):
            return now < large.queued_at + self.turns.ageing.fill_in_s
        kept = self.hand.kept_from(large.claim, self.leases.values())
        if self.out(pool) + large.claim.weight <= self.capacity(pool) - kept:
            leases = [one for one in self.leases.values() if one.claim.pool == pool]
            is_budgeted = self._memory(pool) is not None
            return is_budgeted and may_go_before(self.lessons, small, large, leases)
        granted_at = max(now, self.ready_at(pool))
        return granted_at < large.queued_at + self.turns.ageing.fill_in_s

    def may_be_granted(self, now: float, waiter: Waiter) -> bool:
        is_ready = now >= self.ready_at(waiter.claim.pool) or self.is_first(waiter)
        return is_ready and self.fits(now, waiter)

    def due_next(self, now: float) -> float:
        """The one deadline of it all."""
        due = [min(one.expires_at, one.detached_until) for one in self.leases.values()]
        due += [min(one.deadline_at, one.away_until) for one in self.waiters.values()]
        for waiter in self.waiters.values():
            due += [at for at in self.turns.climbs(waiter) if at > now]
            if self.fits(now, waiter):
                due.append(self.ready_at(waiter.claim.pool))
        if self.by_hand is not None:
            due.append(self.by_hand[1])
        due += [self.hand.due_next(), self.rung.due_next(self), self.lessons.due_next()]
        due += [books_of_shedding.due_next(self), books_of_deferring.due_next(self)]
        return min(due, default=inf)

    def refuse_late(self, refused: ev.Refused) -> bool:
        """Takes back that this newcomer waits. False where it can't be refused by an estimate."""
        waiter = self.waiters.get(self.last_ticket)
        queued: Chain = [] if waiter is None else [ev.Persist(ev.Queued(waiter))]
        if not self.may_be_too_late or waiter is None or queued not in self.chains:
            return False
        if refused != ev.Refused(waiter.caller or refused.caller, "timeout", ""):
            return False
        self.chains.remove(queued)
        del self.waiters[waiter.ticket]
        self.last_ticket -= 1
        return True

    # --- ends -------------------------------------------------------------------------------------

    def end(self, lease: Lease, reason: Reason) -> Chain:
        chain: Chain = [shedding.Thaw(lease)] if lease.is_frozen else []
        is_told = reason not in (Reason.RELEASED, Reason.CONNECTION_CLOSED)
        if lease.is_parking and reason not in (Reason.REVOKED, Reason.TTL_PASSED):
            reason = Reason.PARKED
            self.parked.append((lease.id, lease.claim.uid))
        for waiter in self.regaining(lease):
            chain += self.leave(waiter, "unknown_lease")
        del self.leases[lease.id]
        chain.append(ev.Persist(ev.Ended(lease.id, reason)))
        if lease.caller and is_told:
            chain.append(ev.LeaseEnded(lease.caller, lease.id, reason))
        return chain

    def leave(self, waiter: Waiter, code: str) -> Chain:
        del self.waiters[waiter.ticket]
        chain: Chain = [ev.Persist(ev.Left(waiter.ticket, code))]
        return [*chain, ev.Refused(waiter.caller, code, "")] if waiter.caller else chain

    def bury(self, one: Lease | Waiter, reason: Reason, code: str) -> Chain:
        """Ends a lease, or lets a waiter leave that has not left with the lease it wanted."""
        if isinstance(one, Lease):
            return self.end(one, reason)
        return self.leave(one, code) if one.ticket in self.waiters else []

    def lose(self, lease: Lease, gone: Set[Holder]) -> Chain:
        """Processes that this lease depends on have exited. A tree is looked for; others end."""
        if lease.claim.bound is not Bound.TREE:
            return self.end(lease, Reason.HOLDER_EXITED)
        left = tuple(one for one in lease.tree if one not in gone)
        lease = replace(lease, is_left=True, tree=left)
        self.leases[lease.id] = lease
        return [ev.FindTree(lease)]

    def pass_time(self, now: float) -> None:
        """Ends what is due, in the order in which it became so."""
        due: list[tuple[float, int, Lease | Waiter]] = []
        for lease in self.leases.values():
            due.append((min(lease.expires_at, lease.detached_until), 0, lease))
        for waiter in self.waiters.values():
            due.append((min(waiter.deadline_at, waiter.away_until), 1, waiter))
        for at, _, one in sorted(due, key=lambda one: one[:2]):
            if at > now:
                break
            if isinstance(one, Lease):
                is_lost = one.detached_until <= now
                reason = Reason.CONNECTION_CLOSED if is_lost else Reason.TTL_PASSED
                self.chains.append(self.end(one, reason))
            elif one.ticket in self.waiters:
                code = "timeout" if one.deadline_at <= now else "cancelled"
                self.chains.append(self.leave(one, code))
        books_of_deferring.pass_time(self, now)
        self.chains += self.hand.pass_time(now)
        self.permits.pass_time(now)
        if self.by_hand is not None and self.by_hand[1] <= now:
            self.set_by_hand(None)
        self.note_level()

    # --- the level --------------------------------------------------------------------------------

    def set_by_hand(self, by_hand: tuple[int, float] | None, is_off: bool = False) -> None:
        self.by_hand, self.is_off_by_hand = by_hand, is_off and by_hand is not None

    def note_level(self) -> None:
        if self.level != self.told_level:
            self.chains.append([self.tell_level()])

    def tell_level(self) -> ev.Persist:
        self.told_level = self.level
        until = None if self.by_hand is None else self.by_hand[1]
        return ev.Persist(ev.LevelChanged(self.level, (), until, self.is_off_by_hand))

    # --- grants, which the core decides -----------------------------------------------------------

    def grant(self, now: float, record: ev.Granted | ev.Regained) -> Lease:
        """The lease as it must be, now that the core has granted it."""
        if isinstance(record, ev.Granted):
            waiter = self.waiters.pop(record.lease.ticket)
            self.turns.charge(waiter, self.of_pool(waiter.claim.pool))
            claim, waited_s = waiter.claim, now - waiter.queued_at
            expires_at = inf if claim.ttl_s is None else now + claim.ttl_s
            lease = Lease(record.lease.id, claim, waiter.ticket, now, waited_s)
            lease = replace(lease, caller=waiter.caller, expires_at=expires_at)
        else:
            waiter = self.waiters.pop(record.ticket)
            lease = replace(self.leases[record.lease], state=State.HELD)
        if lease.claim.max_hold_s is not None:
            lease = replace(lease, over_at=now + lease.claim.max_hold_s)
        self.leases[lease.id] = lease
        self.permits.use(lease.claim)
        self.granted[waiter.ticket] = waiter
        self.last_grant_at[lease.claim.pool] = now
        return lease

    def take_back(self, now: float, record: ev.Granted | ev.Regained) -> None:
        """This grant could not be written: its waiter waits again, where it stood."""
        if isinstance(record, ev.Granted):
            waiter = self.granted[record.lease.ticket]
            del self.leases[record.lease.id]
            self.join(waiter)
            self.turns.forgive(waiter)
        else:
            waiter = self.granted[record.ticket]
            lease = self.leases[record.lease]
            self.leases[lease.id] = replace(lease, state=State.YIELDED)
            self.join(waiter)
        self.permits.use(waiter.claim, times=-1)
        if waiter.deadline_at <= now:
            self.chains.append(self.leave(waiter, "journal_unavailable"))

    # --- a restart --------------------------------------------------------------------------------

    def adopt(self, now: float, records: tuple[ev.Record, ...]) -> None:
        """What an earlier daemon left: nobody is connected, and all have a while to come back."""
        back_by = now + self.limits.grace_s
        leases, waiters = survivors(records)
        self.hand.adopt(records, self.specs)
        books_of_shedding.adopt(self, now, records)
        for lease in leases:
            lease = replace(lease, caller=None)
            if lease.claim.bound is Bound.CONNECTION:
                state = State.DETACHED if is_out(lease) else State.YIELDED
                lease = replace(lease, state=state, detached_until=back_by)
            self.leases[lease.id] = lease
            pool = lease.claim.pool
            last_grant_at = self.last_grant_at.get(pool, -inf)
            self.last_grant_at[pool] = max(last_grant_at, lease.granted_at)
        for waiter in waiters:
            away = replace(waiter, caller=None, away_until=back_by, keeps_place=True)
            self.waiters[waiter.ticket] = away
