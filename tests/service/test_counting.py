"""What the daemon counts: each thing once, and nothing that names anybody."""

from dataclasses import replace

import pytest
from trio.testing import MockClock

from admission.core import events as ev
from admission.core.leases import Claim, Class, Holder, Lease, Reason, State
from admission.core.sample import Sample
from admission.protocol import Frame
from admission.service.counting import HOLD_BOUNDS_S, WAIT_BOUNDS_S, Counts, Histogram
from admission_client.granted import mapping
from tests.service.conftest import Start
from tests.service.stage import Recorder, Stage, code_of, number_of, rows_of

pytestmark = pytest.mark.trio

LEASE = Lease(1, Claim(Holder(1, 1), rank=Class.BATCH), 1, granted_at=10.0, waited_s=5.0)


# --- alone ----------------------------------------------------------------------------------------


async def test_a_bound_is_within_its_bucket_and_what_is_beyond_the_last_has_one() -> None:
    found = Histogram((1.0, 10.0))
    for value_s in (0.0, 1.0, 1.001, 10.0, 10.001, 1e9):
        found.note(value_s)
    assert found.as_map() == {"counts": [2, 2, 2], "sum_s": round(1e9 + 22.002, 3)}


async def test_a_grant_is_counted_with_its_wait_and_an_end_with_its_hold() -> None:
    counts = Counts()
    counts.note(ev.Granted(LEASE), 10.0)
    counts.note(ev.Ended(1, Reason.HOLDER_EXITED, LEASE), 70.0)
    waits, holds = counts.waits["agents", Class.BATCH], counts.holds["agents"]
    assert waits.counts[WAIT_BOUNDS_S.index(5.0)] == 1
    assert holds.counts[HOLD_BOUNDS_S.index(60.0)] == 1
    assert (sum(waits.counts), sum(holds.counts)) == (1, 1)
    assert (waits.sum_s, holds.sum_s) == (5.0, 60.0)
    assert counts.ended == {"holder exited": 1}


async def test_what_is_regained_yielded_or_renewed_is_no_grant_and_no_end() -> None:
    counts = Counts()
    for record in (ev.Regained(1, 1), ev.Yielded(1), ev.Renewed(1, 5.0)):
        counts.note(record, 1.0)
    counts.note(ev.Granted(replace(LEASE, state=State.HELD)), 1.0)
    assert sum(sum(one.counts) for one in counts.waits.values()) == 1
    assert not counts.ended


# --- in the daemon --------------------------------------------------------------------------------


def metrics(stage: Stage, line: Recorder) -> Frame:
    return stage.ask(line, "metrics")


async def test_each_grant_end_and_refusal_is_counted_once(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    one = number_of(stage.ask(line, "acquire", class_="critical"))
    stage.ask(line, "acquire", pool="operations")
    stage.ask(line, "release", lease=one)
    assert code_of(stage.ask(line, "release", lease=one)) == "unknown_lease"
    assert code_of(stage.ask(line, "acquire", pool="none")) == "unknown_pool"
    assert code_of(stage.ask(line, "nonsense")) == "unknown_op"
    found = metrics(stage, line)
    waits = {(row["pool"], row["class"]): row["counts"] for row in rows_of(found, "waits")}
    assert set(waits) == {("agents", "critical"), ("operations", "normal")}
    assert all(counts == [1, *[0] * len(WAIT_BOUNDS_S)] for counts in waits.values())
    assert [row["pool"] for row in rows_of(found, "holds")] == ["agents"]
    assert found["ended"] == {"released": 1}
    assert found["refused"] == {"unknown_lease": 1, "unknown_pool": 1, "unknown_op": 1}
    agents, operations = rows_of(found, "pools")
    assert (agents["in_use"], operations["in_use"], operations["leases"]) == (0, 1, 1)


async def test_who_waits_is_counted_by_class_and_what_is_reserved_and_paused_is_told(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.ask(line, "reserve", units=1, class_="critical", for_s=60, whole=True)
    stage.ask(line, "pause", pool="agents")
    for rank in ("batch", "batch", "normal"):
        stage.send(line, "acquire", class_=rank)
    agents = rows_of(metrics(stage, line), "pools")[0]
    assert agents["waiting"] == {"critical": 0, "normal": 1, "batch": 2}
    assert (agents["reserved"], agents["is_paused"]) == (1, True)


async def test_the_sample_and_its_age_are_told_once_there_is_one(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    before = metrics(stage, line)
    stage.daemon.feed(ev.Sampled(Sample(stage.daemon.clock(), memory_used_pct=42.0)))
    after = metrics(stage, line)
    assert mapping(after, "pressure_pct")["memory"] == 42.0
    assert after["sample_age_s"] == 0
    assert before["journal_works"] is after["journal_works"] is True
    assert isinstance(after["journal_bytes"], int)
    assert after["journal_bytes"] > 0


async def test_nothing_of_it_names_a_task_a_group_or_a_process(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    for _ in range(8):
        stage.send(line, "acquire", task="secret task", group="secret group")
    assert "secret" not in str(metrics(stage, line))
