"""The commands that rule the pools by hand, against a real daemon."""

import json
import time
from collections.abc import Iterator

import pytest

from admission.protocol import BadRequest, LeaseLost, NoSlot
from admission_client import by_hand, lease, look
from admission_client.durations import parse_when
from admission_client.granted import rows
from admission_client.options import WrongUsage
from tests.clients.daemons import Daemon


@pytest.fixture(autouse=True)
def hands_off(daemon: Daemon) -> Iterator[None]:
    """Others use this daemon as well."""
    yield
    daemon.ask("unpause")
    for one in rows(daemon.ask("status"), "reservations"):
        daemon.ask("unreserve", reservation=one["reservation"])


FOR_CRITICAL = ["many", "1", "--class", "critical", "--for", "30m"]


def asked(daemon: Daemon, *words: str) -> list[str]:
    return [*words, "--socket", daemon.path]


def test_a_reservation_is_made_shown_kept_and_ended(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert by_hand.reserve(asked(daemon, *FOR_CRITICAL)) == 0
    line = capsys.readouterr().out
    assert line.endswith(": 1 of many for class critical, for another 30 min\n")
    number = line.split()[1].rstrip(":")
    assert look.status(asked(daemon)) == 0
    assert line in capsys.readouterr().out + "\n"
    assert by_hand.unreserve(asked(daemon, number)) == 0
    assert capsys.readouterr().out == f"reservation {number} is ended\n"
    with pytest.raises(LeaseLost, match=f"there is no reservation {number}"):
        by_hand.unreserve(asked(daemon, number))


def test_who_is_meant_is_admitted_and_the_others_are_told_why_not(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["one", "1", "--class", "critical", "--group", "g", "--for", "1h", "--whole", "--json"]
    assert by_hand.reserve(asked(daemon, *words)) == 0
    assert json.loads(capsys.readouterr().out)["units"] == 1
    with pytest.raises(NoSlot, match="1 of one is reserved for class critical of group g"):
        lease("one", wait=0, socket=daemon.path).__enter__()
    with lease("one", wait=0, class_="critical", group="g", socket=daemon.path):
        assert daemon.in_use() == 1


def test_what_would_leave_others_nothing_is_to_be_said(daemon: Daemon) -> None:
    words = ["one", "1", "--class", "critical", "--for", "1h"]
    with pytest.raises(BadRequest, match="one stays for the others"):
        by_hand.reserve(asked(daemon, *words))


def test_nothing_is_granted_while_it_is_paused(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert by_hand.pause(asked(daemon, "one", "--for", "10m")) == 0
    assert capsys.readouterr().out == "one: paused for 10 min\n"
    with pytest.raises(NoSlot, match="paused by hand"):
        lease("one", wait=0, socket=daemon.path).__enter__()
    assert look.status(asked(daemon)) == 0
    assert "one is paused by hand" in capsys.readouterr().out
    assert by_hand.unpause(asked(daemon)) == 0
    assert capsys.readouterr().out == "all pools: no longer paused\n"
    with lease("one", wait=0, socket=daemon.path):
        pass


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["one"], "name a pool and how many units"),
        (["one", "x", "--for", "1h"], "name a pool and how many units"),
        (["one", "1", "--class", "critical"], "say for how long"),
        (["one", "1", "--for", "1h"], "say for whom"),
    ],
)
def test_what_a_reservation_lacks_is_said(words: list[str], message: str) -> None:
    with pytest.raises(WrongUsage, match=message):
        by_hand.reserve(words)


def test_one_pool_is_paused_or_all(daemon: Daemon) -> None:
    with pytest.raises(WrongUsage, match="name one pool, or none for all"):
        by_hand.pause(["one", "many"])
    with pytest.raises(WrongUsage, match="give the number of a reservation"):
        by_hand.unreserve(["x"])


def test_a_time_of_the_day_is_its_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.struct_time((2026, 11, 25, 13, 30, 15, 2, 329, 0))
    monkeypatch.setattr(time, "localtime", lambda: now)
    assert parse_when("14:00") == 29 * 60 + 45
    assert parse_when("13:30") == 24 * 3600 - 15
    assert parse_when("10m") == 600
    with pytest.raises(ValueError, match="25:00"):
        parse_when("25:00")
