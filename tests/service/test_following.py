"""From a holder's end to the end of all it has started, on virtual time."""

import errno
import os
from collections.abc import Callable
from typing import TypeVar

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from admission.core.leases import Holder
from admission.service.following import RETRY_S, Following
from admission.service.sensors.kinds import OTHER
from admission.service.sensors.processes import Look, Process
from tests.service.conftest import Start
from tests.service.stage import Recorder, Stage, rest, rows_of

T = TypeVar("T")

pytestmark = pytest.mark.trio
KID, LATER_KID = Holder(60_000_001, 7), Holder(60_000_002, 8)


def the_row(stage: Stage, line: Recorder) -> dict[str, object]:
    (row,) = rows_of(stage.ask(line, "leases", pid=line.peer.holder.pid), "leases")
    return row


async def test_a_lease_follows_what_its_holder_left_until_that_has_exited(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    lease = stage.hold(line, bound="tree")
    assert "left" not in the_row(stage, line)
    stage.forest.left[lease] = (KID,)
    stage.processes.end(line.peer.holder)
    await rest(0)
    row = the_row(stage, line)
    assert (row["pid"], row["left"], row["from"]) == (line.peer.holder.pid, [KID.pid], "")
    assert KID in stage.processes.watched
    stage.forest.left[lease] = (LATER_KID,)  # which the child has started
    stage.processes.end(KID)
    await rest(0)
    assert the_row(stage, line)["left"] == [LATER_KID.pid]
    del stage.forest.left[lease]
    stage.processes.end(LATER_KID)
    await rest(0)
    assert stage.core.ledger.held == 0
    (event,) = line.events("revoked")
    assert event["reason"] == "holder exited"
    assert len(stage.forest.asked) == 3


async def test_a_look_that_fails_is_repeated_and_the_lease_stays_out_meanwhile(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    lease = stage.hold(line, bound="tree")
    stage.forest.problem = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    stage.processes.end(line.peer.holder)
    await rest(10 * RETRY_S + 0.5 * RETRY_S)
    assert the_row(stage, line)["left"] == []
    assert len(stage.forest.asked) == 11
    assert stage.daemon.status()["degraded"] == [
        f"what the holder of lease {lease} left can't be looked for: "
        f"[Errno {errno.EMFILE}] {os.strerror(errno.EMFILE)}"
    ]
    stage.forest.problem = None
    await rest(RETRY_S)
    assert stage.core.ledger.held == 0
    assert stage.daemon.status()["degraded"] == []


async def test_a_failure_that_nobody_foresaw_does_not_end_the_daemon(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(line, bound="tree")
    stage.forest.problem = ZeroDivisionError("sky")
    stage.processes.end(line.peer.holder)
    await rest(0)
    assert stage.core.ledger.held == 1
    stage.forest.problem = None
    await rest(RETRY_S)
    assert stage.core.ledger.held == 0


async def test_a_lease_that_is_given_back_is_no_longer_looked_for(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    lease = stage.hold(line, bound="tree")
    stage.forest.problem = OSError("no")
    stage.processes.end(line.peer.holder)
    await rest(0)
    stage.ask(stage.connect(), "release", lease=lease)
    await rest(5 * RETRY_S)
    assert len(stage.forest.asked) == 1
    assert stage.daemon.status()["degraded"] == []


async def test_the_holders_of_the_pool_are_not_looked_for(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    gone, other, builder = stage.connect(), stage.connect(), stage.connect()
    lease = stage.hold(gone, bound="tree")
    stage.hold(gone, bound="tree")
    stage.hold(other, bound="process")
    stage.hold(builder, pool="operations")
    stage.processes.end(gone.peer.holder)
    await rest(0)
    assert (lease, frozenset({other.peer.holder})) in stage.forest.asked


async def test_a_process_that_ends_during_a_look_leads_to_another_look_after_it(
    start: Start, mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    stage = await start()
    under_way: list[trio.Event] = []

    async def slowly(do: Callable[[], T], /) -> T:
        found = do()
        under_way.append(trio.Event())
        await under_way[-1].wait()
        return found

    following = Following(stage.forest, slowly)
    following.begin(nursery, stage.core, stage.daemon.feed)
    stage.daemon._following = following
    line = stage.connect()
    lease = stage.hold(line, bound="tree")
    stage.forest.left[lease] = (KID, LATER_KID)
    stage.processes.end(line.peer.holder)
    await wait_all_tasks_blocked()
    under_way[0].set()
    await wait_all_tasks_blocked()
    stage.processes.end(KID)
    await wait_all_tasks_blocked()
    stage.forest.left[lease] = ()
    stage.processes.end(LATER_KID)  # the look that is under way saw it alive
    await wait_all_tasks_blocked()
    assert len(under_way) == 2, "two looks at once"
    under_way[1].set()
    await wait_all_tasks_blocked()
    assert stage.core.ledger.held == 1
    under_way[2].set()
    await wait_all_tasks_blocked()
    assert stage.core.ledger.held == 0


async def test_each_pass_is_noted_once_and_trees_are_looked_at_closely(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(line, bound="process")
    assert not stage.daemon.sensors.is_close
    lease = stage.hold(line, bound="tree")
    assert stage.daemon.sensors.is_close
    me, child = line.peer.holder, KID
    rows = {
        one.pid: Process(one.pid, parent, one.start_ticks, "sh", OTHER, 0, 0)
        for one, parent in ((me, 1), (child, me.pid))
    }
    stage.daemon.sensors.looks = (Look(1.0, rows), None)
    await rest(60)
    stage.ask(line, "release", lease=lease)
    stage.daemon.sensors.looks = (Look(2.0, {KID.pid: rows[KID.pid]}), None)
    await rest(60)
    assert stage.forest.former() == {KID: lease}
    assert not stage.daemon.sensors.is_close
