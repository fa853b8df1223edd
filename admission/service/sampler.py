"""Takes samples without ever being held up by them."""

from collections.abc import Awaitable, Callable

import trio

from admission.core.leases import Holder
from admission.core.sample import Sample
from admission.service.sensors.source import SAID_CHARS_MAX, one_line

Read = Callable[[float, frozenset[Holder]], Sample]
# How a reading is made: given the one that is to be made, returns what it says.
Run = Callable[[Callable[[], Sample]], Awaitable[Sample]]

ANSWER_S = 5.0


class Sampler:
    """Asks the sensors, and knows for how long they have said nothing.

    Attributes:
        last: the last sample that came; None before the first one.
    """

    def __init__(
        self,
        read: Read,
        clock: Callable[[], float],
        *,
        answer_s: float = ANSWER_S,
        run: Run | None = None,
    ) -> None:
        """
        Args:
            read: `Sensors.read`.
            clock: the clock of the events, in seconds.
            answer_s: how long `take` waits for an answer.
            run: how it is read; in a thread where none is given. A test on virtual time reads at
                once, as time would not stand still for the thread.
        """
        self.last: Sample | None = None
        self._read = read
        self._clock = clock
        self._answer_s = answer_s
        self._run = run or self._in_thread
        self._begun_at = clock()
        self._problem = ""
        self._is_silent = False
        # A reading that hangs keeps this until it ends: there is never a second thread.
        self._limiter = trio.CapacityLimiter(1)

    async def take(self, holders: frozenset[Holder] = frozenset()) -> Sample | None:
        """A new sample, stamped with when it was asked for; None where none comes in time."""
        asked_at = self._clock()
        sample = None
        self._problem = ""
        with trio.move_on_after(self._answer_s):
            try:
                sample = await self._run(lambda: self._read(asked_at, holders))
            # Each source's own failures are in the sample. This is one that nobody foresaw, and it
            # must not end the daemon: it goes on by the last sample, and says so.
            except Exception as problem:  # noqa: BLE001
                self._problem = one_line(repr(problem), SAID_CHARS_MAX)
        self._is_silent = sample is None
        if sample is not None:
            self.last = sample
        return sample

    async def _in_thread(self, read: Callable[[], Sample]) -> Sample:
        """Not on the event loop: a /proc file of a process that is stuck in the kernel, or an
        executable on a network drive that is gone, can hold its reader up for minutes.
        """
        return await trio.to_thread.run_sync(read, abandon_on_cancel=True, limiter=self._limiter)

    def age_s(self, now: float) -> float:
        """Seconds since the last sample was asked for, or since the beginning where none came."""
        return now - (self._begun_at if self.last is None else self.last.at)

    def silence(self, now: float) -> str | None:
        """A line for `degraded`; None as long as the sensors answer."""
        if not self._is_silent:
            return None
        why = f": {self._problem}" if self._problem else ""
        return f"the sensors have not answered for {self.age_s(now):.0f} s{why}"
