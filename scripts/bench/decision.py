"""What the core takes to decide who is next: one release and one request more, by the number of
those that wait. No socket, no clock and no file: the core alone, in this process.
"""

import gc
import time

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.budget import Budget
from admission.core.governor import Governor, Throttle
from admission.core.leases import Caller, Claim, Holder
from admission.core.levels import LEVELS, PoolSpec
from admission.core.limits import Limits
from scripts.bench.figures import Figure, ratios
from scripts.bench.stage import Broken, progress

WAITING = (10, 100, 1000, 10_000)
GROUPS = (1, 100)
STEPS = 500
STEP_S = 0.001  # by the core's clock, which is ours to move


class Queue:
    """A core with one unit, which is taken, and so many that wait for it in so many groups."""

    def __init__(self, waiting: int, groups: int) -> None:
        throttle = Throttle(LEVELS, budget=Budget(is_on=False))
        limits = Limits(waiters_max=waiting + 1)
        self._core = Admission(
            (PoolSpec("one", (1, 1, 1, 1)),), Governor(throttle=throttle), limits
        )
        self._groups = groups
        self._asked = 0
        self._now = 0.0
        self.held = self.acquire()
        for _ in range(waiting):
            self.acquire()
        assert self.waiting == waiting

    @property
    def waiting(self) -> int:
        return self._core.ledger.waiting

    def acquire(self) -> int:
        """One more asks, each a process and a connection of its own. The lease that was granted, 0
        for none.
        """
        self._asked += 1
        number = self._asked
        group = f"group {number % self._groups}"
        claim = Claim(Holder(number, 1), pool="one", task="bench", group=group)
        return self._step(ev.Acquire(Caller(number, 1), claim))

    def turn(self) -> None:
        """The unit goes to the next, and another one takes a place in the queue."""
        lease = self._step(ev.Release(Caller(self.held, 2), self.held))
        if not lease:
            raise Broken("the core has granted nobody what was released")
        self.held = lease
        self.acquire()

    def pair(self) -> None:
        """The unit is given back and taken again, where nobody waits."""
        self._step(ev.Release(Caller(self.held, 2), self.held))
        self.held = self.acquire()

    def _step(self, event: ev.Event) -> int:
        self._now += STEP_S
        effects = self._core.handle(self._now, event)
        self._core.wakeup()
        for effect in effects:
            if isinstance(effect, ev.Persist) and isinstance(effect.record, ev.Granted):
                return effect.record.lease.id
        return 0


def bench_decision(rounds: int) -> list[Figure]:
    took_us: dict[tuple[int, int], list[float]] = {}
    queues: dict[tuple[int, int], Queue] = {}
    for groups in GROUPS:
        for waiting in WAITING:
            progress(f"decision: {waiting} waiters in {groups} groups")
            queues[groups, waiting] = Queue(waiting, groups)
            took_us[groups, waiting] = []
    for number in range(rounds):
        progress(f"decision: round {number + 1} of {rounds}")
        for which in list(queues) if number % 2 else reversed(queues):
            took_us[which].append(time_turns_us(queues[which]))
    figures: list[Figure] = []
    for groups in GROUPS:
        head = f"decision, {groups} group{'s' if groups > 1 else ''}"
        for waiting in WAITING:
            figures.append(Figure(f"{head}: {waiting} wait", "us/pair", took_us[groups, waiting]))
        most, fewest = took_us[groups, max(WAITING)], took_us[groups, min(WAITING)]
        name = f"{head}: {max(WAITING)} / {min(WAITING)} waiters"
        figures.append(Figure(name, "", ratios(most, fewest), at_most=1.5))
    return figures


def time_turns_us(queue: Queue) -> float:
    """CPU of one turn."""
    gc.collect()  # what is collected while one queue is looked at may be another's
    begun_at = time.thread_time()
    for _ in range(STEPS):
        queue.turn()
    return 1e6 * (time.thread_time() - begun_at) / STEPS
