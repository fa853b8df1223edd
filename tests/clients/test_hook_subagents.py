"""Of a session's subagents, each that took a lease gives back one: in whatever order, twice, or
without a part of what is to be told of it.
"""

from functools import partial
from pathlib import Path
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from admission_client.hook.subagents import Subagents, change


def tell(known: Subagents, number: int, what: str) -> str:
    agent, use = f"a{number}", f"u{number}"
    match what:
        case "start":
            known.began(agent)
        case "launched":
            known.began(agent, use)
        case "stop":
            return known.over(agent)
        case "done":
            return known.over(agent, use)
        case _:
            return known.over(use=use)
    return ""


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[int, str]]:
    """What is told of up to five subagents: each ends at least once, the rest is chance."""
    told: list[tuple[int, str]] = []
    for number in range(draw(st.integers(1, 5))):
        if draw(st.integers(0, 4)) == 0:  # it never came about
            told.append((number, "failed"))
            continue
        ends = draw(st.lists(st.sampled_from(["stop", "done"]), min_size=1, max_size=3))
        begins = draw(st.lists(st.sampled_from(["start", "launched"]), max_size=2))
        told += [(number, what) for what in begins + ends]
    return draw(st.permutations(told))


@given(stories())
def test_each_gives_back_one_lease_and_no_more(story: list[tuple[int, str]]) -> None:
    known = Subagents()
    numbers = {number for number, _ in story}
    for number in numbers:
        known.take(f"u{number}")
    over: set[int] = set()
    given_back: list[str] = []
    for number, what in story:
        if mine := tell(known, number, what):
            given_back.append(mine)
        if what in ("stop", "done", "failed"):
            over.add(number)
        assert len(given_back) == len(over), "a slot is lost, or one was given back that works"
        assert len(set(given_back)) == len(given_back)
    assert not known.held


@given(stories())
def test_those_without_a_lease_give_back_nothing(story: list[tuple[int, str]]) -> None:
    known = Subagents()
    for number, what in story:
        assert not tell(known, number, what)
    assert not known.held


def test_one_that_was_let_in_by_mistake_takes_no_others_lease() -> None:
    """Its hook failed, which the agent ignores."""
    known = Subagents()
    known.take("u1")
    known.began("a1")
    known.began("stranger")
    assert known.over("stranger") == ""
    assert known.over("a1") == "u1"


def test_a_refused_call_gives_back_nothing() -> None:
    known = Subagents()
    known.take("u1")
    known.take("u2")
    known.drop("u2")
    assert known.over(use="u2") == ""
    assert known.over(use="u1") == "u1"


def test_what_is_known_outlives_the_call(tmp_path: Path) -> None:
    path = str(tmp_path / "state")
    change(path, lambda known: known.take("u1"))
    change(path, lambda known: known.began("a1"))
    assert change(path, lambda known: known.over("a1")) == "u1"
    assert change(path, lambda known: known.over("a1")) == ""
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600


def test_a_torn_file_counts_as_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state"
    change(str(path), lambda known: known.take("u1"))
    path.write_bytes(path.read_bytes()[:-3])
    assert change(str(path), lambda known: known.over("a1")) == ""
    change(str(path), lambda known: known.take("u2"))
    assert change(str(path), lambda known: known.over(use="u2")) == "u2"


def test_many_calls_at_once_lose_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "state")
    uses = [f"u{number}" for number in range(20)]
    calls = [Thread(target=change, args=(path, partial(Subagents.take, use=use))) for use in uses]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    held: list[str] = []
    change(path, lambda known: held.extend(known.held))
    assert sorted(held) == sorted(uses)
