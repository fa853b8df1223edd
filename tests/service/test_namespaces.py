"""Clients of other PID namespaces, such as a container's: what they may hold, and as whom."""

import pytest
from trio.testing import MockClock

from admission.core import events as ev
from admission.core.leases import UNSEEN, Bound, Claim, Lease
from admission.service import dispatch as room
from tests.service.conftest import Start
from tests.service.stage import (
    UID,
    Recorder,
    Stage,
    code_of,
    error_of,
    is_one_short_line,
    number_of,
    rest,
    rows_of,
)

pytestmark = pytest.mark.trio
ONCE = b"r" * 16


def unseen(stage: Stage) -> Recorder:
    """A new connection of a process that the kernel gives no number for."""
    return stage.connect(UNSEEN)


async def test_who_can_not_be_seen_holds_by_its_connection(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line, other = unseen(stage), unseen(stage)
    stage.hold(line, weight=2)
    stage.hold(other, weight=3)
    found = rows_of(stage.ask(line, "leases"), "leases")
    assert [(row["pid"], row["from"]) for row in found] == [(0, "another PID namespace")] * 2
    stage.daemon.remove_line(line)
    assert [lease.claim.weight for lease in stage.core.pools["agents"].leases.values()] == [3]
    assert UNSEEN in stage.processes.watched, "by the one exit that never comes"
    stage.daemon.remove_line(other)
    await rest(1.0)
    assert stage.core.ledger.held == 0
    assert stage.processes.watched == set()


async def test_who_can_not_be_seen_is_told_what_to_bind_its_lease_to(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    for bound in set(Bound) - {Bound.CONNECTION}:
        code, message = error_of(stage.ask(unseen(stage), "acquire", bound=bound.value))
        assert code == "not_permitted"
        assert "another PID namespace" in message
        assert '--hold connection, or bound="connection"' in message
        assert is_one_short_line(message)
    assert stage.core.ledger.held == 0


@pytest.mark.parametrize("pid", [1, 4711])
async def test_a_number_of_a_namespace_that_can_not_be_seen_means_nobody(
    start: Start, autojump_clock: MockClock, pid: int
) -> None:
    """1 is a process here as well: quite another."""
    stage = await start()
    code, message = error_of(stage.ask(unseen(stage), "acquire", pid=pid))
    assert code == "not_permitted"
    assert f"{pid} is a number of your PID namespace" in message
    assert is_one_short_line(message)


async def test_a_namespace_below_has_numbers_of_its_own(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer itself is seen from here; what else it names by number is not."""
    stage = await start()
    line = stage.connect()
    me = line.peer.holder
    monkeypatch.setattr(room, "numbers_below", lambda pid: (33, 5) if pid == me.pid else ())
    for fields in ({}, {"pid": me.pid}, {"pid": 5}):
        lease = stage.core.ledger.lease(stage.hold(line, bound="process", **fields))
        assert lease is not None
        assert lease.claim.holder == me
    for pid in (1, 33):
        code, message = error_of(stage.ask(line, "acquire", pid=pid))
        assert code == "not_permitted"
        assert "leave the pid out" in message


async def test_the_same_request_and_the_secret_find_the_lease_from_another_connection(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    answer = stage.ask(unseen(stage), "acquire", request=ONCE)
    again = stage.ask(unseen(stage), "acquire", request=ONCE)
    assert (again["lease"], again["secret"]) == (answer["lease"], answer["secret"])
    last = unseen(stage)
    secret = answer["secret"]
    assert stage.ask(last, "resume", lease=answer["lease"], secret=secret)["ok"] is True
    assert code_of(stage.ask(unseen(stage), "resume", lease=1, secret="00")) == "not_permitted"
    stage.daemon.remove_line(last)
    assert stage.core.ledger.held == 0


async def test_it_comes_back_to_a_daemon_that_was_away(
    start: Start, autojump_clock: MockClock
) -> None:
    claim = Claim(UNSEEN, request=ONCE, secret=b"s", uid=UID)
    records = (ev.Granted(Lease(7, claim, 7, 0.0)),)
    stage = await start(records=records, living=frozenset({UNSEEN}))
    assert number_of(stage.ask(unseen(stage), "acquire", request=ONCE)) == 7
    await rest(60.0)
    assert stage.core.ledger.held == 1
