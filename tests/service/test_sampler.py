"""The sampler: sensors that hang or raise hold nobody up, and it is said for how long."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from admission.core.leases import Holder
from admission.core.sample import Sample
from admission.service.sampler import Sampler
from tests.service.sensors.machine import LOADAVG, Machine

pytestmark = pytest.mark.trio

LIMIT_S = 30


class Sensors:
    """Answer at once, unless the test holds them up or has them fail."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.problem: Exception | None = None
        self.at_once = 0
        self.most_at_once = 0
        self.asked: list[tuple[float, frozenset[Holder]]] = []
        self.threads: set[int] = set()

    def read(self, now: float, holders: frozenset[Holder]) -> Sample:
        self.asked.append((now, holders))
        self.threads.add(threading.get_ident())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            assert self.may_answer.wait(LIMIT_S)
            if self.problem is not None:
                raise self.problem
            return Sample(now, memory_used_pct=50.0)
        finally:
            self.at_once -= 1


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def sensors() -> Sensors:
    return Sensors()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sampler(sensors: Sensors, clock: Clock) -> Sampler:
    """Waits for a moment only; the clock by which ages are told is the test's own."""
    return Sampler(sensors.read, clock, answer_s=0.05)


async def test_a_sample_is_read_off_the_loop_and_stamped_with_when_it_was_asked_for(
    sensors: Sensors, clock: Clock
) -> None:
    sampler = Sampler(sensors.read, clock)
    holders = frozenset({Holder(7, 8)})
    sample = await sampler.take(holders)
    assert sample == sampler.last == Sample(100.0, memory_used_pct=50.0)
    assert sensors.asked == [(100.0, holders)]
    assert threading.get_ident() not in sensors.threads
    clock.now += 7
    assert sampler.age_s(clock.now) == 7.0
    assert sampler.silence(clock.now) is None


async def test_sensors_that_hang_are_left_alone_and_said_to_be_silent(
    sensors: Sensors, sampler: Sampler, clock: Clock
) -> None:
    assert await sampler.take() is not None
    sensors.may_answer.clear()
    with trio.fail_after(LIMIT_S):
        assert await sampler.take() is None
        clock.now += 12
        assert sampler.silence(clock.now) == "the sensors have not answered for 12 s"
        assert await sampler.take() is None
        assert await sampler.take() is None
    # The one that hangs is still the only one: nobody else has been sent after it.
    assert len(sensors.asked) == 2
    assert sampler.last is not None
    assert sampler.last.at == 100.0

    sensors.may_answer.set()
    with trio.fail_after(LIMIT_S):
        while await sampler.take() is None:
            pass
    assert sampler.silence(clock.now) is None
    assert sampler.last.at == 112.0
    assert sensors.most_at_once == 1


async def test_while_the_sensors_hang_everything_else_goes_on(
    sensors: Sensors, clock: Clock
) -> None:
    sampler = Sampler(sensors.read, clock, answer_s=LIMIT_S)
    sensors.may_answer.clear()
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sampler.take)
            while not sensors.asked:  # noqa: ASYNC110 -- a thread tells nobody
                await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
    sensors.may_answer.set()


async def test_a_file_of_proc_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    """A pipe that nobody writes to keeps its reader in the kernel."""
    machine = Machine(tmp_path)
    machine.remove("proc/loadavg")
    os.mkfifo(machine.proc / "loadavg")
    sampler = Sampler(machine.sensors().read, trio.current_time, answer_s=0.05)
    with trio.fail_after(LIMIT_S):
        assert await sampler.take() is None
        # The reading that hangs ends with what is written to its pipe; the next finds a file.
        (machine.proc / "loadavg").rename(machine.proc / "pipe")
        machine.write("proc/loadavg", LOADAVG)
        (machine.proc / "pipe").write_text(LOADAVG)
        while (sample := await sampler.take()) is None:
            pass
    assert (sample.load_1min, sample.failed) == (3.75, ())


@pytest.mark.parametrize("problem", [KeyError("x"), RuntimeError("two\nlines"), MemoryError()])
async def test_sensors_that_raise_are_named_and_asked_again(
    sensors: Sensors, clock: Clock, problem: Exception
) -> None:
    sampler = Sampler(sensors.read, clock)
    sensors.problem = problem
    assert await sampler.take() is None
    clock.now += 3
    said = sampler.silence(clock.now)
    assert said == f"the sensors have not answered for 3 s: {problem!r}"
    sensors.problem = None
    assert await sampler.take() is not None
    assert sampler.silence(clock.now) is None


async def test_sensors_that_never_answered_are_silent_since_the_beginning(
    sensors: Sensors, sampler: Sampler, clock: Clock
) -> None:
    assert sampler.silence(clock.now) is None
    sensors.problem = OSError("no")
    clock.now += 2
    assert await sampler.take() is None
    assert sampler.age_s(clock.now) == 2.0


async def test_on_virtual_time_they_can_be_read_at_once(
    sensors: Sensors, autojump_clock: Callable[[], float]
) -> None:
    async def at_once(read: Callable[[], Sample]) -> Sample:
        return read()

    sampler = Sampler(sensors.read, trio.current_time, run=at_once)
    begun_at = trio.current_time()
    assert await sampler.take() is not None
    assert trio.current_time() == begun_at
    assert sensors.threads == {threading.get_ident()}
