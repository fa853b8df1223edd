"""The daemon when its journal can't be written, and when it takes over from an earlier one."""

import logging

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from admission.core import events as ev
from admission.core.leases import Bound, Claim, Holder, Lease, Waiter
from admission.service.bookkeeping import RETRY_S as JOURNAL_RETRY_S
from admission.service.journal import Journal
from tests.service.conftest import Start
from tests.service.stage import BOOT, FIRST_PID, Stage, code_of, error_of, map_of, rest

pytestmark = pytest.mark.trio
FULL = {"weight": 5}


def written(stage: Stage) -> list[str]:
    """The kinds of records in the file, as the next daemon would find them."""
    return [type(one).__name__ for one in Journal(stage.journal.path, BOOT).read()]


def degraded(stage: Stage) -> str:
    return str(stage.daemon.status()["degraded"])


# --- it can't be written ------------------------------------------------------------------------


async def test_a_grant_is_written_before_it_is_told(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await start()
    line = stage.connect()
    seen: list[tuple[list[str], int]] = []
    append = stage.journal.append

    def noting(record: ev.Record) -> bool:
        done = append(record)
        seen.append((written(stage)[2:], len(line.sent)))
        return done

    monkeypatch.setattr(stage.journal, "append", noting)
    stage.hold(line)
    assert seen == [(["Granted"], 0)]


async def test_what_can_not_be_written_is_not_granted_until_it_can(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.journal.is_broken = True
    request = stage.send(line, "acquire", task="patient")
    assert line.answers(request) == []
    assert stage.core.ledger.held == 0
    code, message = error_of(stage.ask(line, "acquire", wait_s=0))
    assert code == "journal_unavailable"
    assert message.startswith("no slot now: the journal can't be written")
    assert f"the journal {stage.journal.path} can't be written" in degraded(stage)
    await rest(1000)
    assert line.answers(request) == []
    stage.journal.is_broken = False
    await rest(JOURNAL_RETRY_S)
    assert line.answer(request)["ok"] is True
    assert degraded(stage) == "[]"
    assert written(stage).count("Granted") == 1
    assert stage.ask(line, "acquire", wait_s=0)["ok"] is True


async def test_a_holder_that_is_gone_before_its_grant_could_be_written_is_told_so(
    start: Start, autojump_clock: MockClock
) -> None:
    """The grant is taken back first; only then does the holder's end find it waiting."""
    stage = await start()
    line = stage.connect()
    stage.processes.ended.add(line.peer.holder)
    stage.journal.is_broken = True
    assert code_of(stage.ask(line, "acquire")) == "holder_gone"
    assert (stage.core.ledger.held, stage.core.ledger.waiting) == (0, 0)


async def test_one_that_waits_in_vain_for_the_journal_times_out(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.journal.is_broken = True
    request = stage.send(line, "acquire", wait_s=5)
    await rest(5 - trio.current_time())
    code, message = error_of(line.answer(request))
    assert code == "timeout"
    assert "the journal can't be written" in message


async def test_releases_go_on_while_the_journal_can_not_be_written(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line, other = stage.connect(), stage.connect()
    first = stage.hold(line, weight=3)
    stage.hold(other, weight=2)
    stage.journal.is_broken = True
    assert stage.ask(line, "release", lease=first)["ok"] is True
    assert "can't be written" in degraded(stage)
    stage.daemon.remove_line(other)
    assert stage.core.ledger.held == 0
    request = stage.send(line, "acquire")
    await rest(10)
    assert line.answers(request) == []
    stage.journal.is_broken = False
    await rest(JOURNAL_RETRY_S)
    assert line.answer(request)["ok"] is True
    # What ended meanwhile stays ended for the next daemon too.
    assert written(stage).count("Granted") == 1


async def test_many_grants_of_one_step_are_all_taken_back_in_their_order(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    holding = stage.connect()
    lease = stage.hold(holding, **FULL)
    lines = [stage.connect() for _ in range(3)]
    requests = [stage.send(line, "acquire") for line in lines]
    stage.journal.is_broken = True
    assert stage.ask(holding, "release", lease=lease)["ok"] is True
    assert (stage.core.ledger.held, stage.core.ledger.waiting) == (0, 3)
    assert not any(line.answers(one) for line, one in zip(lines, requests, strict=True))
    stage.journal.is_broken = False
    await rest(JOURNAL_RETRY_S)
    answers = [line.answer(one) for line, one in zip(lines, requests, strict=True)]
    assert [answer["lease"] for answer in answers] == sorted(stage.core.pools["agents"].leases)
    assert (stage.core.ledger.granted, stage.core.ledger.held) == (4, 3)


async def test_a_journal_that_breaks_between_two_grants_keeps_the_first(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await start()
    holding = stage.connect()
    lease = stage.hold(holding, **FULL)
    lines = [stage.connect() for _ in range(3)]
    requests = [stage.send(line, "acquire") for line in lines]
    append = stage.journal.append

    def breaking_after_a_grant(record: ev.Record) -> bool:
        done = append(record)
        stage.journal.is_broken = isinstance(record, ev.Granted) or stage.journal.is_broken
        return done

    monkeypatch.setattr(stage.journal, "append", breaking_after_a_grant)
    stage.ask(holding, "release", lease=lease)
    told = [len(line.answers(one)) for line, one in zip(lines, requests, strict=True)]
    assert told == [1, 0, 0]
    assert (stage.core.ledger.held, stage.core.ledger.waiting) == (1, 2)
    assert written(stage)[-2:] == ["Ended", "Granted"]


async def test_a_journal_that_was_never_to_be_had_is_a_failed_one(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.service.stage.BreakableJournal.is_broken", True)
    stage = await start()
    line = stage.connect()
    assert code_of(stage.ask(line, "acquire", wait_s=0)) == "journal_unavailable"
    assert "can't be written" in degraded(stage)
    monkeypatch.undo()
    await rest(JOURNAL_RETRY_S)
    assert stage.ask(line, "acquire", wait_s=0)["ok"] is True


async def test_the_journal_does_not_grow_for_ever(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("admission.service.journal.REWRITE_BYTES_MIN", 6000)
    stage = await start()
    line = stage.connect()
    kept = stage.hold(line)
    sizes = []
    for _ in range(200):
        stage.ask(line, "release", lease=stage.hold(line))
        sizes.append(stage.journal.path.stat().st_size)
    assert max(sizes) < 9000
    found = [one for one in stage.journal.read() if isinstance(one, ev.Granted)]
    assert found[0].lease.id == kept


# --- taking over --------------------------------------------------------------------------------

ALIVE, DEAD = Holder(FIRST_PID + 900, 1), Holder(FIRST_PID + 901, 1)


def claim(holder: Holder, bound: Bound = Bound.PROCESS, request: bytes | None = None) -> Claim:
    return Claim(holder, bound=bound, request=request, secret=bytes(16))


async def test_the_living_keep_what_they_held_and_the_dead_do_not(
    start: Start, autojump_clock: MockClock
) -> None:
    records = (
        ev.Granted(Lease(5, claim(ALIVE), 5, 0.0)),
        ev.Granted(Lease(6, claim(DEAD), 6, 0.0)),
        ev.Queued(Waiter(7, claim(DEAD), None, 0.0)),
    )
    stage = await start(records=records, living=frozenset({ALIVE}))
    assert list(stage.core.pools["agents"].leases) == [5]
    assert stage.core.ledger.waiting == 0
    assert ALIVE in stage.processes.watched
    assert stage.hold(stage.connect()) == 7, "numbers only grow"
    stage.processes.end(ALIVE)
    await wait_all_tasks_blocked()
    assert stage.core.ledger.held == 1


async def test_a_dead_holder_in_the_journal_is_no_trouble_with_the_journal(
    start: Start, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    stage = await start(records=(ev.Granted(Lease(6, claim(DEAD), 6, 0.0)),))
    assert degraded(stage) == "[]"
    assert stage.hold(stage.connect(), wait_s=0) == 7
    assert [one.message for one in caplog.records if one.levelno > logging.INFO] == []
    assert written(stage)[:2] == ["Numbered", "LevelChanged"]


async def test_a_connection_bound_lease_has_ten_seconds_to_be_taken_up_again(
    start: Start, autojump_clock: MockClock
) -> None:
    records = (
        ev.Granted(Lease(1, claim(ALIVE, Bound.CONNECTION), 1, 0.0)),
        ev.Granted(Lease(2, claim(ALIVE, Bound.CONNECTION), 2, 0.0)),
    )
    stage = await start(records=records, living=frozenset({ALIVE}))
    line = stage.connect(ALIVE)
    await rest(9 - trio.current_time())
    assert stage.ask(line, "resume", lease=1, secret="00" * 16)["lease"] == 1
    await rest(11 - trio.current_time())
    assert list(stage.core.pools["agents"].leases) == [1]
    stage.daemon.remove_line(line)
    assert stage.core.ledger.held == 0


async def test_a_place_in_the_queue_is_kept_and_taken_up_by_the_same_request(
    start: Start, autojump_clock: MockClock
) -> None:
    records = (
        ev.Granted(Lease(1, Claim(ALIVE, weight=5, bound=Bound.PROCESS), 1, 0.0)),
        ev.Queued(Waiter(2, claim(ALIVE, request=bytes(16)), None, 0.0)),
    )
    stage = await start(records=records, living=frozenset({ALIVE}))
    newcomer, back = stage.connect(), stage.connect(ALIVE)
    later = stage.send(newcomer, "acquire", **FULL)
    sooner = stage.send(back, "acquire", request=bytes(16))
    stage.ask(newcomer, "release", lease=1)
    assert back.answer(sooner)["ok"] is True
    assert newcomer.answers(later) == []


async def test_what_was_taken_over_stands_in_the_new_journal(
    start: Start, autojump_clock: MockClock
) -> None:
    records = (ev.Granted(Lease(5, claim(ALIVE), 5, 0.0)), ev.LevelChanged(2, ("hot",), None))
    stage = await start(records=records, living=frozenset({ALIVE}))
    found = Journal(stage.journal.path, BOOT).read()
    assert found[0] == ev.Numbered(5, 5)
    assert [one.lease.id for one in found if isinstance(one, ev.Granted)] == [5]
    assert map_of(stage.ask(stage.connect(), "status"), "in_use")["agents"] == 1
