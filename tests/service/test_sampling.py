"""How often the machine is looked at, and what comes of it when nobody answers."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor
from admission.core.leases import Caller, Claim, Holder
from admission.core.levels import LEVELS, pools_of
from admission.core.places import places_of
from admission.core.sample import Sample
from admission.service.config import Config
from admission.service.sampler import Sampler
from admission.service.sampling import SILENCE_S, Sampling
from admission.service.sensors.triggers import NoTriggers, Triggers

pytestmark = pytest.mark.trio
GIB = 1 << 30


class Bell:
    """Triggers that the test sets off."""

    def __init__(self, *, is_broken: bool = False) -> None:
        self.rung = trio.Event()
        self.is_broken = is_broken
        self.is_closed = False

    async def wait(self) -> None:
        await self.rung.wait()
        self.rung = trio.Event()
        if self.is_broken:
            raise NoTriggers("taken back")

    def close(self) -> None:
        self.is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Lookout:
    """A core, and a sampling that feeds it, on virtual time."""

    def __init__(self, nursery: trio.Nursery, triggers: Callable[[], Triggers | None]) -> None:
        self.core = Admission(pools_of(LEVELS), Governor())
        self.memory_pct = 20.0
        self.answers = trio.Event()
        self.answers.set()
        self.passed_on: list[Sample] = []
        sampler = Sampler(self._read, trio.current_time, run=self._run)
        self.asleep_s = 0.0
        self.is_close = False
        self.sampling = Sampling(
            self.core,
            Config,
            sampler,
            trio.current_time,
            self._pass_on,
            triggers,
            wake=lambda: self._feed(ev.Woke()),
            asleep_s=lambda: self.asleep_s,
            is_close=lambda: self.is_close,
        )
        nursery.start_soon(self.sampling.run)

    def _read(self, now: float, holders: frozenset[Holder]) -> Sample:
        return Sample(now, self.memory_pct, 10.0, memory_total_bytes=16 * GIB)

    async def _run(self, read: Callable[[], Sample]) -> Sample:
        await self.answers.wait()
        return read()

    def _pass_on(self, sample: Sample) -> None:
        self.passed_on.append(sample)
        self._feed(ev.Sampled(sample))

    def _feed(self, event: ev.Event) -> None:
        self.core.handle(trio.current_time(), event)

    def hold(self) -> None:
        now = trio.current_time()
        self.core.handle(now, ev.Acquire(Caller(1, 1), Claim(Holder(1, 1))))

    @property
    def looked_at(self) -> list[float]:
        return [sample.at for sample in self.passed_on]


def none() -> None:
    return None


async def at(seconds: float) -> None:
    await trio.sleep_until(seconds)
    await wait_all_tasks_blocked()


async def test_at_rest_it_is_looked_at_seldom(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lookout = Lookout(nursery, none)
    await at(70)
    assert lookout.looked_at == [0.0, 1.0, 31.0, 61.0]


async def test_while_something_is_out_it_is_looked_at_often(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lookout = Lookout(nursery, none)
    lookout.hold()
    await at(6)
    assert lookout.looked_at == [0.0, 1.0, 3.0, 5.0]


async def test_less_often_where_there_is_room_and_the_kernel_tells_of_pressure(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bell = Bell()
    lookout = Lookout(nursery, lambda: bell)
    lookout.hold()
    await at(7)
    assert lookout.looked_at == [0.0, 1.0, 6.0]
    bell.rung.set()
    await at(8)
    lookout.memory_pct = 70.0  # level 1 begins at 75 %
    await at(16.5)
    assert lookout.looked_at[3:] == [7.0, 12.0, 14.0, 16.0]


@pytest.mark.parametrize("why", ["each look counts", "the kernel tells no more"])
async def test_as_often_as_ever_where_nobody_tells_or_each_look_counts(
    why: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bell = Bell(is_broken=why == "the kernel tells no more")
    lookout = Lookout(nursery, lambda: bell)
    lookout.is_close = why == "each look counts"
    lookout.hold()
    bell.rung.set()
    await at(6)
    assert lookout.looked_at[-2:] == [3.0, 5.0]


async def test_as_memory_fills_it_is_looked_at_faster(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lookout = Lookout(nursery, none)
    lookout.memory_pct = 92.0  # 2 % of 16 GiB to go, at 250 MiB/s: 1.3 s
    await at(5)
    gaps = [
        round(b - a, 2) for a, b in zip(lookout.looked_at[1:], lookout.looked_at[2:], strict=False)
    ]
    assert gaps
    assert set(gaps) == {1.31}


async def test_it_is_never_looked_at_faster_than_four_times_a_second(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lookout = Lookout(nursery, none)
    lookout.memory_pct = 99.0
    await at(2)
    assert lookout.looked_at == [0.0, 1.0, 1.25, 1.5, 1.75, 2.0]


async def test_pressure_is_looked_at_when_the_kernel_says_so(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    bell = Bell()
    lookout = Lookout(nursery, lambda: bell)
    await at(10)
    bell.rung.set()
    await at(20)
    assert lookout.looked_at == [0.0, 1.0, 10.0]
    assert lookout.sampling.problems() == []


async def test_triggers_that_can_t_be_had_are_named_with_what_is_done_instead(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    def refuse() -> None:
        raise NoTriggers("permission denied")

    lookout = Lookout(nursery, refuse)
    await at(2)
    assert lookout.sampling.problems() == [
        "pressure triggers: permission denied; looking every 30 s"
    ]


async def test_triggers_are_let_go_at_the_end(autojump_clock: MockClock) -> None:
    bell = Bell()
    async with trio.open_nursery() as nursery:
        Lookout(nursery, lambda: bell)
        await at(1)
        nursery.cancel_scope.cancel()
    assert bell.is_closed


async def test_sensors_that_are_silent_leave_the_level_and_are_shown(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lookout = Lookout(nursery, none)
    await at(40)
    lookout.answers = trio.Event()
    await at(80)
    assert lookout.looked_at[-1] == 31.0
    assert lookout.core.level.level == 0
    (problem,) = lookout.sampling.problems()
    assert problem.startswith("the sensors have not answered for ")


async def test_sensors_that_stay_silent_raise_the_level_until_they_answer(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lookout = Lookout(nursery, none)
    await at(40)
    lookout.answers = trio.Event()
    await at(40 + 2 * SILENCE_S)
    assert lookout.core.level.level == 1
    assert lookout.core.governor.reasons == ("neither memory nor CPU can be read",)
    lookout.answers.set()
    await at(1000)
    assert lookout.core.level.level == 0
    assert lookout.sampling.problems() == []


async def test_a_machine_that_slept_settles_before_more_is_added_and_nothing_is_cut(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lookout = Lookout(nursery, none)
    lookout.hold()
    await at(10)
    lookout.asleep_s = 3600.0
    await at(12)
    core = lookout.core
    core.handle(12.0, ev.Acquire(Caller(1, 2), Claim(Holder(2, 1))))
    assert (core.pools["agents"].in_use, len(core.pools["agents"].waiters)) == (1, 1)
    (place,) = places_of(core.pools["agents"], 12.0)
    assert place.reason.startswith("the machine has to settle")
    core.handle(core.wakeup(), ev.TimePassed())
    assert core.pools["agents"].in_use == 2
