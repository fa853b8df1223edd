"""Random stories of those who can wait until the load is low, and of daemons that are killed
meanwhile. See `tests.core.test_interleavings`.
"""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from admission.core import by_hand
from admission.core import events as ev
from admission.core.deferral import Defer
from admission.core.leases import Bound, Claim, Class, Holder
from admission.core.limits import Limits
from admission.core.order import Ageing
from admission.core.sample import Sample
from tests.core import moves as mv
from tests.core.worlds import World, agents

WHICH = st.integers(0, 4)
GIB = 1 << 30


class PutOff(RuleBasedStateMachine):
    """See the module. Whatever a rule can't do now, as nobody waits say, it leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            agents(3, 2, 2, 1),
            limits=Limits(waiters_max=8, grace_s=6.0, alarm_s=(5.0, 5.0, 9.0)),
            ageing=Ageing(7.0, 9.0, fill_in_s=4.0),
        )
        self.world.throttle = replace(self.world.throttle, defer=Defer(12.0, idle_s=4.0))
        self.configure()
        self.last_pid = 0

    def feed(self, event: ev.Event) -> None:
        self.world.feed(self.world.now, event)

    def configure(self) -> None:
        world = self.world
        self.feed(ev.Configured(world.throttle, world.specs, world.ageing))

    @initialize(defers=st.lists(st.booleans(), min_size=1, max_size=3))
    def begin(self, defers: list[bool]) -> None:
        for defer in defers:
            self.acquire(1, Class.NORMAL, defer, None, None, "")

    @rule(
        weight=st.sampled_from([1, 1, 1, 2, 3]),
        rank=st.sampled_from(Class),
        defer=st.sampled_from([True, True, False]),
        by_s=st.sampled_from([None, None, 0.5, 5.0]),
        wait_s=st.sampled_from([None, None, None, 0.0, 6.0]),
        group=st.sampled_from(["", "g"]),
    )
    def acquire(
        self,
        weight: int,
        rank: Class,
        defer: bool,
        by_s: float | None,
        wait_s: float | None,
        group: str,
    ) -> None:
        self.last_pid += 1
        claim = Claim(
            Holder(self.last_pid, 1),
            weight=weight,
            rank=rank,
            group=group,
            bound=Bound.PROCESS,
            request=self.last_pid.to_bytes(16, "big"),
        )
        caller = self.world.caller(self.last_pid)
        self.feed(ev.Acquire(caller, claim, wait_s, by_s=by_s, defer=defer))

    @rule(which=WHICH, defer=st.booleans(), by_s=st.sampled_from([None, 3.0]))
    def ask_again(self, which: int, defer: bool, by_s: float | None) -> None:
        waiters = list(self.world.core.pools["agents"].waiters.values())
        if waiters:
            claim = waiters[which % len(waiters)].claim
            caller = self.world.caller(claim.holder.pid)
            self.feed(ev.Acquire(caller, claim, by_s=by_s, defer=defer))

    @rule(
        used_pct=st.sampled_from([None, 10.0, 10.0, 10.0, 80.0]),
        cpu_pct=st.sampled_from([None, 5.0, 5.0, 5.0, 5.0, 50.0]),
        age_s=st.sampled_from([0.0] * 5 + [1.0]),
    )
    def sample(self, used_pct: float | None, cpu_pct: float | None, age_s: float) -> None:
        at = self.world.now - age_s
        reading = Sample(at, used_pct, cpu_pct, memory_total_bytes=16 * GIB)
        self.feed(ev.Sampled(reading))

    @rule(times=st.integers(2, 8))
    def rest(self, times: int) -> None:
        for _ in range(times):
            self.pass_time(1.0)
            self.sample(10.0, 5.0, 0.0)

    @rule()
    def sleep(self) -> None:
        self.feed(ev.Woke())

    @rule(which=WHICH)
    def release(self, which: int) -> None:
        leases = list(self.world.core.pools["agents"].leases.values())
        if leases:
            lease = leases[which % len(leases)]
            self.feed(ev.Release(self.world.caller(0), lease.id, (lease.claim.holder,)))

    @rule(which=WHICH)
    def move(self, which: int) -> None:
        waiters = list(self.world.core.pools["agents"].waiters)
        if waiters:
            ticket = waiters[which % len(waiters)]
            self.feed(by_hand.Move(self.world.caller(0), ticket, is_back=which % 2 == 1))

    @rule(for_s=st.sampled_from([2.0, None]))
    def pause(self, for_s: float | None) -> None:
        self.feed(by_hand.Pause(self.world.caller(0), "agents", for_s))

    @rule()
    def go_on(self) -> None:
        self.feed(by_hand.Unpause(self.world.caller(0), "agents"))

    @rule(rank=st.none() | st.sampled_from(Class), group=st.sampled_from(["", "g"]))
    def reserve(self, rank: Class | None, group: str) -> None:
        event = by_hand.Reserve(self.world.caller(0), "agents", 1, 5.0, rank, group)
        self.feed(event)

    @rule(which=WHICH)
    def lose_connection(self, which: int) -> None:
        if lines := sorted(self.world.lines):
            self.world.close(self.world.now, lines[which % len(lines)])

    @rule(late_s=st.sampled_from([0.5, 1.0, 4.0]))
    def pass_time(self, late_s: float) -> None:
        mv.wake_for(self.world, late_s)

    @rule(late_s=st.sampled_from([0.5, 4.0]))
    def be_late(self, late_s: float) -> None:
        """Time passes, and the daemon has not looked at its clock yet."""
        self.world.now += late_s

    @rule(effects=st.none() | st.integers(0, 4))
    def kill_now(self, effects: int | None) -> None:
        """It dies, and perhaps the next one as well while it takes over."""
        self.world.restart(self.world.now, effects)
        self.configure()


TestPutOff = PutOff.TestCase
# Half as many as elsewhere find all that can be planted.
TestPutOff.settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=40)
