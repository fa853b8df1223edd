"""Random stories of tasks whose memory is measured: the budget goes by what they take, those that
run out of memory again and again pause, and those that never fit are refused. See
`tests.core.test_interleavings`.
"""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from admission.core import events as ev
from admission.core.budget import Budget
from admission.core.estimates import Ended, Learning, Measured, OutOfMemory, Reading, Recalled, Run
from admission.core.leases import Bound, Claim, Class, Holder, Lease
from admission.core.levels import LEVELS
from admission.core.limits import Limits
from admission.core.sample import Sample
from tests.core import moves as mv
from tests.core.worlds import NO_ALARMS, World, agents, spec

# A machine of 20 bytes, of which 18 may be spoken for.
TOTAL = 20
BUDGET = Budget(ceiling_pct=90.0, mean_bytes=2, peak_bytes=4, share_pct=100.0, ramp_s=4.0)
LEARNING = Learning(is_on=True, fresh_s=5.0, pause_s=2.0, pause_max_s=6.0)
CALM = tuple(replace(row, memory_below_pct=1000.0, delay_ms=0) for row in LEVELS)
KINDS = {
    "build": Claim(Holder(0, 0), task="build", bound=Bound.PROCESS),
    "test": Claim(Holder(0, 0), task="test", bound=Bound.PROCESS),
    "heavy": Claim(Holder(0, 0), task="build", weight=2, bound=Bound.PROCESS),
    "first": Claim(Holder(0, 0), task="test", rank=Class.CRITICAL, bound=Bound.PROCESS),
    "by its place": Claim(Holder(0, 0), agent="ann", workspace="here", bound=Bound.PROCESS),
    "another user's": Claim(Holder(0, 0), task="build", uid=7, bound=Bound.PROCESS),
    "elsewhere": Claim(Holder(0, 0), "operations", task="build", bound=Bound.PROCESS),
}
WHICH = st.integers(0, 5)
SOME = st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=4)
BYTES = st.lists(st.integers(0, 9), min_size=1, max_size=5)
USED = st.sampled_from([None, 10.0, 30.0, 40.0, 60.0, 75.0])


class OnDemand(RuleBasedStateMachine):
    """See the module. Whatever a rule can't do now, as there is no lease say, it leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            agents(5),
            spec("operations", 2),
            limits=Limits(waiters_max=12, grace_s=6.0, alarm_s=NO_ALARMS),
            levels=CALM,  # type: ignore[arg-type]
            budget=BUDGET,
        )
        self.last_pid = 0
        self.go_by(LEARNING)

    def feed(self, event: ev.Event) -> None:
        self.world.feed(self.world.now, event)

    def go_by(self, learning: Learning) -> None:
        world = self.world
        world.throttle = replace(world.throttle, learning=learning)
        self.feed(ev.Configured(world.throttle, world.specs, world.ageing))

    def lease(self, which: int) -> Lease | None:
        leases = [one for pool in self.world.core.pools.values() for one in pool.leases.values()]
        return leases[which % len(leases)] if leases else None

    @rule(kinds=SOME, wait_s=st.sampled_from([None, None, 0, 3.0]))
    def acquire(self, kinds: list[str], wait_s: float | None) -> None:
        for kind in kinds:
            self.last_pid += 1
            claim = replace(KINDS[kind], holder=Holder(self.last_pid, 1))
            self.feed(ev.Acquire(self.world.caller(self.last_pid), claim, wait_s))

    @rule(used_pct=USED)
    def sample(self, used_pct: float | None) -> None:
        self.feed(ev.Sampled(Sample(self.world.now, used_pct, 10.0, memory_total_bytes=TOTAL)))

    @rule(taken=BYTES, age_s=st.sampled_from([0.0, 0.0, 0.0, 1.5]))
    def look(self, taken: list[int], age_s: float) -> None:
        """At the first few leases, wherever they are, and at one that is not there."""
        numbers = [*(one.id for one in map(self.lease, range(len(taken) - 1)) if one), 99]
        readings = tuple(
            Reading(number, memory, processes=1 + memory % 3)
            for number, memory in zip(dict.fromkeys(numbers), taken, strict=False)
        )
        self.feed(Measured(self.world.now - age_s, readings))

    @rule(which=WHICH)
    def run_out_of_memory(self, which: int) -> None:
        if lease := self.lease(which):
            self.feed(OutOfMemory(lease.id))

    @rule(which=WHICH)
    def have_run_out_of_memory(self, which: int) -> None:
        """As is heard late."""
        self.feed(OutOfMemory(self.world.core.ledger.last_lease - which))

    @rule(which=WHICH, is_out_of_memory=st.booleans(), taken=st.integers(0, 9))
    def end(self, which: int, is_out_of_memory: bool, taken: int) -> None:
        if lease := self.lease(which):
            self.feed(Measured(self.world.now, (Reading(lease.id, taken),)))
            if is_out_of_memory:
                self.feed(OutOfMemory(lease.id))
            self.world.exit(self.world.now, lease.claim.holder)

    @rule(kind=st.sampled_from(["build", "test"]), often=st.integers(2, 4))
    def run_out_of_memory_again_and_again(self, kind: str, often: int) -> None:
        for _ in range(often):
            last = self.world.core.ledger.last_lease
            self.acquire([kind], None)
            if lease := self.world.core.ledger.lease(last + 1):
                self.feed(Measured(self.world.now, (Reading(lease.id, 3),)))
                self.feed(OutOfMemory(lease.id))
                self.world.exit(self.world.now, lease.claim.holder)
        self.acquire([kind, "first"], None)

    @rule(which=WHICH)
    def yield_units(self, which: int) -> None:
        if lease := self.lease(which):
            self.feed(ev.Yield(self.world.caller(0), lease.id))

    @rule(which=WHICH)
    def regain(self, which: int) -> None:
        if lease := self.lease(which):
            self.feed(ev.Regain(self.world.caller(lease.claim.holder.pid), lease.id))

    @rule(peaks=BYTES, ended=st.sampled_from(Ended), more=st.sampled_from([0, 0, 8, 14]))
    def recall(self, peaks: list[int], ended: Ended, more: int) -> None:
        runs = [
            Run("build", "ann", "here", 0, peak // 2, peak + more, 1.0, 2.0, ended=ended)
            for peak in peaks
        ]
        self.feed(Recalled(tuple(runs)))

    @rule(late_s=st.sampled_from([0.5, 1.0, 3.0]))
    def pass_time(self, late_s: float) -> None:
        mv.wake_for(self.world, late_s)

    @rule(late_s=st.sampled_from([0.5, 2.0]))
    def be_late(self, late_s: float) -> None:
        self.world.now += late_s

    @rule(used_pct=USED)
    def learn_nothing_for_a_while(self, used_pct: float | None) -> None:
        self.go_by(replace(LEARNING, is_on=False))
        self.sample(used_pct)
        self.go_by(LEARNING)

    @rule(room=st.integers(0, 2))
    def fill_the_disk(self, room: int) -> None:
        self.world.disk_room = room
        self.acquire(["build", "test"], None)
        self.world.mend_journal(self.world.now)

    @rule(effects=st.none() | st.integers(0, 4))
    @precondition(lambda self: self.world.core.ledger.held)
    def kill_now(self, effects: int | None) -> None:
        """And nothing is recalled: the history is the daemon's to keep."""
        self.world.restart(self.world.now, effects)


TestOnDemand = OnDemand.TestCase
TestOnDemand.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=40)
