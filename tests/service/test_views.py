"""What crosses the socket outwards."""

import json
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from typing import get_args

import pytest
from trio.testing import MockClock

from admission.core import by_hand, shedding
from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.deferral import Undeferred
from admission.core.governor import Governor
from admission.core.leases import Bound, Caller, Claim, Holder, Lease, Reason, Waiter
from admission.core.levels import LEVELS, PoolSpec
from admission.core.reserving import Reservation
from admission.core.sample import Sample
from admission.protocol import FRAME_BYTES_MAX, LENGTH_BYTES, Frame, encode
from admission.service import requests as rq
from admission.service import views
from admission.service.views import Wanted, leases_map, record_map, sample_map, status_map
from tests.service.conftest import Start
from tests.service.stage import number_of, rest, rows_of
from tests.wire.goldens import load

SECRET = bytes.fromhex("5ec2e75ec2e75ec2e75ec2e75ec2e75e")


def crowd(leases: int, waiters: int, *, letter: str = "x", pool: str = "agents") -> Admission:
    """A core with so many of each, taken over from a journal; all labels as long as may be."""
    claims = [
        Claim(
            Holder(number % 10 + 1, 1),  # ten processes, so that one can be asked for
            pool=pool,
            task=letter * 200,
            group=letter * 200,
            bound=Bound.PROCESS,
            secret=SECRET,
        )
        for number in range(leases + waiters + 1)
    ]
    records: list[ev.Record] = []
    for number in range(1, leases + waiters + 1):
        claim = claims[number]
        granted = ev.Granted(Lease(number, claim, number, float(number)))
        queued = ev.Queued(Waiter(number, claim, None, float(number)))
        records.append(granted if number <= leases else queued)
    core = Admission((PoolSpec(pool, (leases,) * 4),), Governor())
    living = frozenset(claim.holder for claim in claims)
    core.handle(float(len(claims)), ev.Restarted(tuple(records), living))
    assert (core.ledger.held, core.ledger.waiting) == (leases, waiters)
    return core


def pages(core: Admission, **wanted: object) -> Iterator[Frame]:
    """Every answer to `leases`, asked again until there is no more."""
    after = (0, 0)
    while True:
        page = leases_map(core, 10_000.0, Wanted(after=after, **wanted))  # type: ignore[arg-type]
        assert len(encode({"id": 2**63 - 1, "ok": True, **page})) <= LENGTH_BYTES + FRAME_BYTES_MAX
        yield page
        if "more" not in page:
            return
        more = page["more"]
        assert isinstance(more, list)
        assert tuple(more) > after, "it goes on from where it stood"
        after = (more[0], more[1])


@pytest.fixture(autouse=True)
def _nobody_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "describe", lambda pid: "🦆" * 200)


# --- leases -------------------------------------------------------------------------------------


def test_a_thousand_leases_and_five_thousand_waiters_come_in_pages_that_each_fit() -> None:
    core = crowd(1000, 5000)
    found = list(pages(core))
    leases = [number_of(row) for page in found for row in rows_of(page, "leases")]
    waiting = [number_of(row, "position") for page in found for row in rows_of(page, "waiting")]
    assert leases == list(range(1, 1001))
    assert waiting == list(range(1, 5001))
    # As full as they can be: asking often costs too.
    assert all(len(encode(page)) > FRAME_BYTES_MAX * 0.9 for page in found[:-1])


def test_labels_of_four_bytes_a_character_fit_as_well() -> None:
    core = crowd(60, 60, letter="🦆", pool="🦆" * 200)
    found = list(pages(core))
    assert sum(len(rows_of(page, "leases")) for page in found) == 60
    assert sum(len(rows_of(page, "waiting")) for page in found) == 60
    assert all(rows_of(page, "leases") or rows_of(page, "waiting") for page in found)


def test_what_fits_comes_in_one_answer_without_more() -> None:
    (page,) = pages(crowd(5, 5))
    assert (len(rows_of(page, "leases")), len(rows_of(page, "waiting"))) == (5, 5)
    assert "more" not in page


def test_nothing_comes_behind_the_last_one() -> None:
    page = leases_map(crowd(5, 5), 100.0, Wanted(after=(5, 5)))
    assert page == {"leases": [], "waiting": []}
    assert leases_map(crowd(5, 5), 100.0, Wanted(after=(10**30, 10**30))) == page


def test_filters_leave_out_and_renumber_nobody() -> None:
    core = crowd(50, 200)
    found = list(pages(core, pid=4))
    assert {row["pid"] for page in found for row in rows_of(page, "leases")} == {4}
    positions = [row["position"] for page in found for row in rows_of(page, "waiting")]
    assert positions == [number for number in range(1, 201) if (50 + number) % 10 + 1 == 4]
    assert leases_map(core, 1.0, Wanted(task="y")) == {"leases": [], "waiting": []}
    assert leases_map(core, 1.0, Wanted(pool="sqlite")) == {"leases": [], "waiting": []}
    assert len(list(pages(core, task="x" * 200, pool="agents"))) == len(list(pages(core)))


def test_a_secret_is_in_no_answer_and_no_event() -> None:
    core = crowd(3, 3)
    (lease, *_), (waiter, *_) = core.pools["agents"].leases.values(), core.pools["agents"].queue()
    shown: list[object] = [*pages(core), status_map(core, 1.0)]
    records: list[ev.Record] = [
        ev.Granted(lease, waiter),
        ev.Queued(waiter),
        ev.Ended(lease.id, Reason.REVOKED, lease),
        ev.Regained(lease.id, 1, waiter),
    ]
    shown += [record_map(record, core.level, 1.0) for record in records]
    assert SECRET.hex() not in str(shown)
    assert str(SECRET)[2:-1] not in str(shown)


def test_only_the_connection_that_holds_a_lease_is_told_its_secret() -> None:
    lease = Lease(1, Claim(Holder(1, 1), secret=SECRET), 1, 0.0, caller=Caller(7, 1))
    for told, secret in (
        (ev.Told(Caller(7, 2), lease), SECRET.hex()),
        (ev.Told(Caller(8, 1), lease), ""),
        (ev.Told(Caller(7, 2), lease, shared=True), ""),
        (ev.Told(Caller(7, 1), replace(lease, caller=None)), ""),
    ):
        assert views.told_map(told, LEVELS[0])["secret"] == secret


# --- status and events --------------------------------------------------------------------------


def test_a_status_adds_up_what_is_out_waits_and_is_too_much() -> None:
    core = Admission((PoolSpec("agents", (5, 3, 2, 1)),), Governor())
    for number in range(1, 8):
        core.handle(0.0, ev.Acquire(Caller(1, number), Claim(Holder(number, 1))))
    core.handle(100.0, ev.SetLevel(Caller(9, 1), 3, 60.0))
    status = status_map(core, 110.0)
    assert (status["capacity"], status["in_use"]) == ({"agents": 1}, {"agents": 5})
    assert (status["waiting"], status["overcommitted"]) == ({"agents": 2}, {"agents": 4})
    assert (status["granted"], status["ended"], status["held"]) == (5, 0, 5)
    assert (status["level"], status["name"], status["by_hand"]) == (3, "heavy", set_by_hand(50.0))
    assert status["reasons"] == ["set by hand"]
    assert status["normal"] == views.params_map(LEVELS[0])


def set_by_hand(until_s: float | None) -> Frame:
    return {"until_s": until_s, "off": False}


def test_a_status_can_be_written_as_json_whatever_is_not_known() -> None:
    core = Admission((), Governor())
    core.handle(0.0, ev.SetLevel(Caller(1, 1), 1, None))
    assert status_map(core, 1.0)["by_hand"] == set_by_hand(None)
    assert status_map(core, 1.0)["sample"] is None
    core.handle(1.0, ev.Sampled(Sample(1.0, None, None, ("CPU: lost",))))
    status = status_map(core, 3.5)
    sample = status["sample"]
    assert isinstance(sample, dict)
    assert (sample.pop("age_s"), sample.pop("failed")) == (2.5, ["CPU: lost"])
    assert set(sample.values()) == {None}
    json.dumps(status, allow_nan=False)


def test_percents_are_cut_so_that_none_reads_as_if_it_had_reached_a_bound() -> None:
    sample = sample_map(Sample(1.0, 79.96, 0.04), 2.00049)
    assert (sample["age_s"], sample["memory_used_pct"], sample["cpu_used_pct"]) == (1.0, 79.9, 0.0)


def test_every_record_is_an_event_of_a_topic_that_can_be_watched_or_none() -> None:
    claim = Claim(Holder(1, 1))
    lease, waiter = Lease(1, claim, 1, 0.0), Waiter(2, claim, None, 0.0)
    records: list[ev.Record] = [
        ev.Granted(lease),
        ev.Ended(1, Reason.RELEASED, lease),
        ev.Yielded(1),
        ev.Regained(1, 2),
        ev.Renewed(1, inf),
        ev.Followed(1, (Holder(2, 1),)),
        ev.Queued(waiter),
        ev.Left(2, "timeout"),
        ev.LevelChanged(0, ()),
        by_hand.Reserved(Reservation(1, "agents", 1, 0.0, 9.0, group="ci")),
        by_hand.Unreserved(1, "its time is over"),
        by_hand.Paused("agents", inf),
        by_hand.Unpaused("agents"),
        by_hand.Moved(2, 1),
        Undeferred(2),
        shedding.Frozen(1, 0.0),
        shedding.Thawed(1),
        shedding.Parking(1),
        shedding.Parked(1, 0),
        ev.Numbered(1, 2),
    ]
    assert {type(record) for record in records} == set(get_args(ev.Record))
    found = [record_map(record, LEVELS[0], 1.0) for record in records]
    assert found[-1] is None
    assert record_map(ev.Ended(1, Reason.RELEASED), LEVELS[0], 1.0) is None
    topics = {one[0] for one in found[:-1] if one is not None}
    assert topics | {"sample", "alarms"} == set(get_args(rq.Topic))
    json.dumps([one for one in found if one is not None], allow_nan=False)


# --- the golden frames are what is really sent --------------------------------------------------


def shape(value: object) -> object:
    """A map's keys in order with the shape of each value; a list's first; else the kind."""
    match value:
        case dict():
            return [(key, shape(part)) for key, part in value.items()]
        case list():
            return [shape(part) for part in value[:1]]
        case _:
            return type(value).__name__


@pytest.mark.trio
async def test_replies_have_the_shape_of_the_golden_ones(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    stage.readings.memory_pct, stage.readings.cpu_pct = 71.0, None
    stage.readings.failed = ("CPU: lost",)
    line = stage.connect()
    sent: dict[str, Frame] = {"hello": stage.ask(line, "hello")}
    sent["granted, for a while"] = stage.ask(line, "acquire", weight=5, ttl_s=60)
    await rest(5)  # by now there was a sample
    sent["done"] = stage.ask(line, "release", lease=1)
    sent["granted"] = stage.ask(line, "acquire", weight=2)
    sent["error, no slot in time"] = stage.ask(line, "acquire", weight=2, wait_s=0)
    waiting = stage.send(line, "acquire", weight=2)
    sent["leases"] = stage.ask(line, "leases")
    sent["status"] = stage.ask(line, "status")
    sent["cancelled"] = stage.ask(line, "cancel", target=waiting)
    sent["level"] = stage.ask(line, "level")
    gone = stage.connect()
    stage.forest.left[stage.hold(gone, pool="operations", bound="tree")] = (Holder(4712, 1),)
    stage.processes.end(gone.peer.holder)
    await rest(0)
    pid = gone.peer.holder.pid
    sent["leases, of one whose holder has exited"] = stage.ask(line, "leases", pid=pid)
    goldens = {one.name: one.message for one in load("replies.json")}
    for name, frame in sent.items():
        assert (name, shape(frame)) == (name, shape(goldens[name]))


# `tests.service.test_by_hand` has these.
OF_A_HAND = ("reserved", "unreserved", "paused", "unpaused", "moved", "alarm")
# And `tests.service.test_shedder` these.
OF_PRESSURE = ("advice", "frozen", "thawed", "parking", "park")


@pytest.mark.trio
async def test_events_have_the_shape_of_the_golden_ones(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line, watcher = stage.connect(), stage.connect()
    stage.readings.memory_pct, stage.readings.cpu_pct = 71.0, None
    stage.readings.failed = ("CPU: lost",)
    stage.ask(watcher, "watch")
    lease = stage.hold(line, weight=3, ttl_s=60)
    for op in ("renew", "yield", "regain"):
        stage.ask(line, op, lease=lease)
    await rest(5)
    stage.ask(watcher, "release", lease=lease)
    other = stage.connect()
    follows = stage.hold(other, bound="tree")
    stage.forest.left[follows] = (Holder(4712, 1), Holder(4715, 1))
    stage.processes.end(other.peer.holder)
    await rest(1)
    stage.hold(line, weight=2)
    stage.send(line, "acquire", wait_s=1)
    await rest(2)
    watcher.backlog_bytes = 10**6
    await rest(3)
    watcher.backlog_bytes = 0
    await rest(3)
    goldens = {one.name: one.message for one in load("events.json")}
    elsewhere = (*OF_A_HAND, *OF_PRESSURE)
    goldens = {name: one for name, one in goldens.items() if one["event"] not in elsewhere}
    goldens["queued"] = goldens.pop("queued, with a guess")
    del goldens["queued, without a guess"]
    sent = {str(one["event"]): one for one in [*line.events(*goldens), *watcher.events(*goldens)]}
    assert set(sent) == set(goldens)
    for name, frame in sent.items():
        assert (name, shape(frame)) == (name, shape(goldens[name]))
