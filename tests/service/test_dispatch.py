"""From a frame to an answer: every op, and whatever is wrong with one."""

import errno
import os
import re

import pytest
from trio.testing import MockClock

from admission import __version__
from admission.core.leases import Bound, Class, Holder
from admission.core.limits import Limits
from admission.protocol import Frame
from admission.service import dispatch as room
from admission.service.config import Config
from admission.service.holders import identify
from admission.service.peers import Peer
from tests.service.conftest import Start
from tests.service.stage import Recorder, Stage, code_of, error_of, is_one_short_line, map_of

pytestmark = pytest.mark.trio
FULL = {"weight": 5}


def holder_of(stage: Stage, lease: int) -> Holder:
    found = stage.core.ledger.lease(lease)
    assert found is not None
    return found.claim.holder


# --- acquire ------------------------------------------------------------------------------------


async def test_an_acquire_is_answered_with_the_lease_and_the_level(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    answer = stage.ask(line, "acquire", task="refactor")
    assert re.fullmatch(r"[0-9a-f]{32}", str(answer.pop("secret")))
    assert answer == {
        "id": 1,
        "ok": True,
        "lease": 1,
        "fence": 1,
        "pool": "agents",
        "weight": 1,
        "task": "refactor",
        "class": "normal",
        "group": "",
        "pid": line.peer.holder.pid,
        "bound": "connection",
        "ttl_s": None,
        "waited_ms": 0,
        "shared": False,
        "level": 0,
        "name": "normal",
        "params": {
            "level": 0,
            "name": "normal",
            "max_agents": 5,
            "batch_size": 100,
            "delay_ms": 0,
            "max_concurrent": 3,
            "reasoning_effort": "high",
        },
    }


async def test_every_field_of_an_acquire_reaches_the_lease(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    number = stage.hold(
        line,
        pool="operations",
        weight=2,
        task="tests",
        class_="batch",
        group="autopilot",
        bound="process",
        ttl_s=60,
        request=bytes(range(16)),
    )
    lease = stage.core.ledger.lease(number)
    assert lease is not None
    assert lease.expires_at == 60.0
    claim = lease.claim
    assert (claim.pool, claim.weight, claim.task, claim.group) == (
        "operations",
        2,
        "tests",
        "autopilot",
    )
    assert (claim.rank, claim.bound, claim.ttl_s) == (Class.BATCH, Bound.PROCESS, 60.0)
    assert (claim.request, claim.holder) == (bytes(range(16)), line.peer.holder)


async def test_no_two_leases_have_the_same_secret(start: Start, autojump_clock: MockClock) -> None:
    stage = await start()
    line = stage.connect()
    assert len({stage.ask(line, "acquire")["secret"] for _ in range(5)}) == 5


async def test_a_lease_can_be_for_another_process_of_the_same_user(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    line.peer = Peer(line.peer.holder, os.getuid())
    assert holder_of(stage, stage.hold(line, pid=os.getpid())) == identify(os.getpid())
    line.peer = Peer(line.peer.holder, 0)
    assert holder_of(stage, stage.hold(line, pid=os.getpid())) == identify(os.getpid())


async def test_a_lease_can_not_be_for_another_users_process(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    line.peer = Peer(line.peer.holder, os.getuid() + 1)
    code, message = error_of(stage.ask(line, "acquire", pid=os.getpid()))
    assert (code, stage.core.ledger.held) == ("not_permitted", 0)
    assert f"process {os.getpid()} is another user's" in message


async def test_a_lease_can_not_be_for_a_process_that_is_gone(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    code, message = error_of(stage.ask(line, "acquire", pid=2**31 - 1))
    assert (code, stage.core.ledger.held) == ("holder_gone", 0)
    assert "there is no process 2147483647" in message


async def test_naming_oneself_is_naming_the_peer(start: Start, autojump_clock: MockClock) -> None:
    stage = await start()
    line = stage.connect()
    holder = line.peer.holder
    assert holder_of(stage, stage.hold(line, pid=holder.pid)) == holder


async def test_a_process_below_a_holder_shares_its_lease_without_its_secret(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await start()
    above, below = stage.connect(), stage.connect()
    lease = stage.hold(above, weight=5)
    family = (below.peer.holder, Holder(7, 7), above.peer.holder)
    monkeypatch.setattr(room, "ancestors", lambda pid: family if pid == family[0].pid else ())
    answer = stage.ask(below, "acquire", parent=lease)
    assert (answer["lease"], answer["shared"], answer["secret"]) == (lease, True, "")
    # A stranger that only says so waits like everybody.
    assert code_of(stage.ask(stage.connect(), "acquire", parent=lease, wait_s=0)) == "timeout"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"pool": "sqlite"}, "unknown_pool"),
        ({"weight": 6}, "impossible"),
        ({"weight": 0}, "bad_request"),
        ({"wait_s": "5"}, "bad_request"),
    ],
)
async def test_what_can_not_be_granted_is_refused_at_once(
    start: Start, autojump_clock: MockClock, fields: Frame, code: str
) -> None:
    stage = await start()
    found, message = error_of(stage.ask(stage.connect(), "acquire", **fields))
    assert found == code
    assert is_one_short_line(message), message
    assert stage.core.ledger.waiting == 0


# --- the other ops ------------------------------------------------------------------------------


async def test_hello_says_who_serves(start: Start, autojump_clock: MockClock) -> None:
    stage = await start()
    answer = stage.ask(stage.connect(), "hello", version=1)
    assert answer == {"id": 1, "ok": True, "version": 1, "server": __version__, "pid": os.getpid()}


async def test_a_holder_releases_its_lease_and_a_stranger_revokes_it(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line, stranger, watcher = stage.connect(), stage.connect(), stage.connect()
    stage.ask(watcher, "watch", topics=["lease"])
    for asking, reason in ((line, "released"), (stranger, "revoked")):
        lease = stage.hold(line)
        assert set(stage.ask(asking, "release", lease=lease)) == {"id", "ok"}
        assert watcher.events("ended")[-1]["reason"] == reason
    (event,) = line.events("revoked")
    assert (event["lease"], event["reason"]) == (2, "revoked")


async def test_what_runs_below_the_holder_may_release_for_it(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await start()
    line, below = stage.connect(), stage.connect()
    lease = stage.hold(line, bound="process")
    family = (below.peer.holder, line.peer.holder)
    monkeypatch.setattr(room, "ancestors", lambda pid: family)
    stage.ask(below, "release", lease=lease)
    assert line.events("revoked") == []


async def test_a_waiter_is_cancelled_by_its_request_or_by_the_id_of_its_message(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(line, **FULL)
    by_request = stage.send(line, "acquire", request=bytes(16))
    by_target = stage.send(line, "acquire")
    assert stage.ask(line, "cancel", request=bytes(16))["found"] is True
    assert stage.ask(line, "cancel", target=by_target)["found"] is True
    assert code_of(line.answer(by_request)) == code_of(line.answer(by_target)) == "cancelled"
    assert stage.ask(line, "cancel", target=by_target)["found"] is False
    assert stage.ask(line, "cancel", request=bytes(16))["found"] is False


async def test_a_cancel_of_nothing_is_told_what_to_name(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    code, message = error_of(stage.ask(stage.connect(), "cancel"))
    assert code == "bad_request"
    assert 'by "request", by "target" or by "ticket"' in message


async def test_units_are_yielded_and_regained(start: Start, autojump_clock: MockClock) -> None:
    stage = await start()
    line, other = stage.connect(), stage.connect()
    lease = stage.hold(line, **FULL)
    assert stage.ask(line, "yield", lease=lease)["ok"] is True
    second = stage.hold(other)
    assert code_of(stage.ask(line, "regain", lease=lease, wait_s=0)) == "timeout"
    regain = stage.send(line, "regain", lease=lease)
    assert line.answers(regain) == []
    stage.ask(other, "release", lease=second)
    assert line.answer(regain)["lease"] == lease


async def test_a_lease_is_taken_up_again_by_its_secret_alone(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line, later = stage.connect(), stage.connect()
    answer = stage.ask(line, "acquire")
    lease, secret = answer["lease"], str(answer["secret"])
    assert code_of(stage.ask(later, "resume", lease=lease, secret="00" * 16)) == "not_permitted"
    assert code_of(stage.ask(later, "resume", lease=lease, secret="abc")) == "bad_request"
    assert code_of(stage.ask(later, "resume", lease=lease, secret="zz")) == "bad_request"
    assert stage.ask(later, "resume", lease=lease, secret=secret)["secret"] == secret
    stage.daemon.remove_line(line)
    assert stage.core.ledger.held == 1


async def test_the_secret_is_told_to_nobody_else(start: Start, autojump_clock: MockClock) -> None:
    """Any client may renew or yield any lease; none may learn how to take it over by it."""
    stage = await start()
    line, stranger = stage.connect(), stage.connect()
    answer = stage.ask(line, "acquire", ttl_s=60)
    lease, secret = answer["lease"], answer["secret"]
    assert stage.ask(line, "renew", lease=lease)["secret"] == secret
    for op in ("renew", "yield", "regain"):
        assert stage.ask(stranger, op, lease=lease)["secret"] == ""


async def test_renewing_moves_the_end_of_a_ttl(start: Start, autojump_clock: MockClock) -> None:
    stage = await start()
    line = stage.connect()
    lease = stage.hold(line, ttl_s=60)
    autojump_clock.jump(40.0)
    assert stage.ask(line, "renew", lease=lease)["ttl_s"] == 60.0
    found = stage.core.ledger.lease(lease)
    assert found is not None
    assert found.expires_at == 100.0


@pytest.mark.parametrize("op", ["release", "renew", "yield", "regain", "resume"])
async def test_a_lease_that_is_not_there_is_unknown(
    start: Start, autojump_clock: MockClock, op: str
) -> None:
    stage = await start()
    code, message = error_of(stage.ask(stage.connect(), op, lease=7, secret="ab"))
    assert code == "unknown_lease"
    assert "there is no lease 7" in message


async def test_the_level_is_shown_set_and_given_back(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    assert stage.ask(line, "level")["level"] == 0
    assert stage.ask(line, "level", set=2)["name"] == "medium"
    assert stage.ask(line, "status")["by_hand"] == {"until_s": None, "off": False}
    assert stage.ask(line, "level", set=1, for_s=60)["level"] == 1
    assert stage.ask(line, "status")["by_hand"] == {"until_s": 60.0, "off": False}
    assert map_of(stage.ask(line, "level"), "params")["max_agents"] == 3
    assert stage.ask(line, "level", auto=True)["level"] == 0
    assert stage.ask(line, "status")["by_hand"] is None


# --- whatever is wrong --------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [{}, {"op": "status"}, {"id": -1, "op": "status"}, {"id": "1"}])
async def test_a_request_without_an_id_is_answered_under_0(
    start: Start, autojump_clock: MockClock, frame: Frame
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hear(line, frame)
    assert code_of(line.answer(0)) == "bad_request"


async def test_an_unknown_op_is_answered_under_its_own_id(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hear(line, {"id": 77, "op": "dance"})
    assert code_of(line.answer(77)) == "unknown_op"


@pytest.mark.parametrize("op", ["acquire", "release"])
async def test_a_process_that_can_not_be_looked_up_just_now_is_no_end_of_the_daemon(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, op: str
) -> None:
    """As /proc can't be read while no descriptor is left."""

    def out_of_descriptors(pid: int) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    stage = await start()
    line = stage.connect()
    lease = stage.hold(stage.connect())
    monkeypatch.setattr(room, "identify", out_of_descriptors)
    monkeypatch.setattr(room, "ancestors", out_of_descriptors)
    code, message = error_of(stage.ask(line, op, lease=lease, pid=os.getpid()))
    assert code == "too_many_connections"
    assert "Too many open files" in message
    assert stage.core.ledger.held == 1


# --- limits -------------------------------------------------------------------------------------


async def test_64_requests_of_one_connection_may_wait_and_no_more(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    holding, line, other = stage.connect(), stage.connect(), stage.connect()
    stage.hold(holding, **FULL)
    waiting = [stage.send(line, "acquire") for _ in range(64)]
    assert line.sent == []
    code, message = error_of(stage.ask(line, "acquire"))
    assert code == "queue_full"
    assert message.startswith("64 requests of this connection wait already")
    assert other.answers(stage.send(other, "acquire")) == []
    stage.ask(line, "cancel", target=waiting[0])
    assert line.answers(stage.send(line, "acquire")) == []


async def test_so_many_may_wait_in_all_and_no_more(start: Start, autojump_clock: MockClock) -> None:
    stage = await start(Config(core_limits=Limits(waiters_max=3)))
    lines: list[Recorder] = [stage.connect() for _ in range(4)]
    stage.hold(lines[0], **FULL)
    assert [line.answers(stage.send(line, "acquire")) for line in lines[1:]] == [[], [], []]
    code, message = error_of(stage.ask(stage.connect(), "acquire"))
    assert (code, message) == (
        "queue_full",
        "3 wait already, and that is the limit; try again later",
    )


async def test_64_watches_of_one_connection_may_be_open_and_no_more(
    start: Start, autojump_clock: MockClock
) -> None:
    """Each costs memory and time at every event, so a flood of them would be everybody's."""
    stage = await start()
    line, other = stage.connect(), stage.connect()
    for _ in range(64):
        assert stage.ask(line, "watch", topics=["level"])["ok"] is True
    code, message = error_of(stage.ask(line, "watch"))
    assert code == "queue_full"
    assert message.startswith("64 watches of this connection are open")
    assert stage.ask(other, "watch")["ok"] is True
    stage.hear(line, {"id": 1, "op": "watch"})  # one of the 64, asked anew
    assert len(line.answers(1)) == 2
