"""What an operator does with the queue, as it crosses the socket: reservations, pauses, alarms."""

import os
from dataclasses import replace

import pytest
from trio.testing import MockClock

from admission.core.limits import Limits
from admission.protocol import Frame, encode
from admission.service.access import name_of
from admission.service.config import Config
from tests.service.conftest import Start
from tests.service.members import ANN, BEN, SHARED, member
from tests.service.stage import Recorder, Stage, code_of, error_of, is_one_short_line, rest, rows_of
from tests.service.test_views import OF_A_HAND, shape
from tests.wire.goldens import load

pytestmark = pytest.mark.trio

SOON = Limits(alarm_s=(1.0, 2.0, 3.0))


def waits(stage: Stage, line: Recorder, **fields: object) -> int:
    """The ticket of a request that has to wait."""
    stage.send(line, "acquire", **fields)
    return stage.core.ledger.last_ticket


async def test_what_is_reserved_is_answered_shown_and_taken_back(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    asked = {"units": 1, "class_": "critical", "group": "ci", "for_s": 600, "from_s": 60}
    answer = stage.ask(line, "reserve", pool="operations", whole=True, **asked)
    row = {
        "reservation": 1,
        "pool": "operations",
        "units": 1,
        "class": "critical",
        "group": "ci",
        "from_s": 60.0,
        "left_s": 660.0,
        "whole": True,
    }
    assert {key: answer[key] for key in row} == row
    await rest(70)
    (shown,) = rows_of(stage.ask(line, "status"), "reservations")
    assert shown == {**row, "from_s": 0.0, "left_s": 590.0}
    assert stage.ask(line, "unreserve", reservation=1)["found"] is True
    assert stage.ask(line, "unreserve", reservation=1)["found"] is False
    assert stage.ask(line, "status")["reservations"] == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"units": 1, "for_s": 60}, 'say for whom: by "class", by "group", or by both'),
        ({"units": 0, "for_s": 60, "group": "ci"}, "units is 0"),
        ({"units": 1, "group": "ci"}, 'missing required field "for_s"'),
        ({"units": 1, "group": "ci", "for_s": 86_401}, "for_s is 86401"),
        ({"units": 1, "for_s": 9, "class_": "urgent"}, "expected one of critical, normal, batch"),
    ],
)
async def test_a_reservation_that_makes_no_sense_is_told_why(
    start: Start, autojump_clock: MockClock, fields: Frame, says: str
) -> None:
    stage = await start()
    code, message = error_of(stage.ask(stage.connect(), "reserve", **fields))
    assert code == "bad_request"
    assert says in message
    assert is_one_short_line(message)


async def test_more_than_can_be_reserved_is_impossible(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    code, message = error_of(stage.ask(stage.connect(), "reserve", units=1, for_s=9, group="ci"))
    assert code == "impossible"
    assert "of the 1 at level 3 one stays for the others" in message
    assert is_one_short_line(message)


async def test_a_pause_is_shown_with_its_time_and_who_waits_is_told(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.ask(line, "pause", pool="agents", for_s=60)
    stage.ask(line, "pause", pool="operations")
    assert stage.ask(line, "status")["paused"] == {"agents": 60.0, "operations": None}
    asked = stage.send(line, "acquire")
    await rest(1)
    assert "paused by hand" in str(line.events("queued")[-1]["reason"])
    await rest(60)
    assert line.answer(asked)["ok"] is True
    assert stage.ask(line, "unpause")["found"] is True
    assert stage.ask(line, "unpause")["found"] is False
    assert code_of(stage.ask(line, "pause", pool="none")) == "unknown_pool"


async def test_a_waiter_is_put_ahead_and_taken_out_by_the_ticket_that_rows_show(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(line, weight=5)
    tickets = [waits(stage, line) for _ in range(3)]
    assert stage.ask(line, "move", ticket=tickets[2])["found"] is True
    rows = rows_of(stage.ask(line, "leases"), "waiting")
    assert [row["ticket"] for row in rows] == [tickets[2], tickets[0], tickets[1]]
    assert stage.ask(line, "cancel", ticket=tickets[0])["found"] is True
    assert stage.ask(line, "move", ticket=tickets[0])["found"] is False
    assert stage.core.ledger.waiting == 2


async def test_a_member_takes_out_his_own_and_nobody_elses(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(SHARED)
    stage.hold(stage.connect(), weight=5)
    ticket = waits(stage, member(stage, ANN))
    assert stage.ask(member(stage, BEN), "cancel", ticket=ticket)["found"] is False
    assert stage.ask(member(stage, ANN), "cancel", ticket=ticket)["found"] is True


async def test_members_see_what_is_reserved_and_by_whom_and_reserve_nothing(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(SHARED)
    asked = {"units": 1, "for_s": 60, "group": "ci", "pool": "operations", "whole": True}
    assert stage.ask(stage.connect(), "reserve", **asked)["ok"] is True
    (row,) = rows_of(stage.ask(member(stage, ANN), "status"), "reservations")
    assert (row["group"], row["user"]) == ("ci", name_of(os.getuid()))
    assert code_of(stage.ask(member(stage, ANN), "reserve", **asked)) == "not_permitted"


async def test_a_lease_row_shows_for_how_long_it_is_meant(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(line, max_hold_s=60)
    stage.hold(line)
    rows = rows_of(stage.ask(line, "leases"), "leases")
    assert [row["max_hold_s"] for row in rows] == [60.0, None]
    answer = stage.ask(line, "acquire", end_after_max=True)
    assert error_of(answer) == (
        "bad_request",
        'acquire: "end_after_max" needs "max_hold_s", after which it is to end',
    )


async def test_who_must_start_by_then_is_dropped_by_then(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    held = stage.hold(line, weight=5)
    asked = stage.send(line, "acquire", by_s=5)
    await rest(5)
    assert code_of(line.answer(asked)) == "timeout"
    await rest(600)
    stage.ask(line, "release", lease=held)
    stage.hold(line, weight=5)
    code, message = error_of(stage.ask(line, "acquire", by_s=60))
    assert code == "timeout"
    assert "it must start within 60 s, and by the estimate it could in" in message
    assert is_one_short_line(message)


# --- alarms -------------------------------------------------------------------------------------


async def test_an_alarm_is_logged_told_once_and_shown_as_long_as_it_lasts(
    start: Start, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    stage = await start(Config(core_limits=SOON))
    line, watcher = stage.connect(), stage.connect()
    stage.ask(watcher, "watch", topics=["alarms"])
    held = stage.hold(line, weight=5, task="long", max_hold_s=2)
    stage.send(line, "acquire", task="urgent", class_="critical")
    await rest(4)
    assert [(one["kind"], one["task"]) for one in watcher.events("alarm")] == [
        ("waiting", "urgent"),
        ("held", "long"),
    ]
    waiting, holding = rows_of(stage.ask(line, "status"), "alarms")
    assert (waiting["ticket"], waiting["waited_s"]) == (2, 4.0)
    assert "lease 1 has been held for 4 s, longer than the 2 s" in str(waiting["reason"])
    assert (holding["lease"], holding["held_s"]) == (held, 4.0)
    said = [one.message for one in caplog.records if one.message.startswith("alarm: ")]
    assert said[0].startswith("alarm: ticket 2 of agents: 5 of 5 agents run")
    stage.ask(line, "release", lease=held)
    assert stage.ask(line, "status")["alarms"] == []


async def test_of_another_users_alarm_a_member_learns_no_task(
    start: Start, autojump_clock: MockClock
) -> None:
    limits = replace(SHARED.core_limits, alarm_s=SOON.alarm_s)
    stage = await start(replace(SHARED, core_limits=limits))
    stage.hold(stage.connect(), weight=5)
    stage.ask(watcher := member(stage, BEN), "watch", topics=["alarms"])
    stage.send(member(stage, ANN), "acquire", task="secret", class_="critical")
    await rest(2)
    (news,) = watcher.events("alarm")
    (row,) = rows_of(stage.ask(watcher, "status"), "alarms")
    for told in (news, row):
        assert (told["task"], told["kind"], told["user"]) == ("", "waiting", str(ANN))
        assert "5 of 5 agents run" in str(told["reason"])


async def test_a_status_fits_its_frame_however_many_wait_for_too_long(
    start: Start, autojump_clock: MockClock
) -> None:
    limits = replace(SOON, waiters_per_connection_max=1000)
    stage = await start(Config(core_limits=limits))
    line = stage.connect()
    stage.hold(line, weight=5)
    for number in range(32):
        group = chr(0x1F600 + number) * 200
        asked = {"units": 1, "whole": True, "for_s": 1, "from_s": 9 * number, "group": group}
        assert stage.ask(line, "reserve", pool="operations", **asked)["ok"] is True
    for _ in range(400):
        stage.send(line, "acquire", task="\U0001f986" * 200)
    await rest(2.5)
    status = stage.ask(line, "status")
    encode(status)
    assert 0 < len(rows_of(status, "alarms")) < 400
    assert len(rows_of(status, "reservations")) >= 30


async def test_what_has_changed_about_a_hand_survives_a_restart(
    start: Start, autojump_clock: MockClock
) -> None:
    first = await start()
    line = first.connect()
    first.ask(line, "reserve", units=1, for_s=600, group="ci", whole=True)
    first.ask(line, "pause")
    first.daemon.stop()
    second = await start(records=tuple(first.journal.read()))
    status = second.ask(second.connect(), "status")
    assert [one["reservation"] for one in rows_of(status, "reservations")] == [1]
    assert status["paused"] == {"agents": None, "operations": None}


# --- the golden frames are what is really sent --------------------------------------------------


async def test_answers_and_news_of_a_hand_have_the_shape_of_the_golden_ones(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(Config(core_limits=SOON))
    line, watcher = stage.connect(), stage.connect()
    stage.ask(watcher, "watch", topics=["queue", "alarms"])
    stage.hold(line, weight=5, max_hold_s=2)
    waits(stage, line, class_="critical")
    stage.ask(line, "move", ticket=waits(stage, line, class_="critical"))
    critical = {"class_": "critical", "whole": True}
    reserved = stage.ask(line, "reserve", pool="operations", units=1, for_s=9, **critical)
    stage.ask(line, "unreserve", reservation=1)
    stage.ask(line, "reserve", pool="operations", units=1, for_s=9, group="a", whole=True)
    stage.ask(line, "pause", pool="agents", for_s=60)
    stage.ask(line, "pause", pool="operations")
    await rest(2)
    status = stage.ask(line, "status")
    stage.ask(line, "unpause")
    replies = {one.name: one.message for one in load("replies.json")}
    assert shape(reserved) == shape(replies["reserved"])
    golden = replies["status, with a hand in the queue and an alarm"]
    for name in ("reservations", "paused", "alarms"):
        assert (name, shape(status[name])) == (name, shape(golden[name]))
    sent = {_name(one): one for one in reversed(watcher.events(*OF_A_HAND))}
    news = [one.message for one in load("events.json") if one.message["event"] in OF_A_HAND]
    assert set(sent) == {_name(one) for one in news}
    for one in news:
        assert shape(sent[_name(one)]) == shape(one)


def _name(news: Frame) -> str:
    return f"{news['event']} {news.get('kind', '')}"
