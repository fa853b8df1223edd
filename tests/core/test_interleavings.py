"""Random stories: clients come and go, time passes, the machine sways, and the daemon is killed
between any two effects. The witness in `tests.core.invariants` checks every step of each.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from admission.core import by_hand
from admission.core import events as ev
from admission.core.budget import Budget
from admission.core.governor import Patience
from admission.core.leases import Bound, Caller, Claim, Class, Holder, Lease, State
from admission.core.levels import PoolSpec
from admission.core.limits import Limits
from admission.core.order import Ageing
from admission.core.permits import Permitted
from admission.core.sample import Sample
from tests.core.worlds import LAST_LEASE, NEVER, World, spec

SMALLER, CAPACITY, LARGER = (2, 2, 1, 1), (3, 2, 2, 1), (5, 1, 1, 1)
QUICK, SLOW = Ageing(3.0, 2.0, fill_in_s=1.0), Ageing(8.0, 20.0, fill_in_s=5.0)
BUDGET = Budget(ceiling_pct=92.0, mean_bytes=7, peak_bytes=12, share_pct=100.0, ramp_s=3.0)
WHO = st.integers(0, 3)
WHICH = st.integers(0, 9)
OfLease = ev.Release | ev.Renew | ev.Yield | ev.Regain
WAIT_S = st.sampled_from([None, None, None, 0, 0.5, 4.0])


@dataclass
class Client:
    """A process and the connection that it has now."""

    holder: Holder
    connection: int


class Interleavings(RuleBasedStateMachine):
    """See the module. Whatever a rule can't do now, as there is no lease say, it leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            PoolSpec("agents", CAPACITY),
            spec("operations", 1),
            PoolSpec("api", (3,) * 4, is_fleet=True),
            limits=Limits(6, 3, grace_s=10.0, alarm_s=(1.0, 4.0, 9.0)),
            patience=Patience(dwell_s=4.0, cpu_smoothing_s=1.0, gap_s=12.0),
            budget=BUDGET,
            ageing=QUICK,
        )
        # Two of them have one PID: what is known of the first may be late.
        holders = (Holder(1, 1), Holder(1, 2), Holder(2, 1), Holder(3, 1))
        self.clients = [Client(holder, line) for line, holder in enumerate(holders, start=1)]
        self.last_connection = 4
        self.asked: list[Caller] = []
        self.claims: list[Claim] = []

    def caller(self, who: int) -> Caller:
        return self.world.caller(self.clients[who].connection)

    def feed(self, event: ev.Event) -> None:
        self.world.feed(self.world.now, event)

    def lease(self, which: int, wanted: Callable[[Lease], object] | None = None) -> Lease | None:
        """Any lease, or any that is wanted."""
        leases = [one for pool in self.world.core.pools.values() for one in pool.leases.values()]
        leases = [one for one in leases if wanted is None or wanted(one)]
        return leases[which % len(leases)] if leases else None

    # --- clients ----------------------------------------------------------------------------------

    @rule(
        who=WHO,
        pool=st.sampled_from(["agents"] * 6 + ["operations"] * 3 + ["api"] * 2 + ["nonesuch"]),
        weight=st.sampled_from([1] * 6 + [2, 2, 3, 4]),
        rank=st.sampled_from(Class),
        group=st.sampled_from(["", "", "a", "b"]),
        uid=st.sampled_from([0, 0, 0, 7]),
        max_hold_s=st.sampled_from([None, None, 1.0, 5.0]),
        bound=st.sampled_from(Bound),
        ttl_s=st.sampled_from([None, None, 3.0]),
        wait_s=WAIT_S,
        by_s=st.sampled_from([None, None, None, 3.0]),
        is_repeatable=st.booleans(),
        above=st.none() | st.none() | st.lists(WHO, min_size=1, max_size=3),
        is_new=st.booleans(),
    )
    def acquire(
        self,
        who: int,
        pool: str,
        weight: int,
        rank: Class,
        group: str,
        uid: int,
        max_hold_s: float | None,
        bound: Bound,
        ttl_s: float | None,
        wait_s: float | None,
        by_s: float | None,
        is_repeatable: bool,
        above: list[int] | None,
        is_new: bool,
    ) -> None:
        number = len(self.claims)
        claim = Claim(
            holder=self.clients[who].holder,
            pool=pool,
            weight=weight,
            rank=rank,
            group=group,
            uid=uid,
            max_hold_s=max_hold_s,
            end_after_max=max_hold_s == 1.0,
            bound=bound,
            ttl_s=ttl_s,
            request=number.to_bytes(16, "big") if is_repeatable else None,
            secret=bytes([number]),
        )
        caller = self.caller(who)
        self.claims.append(claim)
        self.asked.append(caller)
        parent = None if above is None else 3 if weight > 1 else LAST_LEASE
        holders = tuple(self.clients[one].holder for one in above or ())
        self.feed(ev.Acquire(caller, claim, wait_s, parent, holders, is_new, by_s))

    @rule(who=WHO, ttl_s=st.sampled_from([None, None, 3.0]))
    def acquire_plainly(self, who: int, ttl_s: float | None) -> None:
        """As most do: one unit, for as long as it takes, and to be repeated if need be."""
        number = len(self.claims)
        request = number.to_bytes(16, "big")
        claim = Claim(self.clients[who].holder, ttl_s=ttl_s, request=request)
        caller = self.caller(who)
        self.claims.append(claim)
        self.asked.append(caller)
        self.feed(ev.Acquire(caller, claim))

    @rule(who=WHO, which=WHICH, wait_s=WAIT_S)
    def ask_again(self, who: int, which: int, wait_s: float | None) -> None:
        """The same request once more; by its own process, if that still lives."""
        claims = [one for one in self.claims if one.request is not None]
        if claims:
            claim = claims[-1 - which % len(claims)]
            same = [one for one in self.clients if one.holder == claim.holder]
            client = same[0] if same and who else self.clients[who]
            mine = Claim(client.holder, request=claim.request, secret=b"another")
            caller = self.world.caller(client.connection)
            self.asked.append(caller)
            self.feed(ev.Acquire(caller, mine, wait_s))

    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        here = [one for one in self.asked if one.connection in self.world.lines]
        if here:
            asked = here[-1 - which % len(here)]
            self.feed(ev.Cancel(self.world.caller(asked.connection), id=asked.id))

    @rule(who=WHO, which=WHICH)
    def cancel_request(self, who: int, which: int) -> None:
        if self.claims:
            claim = self.claims[-1 - which % len(self.claims)]
            self.feed(ev.Cancel(self.caller(who), claim.request, id=0))

    @rule(who=WHO, which=WHICH)
    def release(self, who: int, which: int) -> None:
        if lease := self.lease(which):
            self.feed(ev.Release(self.caller(who), lease.id, (self.clients[who].holder,)))

    @rule(who=WHO, which=WHICH, has_ttl=st.sampled_from([True, True, True, False]))
    def renew(self, who: int, which: int, has_ttl: bool) -> None:
        if lease := self.lease(which, (lambda lease: lease.claim.ttl_s) if has_ttl else None):
            self.feed(ev.Renew(self.caller(who), lease.id))

    @rule(who=WHO, which=WHICH)
    def give_back_for_a_while(self, who: int, which: int) -> None:
        if lease := self.lease(which):
            self.feed(ev.Yield(self.caller(who), lease.id))

    @rule(who=WHO, which=WHICH, wait_s=WAIT_S, is_yielded=st.booleans())
    def regain(self, who: int, which: int, wait_s: float | None, is_yielded: bool) -> None:
        yielded = (lambda lease: lease.state is State.YIELDED) if is_yielded else None
        if lease := self.lease(which, yielded):
            caller = self.caller(who)
            self.asked.append(caller)
            self.feed(ev.Regain(caller, lease.id, wait_s))

    @rule(who=WHO, which=WHICH, knows_secret=st.sampled_from([True, True, True, False]))
    def resume(self, who: int, which: int, knows_secret: bool) -> None:
        if lease := self.lease(which):
            secret = lease.claim.secret if knows_secret else b"a guess"
            self.feed(ev.Resume(self.caller(who), lease.id, secret))

    @rule(who=WHO, verb=st.sampled_from([ev.Release, ev.Renew, ev.Yield, ev.Regain]))
    def speak_of_no_lease(self, who: int, verb: type[OfLease]) -> None:
        self.feed(verb(self.caller(who), 0))

    @rule(who=WHO)
    def lose_connection(self, who: int) -> None:
        client = self.clients[who]
        gone = client.connection
        self.last_connection += 1
        client.connection = self.last_connection
        if gone in self.world.lines:
            self.world.close(self.world.now, gone)

    @rule(who=WHO, is_closed_first=st.booleans())
    def end_process(self, who: int, is_closed_first: bool) -> None:
        """It ends, and another process gets its PID."""
        holder = self.clients[who].holder
        if is_closed_first:
            self.lose_connection(who)
        self.world.exit(self.world.now, holder)
        if not is_closed_first:
            self.lose_connection(who)
        self.clients[who].holder = Holder(holder.pid, holder.start_ticks + 2)

    @rule(who=WHO, whose=WHO)
    def start(self, who: int, whose: int) -> None:
        """It turns out that one of them was started by another."""
        child, parent = self.clients[who].holder, self.clients[whose].holder
        if child != parent and parent not in self.world.tree_of(child):
            self.world.start(child, parent)

    @rule(which=WHICH)
    def look_for_a_tree(self, which: int) -> None:
        if wanted := sorted(self.world.wanted - self.world.seen.keys()):
            self.world.look(wanted[which % len(wanted)])

    @rule(which=WHICH)
    def tell_what_was_seen(self, which: int) -> None:
        if seen := sorted(self.world.seen):
            self.world.tell_seen(self.world.now, seen[which % len(seen)])

    @rule()
    def everybody_exits(self) -> None:
        for who in range(len(self.clients)):
            self.end_process(who, is_closed_first=False)
        self.world.look_all(self.world.now)
        ledger = self.world.core.ledger
        assert not ledger.held + ledger.waiting, "somebody has something, and nobody lives"

    # --- time and the machine ---------------------------------------------------------------------

    @rule()
    def sleep_until_due(self) -> None:
        due_at = self.world.core.wakeup()
        if due_at < inf:
            self.world.pass_time(max(due_at, self.world.now))

    @rule(late_s=st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0, 11.0]))
    def be_late(self, late_s: float) -> None:
        """Time passes, and the daemon has not looked at its clock yet."""
        self.world.now += late_s

    @rule(step_s=st.sampled_from([0.0, 0.0, 0.5, 5.0]))
    def be_slow(self, step_s: float) -> None:
        """From now on time passes between a step and the one that follows from it."""
        self.world.step_s = step_s

    @rule(
        units=st.integers(1, 3),
        rank=st.none() | st.sampled_from(Class),
        group=st.sampled_from(["", "", "g"]),
        from_in_s=st.sampled_from([0.0, 0.0, 1.0]),
        for_s=st.sampled_from([2.0, 8.0]),
        pool=st.sampled_from(["agents"] * 6 + ["operations", "operations", "nonesuch", "api"]),
        is_whole=st.booleans(),
    )
    def reserve(
        self,
        units: int,
        rank: Class | None,
        group: str,
        from_in_s: float,
        for_s: float,
        pool: str,
        is_whole: bool,
    ) -> None:
        caller = self.world.caller(0)
        wish = by_hand.Reserve(caller, pool, units, for_s, rank, group, from_in_s, is_whole)
        self.feed(wish)

    @rule(units=st.integers(0, 4), for_s=st.sampled_from([inf, inf, 2.0, 0.0]))
    def permit(self, units: int, for_s: float) -> None:
        self.feed(Permitted("api", units, self.world.now + for_s, "others have all"))

    @rule(which=WHICH)
    def unreserve(self, which: int) -> None:
        number = max(0, self.world.core.ledger.last_reservation - which)
        self.feed(by_hand.Unreserve(self.world.caller(0), number))

    @rule(
        pool=st.sampled_from([None, "agents", "operations", "nonesuch"]),
        for_s=st.sampled_from([None, 1.0, 4.0]),
        is_over=st.booleans(),
    )
    def pause(self, pool: str | None, for_s: float | None, is_over: bool) -> None:
        caller = self.world.caller(0)
        over = by_hand.Unpause(caller, pool)
        self.feed(over if is_over else by_hand.Pause(caller, pool, for_s))

    @rule(which=WHICH, is_cancelled=st.booleans(), is_back=st.booleans())
    def take_in_hand(self, which: int, is_cancelled: bool, is_back: bool) -> None:
        """A waiter is put ahead of its class or behind it, or taken out of the queue."""
        if waiters := list(self.world.witness.books.waiters):
            caller, ticket = self.world.caller(0), waiters[which % len(waiters)]
            cancelled = ev.Cancel(caller, ticket=ticket, uid=0 if which else None)
            self.feed(cancelled if is_cancelled else by_hand.Move(caller, ticket, is_back))

    @rule(level=st.none() | st.integers(0, 3), for_s=st.sampled_from([None, 1.0, 5.0]))
    def set_level(self, level: int | None, for_s: float | None) -> None:
        self.world.set_level(self.world.now, level, for_s)

    @rule()
    def sleep(self) -> None:
        """The machine was asleep."""
        self.feed(ev.Woke())

    @rule(
        capacity=st.sampled_from([CAPACITY, SMALLER, LARGER]),
        ageing=st.sampled_from([QUICK, QUICK, SLOW, NEVER]),
    )
    def reconfigure(self, capacity: tuple[int, int, int, int], ageing: Ageing) -> None:
        """Other settings hold, for the next daemon as well."""
        world = self.world
        world.specs = (PoolSpec("agents", capacity), *world.specs[1:])
        world.ageing = ageing
        self.feed(ev.Configured(world.throttle, world.specs, world.ageing))

    @rule(
        memory_used_pct=st.sampled_from([10.0, 60.0, 75.0, 85.0, 95.0, None]),
        cpu_used_pct=st.sampled_from([5.0, 5.0, 65.0, None]),
        total_bytes=st.sampled_from([100, 100, None]),
    )
    def sample(
        self, memory_used_pct: float | None, cpu_used_pct: float | None, total_bytes: int | None
    ) -> None:
        now = self.world.now
        sample = Sample(now, memory_used_pct, cpu_used_pct, memory_total_bytes=total_bytes)
        self.feed(ev.Sampled(sample))

    # --- the daemon and its disk ------------------------------------------------------------------

    @rule(room=st.integers(0, 3))
    def fill_the_disk(self, room: int) -> None:
        """But for so many more records."""
        self.world.disk_room = room

    @rule()
    @precondition(lambda self: self.world.disk_room < inf)
    def mend_the_journal(self) -> None:
        self.world.mend_journal(self.world.now)

    @rule()
    @precondition(lambda self: self.world.core.journal_works)
    def rewrite_the_journal(self) -> None:
        self.world.rewrite_journal()

    @rule(effects=st.integers(0, 5))
    @precondition(lambda self: self.world.core.ledger.held)
    def kill_after(self, effects: int) -> None:
        """It will die when so many more effects have been carried out."""
        self.world.effects_left = effects

    @rule(effects=st.none() | st.integers(0, 4))
    @precondition(lambda self: self.world.core.ledger.held)
    def kill_now(self, effects: int | None) -> None:
        """It dies, and perhaps the next one as well while it takes over."""
        self.world.restart(self.world.now, effects)

    def teardown(self) -> None:
        """Once all is well again, everybody who waits is served or leaves, and all ends."""
        world = self.world
        if not world.is_sound:
            return
        world.effects_left = None
        world.mend_journal(world.now)
        self.reconfigure(LARGER, QUICK)
        self.feed(by_hand.Unpause(world.caller(0)))
        world.set_level(world.now, 0)
        for _ in range(100):
            self.permit(3, inf)
            if not world.core.ledger.held + world.core.ledger.waiting:
                return
            if lease := self.lease(0):
                self.feed(ev.Release(world.caller(0), lease.id))
            else:
                self.sleep_until_due()
        raise AssertionError("somebody waits though nothing is out")


TestInterleavings = Interleavings.TestCase
# Long stories: of them half as many for whoever works on it.
FEWER = settings(max_examples=150) if settings.get_current_profile_name() == "developer" else None
TestInterleavings.settings = settings(FEWER, stateful_step_count=150)
