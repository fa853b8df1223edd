"""What the members of a group see of each other: that it is there, and no more."""

import pytest
from trio.testing import MockClock

from admission.core.leases import Holder
from admission.protocol import Frame
from admission.service import dispatch as room
from admission.service.access import SHOWN_OF_OTHERS
from admission.service.sensors.kinds import OTHER
from admission.service.sensors.processes import Look, Process
from tests.service.conftest import Start
from tests.service.members import ANN, BEN, SHARED, member
from tests.service.stage import (
    code_of,
    rows_of,
)

pytestmark = pytest.mark.trio

FULL = {"weight": 5}
SECRETS: Frame = {"task": "merger", "group": "finance", "bound": "process"}
SECRETS |= {"agent": "auditor", "workspace": "/srv/takeover"}


def leaks(frame: object, *holders: Holder) -> list[str]:
    """Which of the secrets stand anywhere in what was told."""
    words = ["merger", "finance", "auditor", "takeover", *(str(holder.pid) for holder in holders)]
    return [word for word in words if word in str(frame)]


async def test_of_anothers_lease_a_member_sees_that_it_is_there_and_how_large(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(SHARED)
    mine, other = member(stage, ANN), member(stage, BEN)
    number = stage.hold(mine, weight=2, class_="batch", **SECRETS)
    stage.hold(other, weight=3)
    stage.send(mine, "acquire", **SECRETS)
    found = stage.ask(other, "leases")
    row, own = rows_of(found, "leases")
    assert leaks(found, mine.peer.holder) == []
    shown = {key: one for key, one in row.items() if one not in ("", 0, None, False)}
    assert shown.pop("fence") == number
    assert shown == {
        "lease": number,
        "pool": "agents",
        "weight": 2,
        "class": "batch",
        "state": "held",
        "user": str(ANN),
    }
    assert (own["user"], own["pid"]) == (str(BEN), other.peer.holder.pid)
    (waiting,) = rows_of(found, "waiting")
    assert (waiting["position"], waiting["user"], waiting["task"]) == (1, str(ANN), "")
    assert waiting["reason"] == "5 of 5 agents run"


async def test_its_user_and_the_operator_see_all_of_it(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(SHARED)
    mine = member(stage, ANN)
    stage.hold(mine, **SECRETS)
    for line in (member(stage, ANN), stage.connect()):
        found = stage.ask(line, "leases")
        assert len(leaks(found, mine.peer.holder)) == 5


async def test_nothing_is_found_by_what_one_may_not_see(
    start: Start, autojump_clock: MockClock
) -> None:
    """Else it could be guessed: a filter that finds something says yes."""
    stage = await start(SHARED)
    mine, other = member(stage, ANN), member(stage, BEN)
    stage.hold(mine, **FULL, **SECRETS)
    stage.send(mine, "acquire", **SECRETS)
    guesses: list[Frame] = [{"task": "merger"}, {"pid": mine.peer.holder.pid}, {"pid": 0}]
    for guess in guesses:
        found = stage.ask(other, "leases", **guess)
        assert (found["leases"], found["waiting"]) == ([], []), guess
    assert len(rows_of(stage.ask(mine, "leases", task="merger"), "leases")) == 1
    assert len(rows_of(stage.ask(other, "leases", pool="agents"), "leases")) == 1


async def test_news_of_anothers_lease_tell_no_more(start: Start, autojump_clock: MockClock) -> None:
    stage = await start(SHARED)
    mine, other, operator = member(stage, ANN), member(stage, BEN), stage.connect()
    for line in (other, operator):
        stage.ask(line, "watch")
    number = stage.hold(mine, **FULL, **SECRETS)
    waiting = stage.send(mine, "acquire", **SECRETS)
    stage.ask(mine, "cancel", target=waiting)
    for op in ("yield", "regain", "release"):
        stage.ask(mine, op, lease=number)
    assert leaks(other.sent, mine.peer.holder) == []
    names = [one["event"] for one in other.sent if "event" in one and one["event"] != "sample"]
    assert names == ["level", "granted", "waiting", "left", "yielded", "regained", "ended"]
    assert len(leaks(operator.sent, mine.peer.holder)) == 3
    (granted,) = other.events("granted")
    assert (granted["user"], granted["weight"], granted["bound"]) == (str(ANN), 5, "")


async def test_who_runs_under_anothers_lease_shares_it_and_learns_nothing(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a command that root's `admission run` started as somebody else."""
    stage = await start(SHARED)
    above, below = stage.connect(), member(stage, BEN)
    lease = stage.hold(above, **FULL, **SECRETS)
    family = (below.peer.holder, above.peer.holder)
    monkeypatch.setattr(room, "ancestors", lambda pid: family)
    answer = stage.ask(below, "acquire", parent=lease)
    assert (answer["lease"], answer["shared"], answer["secret"]) == (lease, True, "")
    assert leaks(answer, above.peer.holder) == []
    assert code_of(stage.ask(below, "release", lease=lease)) == "not_permitted"


async def test_explain_names_what_runs_under_ones_own_leases_alone(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(SHARED)
    mine, other = member(stage, ANN), member(stage, BEN)
    rows = {
        one.peer.holder.pid: Process(
            one.peer.holder.pid, 1, one.peer.holder.start_ticks, name, OTHER, 5000, 1.0
        )
        for one, name in ((mine, "cargo"), (other, "make"))
    }
    rows[7] = Process(7, 1, 1, "vault", OTHER, 9000, 1.0)
    stage.daemon.sensors.looks = (Look(0.0, rows), None)
    stage.hold(mine, weight=2)
    stage.hold(other, weight=3)
    stage.send(mine, "acquire", **SECRETS)
    found = stage.ask(other, "explain")
    heaviest = [(one["name"], one["pid"]) for one in rows_of(found, "by_memory")]
    assert sorted(heaviest, key=str) == [("", 0), ("", 0), ("make", other.peer.holder.pid)]
    assert leaks(found, mine.peer.holder) == []
    everything = rows_of(stage.ask(stage.connect(), "explain"), "by_memory")
    assert {one["name"] for one in everything} == {"cargo", "make", "vault"}


async def test_folders_that_are_registered_are_named_to_the_operator_alone(
    start: Start, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = await start(SHARED)
    monkeypatch.setattr(stage.daemon.workspaces, "problems", lambda: ["/home/ann/merger is gone"])
    assert leaks(stage.ask(member(stage, BEN), "status")) == []
    assert leaks(stage.ask(stage.connect(), "status")) == ["merger"]


async def test_where_one_user_is_served_no_user_is_named(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(line)
    (row,) = rows_of(stage.ask(line, "leases"), "leases")
    assert "user" not in row
    assert "secret" not in SHOWN_OF_OTHERS
