"""What always holds (docs/design.md, section 2), checked after every step of a core.

A witness keeps books of its own and is shown each event and its effects. It objects when

- a grant is more than the capacity of the moment, overtakes, comes too soon after another, or goes
  to somebody who was cancelled, timed out, is gone or never asked (1, 4, 5);
- a lease that follows a tree depends on anybody but those whom the last look found;
- a lease or a waiter ends without cause, twice, or not when it must (2, 4, 6);
- at rest somebody could be granted, or is owed an answer (3);
- an answer comes before the record it depends on, or a wait before the watch on its holder;
- a pause or a reservation holds nobody up, or one for whom units are kept waits for anybody;
- somebody waits or holds for too long and is not told of, or is twice;
- a number grows backwards, or the core's tables, index, deadline and counts are not what the books
  say (7, 12).
"""

from collections.abc import Hashable, Iterable
from dataclasses import replace

from admission.core import by_hand
from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.estimates import Learnt
from admission.core.governor import Governor
from admission.core.leases import Bound, Holder, Lease, Waiter
from tests.core import books_of_shedding
from tests.core.books import Books, depends_on, is_out
from tests.core.rules import follow


class Witness:
    """See the module."""

    def __init__(self, core: Admission) -> None:
        specs = tuple(pool.spec for pool in core.pools.values())
        governor = Governor(throttle=core.governor.throttle)
        ageing = next(iter(core.pools.values())).order.ageing
        self.books = Books(specs, governor, core.limits, ageing)
        self.watched: set[Holder] = set()
        # The highest fencing token so far, and the highest that a client knows of.
        self.fence = 0
        self.told_fence = 0
        # The leases that clients were told they have, and whether their units are out.
        self.told: dict[int, bool] = {}
        self._handles: set[Hashable] = set()

    # --- the daemon's life ------------------------------------------------------------------------

    def heard(self, answer: ev.Answer) -> None:
        """This answer was sent; a restart must not break its word."""
        if isinstance(answer, ev.Told):
            self.told[answer.lease.id] = is_out(answer.lease)
            self.told_fence = max(self.told_fence, answer.lease.id)

    def succeed(self, core: Admission) -> "Witness":
        """A new witness for the daemon after this one, which remembers what clients were told."""
        heir = Witness(core)
        heir.fence = heir.told_fence = self.told_fence
        heir.told = {
            number: is_told_out and is_out(self.books.leases[number])
            for number, is_told_out in self.told.items()
            if number in self.books.leases
        }
        return heir

    # --- one step ---------------------------------------------------------------------------------

    def follow(
        self, core: Admission, now: float, event: ev.Event, effects: list[ev.Effect]
    ) -> None:
        """Checks one step of the core."""
        self.books.chains = []
        out_before = {pool: self.books.out(pool) for pool in self.books.specs}
        self.books.lessons.follow(now, self.books.leases.values(), event)
        follow(self.books, now, event)
        if isinstance(event, ev.Restarted):
            self._check_word_is_kept()
        self._check_effects(now, effects)
        if isinstance(event, ev.Restarted):
            # Numbers that were given to nobody need not be remembered.
            self.books.last_ticket = core.ledger.last_ticket
            self.books.hand.last = core.ledger.last_reservation
        else:
            for pool, before in out_before.items():
                most = max(before, self.books.capacity(pool))
                assert self.books.out(pool) <= most, f"more of {pool} is out than may be"
        self._check_tables(core)
        self._check_index(core)
        self._check_queues(core, now)
        self._check_numbers(core)
        self._check_rest(core, now, event)

    def _check_word_is_kept(self) -> None:
        books = self.books
        dead = {one.lease for one in self._chained_ends()}
        for number, is_told_out in self.told.items():
            if number not in dead:
                lease = books.leases.get(number)
                assert lease is not None, f"lease {number} was told and then forgotten"
                assert is_out(lease) or not is_told_out, f"lease {number} was told to be out"

    def _chained_ends(self) -> list[ev.Ended]:
        persisted = [
            effect.record
            for chain in self.books.chains
            for effect in chain
            if isinstance(effect, ev.Persist)
        ]
        return [record for record in persisted if isinstance(record, ev.Ended)]

    # --- effects ----------------------------------------------------------------------------------

    def _check_effects(self, now: float, effects: list[ev.Effect]) -> None:
        has_granted = False
        self.books.lessons.check(now, effects)
        for effect in effects:
            match effect:
                case ev.Watch(holder):
                    assert holder not in self.watched, f"{holder} is watched twice"
                    self.watched.add(holder)
                case ev.Unwatch(holder):
                    self.watched.remove(holder)
                case ev.Persist(ev.Granted() | ev.Regained() as promise):
                    assert not any(self.books.chains), f"not before a grant: {self.books.chains}"
                    has_granted = True
                    self._check_grant(now, promise)
                case Learnt():
                    assert not has_granted, "grants come last"
                case ev.Alarmed() | ev.EndGently():
                    assert not has_granted, "grants come last"
                    self.books.rung.hear(self.books, now, effect)
                case _:
                    self._check_expected(books_of_shedding.without_words(effect))
                    assert not has_granted or isinstance(effect, ev.Told), "grants come last"
        assert not any(self.books.chains), f"missing: {self.books.chains}"
        assert not self.books.rung.to_end, "a holder was not asked to end"
        self.books.rung.forget(self.books)
        assert self.watched == self._holders(), "watched are not those on whom anything depends"

    def _check_expected(self, effect: ev.Effect) -> None:
        if isinstance(effect, ev.Persist) and isinstance(effect.record, ev.Queued):
            assert effect.record.waiter.claim.holder in self.watched, "queued before watched"
        if isinstance(effect, ev.Persist) and isinstance(effect.record, ev.Followed):
            assert self.watched.issuperset(effect.record.left), "followed before watched"
        plain = _without_words(effect)
        for chain in self.books.chains:
            if chain and chain[0] == plain:
                del chain[0]
                return
        if isinstance(plain, ev.Refused) and self.books.refuse_late(plain):
            return
        raise AssertionError(f"unexpected: {plain}; expected: {self.books.chains}")

    def _check_grant(self, now: float, promise: ev.Granted | ev.Regained) -> None:
        books = self.books
        ticket = promise.lease.ticket if isinstance(promise, ev.Granted) else promise.ticket
        waiter = books.waiters.get(ticket)
        assert waiter is not None, f"a ghost was granted: {promise}"
        assert promise.waiter == waiter, "a grant can't be taken back to who it was"
        assert waiter.claim.holder in self.watched, "granted before watched"
        assert books.may_be_granted(now, waiter), f"granted too early: {waiter}"
        lease = books.grant(now, promise)
        if isinstance(promise, ev.Granted):
            assert promise.lease == lease, "not the lease that it must be"
            assert lease.id > self.fence, "a fencing token that does not grow"
            self.fence = lease.id
        assert waiter.caller is not None
        books.chains.append([ev.Told(waiter.caller, lease)])

    # --- the core's state -------------------------------------------------------------------------

    def _check_tables(self, core: Admission) -> None:
        books = self.books
        leases = {
            number: one for pool in core.pools.values() for number, one in pool.leases.items()
        }
        waiters = {
            number: one for pool in core.pools.values() for number, one in pool.waiters.items()
        }
        assert leases == books.leases
        assert waiters == books.waiters
        reserved = [one for pool in core.pools.values() for one in pool.reservations.all.values()]
        assert {one.id: one for one in reserved} == books.hand.reservations
        paused = {name: pool.paused_until for name, pool in core.pools.items()}
        assert {name: one for name, one in paused.items() if one is not None} == books.hand.paused
        assert core.ledger.frozen == {one.id for one in books.leases.values() if one.is_frozen}
        assert list(core.ledger.parked.items()) == books.parked
        assert (core.ladder.advice is not None) == books.is_advised
        for name, pool in core.pools.items():
            assert pool.in_use == books.out(name)
            assert pool.order.out == _out_by_group(pool.leases.values())
            assert pool.capacity == books.capacity(name)
            assert not pool.spec.is_fleet or pool.permits == books.permits.left(name)
            assert pool.overcommitted == max(0, books.out(name) - books.capacity(name))
            assert all(one.claim.pool == name for one in pool.leases.values())

    def _check_queues(self, core: Admission, now: float) -> None:
        for name, pool in core.pools.items():
            queue = list(pool.queue())
            line = self.books.line(now, name)
            assert queue == line, "another order"
            turns = list(pool.turns(pool.kept()))
            assert sorted(line, key=lambda one: not self.books.is_first(one)) == turns
            assert [pool.position(one) for one in turns] == list(range(1, len(turns) + 1))

    def _check_index(self, core: Admission) -> None:
        """What is found by holder, connection, caller or request is what is in the tables."""
        found_by = _found_by(core)
        for handle, found in found_by.items():
            assert core.ledger.of(handle) == found
            assert core.ledger.has(handle) == bool(found)
        for handle in self._handles - set(found_by):
            assert not core.ledger.has(handle), f"{handle} is still known"
        self._handles = set(found_by)
        assert set(core.ledger.holders()) == self._holders()
        for lease in self.books.leases.values():
            waiting = self.books.regaining(lease)
            assert len(waiting) <= 1
            assert core.ledger.regaining(lease) == (waiting[0] if waiting else None)

    def _check_numbers(self, core: Admission) -> None:
        books, ledger = self.books, core.ledger
        assert ledger.granted - ledger.ended == len(books.leases)
        assert ledger.last_lease >= self.fence
        assert ledger.last_ticket == books.last_ticket
        assert all(one.ticket <= books.last_ticket for one in books.waiters.values())
        assert core.level.level == books.level
        assert core.governor.by_hand_until == (books.by_hand and books.by_hand[1])
        assert core.journal_works == books.journal_works

    def _check_rest(self, core: Admission, now: float, event: ev.Event) -> None:
        books = self.books
        able = [one for one in books.waiters.values() if books.may_be_granted(now, one)]
        assert not able, f"a lost wake-up: {able}"
        assert core.wakeup() == books.due_next(now)
        if not isinstance(event, ev.Restarted):
            assert books.due_next(now) > now, "something is due and was not done"
        told = {(kind == "lease", number) for kind, number in core.alarms.lasting}
        assert told == books.rung.told

    def _holders(self) -> set[Holder]:
        return {holder for one in self.books.all() for holder in depends_on(one)}


def _without_words(effect: ev.Effect) -> ev.Effect:
    """The effect less its text for people, which must be there and be one line."""
    if isinstance(effect, ev.Refused):
        assert effect.message, "no message"
        assert effect.message == " ".join(effect.message.split()), "not one plain line"
        return replace(effect, message="")
    if isinstance(effect, ev.Persist) and isinstance(effect.record, ev.LevelChanged):
        return ev.Persist(replace(effect.record, reasons=()))
    if isinstance(effect, ev.Persist) and isinstance(effect.record, by_hand.Unreserved):
        assert effect.record.why, "no reason"
        return ev.Persist(replace(effect.record, why=""))
    return effect


def _out_by_group(leases: Iterable[Lease]) -> dict[tuple[int, str], int]:
    out: dict[tuple[int, str], int] = {}
    for lease in leases:
        if is_out(lease):
            group = (lease.claim.uid, lease.claim.group)
            out[group] = out.get(group, 0) + lease.claim.weight
    return out


def _found_by(core: Admission) -> dict[Hashable, list[Lease | Waiter]]:
    """By what each lease and waiter is to be found, looked up in the tables: oldest first."""
    found: dict[Hashable, list[Lease | Waiter]] = {}
    leases = [one for pool in core.pools.values() for one in pool.leases.values()]
    waiters = [one for pool in core.pools.values() for one in pool.waiters.values()]
    leases.sort(key=lambda lease: lease.id)
    waiters.sort(key=lambda waiter: waiter.ticket)
    everything: list[Lease | Waiter] = [*leases, *waiters]
    for one in everything:
        for holder in depends_on(one):
            found.setdefault(holder, []).append(one)
        if one.claim.request is not None:
            found.setdefault(one.claim.request, []).append(one)
        if one.caller is not None:
            found.setdefault(one.caller, []).append(one)
            of_connection = found.setdefault(one.caller.connection, [])
            if isinstance(one, Waiter) or one.claim.bound is Bound.CONNECTION:
                of_connection.append(one)
    return found
