"""The daemon measures its leases' trees, and keeps what is learnt from that."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import trio
from trio.testing import MockClock

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.estimates import Ended, Learnt, Measured, OutOfMemory, Recalled, Run
from admission.service.config import Config
from admission.service.history.recorder import History
from admission.service.history.remembering import RUNS_OF_A_TASK
from admission.service.measuring.measuring import Measuring
from admission.service.measuring.scales import Scales
from admission.service.sensors import Sensors
from admission.service.sensors.kinds import OTHER
from admission.service.sensors.processes import Look, Process
from tests.service.conftest import Start
from tests.service.stage import Recorder, Stage, _at_once, rest

pytestmark = pytest.mark.trio
MIB = 1 << 20
RUN = Run("tests", "claude", "/w", 7, 100 * MIB, 200 * MIB, 12.5, 60.0)


class Costs:
    def memory_bytes(self, pid: int) -> int | None:
        return 40 * MIB

    def io_bytes(self, pid: int) -> int | None:
        return None


class Wanted(Sensors):
    """Keeps how often the table was wanted."""

    def __init__(self) -> None:
        self.said: list[float] = []
        super().__init__()

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "wanted_every_s":
            self.said.append(cast(float, value))


class Machine:
    """A stage whose processes are its lines' holders, as long as the test lets them live."""

    def __init__(self, stage: Stage, told: list[ev.Event]) -> None:
        self.stage = stage
        self.told = told
        self.killed = 0
        self.lines: list[Recorder] = []
        self.looks = 0
        self.wanted = stage.daemon.sensors = Wanted()
        scales = Scales(costs=Costs(), killed=lambda: self.killed)
        stage.daemon.measuring = Measuring(stage.forest, scales, run=_at_once)
        stage.daemon.measuring.begin(stage.daemon._following._nursery, stage.core, self.feed)  # type: ignore[arg-type]

    def feed(self, event: ev.Event) -> None:
        self.told.append(event)
        self.stage.daemon.feed(event)

    def look(self) -> None:
        """The next sample goes over these processes."""
        self.looks += 1
        rows = {
            line.peer.holder.pid: Process(
                line.peer.holder.pid, 1, line.peer.holder.start_ticks, "x", OTHER, 50 * MIB, 0.0
            )
            for line in self.lines
        }
        self.stage.daemon.sensors.looks = (Look(float(self.looks), rows), None)


async def measured(start: Start) -> tuple[Machine, Recorder, int]:
    """A machine with one lease, of which one look was taken."""
    machine = Machine(await start(Config()), [])
    await rest(1.5)  # the first reading of the CPU is the second one
    line = machine.stage.connect()
    machine.lines.append(line)
    lease = machine.stage.hold(line, bound="process")
    machine.look()
    await rest(0.3)
    return machine, line, lease


async def test_a_granted_lease_is_measured_with_the_sample_that_its_grant_hurries(
    start: Start, autojump_clock: MockClock
) -> None:
    machine, _, lease = await measured(start)
    (event,) = [one for one in machine.told if isinstance(one, Measured)]
    assert [(one.lease, one.memory_bytes) for one in event.readings] == [(lease, 40 * MIB)]


async def test_the_table_is_wanted_while_something_is_out_and_not_otherwise(
    start: Start, autojump_clock: MockClock
) -> None:
    machine, line, lease = await measured(start)
    assert machine.stage.daemon.sensors.wanted_every_s < 1.0
    machine.stage.ask(line, "release", lease=lease)
    await rest(40)
    assert machine.stage.daemon.sensors.wanted_every_s == float("inf")


async def test_trees_that_neither_grow_nor_shrink_are_looked_at_as_seldom_as_the_machine_is(
    start: Start, autojump_clock: MockClock
) -> None:
    machine, _, _ = await measured(start)
    assert machine.wanted.wanted_every_s < 1.0
    machine.look()
    await rest(6)
    await rest(6)
    assert machine.wanted.wanted_every_s == float("inf")
    machine.stage.hold(machine.stage.connect(), bound="process")
    assert machine.wanted.wanted_every_s < 1.0, "nothing is known of the new one"


async def test_a_holder_that_the_kernel_ended_is_looked_for_at_once(
    start: Start, autojump_clock: MockClock
) -> None:
    machine, line, lease = await measured(start)
    seen = len(machine.wanted.said)
    machine.killed += 1
    machine.lines.clear()
    machine.look()
    machine.stage.processes.end(line.peer.holder)
    await rest(0.5)
    assert machine.wanted.said[-1] == float("inf")
    assert 0 in machine.wanted.said[seen:]
    assert OutOfMemory(lease) in machine.told


# --- what is kept ---------------------------------------------------------------------------------


def history_at(path: Path, now: float = 0.0, boot: str = "this boot") -> History:
    return History(path, boot, clock=lambda: now, wall=lambda: 1.7e9 + now, batch_s=0.01)


def write(history: History, *found: Learnt) -> None:
    for one in found:
        history.note_run(one)
    history.end()
    history.work()


async def test_what_was_learnt_goes_to_the_history(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    history = history_at(tmp_path / "h.db")
    stage.daemon._history = history
    stage.daemon._doers = stage.daemon._what_is_done()
    stage.daemon._carry_out([Learnt(1, RUN)])
    write(history)
    assert history.recalled() == Recalled((RUN,))


async def test_a_later_one_of_the_same_lease_takes_the_place_of_the_earlier(
    tmp_path: Path,
) -> None:
    path, killed = tmp_path / "h.db", replace(RUN, ended=Ended.OUT_OF_MEMORY)
    write(history_at(path), Learnt(1, RUN), Learnt(2, RUN), Learnt(1, killed))
    write(history_at(path, 5.0), Learnt(1, RUN))  # the next daemon's
    assert history_at(path).recalled() == Recalled((killed, RUN, RUN))


async def test_of_each_task_of_each_user_the_last_runs_are_recalled_oldest_first(
    tmp_path: Path,
) -> None:
    path, history = tmp_path / "h.db", history_at(tmp_path / "h.db")
    runs = [replace(RUN, cpu_s=float(n), uid=n % 2) for n in range(2 * RUNS_OF_A_TASK + 6)]
    write(history, *(Learnt(n, run) for n, run in enumerate(runs, 1)))
    found = history_at(path).recalled()
    assert found is not None
    assert found.runs == tuple(runs[6:])


async def test_runs_are_kept_for_a_month(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    write(history_at(path), Learnt(1, RUN))
    write(history_at(path, 29 * 86_400.0), Learnt(2, RUN))
    write(history_at(path, 31 * 86_400.0))
    found = history_at(path).recalled()
    assert found is not None
    assert len(found.runs) == 1


async def test_a_daemon_that_starts_is_told_of_them_after_what_goes_on(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "h.db"
    write(history_at(path), Learnt(1, RUN))
    stage, told, has_come = Stage(tmp_path), [], trio.Event()
    stage.daemon._history = history_at(path)
    autojump_clock.autojump_threshold = float("inf")
    handle = Admission.handle

    def note(core: Admission, now: float, event: ev.Event) -> list[ev.Effect]:
        told.append(event)
        if isinstance(event, Recalled):
            has_come.set()
        return handle(core, now, event)

    monkeypatch.setattr(Admission, "handle", note)
    async with trio.open_nursery() as nursery:
        await nursery.start(stage.daemon.run, [], frozenset())
        await has_come.wait()
        nursery.cancel_scope.cancel()
    assert isinstance(told[0], ev.Restarted)
    assert Recalled((RUN,)) in told
