"""Signals that come before anybody listens to them wait; none is lost, and none comes too late."""

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from admission.service import signals


@pytest.fixture
def came() -> Iterator[list[int]]:
    found: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        found.append(number)

    before = {number: signal.signal(number, note) for number in signals.SIGNALS}
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)


def test_one_that_is_held_comes_when_it_is_let_through(came: list[int]) -> None:
    with signals.held():
        signal.raise_signal(signal.SIGTERM)
        assert came == []
        with signals.let_through():
            assert came == [signal.SIGTERM]
        signal.raise_signal(signal.SIGHUP)
        assert came == [signal.SIGTERM]
    assert came == [signal.SIGTERM, signal.SIGHUP]


def test_what_has_been_done_need_not_be_asked_for_again(came: list[int]) -> None:
    with signals.held():
        signal.raise_signal(signal.SIGTERM)
        signals.forget()
    assert came == []
    signal.raise_signal(signal.SIGTERM)
    assert came == [signal.SIGTERM], "the handler is as it was"
