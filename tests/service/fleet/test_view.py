"""What the fleet says, read from keys: offers, orders, permits; and what of it is nobody's."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from admission.protocol import Unavailable
from admission.service.fleet import state
from admission.service.fleet.etcd import Entry, Found
from admission.service.fleet.keys import Keys, Offer, OfNode, OfOrder, OfPermit, offer_of
from admission.service.fleet.view import View

KEYS = Keys("/admission/")
OURS, THEIRS = b"ours", b"theirs"


def entry(key: str, value: bytes = OURS, made_at: int = 1) -> Entry:
    return Entry(key, value, made_at, 0)


def offer(node: str, **pools: int) -> Entry:
    return entry(KEYS.node(node), msgspec.json.encode(Offer(node, pools=pools)))


def permit(number: str, value: bytes = OURS, made_at: int = 1) -> Entry:
    return entry(KEYS.permit("api", "here", number), value, made_at)


@pytest.fixture
def view() -> View:
    return View(KEYS, "here", OURS.decode(), lambda: 7.0)


def test_keys_say_what_they_are_of_whatever_the_names() -> None:
    assert KEYS.read(KEYS.node("build.2")) == OfNode("build.2")
    assert KEYS.read(KEYS.order("b")) == OfOrder("b")
    odd = "a/b %é\n"
    assert KEYS.read(KEYS.permit(odd, "n", "1")) == OfPermit(odd, "n")
    for foreign in ("/admission/else/x", "/admission/nodes/a/b", "/other/nodes/a", "/admission/"):
        assert KEYS.read(foreign) is None


@pytest.mark.parametrize(
    "value", [b"", b"\xff", b"[]", b'{"level": 1}', b'{"node": 1}', b"[" * 999]
)
def test_what_is_no_offer_is_left_out(value: bytes, view: View) -> None:
    assert offer_of(value) is None
    view.put(entry(KEYS.node("a"), value))
    assert view.nodes == {}


def test_an_offer_of_a_later_version_is_read() -> None:
    assert offer_of(b'{"node": "a", "later": {}, "cost": 1}') == Offer("a", cost=1.0)


def test_only_our_own_permits_are_ours(view: View) -> None:
    view.begin_anew(Found((permit("1"), permit("2", THEIRS, 2)), 2))
    view.put(replace(permit("3", made_at=3), lease=9))
    view.set_capacity("api", 3)
    assert view.share("api").free() == [permit("1").key], "nor what another lease of ours keeps"
    assert view.share("api").counts() == (3, 0)
    view.put(entry(KEYS.permit("api", "there", "1"), THEIRS, 4))
    assert view.by_node("api") == {"here": (3, 0), "there": (0, 1)}
    assert view.by_node("another") == {}


def test_the_smallest_capacity_that_anybody_names_holds(view: View) -> None:
    view.begin_anew(Found((offer("a", api=7), offer("b", api=5), offer("c", other=1)), 2))
    assert view.set_capacity("api", 6) == 5
    view.hear(KEYS.node("b"))
    assert view.set_capacity("api", 6) == 6
    view.put(offer("d", api=-3))
    assert view.set_capacity("api", 6) == 1


def test_what_a_range_does_not_find_again_is_gone(view: View) -> None:
    found = Found((permit("1"), offer("a"), entry(KEYS.order("a"), b"drain")), 2)
    assert view.begin_anew(found) == []
    view.set_capacity("api", 1)
    view.share("api").bind(42, 1)
    assert (view.orders, [*view.nodes]) == ({"a": "drain"}, ["a"])
    assert view.begin_anew(Found((), 3)) == [42]
    assert (view.orders, view.nodes) == ({}, {})


def test_news_are_taken_in(view: View) -> None:
    view.begin_anew(Found((permit("1"), entry(KEYS.order("a"), b"drain")), 2))
    view.set_capacity("api", 1)
    view.share("api").bind(42, 1)
    assert view.hear(KEYS.order("a")) == view.hear("/admission/nonesuch") == []
    assert view.orders == {}
    assert view.hear(permit("1").key) == [42]
    assert view.hear(permit("1").key) == []


def test_away_each_node_may_lend_its_part(view: View) -> None:
    view.begin_anew(Found((offer("a"), offer("here"), offer("c")), 2))
    view.set_capacity("api", 7)
    view.set_standing("share")
    assert view.share("api").most == 2
    assert view.share("made later").standing == "share"


def test_a_daemon_knows_itself_again(tmp_path: Path) -> None:
    path = tmp_path / "a.fleet"
    first = state.load(path)
    state.save(path, state.State(first.instance, is_paused=True))
    assert state.load(path) == state.State(first.instance, is_paused=True)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("{")
    assert state.load(path).instance not in ("", first.instance)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert state.load(path).is_paused is False
    assert not (tmp_path / "elsewhere").exists()
    with pytest.raises(Unavailable, match="can't be written"):
        state.load(tmp_path / "nonesuch" / "a.fleet")
