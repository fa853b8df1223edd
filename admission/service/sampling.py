"""Looks at the machine as often as is worth it, and passes on what it says.

Seldom at rest; now and then while something is out, nobody waits and there is room to spare; often
while somebody waits, the level is up, or headroom shrinks; and at once when something is granted or
the kernel says that tasks wait.
"""

import logging
import sys
import time
from collections.abc import Callable
from math import inf
from typing import Protocol

import trio

from admission.core.admission import Admission
from admission.core.leases import Bound
from admission.core.sample import Sample
from admission.service.config import Config
from admission.service.sampler import Sampler
from admission.service.sensors.triggers import NoTriggers, Triggers, open_triggers

FIRST_CPU_READING_S = 1.0
# Closer than this to a bound of the next level, the machine is looked at more often.
HEADROOM_PCT = 10.0
# Memory can be filled this fast by an agent that runs away (a report saw 250 MB/s); nobody is to
# have filled the rest of it between two looks.
FILL_BYTES_PER_S = 250 * 1024**2
FULL_FRACTION = 0.94
# What is out and has room to spare is looked at by so much less often than what has not.
CALM_FACTOR = 2.5
# And then so much of what is left may be filled between two looks.
CALM_FRACTION = 0.5
PAUSE_S_MIN = 0.25
# Sensors that are silent for so long leave the level as it is; afterwards it is raised by a step.
SILENCE_S = 60.0
# The two clocks are not read in the same instant.
NAP_S = 1.0

log = logging.getLogger(__name__)


def asleep_s() -> float:
    """For how long the machine was suspended since it was started, in seconds. The clock of the
    events stands still meanwhile, so that no lease ends for its holder having slept.
    """
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
    if sys.platform == "darwin":
        # There CLOCK_MONOTONIC goes on, and what Python calls monotonic does not.
        return time.clock_gettime(time.CLOCK_MONOTONIC) - time.monotonic()
    return 0.0


class Notes(Protocol):
    """Whoever wants each sample."""

    def __call__(self, sample: Sample) -> None: ...


class Sampling:
    """See the module."""

    def __init__(
        self,
        core: Admission,
        config: Callable[[], Config],
        sampler: Sampler,
        clock: Callable[[], float],
        pass_on: Notes,
        triggers: Callable[[], Triggers | None] = open_triggers,
        *,
        wake: Callable[[], None] = lambda: None,
        asleep_s: Callable[[], float] = asleep_s,
    ) -> None:
        """
        Args:
            core: is only looked at.
            config: the one in force.
            sampler: takes the samples.
            clock: the clock of the events, in seconds.
            pass_on: gets each sample, on the event loop.
            triggers: opens the kernel's.
            wake: is called when the machine has been asleep.
            asleep_s: for how long it was asleep since it was started, in seconds.
        """
        self._core = core
        self._config = config
        self._sampler = sampler
        self._clock = clock
        self._pass_on = pass_on
        self._open_triggers = triggers
        self._wake = trio.Event()
        self._tell_woken = wake
        self._asleep_s = asleep_s
        self._was_asleep_s = asleep_s()
        self._no_triggers: str | None = None
        self._was_silent = False

    def hurry(self) -> None:
        """The next look is to be now: a lease was granted, or the kernel says so."""
        self._wake.set()

    def problems(self) -> list[str]:
        """What is wrong, a line each, for `degraded`."""
        silence = self._sampler.silence(self._clock())
        return [one for one in (silence, self._no_triggers) if one is not None]

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._await_pressure)
            await self._take()
            await trio.sleep(FIRST_CPU_READING_S)
            while True:
                self._wake = trio.Event()
                await self._take()
                looked_at = trio.current_time()
                with trio.move_on_after(self._pause_s()):
                    await self._wake.wait()
                    # However many leases are granted meanwhile.
                    await trio.sleep_until(looked_at + PAUSE_S_MIN)

    async def _take(self) -> None:
        if (asleep_s := self._asleep_s()) > self._was_asleep_s + NAP_S:
            log.info("the machine was asleep for %.0f s", asleep_s - self._was_asleep_s)
            self._was_asleep_s = asleep_s
            self._tell_woken()
        sample = await self._sampler.take(frozenset(self._core.ledger.holders()))
        if sample is not None:
            self._was_silent = False
            self._pass_on(sample)
            return
        now = self._clock()
        silence = self._sampler.silence(now)
        if silence and self._sampler.age_s(now) > SILENCE_S and not self._was_silent:
            self._was_silent = True
            log.warning("%s", silence)
            self._pass_on(Sample(now, failed=(silence,)))

    async def _await_pressure(self) -> None:
        try:
            triggers = self._open_triggers()
            if triggers is None:
                return
            with triggers:
                while True:
                    await triggers.wait()
                    self.hurry()
                    # A pressure that lasts is looked at often enough without being told.
                    await trio.sleep(PAUSE_S_MIN)
        except NoTriggers as problem:
            interval_s = self._config().interval_s
            self._no_triggers = f"pressure triggers: {problem}; looking every {interval_s:g} s"
            log.info("%s", self._no_triggers)

    def _pause_s(self) -> float:
        config, full_s = self._config(), self._seconds_until_full()
        often_s = max(PAUSE_S_MIN, min(config.fast_interval_s, full_s))
        if not self._is_calm():
            return often_s
        if not self._core.ledger.held:
            return config.interval_s
        calm_s = min(CALM_FACTOR * config.fast_interval_s, config.interval_s)
        return max(often_s, min(calm_s, CALM_FRACTION * full_s))

    def _seconds_until_full(self) -> float:
        sample = self._core.governor.sample
        if sample is None or sample.memory_used_pct is None or not sample.memory_total_bytes:
            return inf
        left = FULL_FRACTION - sample.memory_used_pct / 100
        return left * sample.memory_total_bytes / FILL_BYTES_PER_S

    def _is_calm(self) -> bool:
        """Whether nobody counts on the next look, and there is room."""
        governor, ledger = self._core.governor, self._core.ledger
        sample, normal = governor.sample, governor.levels[0]
        if ledger.waiting or governor.row.level or self._has_tree():
            return False
        if sample is None or sample.memory_used_pct is None or governor.cpu_smoothed_pct is None:
            return False
        memory_room_pct = normal.memory_below_pct - sample.memory_used_pct
        cpu_room_pct = normal.cpu_below_pct - governor.cpu_smoothed_pct
        return min(memory_room_pct, cpu_room_pct) > HEADROOM_PCT

    def _has_tree(self) -> bool:
        """Whether a lease is out whose processes come and go: a look is how they are found."""
        leases = [lease for pool in self._core.pools.values() for lease in pool.leases.values()]
        return any(lease.claim.bound is Bound.TREE for lease in leases)
