"""Small worlds to try the core in: a few processes, a journal, and a core between them.

A world drives its core as the daemon does, effect by effect: `carry_out` and what it calls follow
`admission.service.daemon`, with a list for the file and no kernel. A witness sees every step. The
daemon can be killed between any two effects, and another takes over from what was written.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from math import inf

from admission.core import events as ev
from admission.core import shedding
from admission.core.admission import Admission
from admission.core.budget import Budget
from admission.core.estimates import Learnt
from admission.core.foresight import OFF
from admission.core.governor import Governor, Patience, Throttle
from admission.core.leases import Bound, Caller, Claim, Holder, Lease, Reason
from admission.core.levels import LEVELS, Levels, PoolSpec
from admission.core.limits import Limits
from admission.core.order import Ageing
from admission.core.shedding import Shed
from tests.core.books import depends_on
from tests.core.books_of_shedding import Stops
from tests.core.deaths import Killed, Moments
from tests.core.invariants import Witness

ANN = Holder(101, 1)
BEN = Holder(102, 1)
CAT = Holder(103, 1)
KID, LATER_KID = KIDS = (Holder(201, 1), Holder(202, 1))
# Another process, which got Ann's number after she was gone.
ANN_AGAIN = Holder(101, 2)
# Nobody climbs, and nobody fills in, where that is not what it is about.
NEVER = Ageing(inf, inf, fill_in_s=0.0)
# As the environment has it where whichever lease there is, is meant.
LAST_LEASE = 2**63 - 1
NO_ALARMS = (inf, inf, inf)


def agents(*capacity: int) -> PoolSpec:
    return spec("agents", *capacity)


def spec(name: str, *capacity: int) -> PoolSpec:
    """A pool with this capacity at the four levels, or with one capacity at all of them."""
    first, second, third, last = capacity if len(capacity) == 4 else capacity * 4
    return PoolSpec(name, (first, second, third, last))


class World:
    """See the module. The verbs of clients return the caller, under which the answer is found."""

    def __init__(
        self,
        *specs: PoolSpec,
        limits: Limits | None = None,
        levels: Levels = LEVELS,
        patience: Patience | None = None,
        budget: Budget | None = None,
        shed: Shed | None = None,
        ageing: Ageing = NEVER,
    ) -> None:
        self.ageing = ageing
        self.specs = specs or (agents(1),)
        self.limits = limits or Limits(alarm_s=NO_ALARMS)
        self.levels = levels
        plain = Throttle(levels, patience or Patience(), budget or Budget(), foresight=OFF)
        self.throttle = replace(plain, shed=shed or Shed())
        self.core = self._fresh_core()
        self.witness = Witness(self.core)
        self.now = 0.0
        self.answers: dict[Caller, list[ev.Answer]] = {}
        self.last_message = 0
        self.has_groups = True  # those who ask are of more than one
        self.lines: set[int] = set()
        self.dead: set[Holder] = set()
        self.watched: set[Holder] = set()
        # Who started whom; the leases whose trees are to be looked for; and what looks that are
        # under way have seen.
        self.started: dict[Holder, Holder] = {}
        self.wanted: set[int] = set()
        self.seen: dict[int, tuple[Holder, ...]] = {}
        self.stops = Stops()
        self.journal: list[ev.Record] = []
        # How many more records the disk takes; and how many more effects the daemon lives for.
        self.disk_room = inf
        self.effects_left: int | None = None
        self.moments = Moments()
        self.step_s = 0.0
        self.is_sound = True  # no objection came out of the last event
        self._journal_is_open = True
        self._inbox: deque[ev.Event] = deque()

    def _fresh_core(self) -> Admission:
        return Admission(self.specs, Governor(throttle=self.throttle), self.limits, self.ageing)

    # --- the daemon -------------------------------------------------------------------------------

    def feed(self, now: float, event: ev.Event) -> list[ev.Effect]:
        """One event and all that follows from it at once: the effects that were carried out."""
        self.now = now
        done: list[ev.Effect] = []
        self.is_sound = False
        try:
            self._work_off(event, done)
        except Killed:
            self.restart(self.now)
        self._check_nobody_haunts()
        self.is_sound = True
        return done

    def _work_off(self, event: ev.Event, done: list[ev.Effect]) -> None:
        self._inbox.append(event)
        while self._inbox:
            event = self._inbox.popleft()
            effects = self.core.handle(self.now, event)
            self.witness.follow(self.core, self.now, event, effects)
            self._carry_out(effects, done)
            if self._inbox:
                self.now += self.step_s
            elif self.core.wakeup() <= self.now:
                self._inbox.append(ev.TimePassed())

    def _carry_out(self, effects: list[ev.Effect], done: list[ev.Effect]) -> None:
        for index, effect in enumerate(effects):
            self._live_on()
            self.moments.note(effect)
            match effect:
                case ev.Persist(record):
                    if not self._append(record) and self._note_unwritten(effects[index:]):
                        return
                    self._check_nobody_is_left(record)
                case ev.Watch(holder):
                    self.watched.add(holder)
                    if holder in self.dead:
                        self._inbox.append(ev.HolderExited(holder))
                case ev.Unwatch(holder):
                    self.watched.discard(holder)
                case ev.FindTree(lease):
                    self.wanted.add(lease.id)
                case shedding.Freeze() | shedding.Thaw():
                    self.stops.note(effect, self.now, self.journal)
                case (
                    ev.Alarmed() | ev.EndGently() | Learnt() | shedding.Advised() | shedding.Park()
                ):
                    pass
                case _:
                    self._tell(effect)
            done.append(effect)
        self._live_on()

    def _live_on(self) -> None:
        self.moments.go_by()
        if self.effects_left == 0:
            raise Killed
        if self.effects_left is not None:
            self.effects_left -= 1

    def _append(self, record: ev.Record) -> bool:
        self._journal_is_open = self._journal_is_open and self.disk_room > 0
        if self._journal_is_open:
            self.disk_room -= 1
            self.journal.append(as_written(record))
        return self._journal_is_open

    def _note_unwritten(self, rest: list[ev.Effect]) -> bool:
        records = tuple(one.record for one in rest if isinstance(one, ev.Persist))
        is_promise = isinstance(records[0], ev.Promise)
        if is_promise or self.core.journal_works:
            self._inbox.appendleft(ev.JournalFailed(records if is_promise else ()))
        return is_promise

    def _tell(self, answer: ev.Answer) -> None:
        if answer.caller.connection in self.lines:
            self.answers.setdefault(answer.caller, []).append(answer)
            self.witness.heard(answer)

    def rewrite_journal(self) -> None:
        """Puts the whole state in the journal's place, unless the disk is full."""
        if self.disk_room:
            self.journal = [as_written(record) for record in self.core.snapshot()]
            self._journal_is_open = True

    def mend_journal(self, now: float) -> list[ev.Effect]:
        """The disk has room again, and the daemon has noticed."""
        self.disk_room = inf
        self.rewrite_journal()
        return self.feed(now, ev.JournalWorks())

    def restart(self, now: float, dying_again_after: int | None = None) -> None:
        """Kills the daemon, if it is not dead yet, and starts another one."""
        self.now = now
        self.is_sound = False
        self.effects_left = dying_again_after
        self.core = self._fresh_core()
        self.witness = self.witness.succeed(self.core)
        self._inbox.clear()
        self.lines.clear()
        self.watched.clear()
        self.wanted.clear()
        self.seen.clear()
        # Nothing is appended until the journal was written anew.
        self._journal_is_open = False
        living = frozenset(holders_in(self.journal)) - self.dead
        try:
            self._work_off(ev.Restarted(tuple(self.journal), living), [])
            self.rewrite_journal()
            if not self._journal_is_open:
                self._work_off(ev.JournalFailed(()), [])
            elif not self.core.journal_works:
                self._work_off(ev.JournalWorks(), [])
        except Killed:
            self.restart(self.now)
        self._check_nobody_haunts()
        self.is_sound = True

    def _check_nobody_haunts(self) -> None:
        """At rest nothing is left of those whose process or connection is gone."""
        self.stops.check(self.witness.books, self.now, self.throttle.shed.freeze_max_s)
        for one in self.witness.books.all():
            assert not depends_on(one) & self.dead, f"of a dead process: {one}"
            if not depends_on(one):
                is_sought = one.id in self.wanted or one.id in self.seen  # type: ignore[union-attr]
                assert is_sought, f"of nobody, and nobody looks: {one}"
            is_bound = not isinstance(one, Lease) or one.claim.bound == "connection"
            if is_bound and one.caller is not None:
                assert one.caller.connection in self.lines, f"of a closed connection: {one}"

    def _check_nobody_is_left(self, record: ev.Record) -> None:
        if isinstance(record, ev.Ended) and record.reason is Reason.HOLDER_EXITED:
            lease = record.before
            assert lease is not None
            if lease.claim.bound is Bound.TREE:
                left = self.tree_of(lease.claim.holder)
                assert not left, f"lease {lease.id} has ended, and of its tree live {left}"

    # --- processes, and looks at them -------------------------------------------------------------

    def start(self, holder: Holder, by: Holder) -> None:
        """A process starts another."""
        self.started[holder] = by

    def tree_of(self, holder: Holder) -> tuple[Holder, ...]:
        """Who lives of all that this process has started, and of what those have."""
        tree = {holder}
        while more := {one for one, by in self.started.items() if by in tree} - tree:
            tree |= more
        return tuple(sorted(tree - self.dead - {holder}, key=lambda one: one.pid))

    def look(self, number: int) -> None:
        """The daemon looks for a lease's tree, and does not say yet what it has seen."""
        self.wanted.discard(number)
        if lease := self.core.ledger.lease(number):
            self.seen[number] = self.tree_of(lease.claim.holder)

    def tell_seen(self, now: float, number: int) -> None:
        """The look ends, and what was seen then is told now."""
        self.feed(now, ev.TreeFound(number, self.seen.pop(number)))

    def look_all(self, now: float) -> None:
        """All looks that are wanted, to their end."""
        self.now = now
        while self.wanted or self.seen:
            for number in sorted(self.wanted - self.seen.keys()):
                self.look(number)
            for number in sorted(self.seen):
                if number in self.seen:  # not if the daemon was killed meanwhile
                    self.tell_seen(self.now, number)

    # --- the clients ------------------------------------------------------------------------------

    def caller(self, connection: int) -> Caller:
        """A fresh message on this connection, which is open from now on if it was not."""
        self.lines.add(connection)
        self.last_message += 1
        return Caller(connection, self.last_message)

    def acquire(
        self,
        now: float,
        claim: Claim,
        *,
        wait_s: float | None = None,
        connection: int | None = None,
        parent: int | None = None,
        above: tuple[Holder, ...] = (),
        is_new: bool = False,
    ) -> Caller:
        """Asks for a lease; the connection is the holder's, named by its PID, if none is given."""
        caller = self.caller(claim.holder.pid if connection is None else connection)
        self.feed(now, ev.Acquire(caller, claim, wait_s, parent, above, is_new))
        return caller

    def cancel(self, now: float, asked: Caller) -> ev.Answer:
        caller = self.caller(asked.connection)
        self.feed(now, ev.Cancel(caller, id=asked.id))
        return self.answer(caller)

    def cancel_request(
        self, now: float, request: bytes, connection: int, uid: int | None = None
    ) -> ev.Answer:
        caller = self.caller(connection)
        self.feed(now, ev.Cancel(caller, request, uid=uid))
        return self.answer(caller)

    def release(self, now: float, asked: Caller) -> ev.Answer:
        caller = self.caller(asked.connection)
        self.feed(now, ev.Release(caller, self.lease(asked).id))
        return self.answer(caller)

    def renew(self, now: float, asked: Caller) -> ev.Answer:
        caller = self.caller(asked.connection)
        self.feed(now, ev.Renew(caller, self.lease(asked).id))
        return self.answer(caller)

    def yield_(self, now: float, asked: Caller) -> ev.Answer:
        caller = self.caller(asked.connection)
        self.feed(now, ev.Yield(caller, self.lease(asked).id))
        return self.answer(caller)

    def regain(self, now: float, asked: Caller, *, wait_s: float | None = None) -> Caller:
        caller = self.caller(asked.connection)
        self.feed(now, ev.Regain(caller, self.lease(asked).id, wait_s))
        return caller

    def resume(self, now: float, lease: Lease, connection: int, secret: bytes = b"") -> Caller:
        caller = self.caller(connection)
        self.feed(now, ev.Resume(caller, lease.id, secret))
        return caller

    def set_level(self, now: float, level: int | None, for_s: float | None = None) -> Caller:
        caller = self.caller(0)
        self.feed(now, ev.SetLevel(caller, level, for_s))
        return caller

    def close(self, now: float, connection: int) -> None:
        self.lines.discard(connection)
        self.feed(now, ev.ConnectionClosed(connection))

    def exit(self, now: float, holder: Holder) -> None:
        """The process ends; the daemon hears of it if it watches."""
        self.dead.add(holder)
        if holder in self.watched:
            self.feed(now, ev.HolderExited(holder))

    def pass_time(self, now: float) -> list[ev.Effect]:
        return self.feed(now, ev.TimePassed())

    # --- what can be asked of a world -------------------------------------------------------------

    def answer(self, asked: Caller) -> ev.Answer:
        """The one answer to this request."""
        (answer,) = self.answers[asked]
        return answer

    def is_waiting(self, asked: Caller) -> bool:
        waiters = [one for pool in self.core.pools.values() for one in pool.queue()]
        return asked not in self.answers and any(one.caller == asked for one in waiters)

    def lease(self, asked: Caller) -> Lease:
        """The lease that this request was answered with, as it was then."""
        told = self.answers[asked][0]
        assert isinstance(told, ev.Told), told
        return told.lease

    def is_held(self, asked: Caller) -> bool:
        """Whether this request was granted and the lease is still there."""
        told = self.answers.get(asked, [None])[0]
        return isinstance(told, ev.Told) and self.core.ledger.lease(told.lease.id) is not None

    def refusal(self, asked: Caller) -> str:
        """The code with which this request was refused."""
        refused = self.answer(asked)
        assert isinstance(refused, ev.Refused), refused
        return refused.code


def as_written(record: ev.Record) -> ev.Record:
    """The record less what the file leaves out."""
    if isinstance(record, ev.Granted | ev.Regained):
        return replace(record, waiter=None)
    return ev.Ended(record.lease, record.reason) if isinstance(record, ev.Ended) else record


def holders_in(records: Iterable[ev.Record]) -> set[Holder]:
    found: set[Holder] = set()
    for one in records:
        match one:
            case ev.Granted(lease):
                found |= {lease.claim.holder, *lease.tree}
            case ev.Followed(left=left):
                found |= {*left}
            case ev.Queued(waiter):
                found.add(waiter.claim.holder)
            case _:
                pass
    return found
