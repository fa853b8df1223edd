"""Questions are asked as often as is no load, and sooner where there is a cause."""

import pytest

from admission_client.dashboard.pace import Pace


def pace() -> Pace:
    return Pace(100, 2.0, 30.0)


def test_it_is_asked_at_once_at_first() -> None:
    assert pace().due_at < 0


def test_what_takes_longer_is_asked_less_often() -> None:
    for took_s, pause_s in ((0.001, 2.0), (0.05, 5.0), (9.0, 30.0)):
        one = pace()
        one.ask(10.0)
        one.note(10.0 + took_s)
        assert one.soonest_at == pytest.approx(10.0 + took_s + pause_s)
        assert one.due_at == pytest.approx(10.0 + took_s + 30.0)


def test_a_machine_that_is_busy_makes_nothing_dearer() -> None:
    one = pace()
    one.ask(10.0)
    one.note(10.2, 0.03)
    assert one.soonest_at == pytest.approx(13.2)
    one.ask(20.0)
    one.note(20.02, 0.03)
    assert one.soonest_at == pytest.approx(22.02)


def test_a_cause_brings_it_forward_and_no_further() -> None:
    one = pace()
    one.ask(10.0)
    one.note(10.05)
    one.hurry()
    assert one.due_at == one.soonest_at == pytest.approx(15.05)


def test_a_cause_that_comes_while_it_is_asked_is_not_lost() -> None:
    one = pace()
    one.ask(10.0)
    one.hurry()
    one.note(10.05)
    assert one.due_at == pytest.approx(15.05)
    one.ask(15.05)
    one.note(15.1)
    assert one.due_at == pytest.approx(45.1)


def test_it_is_asked_at_once_where_it_must() -> None:
    one = pace()
    one.ask(10.0)
    one.note(19.0)
    one.begin()
    assert one.due_at < 0
