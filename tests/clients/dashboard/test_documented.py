"""What docs/dashboard.md says a page is fed, and what it is fed: the same fields, by the golden
answers of the wire.
"""

import json
import re
from pathlib import Path

import pytest

from admission.protocol import Frame
from admission_client.dashboard import past
from admission_client.dashboard.feed import Feed
from admission_client.dashboard.instants import Instants
from admission_client.dashboard.state import state
from admission_client.granted import mapping, rows

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs" / "dashboard.md").read_text()
NOW = 1_764_080_400.0


def documented(named: str) -> Frame:
    """The example below the paragraph that begins with this name."""
    found = re.search(rf"^(?:`{named}`|### GET /{named}\b).*?```json\n(.*?)```", DOCS, re.S | re.M)
    assert found is not None, named
    example: Frame = json.loads(found[1])
    return example


def golden(file: str, named: str) -> Frame:
    messages = json.loads((ROOT / "tests" / "wire" / f"{file}.json").read_text())
    found: Frame = next(one["message"] for one in messages if one["name"] == named)
    return found


def told(feed: Feed, named: str) -> Frame:
    """What the page would be fed by that name."""
    text = next(text for _, name, text in reversed(feed.bulletin.since(0)) if name == named)
    found: Frame = json.loads(text)
    return found


def fields(one: Frame) -> set[str]:
    return set(one)


def test_the_state_has_what_is_written() -> None:
    example, by_hand = documented("state"), golden("replies", "status, with a level set by hand")
    alarms = golden("replies", "status, with a hand in the queue and an alarm")
    found = state({**alarms, "by_hand": by_hand["by_hand"]}, NOW, Instants())
    assert fields(found) == fields(example)
    for name in ("pools", "reservations", "alarms"):
        assert fields(rows(found, name)[0]) == fields(rows(example, name)[0]), name
    assert fields(mapping(found, "by_hand")) == fields(mapping(example, "by_hand"))
    assert fields(mapping(found, "shed")) == fields(mapping(example, "shed"))


def test_leases_and_the_queue_have_what_is_written() -> None:
    feed, found = Feed("/nowhere/at.sock"), golden("replies", "leases")
    feed._present.take([found], NOW, is_all=True)
    (example,) = rows(documented("leases"), "leases")
    assert fields(feed._present.leases()[0]) == fields(example)
    (example,) = rows(documented("queue"), "waiting")
    assert fields(feed._present.waiting[0]) == fields(example)


@pytest.mark.parametrize("named", ["sample", "level"])
def test_moments_have_what_is_written(named: str) -> None:
    feed = Feed("/nowhere/at.sock")
    feed._level = 0
    feed._hear(golden("events", named))
    assert fields(told(feed, named)) == fields(documented(named))


def test_orphans_have_what_is_written() -> None:
    feed, example = Feed("/nowhere/at.sock"), documented("orphans")
    feed._take_orphans(golden("replies", "orphans"))
    found = told(feed, "orphans")
    assert fields(found) == fields(example)
    for kind in ("survivors", "agents"):
        assert fields(rows(found, kind)[0]) == fields(rows(example, kind)[0])


def test_recommendations_have_what_is_written() -> None:
    feed = Feed("/nowhere/at.sock")
    feed._take_recommendations(golden("replies", "recommendations"))
    found = told(feed, "recommendations")
    (example,) = rows(documented("recommendations"), "recommendations")
    assert fields(rows(found, "recommendations")[0]) == fields(example)


def test_why_has_what_is_written() -> None:
    feed = Feed("/nowhere/at.sock")
    feed._take_explain({})
    assert fields(told(feed, "why")) == fields(documented("why"))


def test_the_past_has_what_is_written(tmp_path: Path) -> None:
    example = documented("history")
    found = past.past(tmp_path / "none.db", NOW - 60, NOW, 10)
    assert fields(found) | {"thresholds"} == fields(example)
    assert fields(mapping(found, "series")) == fields(mapping(example, "series"))


def test_tasks_have_what_is_written() -> None:
    (example,) = rows(documented("tasks"), "tasks")
    assert fields(rows(golden("replies", "tasks"), "tasks")[0]) == fields(example)
