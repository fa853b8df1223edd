"""The owner of the core on virtual time: a simulated hour takes milliseconds."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from admission.core import events as ev
from admission.core.governor import Patience, Throttle
from admission.core.leases import Holder
from admission.core.levels import LEVELS, PoolSpec, pools_of
from admission.service.config import Config
from tests.service.conftest import Start
from tests.service.stage import code_of, error_of, map_of

pytestmark = pytest.mark.trio
FULL = {"weight": 5}


async def at(instant: float) -> None:
    """Comes back at this instant, after everybody else who has something to do then."""
    await trio.sleep_until(instant)
    await wait_all_tasks_blocked()


# --- time ---------------------------------------------------------------------------------------


async def test_a_time_out_is_heard_exactly_at_its_time(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(line, **FULL)
    waits = [0.1, 0.2, 0.3, 0.7, 1 / 3, 60, 3600.1]
    requests = {wait_s: stage.send(line, "acquire", wait_s=wait_s) for wait_s in waits}
    for wait_s, request in sorted(requests.items()):
        await at(wait_s - 1e-9)
        assert line.answers(request) == []
        await at(wait_s)
        assert error_of(line.answer(request))[0] == "timeout"


async def test_a_time_out_says_how_long_one_waited_and_for_what(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(line, **FULL)
    stage.send(line, "acquire")
    request = stage.send(line, "acquire", wait_s=30)
    await at(30)
    assert error_of(line.answer(request))[1] == (
        'no slot within 30 s: 5 of 5 agents run, you were 2nd; see "admission leases"'
    )


async def test_the_core_is_told_of_time_when_something_is_due_and_not_before(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await start()
    line = stage.connect()
    told_at: list[float] = []
    handle = stage.core.handle

    def noting(now: float, event: ev.Event) -> list[ev.Effect]:
        if isinstance(event, ev.TimePassed):
            told_at.append(now)
        return handle(now, event)

    monkeypatch.setattr(stage.core, "handle", noting)
    stage.hold(line, **FULL, ttl_s=30.3)
    for wait_s in (60.6, 10.1, 20.2):
        stage.send(line, "acquire", wait_s=wait_s)
        await wait_all_tasks_blocked()
    await at(100)
    # At 30.3 the lease ended, and both that still waited had one.
    assert told_at == [10.1, 20.2, 30.3]


async def test_a_lease_ends_when_its_ttl_has_passed_and_the_next_one_runs(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line, other = stage.connect(), stage.connect()
    lease = stage.hold(line, **FULL, ttl_s=60)
    request = stage.send(other, "acquire")
    await at(40)
    stage.ask(line, "renew", lease=lease)
    await at(99.999)
    assert other.answers(request) == line.events("revoked") == []
    await at(100)
    assert other.answer(request)["waited_ms"] == 100_000
    (event,) = line.events("revoked")
    assert (event["lease"], event["reason"]) == (lease, "ttl passed")


async def test_a_place_is_kept_for_ten_seconds_after_the_connection_closed(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(stage.connect(), **FULL)
    stage.send(line, "acquire", request=bytes(16))
    stage.send(line, "acquire")
    stage.daemon.remove_line(line)
    assert stage.core.ledger.waiting == 1, "one without a request id could not come back"
    await at(9.999)
    assert stage.core.ledger.waiting == 1
    await at(10)
    assert stage.core.ledger.waiting == 0


async def test_grants_keep_the_delay_of_the_level_between_them(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.ask(line, "level", set=1)
    requests = [stage.send(line, "acquire") for _ in range(3)]
    for count, instant in ((1, 0.0), (1, 0.499), (2, 0.5), (2, 0.999), (3, 1.0)):
        await at(instant)
        assert sum(len(line.answers(request)) for request in requests) == count
    assert [line.answer(one)["waited_ms"] for one in requests] == [0, 500, 1000]


async def test_a_pool_of_constant_size_keeps_no_delay(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(Config(pools=(*pools_of(LEVELS), PoolSpec("sqlite", (2, 2, 2, 2)))))
    line = stage.connect()
    stage.ask(line, "level", set=3)
    assert [stage.hold(line, pool="sqlite") for _ in range(2)] == [1, 2]


async def test_a_level_set_by_hand_for_a_while_ends_by_itself(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.ask(line, "level", set=3, for_s=600)
    stage.hold(line)
    requests = [stage.send(line, "acquire") for _ in range(4)]
    await at(599.999)
    assert not any(line.answers(request) for request in requests)
    await at(600)
    assert all(line.answer(request)["level"] == 0 for request in requests)
    assert stage.ask(line, "status")["level_since_s"] == 0.0


# --- samples ------------------------------------------------------------------------------------


async def test_at_rest_the_machine_is_looked_at_seldom(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    await at(100)
    assert stage.readings.taken_at == [0.0, 1.0, 31.0, 61.0, 91.0]


async def test_while_something_is_out_it_is_looked_at_often(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    await at(40)
    lease = stage.hold(line)
    await at(52)
    assert stage.readings.taken_at == [0.0, 1.0, 31.0, 40.0, 45.0, 50.0]
    stage.ask(line, "release", lease=lease)
    await at(90)
    assert stage.readings.taken_at[6:] == [55.0, 85.0]


@pytest.mark.parametrize(
    ("memory", "cpu"), [(65.0, 10.0), (10.0, 55.0), (None, 10.0), (10.0, None)]
)
async def test_while_headroom_shrinks_or_is_not_known_it_is_looked_at_often(
    start: Start, autojump_clock: MockClock, memory: float | None, cpu: float | None
) -> None:
    stage = await start(reading=(memory, cpu))
    await at(60)
    assert stage.core.level.level == 0
    assert len(stage.readings.taken_at) > 25


async def test_the_level_follows_the_samples_up_at_once_and_down_with_patience(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(Config(throttle=Throttle(patience=Patience(dwell_s=10.0))))
    line, watcher = stage.connect(), stage.connect()
    stage.hold(line)
    stage.ask(watcher, "watch", topics=["level"])
    stage.readings.memory_pct = 85.0
    await at(1)
    assert stage.core.level.level == 2
    stage.readings.memory_pct = 20.0
    await at(60)
    told = [(one["level"], one["seq"]) for one in watcher.events("level")]
    assert told == [(0, 1), (2, 2), (1, 3), (0, 4)]
    assert watcher.events("level")[1]["reasons"] == ["memory 85 % is at or above 80 %"]
    assert map_of(watcher.events("level")[1], "params")["max_agents"] == 2


async def test_who_watches_samples_is_told_each(start: Start, autojump_clock: MockClock) -> None:
    stage = await start()
    watcher = stage.connect()
    stage.ask(watcher, "watch", topics=["sample"])
    stage.readings.failed = ("CPU: lost",)
    await at(40)
    (first, *_) = watcher.events("sample")
    assert (first["memory_used_pct"], first["failed"], first["seq"]) == (20.0, ["CPU: lost"], 1)


async def test_what_is_amiss_is_shown_in_the_status(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    assert stage.ask(line, "status")["degraded"] == []
    stage.readings.failed = ("memory: lost", "CPU: lost")
    await at(5)
    assert stage.ask(line, "status")["degraded"] == ["memory: lost", "CPU: lost"]
    assert stage.ask(line, "status")["uptime_s"] == 5.0


# --- holders ------------------------------------------------------------------------------------


async def test_the_end_of_a_holder_frees_its_slots_once_and_the_next_one_runs(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line, other, watcher = stage.connect(), stage.connect(), stage.connect()
    stage.ask(watcher, "watch", topics=["lease"])
    stage.hold(line, weight=3)
    stage.hold(line, weight=2, bound="process")
    request = stage.send(other, "acquire", weight=5)
    stage.processes.end(line.peer.holder)
    await wait_all_tasks_blocked()
    assert other.answer(request)["ok"] is True
    # Its socket is still open, as a child of its may have kept it.
    stage.daemon.remove_line(line)
    ended = [(one["lease"], one["reason"]) for one in watcher.events("ended")]
    assert ended == [(1, "holder exited"), (2, "holder exited")]
    assert (stage.core.ledger.granted, stage.core.ledger.ended) == (3, 2)


async def test_the_end_of_a_waiter_leaves_no_ghost_in_the_queue(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    holding, dead, alive = stage.connect(), stage.connect(), stage.connect()
    lease = stage.hold(holding, **FULL)
    lost, next_one = stage.send(dead, "acquire"), stage.send(alive, "acquire")
    # In the very step in which it would have been its turn.
    stage.processes.end(dead.peer.holder)
    stage.ask(holding, "release", lease=lease)
    await wait_all_tasks_blocked()
    assert alive.answer(next_one)["ok"] is True
    assert dead.events("revoked") or code_of(dead.answer(lost)) == "holder_gone"
    assert stage.core.ledger.held == 1


async def test_a_holder_that_is_gone_when_it_is_to_be_watched_gets_nothing(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line, other = stage.connect(), stage.connect()
    stage.processes.ended.add(line.peer.holder)
    stage.send(line, "acquire", **FULL)
    assert stage.core.ledger.held == 0
    stage.hold(other, **FULL)
    lost = stage.send(line, "acquire")
    assert code_of(line.answer(lost)) == "holder_gone"
    assert stage.core.ledger.waiting == 0


async def test_a_connection_bound_lease_ends_with_its_connection_and_a_process_bound_one_does_not(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(line)
    kept = stage.hold(line, bound="process")
    stage.daemon.remove_line(line)
    assert list(stage.core.pools["agents"].leases) == [kept]
    stage.processes.end(line.peer.holder)
    await wait_all_tasks_blocked()
    assert stage.core.ledger.held == 0


async def test_a_holder_is_watched_while_it_holds_waits_or_is_connected(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    holder = Holder(77_000_000, 7)
    first, second = stage.connect(holder), stage.connect(holder)

    async def is_watched() -> bool:
        await wait_all_tasks_blocked()
        return holder in stage.processes.watched

    assert not await is_watched(), "it has nothing that could be lost"
    lease = stage.hold(first, bound="process")
    assert await is_watched()
    stage.ask(first, "release", lease=lease)
    assert await is_watched(), "a client that is connected takes one lease after the other"
    stage.daemon.remove_line(first)
    assert await is_watched()
    lease = stage.hold(second, bound="process")
    stage.daemon.remove_line(second)
    assert await is_watched()
    stage.ask(stage.connect(), "release", lease=lease)
    assert not await is_watched()
    third = stage.connect(holder)
    stage.ask(third, "release", lease=stage.hold(third))
    stage.daemon.remove_line(third)
    assert not await is_watched()
    assert len(stage.processes.watched) == 0


async def test_a_process_that_lets_go_and_holds_again_at_once_keeps_what_it_has(
    start: Start, autojump_clock: MockClock
) -> None:
    """The watch that is given up must not end what the next one watches."""
    stage = await start()
    holder = Holder(77_000_000, 7)
    for _ in range(3):
        line = stage.connect(holder)
        stage.hold(line)
        await wait_all_tasks_blocked()
        stage.daemon.remove_line(line)
        line = stage.connect(holder)
        stage.hold(line)
        await wait_all_tasks_blocked()
        assert stage.core.ledger.held == 1
        assert stage.processes.watched == {holder}
        stage.daemon.remove_line(line)
        await wait_all_tasks_blocked()
    stage.hold(stage.connect(holder))
    stage.processes.end(holder)
    await wait_all_tasks_blocked()
    assert stage.core.ledger.held == 0
    assert stage.processes.watched == set()


# --- the end ------------------------------------------------------------------------------------


async def test_after_stop_nothing_ends_a_lease(start: Start, autojump_clock: MockClock) -> None:
    stage = await start()
    lines = [stage.connect() for _ in range(3)]
    numbers = [stage.hold(line, ttl_s=5) for line in lines]
    before = stage.journal.path.read_bytes()
    stage.daemon.stop()
    stage.daemon.remove_line(lines[0])
    stage.processes.end(lines[1].peer.holder)
    stage.send(lines[2], "release", lease=numbers[2])
    await at(20)
    assert list(stage.core.pools["agents"].leases) == numbers
    assert stage.journal.path.read_bytes() == before
