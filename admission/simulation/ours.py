"""The real core, driven as the daemon drives it: what is simulated is what ships."""

from dataclasses import replace

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor, Throttle
from admission.core.leases import Caller, Claim, Holder
from admission.core.levels import PoolSpec, pools_of
from admission.core.sample import Sample
from admission.simulation.day import Task

# One attempt of one task is one process and one connection.
START_TICKS = 1
# How often the machine is looked at while agents run.
SAMPLE_S = 5


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
    ) -> None:
        self.throttle = throttle or Throttle()
        self.specs = specs or pools_of(self.throttle.levels)
        self.core = Admission(self.specs, Governor(throttle=self.throttle))
        self.starts: list[int] = []
        self.changes = 0
        self.sample_s = sample_s
        self.sees_instant = False
        self.yields = yields
        self.defers = defers
        self.resumes: list[int] = []
        self._leases: dict[int, int] = {}
        self._wakeup_at = self.core.wakeup()

    def arrive(self, now: float, number: int, task: Task) -> None:
        claim = Claim(Holder(number, START_TICKS), task=task.kind)
        asked = ev.Acquire(Caller(number, 1), claim)
        if self.defers and task.starts_by is not None:
            asked = replace(asked, by_s=max(0.0, task.starts_by - now), defer=True)
        self._feed(now, asked)

    def leave(self, now: float, number: int) -> None:
        caller, holder = Caller(number, 2), Holder(number, START_TICKS)
        self._feed(now, ev.Release(caller, self._leases.pop(number), (holder,)))

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
