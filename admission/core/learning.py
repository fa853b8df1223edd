"""What tasks take, learnt from what they took.

An estimate goes from the general to the particular: what the budget expects of any agent, the runs
of this user's agent in this workspace, those of this user's task by its label. Each counts by the
number of its runs, so that few of them say little (n / (n + 3)). A run that was cut short would
have taken more: it can raise an estimate, and never lower one.

All of it is bounded: the last runs of a key, the keys that something was learnt of last.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf

from admission.core.averages import mean, median
from admission.core.estimates import (
    Ended,
    Estimate,
    Experience,
    Learning,
    Learnt,
    Measured,
    OutOfMemory,
    Reading,
    Recalled,
    Run,
)
from admission.core.events import Effect, Record
from admission.core.events import Ended as EndedRecord
from admission.core.leases import Claim, Lease, Reason

RUNS_KEPT = 30
KEYS_KEPT = 1000
# A late word that something was killed finds the run it means among so many.
ENDED_KEPT = 64

Key = tuple[int, str] | tuple[int, str, str]
Average = Callable[[Sequence[float]], float]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the runs of one key come to. `runs`: how many they are; `whole`: not cut short."""

    runs: int
    whole: int
    mean_bytes: float
    peak_bytes: float
    cores: float
    lasts_s: float


class Estimates:
    """What is known of tasks. `settings` may be replaced by `adopt` at any time."""

    def __init__(self, settings: Learning | None = None) -> None:
        self.settings = settings or Learning()
        self._runs: dict[Key, deque[Run]] = {}
        self._figures: dict[Key, Figures] = {}
        # What was found since anything was learnt: it is asked for again and again.
        self._known: dict[tuple[int, str, str, str, Estimate], Estimate] = {}
        # When something like it last ran out of memory.
        self._failed_at: dict[Key, float] = {}

    @property
    def knows_any(self) -> bool:
        """Whether there is any run to go by."""
        return bool(self._runs)

    @property
    def failed(self) -> list[Key]:
        """The tasks of which something has run out of memory."""
        return [key for key in self._failed_at if len(key) == 2]

    def adopt(self, settings: Learning) -> None:
        self.settings = settings
        self._figures.clear()
        self._known.clear()

    # --- learning -------------------------------------------------------------------------------

    def learn(self, run: Run, at: float = -inf) -> None:
        """One more run, which ended then; -inf where that is long ago."""
        self._known.clear()
        for key in keys_of(run):
            runs = self._runs.pop(key, None) or deque[Run](maxlen=RUNS_KEPT)
            runs.append(run)
            self._runs[key] = runs  # the last in the dict, as it was the last to be learnt of
            self._figures.pop(key, None)
            self._note_failure(key, run, at)
        while len(self._runs) > KEYS_KEPT:
            key = next(iter(self._runs))
            del self._runs[key]
            self._figures.pop(key, None)
            self._failed_at.pop(key, None)

    def amend(self, old: Run, new: Run, at: float) -> None:
        """What was learnt as the one run was the other."""
        self._known.clear()
        for key in keys_of(old):
            if runs := self._runs.get(key):
                kept = [new if run is old else run for run in runs]
                self._runs[key] = deque(kept, maxlen=RUNS_KEPT)
                self._figures.pop(key, None)
                self._note_failure(key, new, at)

    def _note_failure(self, key: Key, run: Run, at: float) -> None:
        if run.ended is Ended.OUT_OF_MEMORY:
            self._failed_at[key] = max(at, self._failed_at.get(key, -inf))

    # --- what is expected -----------------------------------------------------------------------

    def of(self, claim: Claim, prior: Estimate) -> Estimate:
        """What a lease of this claim is expected to take.

        Args:
            claim: found by its labels.
            prior: what is expected of one of which nothing is known.
        """
        if not self.knows_any:
            return prior
        key = (claim.uid, claim.task, claim.agent, claim.workspace, prior)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= KEYS_KEPT:
                self._known.clear()
            known = self._known[key] = self._of(claim, prior)
        return known

    def _of(self, claim: Claim, prior: Estimate) -> Estimate:
        found = prior
        for key in reversed(keys_of(claim)):
            if figures := self.figures(key):
                found = self._nearer(found, figures)
        label = label_of(claim)
        own = None if label is None else self.figures(label)
        peak_bytes = max(found.mean_bytes, found.peak_bytes)
        return replace(found, peak_bytes=peak_bytes, runs=own.runs if own else 0)

    def _nearer(self, base: Estimate, figures: Figures) -> Estimate:
        """The estimate moved towards these figures, by the number of runs that speak for it."""
        prior_runs = self.settings.prior_runs

        def moved(value: float, to: float) -> float:
            # Runs that were cut short speak only for more.
            count = figures.runs if to > value else figures.whole
            return value + count / (count + prior_runs) * (to - value) if count else value

        return Estimate(
            moved(base.mean_bytes, figures.mean_bytes),
            moved(base.peak_bytes, figures.peak_bytes * self.settings.margin),
            moved(base.cores, figures.cores),
            figures.lasts_s if base.lasts_s is None else moved(base.lasts_s, figures.lasts_s),
        )

    def figures(self, key: Key) -> Figures | None:
        """What the runs of this key come to; None where there are none."""
        found = self._figures.get(key)
        if found is None and (runs := self._runs.get(key)):
            found = self._figures[key] = figures_of(runs, self.settings)
        return found

    def paused_until(self, label: Key) -> float:
        """Until when a task pauses that has run out of memory again and again; -inf for not."""
        failures, settings = self._failures(label), self.settings
        if failures < settings.failures or not settings.is_on:
            return -inf
        doublings = failures - settings.failures
        return self._failed_at[label] + min(settings.pause_s * 2.0**doublings, settings.pause_max_s)

    def _failures(self, label: Key) -> int:
        """How many of its last runs ran out of memory, but for those that were parked."""
        count = 0
        for run in reversed(self._runs.get(label, ())):
            if run.ended is Ended.FINISHED:
                break
            count += run.ended is Ended.OUT_OF_MEMORY
        return count


def label_of(one: Claim | Run) -> Key | None:
    """The key of a user's task; None for one without a label."""
    return (one.uid, one.task) if one.task else None


def keys_of(one: Claim | Run) -> list[Key]:
    """By what such a run is known, the most particular first."""
    keys: list[Key] = [(one.uid, one.task)] if one.task else []
    if one.agent or one.workspace:
        keys.append((one.uid, one.agent, one.workspace))
    return keys


def figures_of(runs: Sequence[Run], settings: Learning) -> Figures:
    """What these runs come to. One that was cut short counts only where it raises a figure."""
    whole = [run for run in runs if run.ended is Ended.FINISHED]
    cut = [run for run in runs if run.ended is not Ended.FINISHED]

    def over(average: Average, figure: Callable[[Run], float]) -> float:
        values = [figure(run) for run in whole]
        most = average(values) if values else 0.0
        # The highest that they come to with some of those that were cut short.
        for value in sorted((settings.bump * figure(run) for run in cut), reverse=True):
            values.append(value)
            most = max(most, average(values))
        return most

    def height(values: Sequence[float]) -> float:
        return sorted(values)[ceil(settings.quantile * len(values)) - 1]

    return Figures(
        runs=len(runs),
        whole=len(whole),
        mean_bytes=over(mean, lambda run: run.mean_bytes),
        peak_bytes=over(height, lambda run: run.peak_bytes),
        cores=over(mean, lambda run: run.cpu_s / run.lasted_s if run.lasted_s > 0 else 0.0),
        lasts_s=over(median, lambda run: run.lasted_s),
    )


# --- leases that are out ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """What a lease's tree has taken so far. `byte_s`: its memory, summed over its time."""

    began_at: float
    at: float
    reading: Reading
    byte_s: float
    peak_bytes: int
    processes_max: int
    is_out_of_memory: bool = False

    def grown(self, at: float, reading: Reading) -> "Tally":
        """With another reading, which is taken to hold since the last one."""
        return replace(
            self,
            at=at,
            reading=reading,
            byte_s=self.byte_s + reading.memory_bytes * (at - self.at),
            peak_bytes=max(self.peak_bytes, reading.memory_bytes),
            processes_max=max(self.processes_max, reading.processes),
        )

    def run(self, claim: Claim, now: float, ended: Ended) -> Run:
        """The run that ends now."""
        looked_s = self.at - self.began_at
        mean = self.byte_s / looked_s if looked_s > 0 else self.reading.memory_bytes
        return Run(
            claim.task,
            claim.agent,
            claim.workspace,
            claim.uid,
            mean_bytes=round(mean),
            peak_bytes=self.peak_bytes,
            cpu_s=self.reading.cpu_s,
            lasted_s=now - self.began_at,
            io_bytes=self.reading.io_bytes,
            processes_max=self.processes_max,
            ended=Ended.OUT_OF_MEMORY if self.is_out_of_memory else ended,
        )


class Learner:
    """Follows the leases of one pool by their readings, and learns from each that ends."""

    def __init__(self, settings: Learning | None = None) -> None:
        self.estimates = Estimates(settings)
        # Of the leases that are there and were measured, no others.
        self.tallies: dict[int, Tally] = {}
        # The least that was in use by all but agents; None where that was never seen.
        self.rest_bytes: float | None = None
        # The tasks that pause, and until when. What changes here changes whose turn it is, so that
        # the pool has to be told.
        self.paused: dict[Key, float] = {}
        self.has_news = False
        self._ended: dict[int, tuple[float, Run]] = {}

    @property
    def has_a_say(self) -> bool:
        """Whether anything was measured or learnt that the budget can go by."""
        return self.estimates.settings.is_on and (bool(self.tallies) or self.estimates.knows_any)

    def note_rest(self, used_pct: float | None, total_bytes: int | None, leases: list[int]) -> None:
        """What is in use, by one sample. `leases`: whose memory is in it."""
        if used_pct is None or not total_bytes:
            return
        if all(number in self.tallies for number in leases):
            agents = sum(self.tallies[number].reading.memory_bytes for number in leases)
            rest = max(0.0, used_pct / 100 * total_bytes - agents)
            self.rest_bytes = rest if self.rest_bytes is None else min(self.rest_bytes, rest)

    # --- tasks that pause -----------------------------------------------------------------------

    def next_at(self) -> float:
        """When the next task has paused for long enough; inf where none does."""
        return min(self.paused.values(), default=inf)

    def pass_time(self, now: float) -> None:
        """Who has paused for long enough pauses no longer."""
        for label in [label for label, until in self.paused.items() if until <= now]:
            del self.paused[label]
            self.has_news = True

    def paused_until(self, claim: Claim) -> float | None:
        """Until when a task like this pauses; None for not."""
        label = label_of(claim) if self.paused else None
        return None if label is None else self.paused.get(label)

    def _note_pauses(self, now: float) -> None:
        """Of all tasks, as the history or the settings are others than they were."""
        until = {label: self.estimates.paused_until(label) for label in self.estimates.failed}
        self.paused = {label: at for label, at in until.items() if at > now}
        self.has_news = True

    def _note_pause(self, claim: Claim | Run, now: float) -> None:
        if label := label_of(claim):
            self.has_news |= self.paused.pop(label, None) is not None
            until = self.estimates.paused_until(label)
            if until > now:
                self.paused[label] = until
                self.has_news = True

    def adopt(self, now: float, settings: Learning) -> None:
        self.estimates.adopt(settings)
        self._note_pauses(now)

    def take(self, now: float, event: Experience, leases: dict[int, Lease]) -> list[Effect]:
        """One event. `leases`: those of the pool."""
        match event:
            case Measured():
                self._measured(event, leases)
            case OutOfMemory():
                return self._out_of_memory(now, event.lease)
            case Recalled():  # pragma: no branch -- no others
                for run in event.runs:
                    self.estimates.learn(run)
                self._note_pauses(now)
        return []

    def note_ends(self, now: float, records: Sequence[Record]) -> list[Effect]:
        """What was learnt in a step that wrote these records."""
        found: list[Effect] = []
        for record in records:
            if isinstance(record, EndedRecord) and record.lease in self.tallies:
                assert record.before is not None, "it was in the table"
                ended = Ended.PARKED if record.reason is Reason.PARKED else Ended.FINISHED
                run = self.tallies.pop(record.lease).run(record.before.claim, now, ended)
                self.estimates.learn(run, now)
                self._note_pause(run, now)
                self._ended[record.lease] = now, run
                if len(self._ended) > ENDED_KEPT:
                    del self._ended[next(iter(self._ended))]
                found.append(Learnt(record.lease, run))
        return found

    def _measured(self, event: Measured, leases: dict[int, Lease]) -> None:
        # A grant that was taken back leaves no record of an end.
        self.tallies = {one: tally for one, tally in self.tallies.items() if one in leases}
        for reading in event.readings:
            if lease := leases.get(reading.lease):
                tally = self.tallies.get(lease.id)
                if tally is None:
                    began_at = min(lease.granted_at, event.at)
                    tally = Tally(began_at, began_at, reading, 0.0, 0, 0)
                if event.at >= tally.at:
                    self.tallies[lease.id] = tally.grown(event.at, reading)

    def _out_of_memory(self, now: float, number: int) -> list[Effect]:
        if tally := self.tallies.get(number):
            self.tallies[number] = replace(tally, is_out_of_memory=True)
        elif number in self._ended:
            at, run = self._ended[number]
            if run.ended is not Ended.OUT_OF_MEMORY:
                amended = replace(run, ended=Ended.OUT_OF_MEMORY)
                self.estimates.amend(run, amended, at)
                self._note_pause(run, now)
                self._ended[number] = at, amended
                return [Learnt(number, amended)]
        return []
