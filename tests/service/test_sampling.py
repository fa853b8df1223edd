"""How often the machine is looked at, and what comes of it when nobody answers."""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor
from admission.core.leases import Bound, Caller, Claim, Holder
from admission.core.levels import LEVELS, pools_of
from admission.core.sample import Sample
from admission.service.config import Config
from admission.service.sampler import Sampler
from admission.service.sampling import HEADROOM_PCT, SILENCE_S, Sampling
from admission.service.sensors.triggers import NoTriggers, Triggers

pytestmark = pytest.mark.trio
GIB = 1 << 30


class Bell:
    """Triggers that the test sets off."""

    def __init__(self) -> None:
        self.rung = trio.Event()
        self.is_closed = False

    async def wait(self) -> None:
        await self.rung.wait()
        self.rung = trio.Event()

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
        self.memory_pct, self.total_bytes = 20.0, 16 * GIB
        self.holders = 0
        self.answers = trio.Event()
        self.answers.set()
        self.passed_on: list[Sample] = []
        sampler = Sampler(self._read, trio.current_time, run=self._run)
        self.asleep_s = 0.0
        self.sampling = Sampling(
            self.core,
            Config,
            sampler,
            trio.current_time,
            self._pass_on,
            triggers,
            wake=lambda: self._feed(ev.Woke()),
            asleep_s=lambda: self.asleep_s,
        )
        nursery.start_soon(self.sampling.run)

    def _read(self, now: float, holders: frozenset[Holder]) -> Sample:
        return Sample(now, self.memory_pct, 10.0, memory_total_bytes=self.total_bytes)

    async def _run(self, read: Callable[[], Sample]) -> Sample:
        await self.answers.wait()
        return read()

    def _pass_on(self, sample: Sample) -> None:
        self.passed_on.append(sample)
        self._feed(ev.Sampled(sample))

    def _feed(self, event: ev.Event) -> None:
        self.core.handle(trio.current_time(), event)

    def hold(self, bound: Bound = Bound.PROCESS, weight: int = 1) -> None:
        """Somebody else asks."""
        self.holders += 1
        caller, holder = Caller(self.holders, 1), Holder(self.holders, 1)
        claim = Claim(holder, bound=bound, weight=weight)
        self.core.handle(trio.current_time(), ev.Acquire(caller, claim))

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


async def test_while_something_is_out_and_there_is_room_it_is_looked_at_now_and_then(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lookout = Lookout(nursery, none)
    lookout.hold()
    await at(12)
    assert lookout.looked_at == [0.0, 1.0, 6.0, 11.0]


async def test_while_something_is_out_and_room_is_scarce_it_is_looked_at_often(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    lookout = Lookout(nursery, none)
    lookout.hold()
    lookout.memory_pct = LEVELS[0].memory_below_pct - HEADROOM_PCT
    await at(6)
    assert lookout.looked_at == [0.0, 1.0, 3.0, 5.0]


async def test_half_of_what_is_left_is_not_filled_between_two_looks_while_there_is_room(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Of 4 GiB 44 % are left, which 250 MiB/s fill in 7.2 s."""
    lookout = Lookout(nursery, none)
    lookout.hold()
    lookout.memory_pct, lookout.total_bytes = 50.0, 4 * GIB
    await at(5)
    assert [round(one, 1) for one in lookout.looked_at] == [0.0, 1.0, 4.6]


@pytest.mark.parametrize("crowd", [{"bound": Bound.TREE}, {"waits": True}, {"level": 1}])
async def test_while_someone_counts_on_the_next_look_it_is_looked_at_often(
    nursery: trio.Nursery, autojump_clock: MockClock, crowd: dict[str, Any]
) -> None:
    """Whoever waits, a tree whose processes come and go, and a level that is to fall again."""
    lookout = Lookout(nursery, none)
    lookout.hold(crowd.get("bound", Bound.PROCESS))
    if "waits" in crowd:
        lookout.hold(weight=LEVELS[0].max_agents)
    if "level" in crowd:
        lookout.core.handle(0.0, ev.SetLevel(Caller(9, 1), 1))
    await at(6)
    assert lookout.looked_at == [0.0, 1.0, 3.0, 5.0]


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
    (place,) = core.pools["agents"].places(12.0)
    assert place.reason.startswith("the machine has to settle")
    core.handle(core.wakeup(), ev.TimePassed())
    assert core.pools["agents"].in_use == 2
