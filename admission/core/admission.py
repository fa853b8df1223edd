"""All pools together: the state machine that the daemon drives.

`handle(now, event) -> effects` is one step. When it returns, the state already holds every
decision in the list; the effects only tell the world. The daemon carries them out in order, one
owner, no two steps at once:

- `Watch` comes before anything that depends on it, so a holder's end can be late but never lost.
- `Persist` stands before the answer that depends on it. If a promise (a grant) can't be written,
  the daemon drops the rest of the list and feeds `JournalFailed` with the records it dropped:
  the grants among them are taken back. Grants are the last effects of every list, so nothing else
  is lost with them.
- A refused event changes nothing but its own reply.

`wakeup()` is the one deadline of it all.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import assert_never

from admission.core import (
    by_hand,
    deferring,
    estimates,
    filling,
    holding,
    operating,
    permits,
    permitting,
    queueing,
    restart,
    shedding,
)
from admission.core import events as ev
from admission.core.alarms import Alarms
from admission.core.budget import BUDGETED
from admission.core.demand import never_fits
from admission.core.foresight import Remembered
from admission.core.foretelling import expect
from admission.core.governor import Governor
from admission.core.ladder import Ladder
from admission.core.learning import Learner
from admission.core.leases import Bound, Caller, Holder, Lease, Reason, Waiter
from admission.core.ledger import Ledger
from admission.core.levels import Level, PoolSpec
from admission.core.limits import Limits, refusal_of
from admission.core.nesting import deadlock, enclosing_lease
from admission.core.order import Ageing
from admission.core.pool import Pool
from admission.core.steering import STEERING, configure, steer


class Admission:
    """See the module. Reads are plain attributes; the only way to change anything is `handle`."""

    def __init__(
        self,
        specs: tuple[PoolSpec, ...],
        governor: Governor,
        limits: Limits | None = None,
        ageing: Ageing | None = None,
    ) -> None:
        self.governor = governor
        self.limits = limits or Limits()
        self.ledger = Ledger(specs, governor.row)
        self.ledger.set_ageing(-inf, ageing or Ageing())
        steer(self.pools, governor)
        self.alarms = Alarms()
        self.ladder = Ladder()
        self.calm = deferring.Calm()
        self.learner = Learner(governor.throttle.learning)
        self._teach()
        self._told_level = governor.row.level
        # When what fits and was not granted may be: it waits for the level's delay alone.
        self._ready_at = inf

    @property
    def pools(self) -> dict[str, Pool]:
        return self.ledger.pools

    @property
    def level(self) -> Level:
        """The level in force."""
        return self.governor.row

    @property
    def journal_works(self) -> bool:
        """Whether what is granted can be written down; nothing is, where it can't."""
        return self.ledger.journal_works

    def needs(self, holder: Holder) -> bool:
        """Whether anything depends on this process's life."""
        return self.ledger.has(holder)

    def wakeup(self) -> float:
        """When `TimePassed` is next to be fed; inf where nothing is due by itself."""
        ledger = self.ledger
        due_at = min(self._ready_at, ledger.next_by_hand_at)
        if self.learner.paused:
            due_at = min(due_at, self.learner.next_at())
        if ledger.frozen:
            due_at = min(due_at, self.ladder.next_at(ledger, self.governor))
        if self.governor.by_hand_until is not None:
            due_at = min(due_at, self.governor.by_hand_until)
        # Hints may be of what is gone, which takes a look; those for later need none.
        if ledger.soonest_at < due_at:
            due_at = min(due_at, ledger.next_alarm())
        if self.alarms.soonest_at < due_at:
            due_at = min(due_at, self.alarms.next_at(ledger))
        return due_at

    def snapshot(self) -> Iterator[ev.Record]:
        """The records that lead here: what a compacted journal holds."""
        return restart.snapshot(self.ledger, self.governor)

    # --- the step -------------------------------------------------------------------------------

    def handle(self, now: float, event: ev.Event) -> list[ev.Effect]:
        """One step.

        Args:
            now: seconds on the clock of the events; it never goes back.
            event: what happened.

        Returns:
            What is to be done, in this order.
        """
        effects = self.ledger.effects = []
        self.ledger.records = []
        if isinstance(event, ev.JournalFailed):
            self._take_back(now, event.records)  # what never was can't be over
        self._expire(now)
        self._dispatch(now, event)
        if self.learner.tallies:
            effects += self.learner.note_ends(now, self.ledger.records)
            expect(self.pools.get(BUDGETED), self.learner.estimates, self.governor)
        if self.learner.has_news:
            self._teach()
        if isinstance(event, STEERING):
            self._adopt_level()
        sample = None
        if isinstance(event, ev.Sampled):
            sample = event.sample
            deferring.look(self.ledger, self.governor, self.calm, event)
        if sample is not None or self.ledger.frozen:
            self.ladder.keep_up(self.ledger, self.governor, now, sample)
        self._settle(now)
        self.alarms.keep_up(self.ledger, event, self.limits.alarm_s)
        # Who waits on is known only now; but grants stay the last of the list.
        if self.alarms.soonest_at <= now:
            place = _first_grant(effects)
            effects[place:place] = self.alarms.ring(self.ledger, self.governor, now)
        ledger = self.ledger
        assert ledger.granted - ledger.ended == ledger.held, "granted less ended is not held"
        return effects

    def _dispatch(self, now: float, event: ev.Event) -> None:  # noqa: C901 -- one line a case
        match event:
            case ev.Acquire():
                self._acquire(now, event)
            case ev.Cancel():
                self._cancel(now, event)
            case ev.Release() | ev.Renew() | ev.Yield() | ev.Regain() | ev.Resume():
                holding.ask(self.ledger, now, event)
            case ev.ConnectionClosed():
                self._connection_closed(now, event.connection)
            case ev.HolderExited():
                self._holder_exited(now, event.holder)
            case ev.TreeFound():
                self._tree_found(now, event)
            case (
                by_hand.Reserve()
                | by_hand.Unreserve()
                | by_hand.Pause()
                | by_hand.Unpause()
                | by_hand.Move()
            ):
                operating.do(self.ledger, now, event)
            case ev.Sampled():
                self._sampled(event)
            case Remembered():
                self.governor.forecasts.remember(event)
            case estimates.Measured() | estimates.OutOfMemory() | estimates.Recalled():
                agents = self.pools.get(BUDGETED)
                leases = agents.leases if agents else {}
                self.ledger.effects += self.learner.take(now, event, leases)
                expect(agents, self.learner.estimates, self.governor)
            case permits.Permitted():
                permitting.adopt(self.ledger, now, event)
            case ev.Woke():
                self.governor.wake(now)
                self.calm.forget()
            case ev.SetLevel():
                self._set_level(now, event)
            case ev.Configured():
                configure(event, self.pools, self.governor)
                self.learner.adopt(now, event.throttle.learning)
                self._teach()
                self.ledger.set_ageing(now, event.ageing)
            case ev.JournalWorks():
                self.ledger.journal_works = True
            case ev.Restarted():
                grace_s = self.limits.grace_s
                restart.take_over(now, event, self.ledger, self.governor, grace_s)
                self.ladder.begin_anew(self.ledger, now)
            case ev.TimePassed() | ev.JournalFailed():
                pass
            case _:
                assert_never(event)

    def _expire(self, now: float) -> None:
        """Ends what is due, and ages who is. Comes before the event: what is over can't be used."""
        for one in self.ledger.due(now) if self.ledger.soonest_at <= now else ():
            if isinstance(one, Lease):
                gone = one.detached_until <= now
                reason = Reason.CONNECTION_CLOSED if gone else Reason.TTL_PASSED
                self.ledger.end(now, one, reason)
            elif one.due_at <= now and not self.ledger.ages_first(one):
                queueing.time_out(self.ledger, now, one)
            elif one.is_deferred and one.deferred_until <= now < one.due_at:
                deferring.end(self.ledger, one)
            else:
                self.ledger.age(now, one)
        if self.learner.paused:
            self.learner.pass_time(now)
        if self.ledger.next_by_hand_at <= now:
            operating.expire(self.ledger, now)
        if self.ledger.permits_end_at <= now:
            permitting.expire(self.ledger, now)
        until = self.governor.by_hand_until
        if until is not None and until <= now:
            self.governor.set_auto()
            self._adopt_level()  # the event is judged by the level in force, not by the last one

    def _sampled(self, event: ev.Sampled) -> None:
        agents = self.pools.get(BUDGETED)
        sample = event.sample
        self.governor.take(sample, agents.in_use if agents else 0, event.local_h)
        leases = list(agents.leases) if agents else []
        self.learner.note_rest(sample.memory_used_pct, sample.memory_total_bytes, leases)

    def _teach(self) -> None:
        """The pool of agents goes by what is learnt."""
        if agents := self.pools.get(BUDGETED):
            agents.learner = self.learner
            agents.note_pauses()
        self.learner.has_news = False

    def _adopt_level(self) -> None:
        """Lets the pools go by what the governor says now, and tells of another level."""
        steer(self.pools, self.governor)
        if self.level.level != self._told_level:
            self._tell_level()

    def _tell_level(self) -> None:
        self._told_level = self.level.level
        self.ledger.persist(restart.level_record(self.governor))

    def _settle(self, now: float) -> None:
        """Grants all that can be granted. Afterwards no waiter could be: no lost wake-up."""
        self._ready_at = inf
        if not self.journal_works:
            return
        for pool in self.ledger.pools.values():
            while pool.order.waiters and (waiter := filling.fitting(pool, now)):
                if not pool.is_time_for(waiter, now):
                    self._ready_at = min(self._ready_at, pool.ready_at())
                    break
                self.ledger.grant(now, pool, waiter)

    # --- requests -------------------------------------------------------------------------------

    def _acquire(self, now: float, event: ev.Acquire) -> None:
        claim = event.claim
        known = self.ledger.of(claim.request) if claim.request else []
        # Another user's request of the same id is another request.
        if known := [one for one in known if one.claim.uid == claim.uid]:
            self._repeat(now, event, known[0])
            return
        pool = self.pools.get(claim.pool)
        if pool is None:
            self.ledger.refuse_unknown_pool(event.caller, claim.pool)
        elif shared := enclosing_lease(event, pool):
            self.ledger.effects.append(ev.Told(event.caller, shared, shared=True))
        elif refusal := refusal_of(event, pool, self.ledger, self.limits):
            self.ledger.refuse(event.caller, *refusal)
        elif why := never_fits(claim, self.governor.memory, self.learner):
            self.ledger.refuse(event.caller, "impossible", why)
        elif why := deadlock(event, self.pools):
            self.ledger.refuse(event.caller, "would_deadlock", why)
        else:
            deferring.enqueue(self.ledger, self.governor, now, event)

    def _repeat(self, now: float, event: ev.Acquire, known: Lease | Waiter) -> None:
        """The same request again, after a broken connection: the same lease, or the same place."""
        if known.claim.holder != event.claim.holder:
            message = "this request id is another process's; use a fresh one of 16 random bytes"
            self.ledger.refuse(event.caller, "not_permitted", message)
        elif isinstance(known, Waiter):
            by_s = None if event.defer else event.by_s
            wait_s = queueing.shorter(event.wait_s, by_s)
            queueing.come_back(self.ledger, now, event.caller, known, wait_s)
        else:
            lease = self.ledger.take_up(known, event.caller)
            self.ledger.effects.append(ev.Told(event.caller, lease))

    def _cancel(self, now: float, event: ev.Cancel) -> None:
        """Whatever became of the request, it holds nothing afterwards: also if it was granted."""
        found = [one for one in self._named(event) if event.uid in (None, one.claim.uid)]
        for one in found:
            if isinstance(one, Lease):
                self.ledger.end(now, one, Reason.RELEASED)
            elif self.ledger.waiter(one.ticket):
                self.ledger.leave(one, "cancelled", "the request was cancelled")
        self.ledger.effects.append(ev.Done(event.caller, found=bool(found)))

    def _named(self, event: ev.Cancel) -> list[Lease] | list[Waiter] | list[Lease | Waiter]:
        """What a cancel means: by its ticket, its request id, or its message's id."""
        if event.ticket is not None:
            waiter = self.ledger.waiter(event.ticket)
            return [] if waiter is None else [waiter]
        by_id = Caller(event.caller.connection, event.id or 0)
        return self.ledger.of(by_id if event.request is None else event.request)

    def _set_level(self, now: float, event: ev.SetLevel) -> None:
        if event.level is None:
            self.governor.set_auto()
        else:
            until = inf if event.for_s is None else now + event.for_s
            self.governor.set_by_hand(event.level, until, is_off=event.is_off)
        self._tell_level()  # even if the number stays: a restart must know whose it is
        self.ledger.effects.append(ev.ToldLevel(event.caller))

    # --- ends that nobody asked for -------------------------------------------------------------

    def _connection_closed(self, now: float, connection: int) -> None:
        for one in self.ledger.of(connection):
            if isinstance(one, Lease):
                self.ledger.end(now, one, Reason.CONNECTION_CLOSED)
            elif not self.ledger.waiter(one.ticket):
                pass  # it left with the lease that it wanted to regain
            elif one.claim.request is None and one.lease is None:
                self.ledger.leave(one, "cancelled", "the connection closed")
            else:
                # It may come back and ask again: its place is kept, but nobody waits for it.
                away_until = now + self.limits.grace_s
                away = replace(one, caller=None, away_until=away_until)
                self.ledger.replace_waiter(one, away)

    def _holder_exited(self, now: float, holder: Holder) -> None:
        for one in self.ledger.of(holder):
            if isinstance(one, Lease):
                self._lose_holder(now, one, holder)
            elif self.ledger.waiter(one.ticket):
                self.ledger.leave(one, "holder_gone", f"process {holder.pid} is gone")

    def _lose_holder(self, now: float, lease: Lease, holder: Holder) -> None:
        if lease.claim.bound is not Bound.TREE:
            self.ledger.end(now, lease, Reason.HOLDER_EXITED)
            return
        # Whoever has exited is none of those that it follows, so that a look which still saw it
        # has it watched anew, and its end is heard of once more.
        left = tuple(one for one in lease.tree if one != holder)
        self.ledger.effects.append(ev.FindTree(self.ledger.follow(lease, left)))

    def _tree_found(self, now: float, event: ev.TreeFound) -> None:
        lease = self.ledger.lease(event.lease)
        if lease is None or not lease.is_left:
            return  # it has ended meanwhile; or nobody can have asked
        if not event.left:
            self.ledger.end(now, lease, Reason.HOLDER_EXITED)
            return
        self.ledger.follow(lease, event.left)
        self.ledger.persist(ev.Followed(lease.id, event.left))

    # --- the journal ----------------------------------------------------------------------------

    def _take_back(self, now: float, records: tuple[ev.Record, ...]) -> None:
        """Undoes grants that could not be written; nobody was told of them."""
        self.ledger.journal_works = False
        for record in reversed(records):
            if isinstance(record, shedding.Frozen):
                self.ledger.forget_frozen(record.lease)
            elif isinstance(record, ev.Promise):
                waiter = self.ledger.take_back(record)
                if waiter.deadline_at <= now:
                    queueing.refuse_now(self.ledger, now, waiter)


def _first_grant(effects: list[ev.Effect]) -> int:
    """Where the grants begin: nothing else is to be lost with one that can't be written."""
    promises = (
        place
        for place, effect in enumerate(effects)
        if isinstance(effect, ev.Persist) and isinstance(effect.record, ev.Promise)
    )
    return next(promises, len(effects))
