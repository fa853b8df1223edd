"""Random stories under pressure: who works is advised, stopped for a while and asked to end, and
the daemon is killed between any two effects. See `tests.core.test_interleavings`.
"""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from admission.core import events as ev
from admission.core.leases import Bound, Caller, Claim, Class, Holder, Lease
from admission.core.limits import Limits
from admission.core.sample import Sample
from admission.core.shedding import Shed
from tests.core import moves as mv
from tests.core.worlds import NO_ALARMS, World, agents, spec

LADDER = Shed(("advise", "freeze", "park"), park_every_s=3.0, freeze_max_s=2.5, freeze_rest_s=6.0)
KINDS = {
    "plain": Claim(Holder(0, 0)),
    "parkable": Claim(Holder(0, 0), parkable=True),
    "parkable and bound to its process": Claim(Holder(0, 0), parkable=True, bound=Bound.PROCESS),
    "batch": Claim(Holder(0, 0), parkable=True, rank=Class.BATCH),
    "critical": Claim(Holder(0, 0), parkable=True, rank=Class.CRITICAL),
    "interactive": Claim(Holder(0, 0), parkable=True, interactive=True),
    "of a tree": Claim(Holder(0, 0), parkable=True, bound=Bound.TREE),
    "elsewhere": Claim(Holder(0, 0), "operations", parkable=True),
    "for a while": Claim(Holder(0, 0), ttl_s=4.0, bound=Bound.PROCESS),
    "another user's": Claim(Holder(0, 0), parkable=True, uid=7),
}
WHICH = st.integers(0, 4)
SOME = st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4)
STALL = st.sampled_from([None, 50.0, 80.0, 97.0, 97.0, 97.0])
USED = st.sampled_from([None, 50.0, 87.0, 91.0, 95.0, 95.0, 95.0])


class UnderPressure(RuleBasedStateMachine):
    """See the module. Whatever a rule can't do now, as there is no lease say, it leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            agents(3, 3, 2, 2),
            spec("operations", 2),
            limits=Limits(waiters_max=8, grace_s=6.0, alarm_s=NO_ALARMS),
            shed=LADDER,
        )
        self.last_pid = 0

    def feed(self, event: ev.Event) -> None:
        self.world.feed(self.world.now, event)

    def lease(self, which: int) -> Lease | None:
        leases = [one for pool in self.world.core.pools.values() for one in pool.leases.values()]
        return leases[which % len(leases)] if leases else None

    @initialize(kinds=SOME)
    def begin(self, kinds: list[str]) -> None:
        for kind in kinds:
            self.ask(kind)

    @rule(kinds=SOME, resumes=st.none() | WHICH, wait_s=st.sampled_from([None, None, 0]))
    def acquire(self, kinds: list[str], resumes: int | None, wait_s: float | None) -> None:
        for kind in kinds:
            self.ask(kind, resumes, wait_s)

    def ask(self, kind: str, resumes: int | None = None, wait_s: float | None = None) -> None:
        self.last_pid += 1
        holder, request = Holder(self.last_pid, 1), self.last_pid.to_bytes(16, "big")
        claim = replace(KINDS[kind], holder=holder, request=request)
        parked = [99, *self.world.core.ledger.parked]
        lease = None if resumes is None else parked[-1 - resumes % len(parked)]
        caller = self.world.caller(self.last_pid)
        self.feed(ev.Acquire(caller, claim, wait_s, resumes=lease))

    @rule(stall_pct=STALL, effects=st.none() | st.none() | st.integers(1, 4))
    def wait_for_cpu(self, stall_pct: float | None, effects: int | None) -> None:
        """Tasks do; and the daemon may die of it."""
        self.world.effects_left = effects
        self.feed(ev.Sampled(Sample(self.world.now, 50.0, 10.0, cpu_stall_pct=stall_pct)))

    @rule(used_pct=USED, effects=st.none() | st.none() | st.integers(1, 4))
    def use_memory(self, used_pct: float | None, effects: int | None) -> None:
        self.world.effects_left = effects
        self.feed(ev.Sampled(Sample(self.world.now, used_pct, 10.0)))

    @rule(used_pct=USED, stall_pct=STALL, age_s=st.sampled_from([0.0] * 5 + [1.0]))
    def sample(self, used_pct: float | None, stall_pct: float | None, age_s: float) -> None:
        at = self.world.now - age_s
        self.feed(ev.Sampled(Sample(at, used_pct, 10.0, cpu_stall_pct=stall_pct)))

    @rule(which=WHICH, is_own=st.booleans())
    def release(self, which: int, is_own: bool) -> None:
        if lease := self.lease(which):
            above = (lease.claim.holder,) if is_own else ()
            self.feed(ev.Release(self.world.caller(0), lease.id, above))

    @rule(which=WHICH)
    def give_back_for_a_while(self, which: int) -> None:
        if lease := self.lease(which):
            self.feed(ev.Yield(self.world.caller(0), lease.id))

    @rule(which=WHICH)
    def regain(self, which: int) -> None:
        if lease := self.lease(which):
            self.feed(ev.Regain(self.world.caller(lease.claim.holder.pid), lease.id))

    @rule(which=WHICH)
    def end_process(self, which: int) -> None:
        if lease := self.lease(which):
            self.world.exit(self.world.now, lease.claim.holder)
            self.world.look_all(self.world.now)

    @rule()
    def end_whoever_was_asked_to(self) -> None:
        for lease in list(self.world.core.pools["agents"].leases.values()):
            if lease.is_parking:
                self.world.exit(self.world.now, lease.claim.holder)
        self.world.look_all(self.world.now)

    @rule(which=WHICH)
    def lose_connection(self, which: int) -> None:
        if lines := sorted(self.world.lines):
            self.world.close(self.world.now, lines[which % len(lines)])

    @rule(which=WHICH)
    def come_back(self, which: int) -> None:
        if lease := self.lease(which):
            caller: Caller = self.world.caller(lease.claim.holder.pid)
            self.feed(ev.Resume(caller, lease.id, lease.claim.secret))

    @rule(late_s=st.sampled_from([0.5, 1.0, 3.0]))
    def pass_time(self, late_s: float) -> None:
        mv.wake_for(self.world, late_s)

    @rule(late_s=st.sampled_from([0.5, 2.0]))
    def be_late(self, late_s: float) -> None:
        """Time passes, and the daemon has not looked at its clock yet."""
        self.world.now += late_s

    @rule(shed=st.sampled_from([Shed(("park",)), Shed()]), is_on=st.booleans(), pct=STALL)
    def go_by_other_settings(self, shed: Shed, is_on: bool, pct: float | None) -> None:
        """For the next daemon as well; and soon by the old ones."""
        world = self.world
        for throttle in (replace(world.throttle, shed=shed, is_on=is_on), world.throttle):
            world.throttle = throttle
            self.feed(ev.Configured(world.throttle, world.specs, world.ageing))
            self.wait_for_cpu(pct, None)

    @rule(pct=USED)
    def switch_off(self, pct: float | None) -> None:
        """A hand switches all throttling off, and on again."""
        self.feed(ev.SetLevel(self.world.caller(0), 0, is_off=True))
        self.use_memory(pct, None)
        self.feed(ev.SetLevel(self.world.caller(0), None))

    @rule(room=st.integers(0, 3), used_pct=USED, stall_pct=STALL)
    def fill_the_disk(self, room: int, used_pct: float | None, stall_pct: float | None) -> None:
        """But for so many more records; and soon it has room again."""
        self.world.disk_room = room
        self.sample(used_pct, stall_pct, 0.0)
        self.world.mend_journal(self.world.now)

    @rule(effects=st.none() | st.integers(0, 4))
    @precondition(lambda self: self.world.core.ledger.held)
    def kill_now(self, effects: int | None) -> None:
        """It dies, and perhaps the next one as well while it takes over."""
        self.world.restart(self.world.now, effects)


TestUnderPressure = UnderPressure.TestCase
# Half as many as elsewhere find all that can be planted.
TestUnderPressure.settings = settings(
    max_examples=settings().max_examples // 2, stateful_step_count=40
)
