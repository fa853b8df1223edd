"""The daemon's `status` as the page is fed it; by the golden answers of the wire."""

import json
from pathlib import Path

from admission.protocol import Frame
from admission_client.dashboard.instants import Instants
from admission_client.dashboard.state import state, thresholds
from admission_client.granted import mapping, rows

REPLIES = json.loads((Path(__file__).parents[2] / "wire" / "replies.json").read_text())
NOW = 1_000_000.0


def golden(name: str) -> Frame:
    found: Frame = next(one["message"] for one in REPLIES if one["name"] == name)
    return found


def test_a_status_becomes_the_state() -> None:
    status = golden("status")
    found = state(status, NOW, Instants())
    assert found["since"] == NOW - 12.5
    assert found["by_hand"] is None
    assert found["reasons"] == status["reasons"]
    assert rows(found, "pools")[0] == {
        "pool": "agents",
        "capacity": 3,
        "in_use": 4,
        "waiting": 1,
        "overcommitted": 1,
        "paused": False,
        "paused_until": None,
    }


def test_a_hand_s_words_have_their_ends() -> None:
    by_hand = mapping(state(golden("status, with a level set by hand"), NOW, Instants()), "by_hand")
    assert by_hand == {"until": NOW + 598.5, "off": False}
    status = golden("status, with a hand in the queue and an alarm")
    found = state({**status, "by_hand": {"until_s": None, "off": True}}, NOW, Instants())
    assert found["by_hand"] == {"until": None, "off": True}
    (pool,) = rows(found, "pools")
    assert (pool["paused"], pool["paused_until"]) == (True, NOW + 60.5)
    (kept,) = rows(found, "reservations")
    assert (kept["from"], kept["until"]) == (None, NOW + 1800.5)
    waiting, held = rows(found, "alarms")
    assert waiting["since"] == NOW - 42.5
    assert "waited_s" not in waiting
    assert held["lease"] == 9


def test_a_status_of_later_is_the_same_state() -> None:
    status = golden("status, with a hand in the queue and an alarm")
    instants = Instants()
    before = state(status, NOW, instants)
    later = json.loads(json.dumps(status))
    for row, name, by_s in (
        (later, "level_since_s", 3),
        (later, "uptime_s", 3),
        (later["reservations"][0], "left_s", -3),
        (later["paused"], "agents", -3),
        (later["alarms"][0], "waited_s", 3),
        (later["alarms"][1], "held_s", 3),
    ):
        row[name] += by_s
    assert state(later, NOW + 3.07, instants) == before


def test_what_was_done_against_pressure_has_its_instants() -> None:
    acts = [{"rung": "park", "lease": 9, "ago_s": ago, "why": "x"} for ago in (1.0, 9.0)]
    status = {**golden("status"), "shed": {"policy": ["park"], "acts": acts}}
    shed = mapping(state(status, NOW, Instants()), "shed")
    assert [one["at"] for one in rows(shed, "acts")] == [NOW - 1, NOW - 9]


def test_the_thresholds_are_those_that_the_daemon_goes_by() -> None:
    sources = [
        {"what": "memory", "below_pct": [70, 80, 90]},
        {"what": "CPU", "below_pct": [60, 75, 90]},
        {"what": "swap", "below_pct": []},
    ]
    expected = {"memory_pct": [70, 80, 90], "cpu_pct": [60, 75, 90]}
    assert thresholds({"sources": sources}) == expected
    assert thresholds({}) == {}
