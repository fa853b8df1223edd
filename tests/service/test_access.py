"""Who is let in, who may do what, and how much of it."""

import grp
import os
from dataclasses import replace

import msgspec
import pytest
from trio.testing import MockClock

from admission.core import events as ev
from admission.core.leases import UNSEEN, Claim, Holder, Lease
from admission.core.limits import Limits
from admission.protocol import Frame, NotPermitted
from admission.service import access, connections, telling
from admission.service import dispatch as room
from admission.service import requests as rq
from admission.service.access import Access
from admission.service.config import Config
from admission.service.peers import Peer
from tests.service.client import Client, until
from tests.service.conftest import Start
from tests.service.house import Open
from tests.service.members import ANN, BEN, GROUP, OPERATORS, SHARED, member
from tests.service.stage import (
    code_of,
    error_of,
    is_one_short_line,
    number_of,
)

pytestmark = pytest.mark.trio

FULL = {"weight": 5}


# --- who is let in --------------------------------------------------------------------------------


def stranger(uid: int = ANN, *gids: int) -> Peer:
    return Peer(Holder(1, 1), uid, frozenset(gids))


async def test_this_user_and_root_are_let_in_and_nobody_else() -> None:
    alone = Access()
    assert [alone.lets_in(stranger(uid)) for uid in (0, os.getuid(), ANN)] == [True, True, False]
    assert not alone.lets_in(stranger(ANN, 0, GROUP))


async def test_the_members_of_the_group_are_let_in_where_there_is_one() -> None:
    shared = Access(GROUP)
    assert shared.lets_in(stranger(ANN, 5, GROUP))
    assert not shared.lets_in(stranger(ANN, 5, 6))
    assert shared.lets_in(stranger(0))


async def test_the_group_database_has_to_do_where_the_kernel_does_not_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "groups_by_database", lambda uid: {ANN: {5, GROUP}}.get(uid, {}))
    assert Access(GROUP).lets_in(Peer(Holder(1, 1), ANN, None))
    assert not Access(6).lets_in(Peer(Holder(1, 1), ANN, None))
    assert not Access(GROUP).lets_in(Peer(Holder(1, 1), BEN, None))


async def test_a_stranger_is_told_which_group_is_served(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "peer_of", lambda sock: stranger())
    house = await serve(Config(access=Access(0)))
    (frame,) = await (await house.connect()).until_closed()
    code, message = error_of(frame)
    assert code == "not_permitted"
    assert f'the members of the group "{grp.getgrgid(0).gr_name}" and nobody else' in message


# --- the table ------------------------------------------------------------------------------------

REQUESTS: list[Frame] = [
    {"op": "hello"},
    {"op": "acquire", "wait_s": 0},
    {"op": "cancel", "target": 0},
    {"op": "cancel", "ticket": 1},
    {"op": "leases"},
    {"op": "status"},
    {"op": "explain"},
    {"op": "metrics"},
    {"op": "watch"},
    {"op": "level"},
]
ANSWERED_LATER: list[Frame] = [{"op": "orphans"}, {"op": "tasks"}, {"op": "fleet"}]
OF_A_LEASE: list[Frame] = [
    {"op": "release"},
    {"op": "renew"},
    {"op": "yield"},
    {"op": "regain"},
    {"op": "resume"},
]
OPERATORS_ALONE: list[Frame] = [
    {"op": "recommendations"},
    {"op": "level", "set": 3},
    {"op": "level", "auto": True},
    {"op": "level", "off": True},
    {"op": "reload"},
    {"op": "reserve", "units": 1, "group": "ci", "for_s": 60},
    {"op": "unreserve", "reservation": 1},
    {"op": "pause"},
    {"op": "pause", "pool": "agents", "for_s": 60},
    {"op": "unpause"},
    {"op": "move", "ticket": 1},
    {"op": "fleet", "node": "a", "set": "drain"},
    {"op": "workspace", "path": "/tmp"},
    {"op": "workspace", "path": "/tmp", "forget": True},
]


async def test_every_op_stands_in_the_table_of_these_tests() -> None:
    table = REQUESTS + ANSWERED_LATER + OF_A_LEASE + OPERATORS_ALONE
    assert {one["op"] for one in table} == set(rq.OPS)


@pytest.mark.parametrize("frame", ANSWERED_LATER, ids=str)
async def test_a_member_may_ask_what_takes_a_while(frame: Frame) -> None:
    Access(GROUP).check(stranger(ANN, GROUP), rq.parse({"id": 1, **frame}), lambda _: None)


@pytest.mark.parametrize("frame", REQUESTS, ids=str)
async def test_a_member_may_look_and_ask(
    start: Start, autojump_clock: MockClock, frame: Frame
) -> None:
    stage = await start(SHARED)
    line = member(stage, ANN)
    assert stage.ask(line, **frame)["ok"] is True  # type: ignore[arg-type]


@pytest.mark.parametrize("frame", OPERATORS_ALONE, ids=str)
async def test_what_steers_the_machine_is_the_operators_alone(
    start: Start, autojump_clock: MockClock, frame: Frame
) -> None:
    stage = await start(SHARED)
    code, message = error_of(stage.ask(member(stage, ANN), **frame))  # type: ignore[arg-type]
    assert code == "not_permitted"
    assert f"{frame['op']}: only root" in message
    assert is_one_short_line(message)
    assert stage.core.level.level == 0
    assert stage.core.governor.by_hand_until is None


async def test_an_op_that_nobody_thought_of_is_the_operators_alone() -> None:
    class New(rq.Request):
        op = "new"

    shared = Access(GROUP)
    with pytest.raises(NotPermitted):
        shared.check(stranger(), New(), lambda _: None)
    shared.check(stranger(0), New(), lambda _: None)


@pytest.mark.parametrize("frame", OF_A_LEASE, ids=str)
async def test_a_lease_is_ended_and_kept_by_its_own_user_and_the_operator(
    start: Start, autojump_clock: MockClock, frame: Frame
) -> None:
    stage = await start(SHARED)
    mine, again, other, operator = (
        member(stage, ANN),
        member(stage, ANN),
        member(stage, BEN),
        stage.connect(),
    )
    answer = stage.ask(mine, "acquire", ttl_s=60)
    words = {**frame, "lease": answer["lease"], "secret": answer["secret"]}
    before = stage.core.ledger.lease(number_of(answer))
    code, message = error_of(stage.ask(other, **words))  # type: ignore[arg-type]
    assert code == "not_permitted"
    assert f"lease {answer['lease']} is of {ANN}; only they and root" in message
    assert stage.core.ledger.lease(number_of(answer)) == before, "nothing came of it"
    for line in (again, operator):
        number = number_of(stage.ask(mine, "acquire", ttl_s=60))
        secret = stage.core.ledger.lease(number)
        assert secret is not None
        words = {**frame, "lease": number, "secret": secret.claim.secret.hex()}
        assert stage.ask(line, **words)["ok"] is True  # type: ignore[arg-type]


async def test_a_lease_that_is_not_there_is_unknown_to_a_member_as_to_everybody(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(SHARED)
    assert code_of(stage.ask(member(stage, ANN), "release", lease=7)) == "unknown_lease"


async def test_a_lease_belongs_to_the_user_who_asked_or_to_the_owner_of_its_process(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await start(SHARED)
    monkeypatch.setattr(room, "owner_uid", lambda pid: ANN)
    by_member = stage.hold(member(stage, BEN))
    by_root = stage.connect()
    by_root.peer = Peer(by_root.peer.holder, 0)
    for_another = stage.hold(by_root, pid=os.getpid())
    found = [stage.core.ledger.lease(number) for number in (by_member, for_another)]
    assert [one.claim.uid for one in found if one is not None] == [BEN, ANN]
    assert code_of(stage.ask(member(stage, BEN), "acquire", pid=os.getpid())) == "not_permitted"


async def test_a_request_id_that_another_user_knows_gives_him_nothing(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(SHARED)
    once = b"r" * 16
    mine, other = member(stage, ANN), member(stage, BEN)
    lease = stage.hold(mine, request=once)
    taken = stage.hold(other, request=once)
    assert taken != lease, "a request of his own"
    stage.ask(other, "release", lease=taken)
    assert stage.ask(other, "cancel", request=once)["found"] is False
    assert stage.core.ledger.held == 1
    assert stage.ask(stage.connect(), "cancel", request=once)["found"] is True
    assert stage.core.ledger.held == 0


async def test_nobody_unseen_takes_over_by_a_request_id_of_another_user(
    start: Start, autojump_clock: MockClock
) -> None:
    """All who can't be seen have one holder, so it is the user that tells them apart."""
    stage = await start(SHARED)
    lines = [member(stage, uid) for uid in (ANN, BEN, ANN)]
    for line in lines:
        line.peer = Peer(UNSEEN, line.peer.uid, line.peer.gids)
    first, second, third = (stage.hold(line, request=b"r" * 16) for line in lines)
    assert first == third != second


async def test_a_record_from_before_there_were_users_is_read() -> None:
    lease = Lease(1, Claim(Holder(7, 7), task="t", uid=ANN), 1, 0.0)
    record = msgspec.msgpack.decode(msgspec.msgpack.encode(ev.Granted(lease)))
    assert record["lease"]["claim"].pop("uid") == ANN
    read = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=ev.Granted)
    assert read.lease == replace(lease, claim=replace(lease.claim, uid=0))


async def test_the_configuration_read_anew_lets_nobody_else_in(
    start: Start, autojump_clock: MockClock
) -> None:
    """The socket's modes are those of the start; and who was let in must not become more."""
    stage = await start(SHARED)
    line = member(stage, ANN)
    stage.config = Config()
    stage.daemon.reload()
    assert stage.daemon.access == SHARED.access
    assert code_of(stage.ask(line, "reload")) == "not_permitted"


# --- shares ---------------------------------------------------------------------------------------


async def test_one_user_takes_no_more_than_half_of_the_places_in_the_queue(
    start: Start, autojump_clock: MockClock
) -> None:
    limits = Limits(waiters_max=4, user_share_pct=50, unshared=OPERATORS)
    stage = await start(Config(access=Access(GROUP), core_limits=limits))
    stage.hold(stage.connect(), **FULL)
    for _ in range(2):
        stage.send(member(stage, ANN), "acquire")
    code, message = error_of(stage.ask(member(stage, ANN), "acquire"))
    assert (code, message.split(",")[0]) == ("queue_full", "2 of your requests wait already")
    ben = member(stage, BEN)
    assert ben.answers(stage.send(ben, "acquire")) == []
    operator = stage.connect()
    assert operator.answers(stage.send(operator, "acquire")) == []


async def test_one_user_takes_no_more_than_half_of_the_watches(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "WATCHES_MAX", 8)
    stage = await start(SHARED)
    lines = [member(stage, uid) for uid in (ANN, ANN, BEN)]
    asked = [stage.ask(lines[0], "watch", topics=["level"])["ok"] for _ in range(5)]
    assert asked == [True] * 4 + [False]
    assert code_of(stage.ask(lines[1], "watch")) == "queue_full"
    assert stage.ask(lines[2], "watch")["ok"] is True
    operator = stage.connect()
    asked = [stage.ask(operator, "watch")["ok"] for _ in range(4)]
    assert asked == [True] * 3 + [False]
    assert code_of(stage.ask(member(stage, 2003), "watch")) == "queue_full", "all are taken"


async def test_one_user_takes_no_more_than_half_of_the_connections(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do two of them: the operator finds room to end what they hold."""
    uid = ANN
    monkeypatch.setattr(connections, "peer_of", lambda sock: stranger(uid, GROUP))
    house = await serve(SHARED)

    async def let_in(how_many: int) -> tuple[list[Client], str]:
        before = house.lines
        clients = [await house.connect() for _ in range(how_many)]
        await until(lambda: house.lines == before + how_many)
        (frame,) = await (await house.connect()).until_closed()
        code, message = error_of(frame)
        assert code == "too_many_connections"
        return clients, message

    clients, message = await let_in(4)
    assert message.startswith("you have 4 connections open, and that is your share")
    uid = BEN
    await let_in(2)
    await clients[0].close()
    await until(lambda: house.lines == 5)
    uid = ANN
    await let_in(0)  # half of what Ben leaves
    uid = 0
    _, message = await let_in(3)
    assert message.startswith("8 connections are open")
