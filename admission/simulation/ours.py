"""The real core, driven as the daemon drives it: what is simulated is what ships."""

from dataclasses import replace
from random import Random

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.budget import GIB
from admission.core.by_hand import Reserve
from admission.core.estimates import (
    Estimate,
    Learning,
    Measured,
    OutOfMemory,
    Reading,
    Recalled,
    Run,
)
from admission.core.governor import Governor, Throttle
from admission.core.learning import Estimates
from admission.core.leases import Caller, Claim, Class, Holder
from admission.core.levels import PoolSpec, pools_of
from admission.core.sample import Sample
from admission.core.shedding import Park
from admission.simulation.day import Shape, Task, any_task

# One attempt of one task is one process and one connection.
START_TICKS = 1
# How often the machine is looked at while agents run.
SAMPLE_S = 5
# So many tasks of an earlier day are remembered where any are.
EARLIER = 200
# No day is longer.
LONG_S = 7 * 86_400.0


class Known(Estimates):
    """What each task takes, known beforehand, as nobody can."""

    def __init__(self) -> None:
        super().__init__(Learning(is_on=True))
        self.tasks: dict[str, Task] = {}

    @property
    def knows_any(self) -> bool:
        return True

    def learn(self, run: Run, at: float = 0.0) -> None:
        """There is nothing to learn."""

    def of(self, claim: Claim, prior: Estimate) -> Estimate:
        task = self.tasks[claim.task]
        return Estimate(task.mean_gib * GIB, task.peak_gib * GIB, 1.0, runs=1)


def earlier_runs(shape: Shape) -> tuple[Run, ...]:
    """What the tasks of an earlier day took on this machine, none of which was cut short."""
    random = Random(f"an earlier day {shape.total_gib:g}/{shape.cores}")
    return tuple(_run_of(any_task(random, 0, shape)) for _ in range(EARLIER))


def _run_of(task: Task) -> Run:
    cpu_s = sum(cycle.work_core_s for cycle in task.cycles)
    tools_s = sum(cycle.work_core_s / cycle.cores for cycle in task.cycles)
    lasted_s = tools_s + sum(cycle.answer_s for cycle in task.cycles)
    mean_bytes, peak_bytes = int(task.mean_gib * GIB), int(task.peak_gib * GIB)
    return Run(task.kind, "", "", 0, mean_bytes, peak_bytes, cpu_s, lasted_s)


class Ours:
    """Asks for a lease for each task, and starts it when the core says so."""

    def __init__(
        self,
        throttle: Throttle | None = None,
        specs: tuple[PoolSpec, ...] | None = None,
        sample_s: int = SAMPLE_S,
        *,
        yields: bool = False,
        defers: bool = False,
        learns: bool = False,
        knows: bool = False,
        recalls: tuple[Run, ...] = (),
        reserves: int = 0,
    ) -> None:
        self.throttle = throttle or Throttle()
        if learns or knows:
            learning = replace(self.throttle.learning, is_on=True)
            self.throttle = replace(self.throttle, learning=learning)
        self.specs = specs or pools_of(self.throttle.levels)
        self.core = Admission(self.specs, Governor(throttle=self.throttle))
        self.starts: list[int] = []
        self.changes = 0
        self.sample_s = sample_s
        self.sees_instant = False
        self.yields = yields
        self.defers = defers
        self.resumes: list[int] = []
        self.parks: list[int] = []
        self.measures = learns or knows
        self._known = Known() if knows else None
        if self._known is not None:
            self.core.learner.estimates = self._known
        self._parkable = "park" in self.throttle.shed.policy
        self._parked: dict[int, int] = {}
        self._leases: dict[int, int] = {}
        self._wakeup_at = self.core.wakeup()
        if recalls:
            self._feed(0.0, Recalled(recalls))
        if reserves:
            # Also where level 3 leaves the others nothing.
            caller, rank = Caller(0, 1), Class.CRITICAL
            self._feed(0.0, Reserve(caller, "agents", reserves, LONG_S, rank, is_whole=True))

    def arrive(self, now: float, number: int, task: Task) -> None:
        asked = ev.Acquire(Caller(number, 1), self._claim(number, task))
        if self.defers and task.starts_by is not None:
            asked = replace(asked, by_s=max(0.0, task.starts_by - now), defer=True)
        self._feed(now, asked)

    def come_back(self, now: float, number: int, task: Task, parked: int) -> None:
        claim, lease = self._claim(number, task), self._parked.pop(parked)
        self._feed(now, ev.Acquire(Caller(number, 1), claim, resumes=lease))

    def _claim(self, number: int, task: Task) -> Claim:
        label = task.kind
        if self._known is not None:
            label = f"{task.kind} {number}"
            self._known.tasks[label] = task
        return Claim(
            Holder(number, START_TICKS),
            task=label,
            rank=Class.CRITICAL if task.is_urgent else Class.NORMAL,
            parkable=self._parkable,
        )

    def kill(self, now: float, number: int) -> None:
        if self.measures:
            self._feed(now, OutOfMemory(self._leases[number]))

    def leave(self, now: float, number: int) -> None:
        caller, holder = Caller(number, 2), Holder(number, START_TICKS)
        self._feed(now, ev.Release(caller, self._leases.pop(number), (holder,)))

    def measure(self, now: float, memory_gib: dict[int, float]) -> None:
        readings = tuple(
            Reading(self._leases[number], int(gib * GIB)) for number, gib in memory_gib.items()
        )
        self._feed(now, Measured(now, readings))

    def rest(self, now: float, number: int) -> None:
        if number in self._leases:  # else it was killed in the same second
            self._feed(now, ev.Yield(Caller(number, 3), self._leases[number]))

    def want(self, now: float, number: int) -> None:
        if number in self._leases:
            self._feed(now, ev.Regain(Caller(number, 4), self._leases[number]))

    def sense(self, now: float, sample: Sample) -> None:
        self._feed(now, ev.Sampled(sample))

    def pass_time(self, now: float) -> None:
        while self._wakeup_at <= now:
            self._feed(now, ev.TimePassed())

    def _feed(self, now: float, event: ev.Event) -> None:
        before = self.core.pools["agents"].capacity
        for effect in self.core.handle(now, event):
            if isinstance(effect, Park):
                number = effect.lease.claim.holder.pid
                self.parks.append(number)
                self._parked[number] = effect.lease.id
            if not isinstance(effect, ev.Told):
                continue
            number = effect.lease.claim.holder.pid
            if number not in self._leases:
                self._leases[number] = effect.lease.id
                self.starts.append(number)
            elif effect.lease.is_out:
                self.resumes.append(number)
        self.changes += self.core.pools["agents"].capacity != before
        self._wakeup_at = self.core.wakeup()
