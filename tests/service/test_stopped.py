"""A holder that is stopped still holds, and is shown as such."""

import os
import signal
import sys
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from admission.core.leases import Holder
from admission.protocol import Frame
from admission.service.config import Config
from admission.service.holders import is_stopped
from admission.service.sensors.kinds import OTHER
from admission.service.sensors.processes import LinuxPass, Look, Process, PsutilPass
from admission.service.stopped import Stopped
from tests.service.children import child, holder_of
from tests.service.conftest import Start
from tests.service.stage import rows_of

ONE, OTHER_ONE = Holder(50_000_001, 101), Holder(50_000_002, 102)


def look_at(at: float, holder: Holder = ONE, *, stopped: bool) -> Look:
    row = Process(holder.pid, 1, holder.start_ticks, "cat", OTHER, 0, 0.0, stopped)
    return Look(at, {holder.pid: row})


def stopped_now(*holders: Holder) -> Callable[[Holder], bool]:
    return lambda holder: holder in holders


def test_a_stop_counts_from_the_look_that_first_saw_it() -> None:
    seen = Stopped(stopped_now(ONE))
    seen.note(look_at(10.0, stopped=True), [ONE])
    seen.note(look_at(20.0, stopped=True), [ONE])
    assert seen.for_s(ONE, 25.0) == 15.0


def test_who_runs_again_is_no_longer_stopped_and_a_new_stop_counts_anew() -> None:
    seen = Stopped(stopped_now(ONE))
    seen.note(look_at(10.0, stopped=True), [ONE])
    seen.note(look_at(20.0, stopped=False), [ONE])
    assert seen.for_s(ONE, 25.0) == 0.0
    assert seen.for_s(ONE, 27.0) == 2.0


def test_a_look_that_is_older_than_what_was_seen_since_is_left_out() -> None:
    seen = Stopped(stopped_now(ONE))
    assert seen.for_s(ONE, 25.0) == 0.0
    seen.note(look_at(20.0, stopped=False), [ONE])
    assert seen.for_s(ONE, 26.0) == 1.0


def test_a_later_process_of_the_same_number_is_another() -> None:
    seen = Stopped(stopped_now(ONE))
    seen.note(look_at(10.0, Holder(ONE.pid, 999), stopped=True), [ONE])
    assert seen.for_s(ONE, 25.0) == 0.0


def test_without_a_descriptor_to_look_by_it_is_as_it_was() -> None:
    def none_left(_: Holder) -> bool:
        raise OSError(24, "Too many open files")

    seen = Stopped(none_left)
    seen.note(look_at(10.0, stopped=True), [ONE])
    assert seen.for_s(ONE, 25.0) == 15.0
    assert seen.for_s(OTHER_ONE, 25.0) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_real_process_is_seen_to_stop_and_to_go_on() -> None:
    with child() as process:
        holder = holder_of(process)
        assert not is_stopped(holder)
        os.kill(process.pid, signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert is_stopped(holder)
        assert not is_stopped(Holder(holder.pid, holder.start_ticks + 1))
        assert LinuxPass("/proc").rows()[process.pid].is_stopped
        assert PsutilPass().rows()[process.pid].is_stopped
        os.kill(process.pid, signal.SIGCONT)
        os.waitpid(process.pid, os.WCONTINUED)
        assert not is_stopped(holder)
        assert not LinuxPass("/proc").rows()[process.pid].is_stopped


@pytest.mark.trio
async def test_after_a_bound_status_names_the_lease_and_how_to_resume_it(
    autojump_clock: MockClock, start: Start
) -> None:
    stage = await start(Config(stopped_s=60.0))
    stops: set[Holder] = set()
    stage.daemon.stopped = Stopped(lambda holder: holder in stops)
    line = stage.connect()
    lease = stage.hold(line)
    pid = line.peer.holder.pid

    def row() -> Frame:
        return rows_of(stage.ask(line, "leases"), "leases")[0]

    assert row()["stopped_s"] is None
    stops.add(line.peer.holder)
    assert row()["stopped_s"] == 0.0
    assert stage.ask(line, "status")["degraded"] == []
    await trio.sleep(300)
    assert row()["stopped_s"] == 300.0
    assert row()["state"] == "held"
    assert stage.ask(line, "status")["degraded"] == [
        f"lease {lease}: process {pid} has been stopped for 5 min; it still holds its slot; "
        f"resume it with kill -CONT {pid} or end it"
    ]
    stops.clear()
    assert stage.ask(line, "status")["degraded"] == []
    assert row()["stopped_s"] is None
