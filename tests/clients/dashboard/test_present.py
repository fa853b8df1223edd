"""Who holds and who waits, between two whole looks as after one."""

import pytest

from admission.protocol import Frame
from admission_client.dashboard.instants import Instants
from admission_client.dashboard.present import Present
from admission_client.granted import rows

NOW = 1_000_000.0


def lease(number: int, age_s: float = 5.0, **others: object) -> Frame:
    row: Frame = {"lease": number, "state": "held", "age_s": age_s, "waited_ms": 1500}
    return {**row, "stopped_s": None, "memory_bytes": None, **others}


def waiter(ticket: int, waiting_s: float = 3.0) -> Frame:
    return {"ticket": ticket, "waiting_s": waiting_s, "eta_s": None}


def answer(leases: list[Frame], waiting: list[Frame] | None = None) -> Frame:
    return {"leases": leases, "waiting": waiting or []}


def numbers(present: Present) -> list[object]:
    return [row["lease"] for row in present.leases()]


def test_ages_are_told_as_instants_and_the_same_ones_again() -> None:
    present = Present()
    present.take([answer([lease(1, 5.0)], [waiter(7, 3.0)])], NOW, is_all=True)
    before = present.leases(), present.waiting
    assert before[0][0]["since"] == NOW - 5
    assert before[0][0]["waited_s"] == 1.5
    assert before[1][0]["since"] == NOW - 3
    later = [answer([lease(1, 7.123)], [waiter(7, 5.2)])]  # looked at 2 s later, and answered then
    present.take(later, NOW + 2.05, is_all=True)
    assert (present.leases(), present.waiting) == before


def test_what_is_newer_comes_to_what_is_known() -> None:
    present = Present()
    present.take([answer([lease(1), lease(2)])], NOW, is_all=True)
    assert present.newest == 2
    present.take([answer([lease(3)], [waiter(9)])], NOW, is_all=False)
    assert numbers(present) == [1, 2, 3]
    assert [row["ticket"] for row in present.waiting] == [9]
    present.take([answer([lease(3)])], NOW, is_all=True)
    assert numbers(present) == [3]
    assert present.waiting == []


def test_an_end_is_known_by_its_news() -> None:
    present = Present()
    present.take([answer([lease(1), lease(2)])], NOW, is_all=True)
    present.hear({"event": "ended", "lease": 1})
    assert numbers(present) == [2]


def test_an_answer_that_is_older_than_an_end_brings_nobody_back() -> None:
    present = Present()
    present.take([answer([lease(1)])], NOW, is_all=True)
    for is_all in (False, True):
        if is_all:
            present.begin()
        present.hear({"event": "ended", "lease": 2})  # while the question was under way
        present.take([answer([lease(1), lease(2)])], NOW, is_all=is_all)
        assert numbers(present) == [1]


def test_a_number_that_is_given_again_is_not_taken_for_the_ended_one() -> None:
    present = Present()
    present.hear({"event": "ended", "lease": 1})
    present.begin()  # as after a journal was lost
    present.take([answer([lease(1)])], NOW, is_all=True)
    assert numbers(present) == [1]


def test_a_lease_yields_and_regains_by_its_news() -> None:
    present = Present()
    present.take([answer([lease(1)])], NOW, is_all=True)
    present.hear({"event": "yielded", "lease": 1})
    assert present.leases()[0]["state"] == "yielded"
    present.hear({"event": "regained", "lease": 1})
    assert present.leases()[0]["state"] == "held"
    present.hear({"event": "yielded", "lease": 5})
    present.hear({"event": "paused", "pool": "agents"})
    assert numbers(present) == [1]


def test_who_is_put_off_is_told_until_when() -> None:
    present, found = Present(), set()
    for later_s in (0.0, 3.1):
        row = {**waiter(7, 3.0 + later_s), "deferred_s": 600.0 - later_s}
        present.take([answer([], [row])], NOW + later_s + 0.05, is_all=True)
        (told,) = present.waiting
        assert told["deferred_until"] == pytest.approx(NOW + 600, abs=0.1)
        assert "deferred_s" not in told
        found.add(told["deferred_until"])
    assert len(found) == 1
    present.take([answer([], [waiter(7)])], NOW, is_all=True)
    assert present.waiting[0]["deferred_until"] is None


def test_an_answer_in_several_pages_is_one() -> None:
    present = Present()
    pages = [answer([lease(1)]), answer([lease(2)], [waiter(5)]), answer([], [waiter(6)])]
    present.take(pages, NOW, is_all=True)
    assert numbers(present) == [1, 2]
    assert [row["ticket"] for row in present.waiting] == [5, 6]


def test_a_stopped_holder_is_told_since_when() -> None:
    present = Present()
    present.take([answer([lease(1, stopped_s=60.0)])], NOW, is_all=True)
    assert present.leases()[0]["stopped_since"] == NOW - 60
    assert rows({"leases": present.leases()}, "leases")


def test_several_things_may_have_one_name() -> None:
    instants = Instants()
    assert [instants.of(at, "act") for at in (10.04, 20.06)] == [10.0, 20.1]
    instants.turn()
    assert [instants.of(at, "act") for at in (30.0, 20.5, 9.9)] == [30.0, 20.1, 10.0]
    instants.turn()
    instants.turn()
    assert instants.of(10.5, "act") == 10.5
