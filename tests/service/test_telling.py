"""What clients are told unasked: the news that watchers follow, and places in the queue."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from admission.core.leases import Holder
from admission.protocol import Frame
from admission.service.telling import (
    PLACES_INTERVAL_S,
    WAITERS_TOLD_PER_S,
    WATCHER_BACKLOG_BYTES_MAX,
    Watchers,
)
from tests.service.conftest import Start
from tests.service.stage import Recorder, Stage, rest

pytestmark = pytest.mark.trio
LEVEL: Frame = {"event": "level", "level": 0}
FULL = {"weight": 5}


def news(number: int) -> Frame:
    return {"event": "renewed", "lease": number}


def line() -> Recorder:
    return Recorder(1, Holder(1, 1))


def told(to: Recorder, message_id: int) -> list[tuple[object, object]]:
    """What a watch was told: the sequence number and the event's name or lease."""
    return [
        (one["seq"], one.get("lease", one["event"])) for one in to.sent if one["id"] == message_id
    ]


def places(to: Recorder, message_id: int) -> list[tuple[object, object]]:
    """The positions that a waiter was told, each with how many wait."""
    return [(one["position"], one["of"]) for one in to.events("queued") if one["id"] == message_id]


# --- watchers -----------------------------------------------------------------------------------


async def test_events_are_numbered_from_1_for_each_watch() -> None:
    watchers, reader = Watchers(), line()
    watchers.add(reader, 5, ["lease"], LEVEL)
    watchers.publish("lease", news(1))
    watchers.add(reader, 6, ["lease"], LEVEL)
    watchers.publish("lease", news(2))
    assert told(reader, 5) == [(1, 1), (2, 2)]
    assert told(reader, 6) == [(1, 2)]


async def test_a_watcher_hears_its_topics_only() -> None:
    watchers, reader = Watchers(), line()
    watchers.add(reader, 5, ["lease", "queue"], LEVEL)
    for topic in ("level", "sample", "queue", "lease"):
        watchers.publish(topic, {"event": topic})
    assert told(reader, 5) == [(1, "queue"), (2, "lease")]


async def test_who_watches_the_level_is_told_the_one_in_force_first() -> None:
    watchers, reader = Watchers(), line()
    watchers.add(reader, 5, ["level"], LEVEL)
    assert reader.sent == [{"id": 5, **LEVEL, "seq": 1}]


async def test_a_slow_reader_is_told_how_much_it_missed_and_goes_on() -> None:
    watchers, slow, quick = Watchers(), line(), Recorder(2, Holder(2, 2))
    watchers.add(slow, 5, ["lease"], LEVEL)
    watchers.add(quick, 6, ["lease"], LEVEL)
    watchers.publish("lease", news(1))
    slow.backlog_bytes = WATCHER_BACKLOG_BYTES_MAX + 1
    for number in range(2, 1002):
        watchers.publish("lease", news(number))
    assert told(slow, 5) == [(1, 1)]
    assert len(quick.sent) == 1001
    slow.backlog_bytes = WATCHER_BACKLOG_BYTES_MAX
    watchers.publish("lease", news(1002))
    watchers.publish("lease", news(1003))
    assert told(slow, 5) == [(1, 1), (2, "lagged"), (3, 1002), (4, 1003)]
    assert slow.events("lagged") == [{"id": 5, "event": "lagged", "missed": 1000, "seq": 2}]


async def test_a_watch_asked_anew_begins_anew() -> None:
    watchers, reader = Watchers(), line()
    watchers.add(reader, 5, ["lease"], LEVEL)
    watchers.publish("lease", news(1))
    watchers.add(reader, 5, ["queue"], LEVEL)
    watchers.publish("lease", news(2))
    watchers.publish("queue", news(3))
    assert told(reader, 5) == [(1, 1), (1, 3)]


async def test_a_closed_connection_is_told_nothing_more() -> None:
    watchers, gone, stays = Watchers(), line(), Recorder(2, Holder(2, 2))
    for one in (gone, stays):
        watchers.add(one, 5, ["lease"], LEVEL)
    watchers.remove_line(gone.number)
    watchers.publish("lease", news(1))
    assert (len(gone.sent), len(stays.sent)) == (0, 1)
    assert watchers
    watchers.remove_line(stays.number)
    watchers.remove_line(stays.number)
    assert not watchers


async def test_a_lease_is_followed_from_the_queue_to_its_end(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    holding, waiting, watcher = stage.connect(), stage.connect(), stage.connect()
    stage.ask(watcher, "watch", topics=["lease", "queue"])
    first = stage.hold(holding, **FULL, ttl_s=60)
    stage.send(waiting, "acquire", task="second")
    stage.ask(holding, "renew", lease=first)
    stage.ask(holding, "yield", lease=first)
    stage.ask(waiting, "release", lease=2)
    stage.ask(holding, "regain", lease=first)
    await rest(60)
    seen = [(one["event"], one.get("lease"), one.get("reason")) for one in watcher.sent[1:]]
    assert seen == [
        ("granted", 1, None),
        ("waiting", None, None),
        ("renewed", 1, None),
        ("yielded", 1, None),
        ("granted", 2, None),
        ("ended", 2, "released"),
        ("regained", 1, None),
        ("ended", 1, "ttl passed"),
    ]
    assert [one["seq"] for one in watcher.sent[1:]] == list(range(1, 9))
    assert watcher.events("ended")[1]["held_s"] == 60.0


async def test_the_news_do_not_follow_a_connection_that_is_closed(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    watcher = stage.connect()
    stage.ask(watcher, "watch")
    stage.daemon.remove_line(watcher)
    heard = len(watcher.sent)
    stage.hold(stage.connect())
    await rest(60)
    assert len(watcher.sent) == heard
    assert not stage.daemon.watchers


async def test_who_leaves_the_queue_is_told_to_watchers_with_why(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    waiting, watcher = stage.connect(), stage.connect()
    stage.ask(watcher, "watch", topics=["queue"])
    stage.hold(stage.connect(), **FULL)
    stage.send(waiting, "acquire", wait_s=5)
    await rest(5)
    (left,) = watcher.events("left")
    assert (left["ticket"], left["why"]) == (2, "timeout")


# --- places -------------------------------------------------------------------------------------


async def full(start: Start, waiting: int) -> tuple[Stage, Recorder, list[tuple[Recorder, int]]]:
    """A full pool; who holds it, and those who wait, each with the id of its request."""
    stage = await start()
    holding = stage.connect()
    stage.hold(holding, **FULL)
    lines = [stage.connect() for _ in range(waiting)]
    return stage, holding, [(one, stage.send(one, "acquire", weight=5)) for one in lines]


async def test_a_waiter_is_told_its_place_at_once_and_then_only_when_it_changes(
    start: Start, autojump_clock: MockClock
) -> None:
    stage, holding, ((first, _), (second, request)) = await full(start, 2)
    await wait_all_tasks_blocked()
    assert trio.current_time() == 0.0
    assert second.events("queued") == [
        {
            "id": request,
            "event": "queued",
            "ticket": 3,
            "position": 2,
            "reason": "5 of 5 agents run",
            "eta_s": None,
            "of": 2,
        }
    ]
    for _ in range(10):  # events that change nobody's place
        stage.ask(holding, "status")
        stage.ask(holding, "renew", lease=1)
        await rest(PLACES_INTERVAL_S)
    assert (len(first.events("queued")), len(second.events("queued"))) == (1, 1)
    stage.ask(holding, "release", lease=1)
    await rest(PLACES_INTERVAL_S)
    assert places(second, request) == [(2, 2), (1, 1)]
    assert len(first.events("queued")) == 1


async def test_many_changes_at_once_are_told_once(start: Start, autojump_clock: MockClock) -> None:
    stage, _, waiting = await full(start, 9)
    last, request = waiting[-1]
    await wait_all_tasks_blocked()
    for line, message_id in waiting[:5]:
        stage.ask(line, "cancel", target=message_id)
    await rest(10)
    assert places(last, request) == [(9, 9), (4, 4)]


async def test_a_waiter_that_comes_back_is_told_its_place_on_its_new_connection(
    start: Start, autojump_clock: MockClock
) -> None:
    stage, _, _ = await full(start, 1)
    line = stage.connect()
    stage.send(line, "acquire", request=bytes(16))
    await rest(1)
    again = stage.connect(line.peer.holder)
    stage.daemon.remove_line(line)
    request = stage.send(again, "acquire", request=bytes(16))
    await rest(1)
    assert places(again, request) == [(2, 2)]


async def test_who_was_granted_is_told_no_place_any_more(
    start: Start, autojump_clock: MockClock
) -> None:
    stage, holding, ((line, request), _) = await full(start, 2)
    stage.ask(holding, "release", lease=1)
    await rest(10)
    assert line.answer(request)["ok"] is True
    assert line.sent.index(line.answer(request)) == len(line.sent) - 1


async def test_a_place_comes_with_a_guess_once_there_is_something_to_guess_from(
    start: Start, autojump_clock: MockClock
) -> None:
    stage, holding, ((line, _), _) = await full(start, 2)
    await rest(40)
    stage.ask(holding, "release", lease=1)
    third = stage.connect()
    stage.send(third, "acquire", weight=5)
    await rest(1)
    (place,) = third.events("queued")
    assert isinstance(place["eta_s"], float)
    assert place["eta_s"] > 0
    assert line.events("queued")[0]["eta_s"] is None


async def test_a_long_queue_is_told_less_often(start: Start, autojump_clock: MockClock) -> None:
    """Telling ten thousand takes a while, and nobody else may wait for it."""
    stage, _, waiting = await full(start, 1)
    line, message_id = waiting[0]
    crowd = [stage.connect() for _ in range(40)]
    for one in crowd:
        for _ in range(50):
            stage.send(one, "acquire")
    last = crowd[-1]
    await wait_all_tasks_blocked()
    before = len(last.events("queued"))
    stage.ask(line, "cancel", target=message_id)
    await rest(PLACES_INTERVAL_S + 0.01)
    assert len(last.events("queued")) == before
    await rest(2001 / WAITERS_TOLD_PER_S)
    assert len(last.events("queued")) == before + 50
