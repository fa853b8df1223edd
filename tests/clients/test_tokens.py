"""The count of a jobserver's tokens: none is ever lost or made, whatever happens in which order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from admission_client.tokens import Tokens, units_at


class World(RuleBasedStateMachine):
    """A jobserver among jobs that take tokens, give them back, and are killed with them."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = Tokens(8)
        self.in_pipe = 0
        self.with_jobs = 1  # the command's own
        self.lost = 0

    @rule(units=st.integers(-3, 12))
    def level(self, units: int) -> None:
        self.tokens.allow(units)
        assert 1 <= self.tokens.allowed <= self.tokens.total

    @rule(fits=st.integers(0, 8))
    def give(self, fits: int) -> None:
        """As much as the pipe takes."""
        count = min(self.tokens.to_give, fits)
        self.tokens.given(count)
        self.in_pipe += count

    @rule()
    def take(self) -> None:
        """As much as there is."""
        count = min(self.tokens.to_take, self.in_pipe)
        self.tokens.taken(count)
        self.in_pipe -= count

    @precondition(lambda self: self.in_pipe)
    @rule()
    def job_begins(self) -> None:
        self.in_pipe -= 1
        self.with_jobs += 1

    @precondition(lambda self: self.with_jobs > 1)
    @rule()
    def job_ends(self) -> None:
        self.with_jobs -= 1
        self.in_pipe += 1

    @precondition(lambda self: self.with_jobs > 1)
    @rule()
    def job_is_killed(self) -> None:
        self.with_jobs -= 1
        self.lost += 1

    @invariant()
    def none_is_lost_or_made(self) -> None:
        out = self.with_jobs + self.lost
        assert out + self.in_pipe + self.tokens.held == self.tokens.total
        assert self.tokens.issued == out + self.in_pipe >= 1
        assert not (self.tokens.to_give and self.tokens.to_take)

    @invariant()
    def at_rest_it_is_as_the_level_wants(self) -> None:
        """Once what can be done is done: as many as are allowed, or what jobs have not returned."""
        if not self.tokens.to_give and not min(self.tokens.to_take, self.in_pipe):
            assert self.tokens.issued == max(self.tokens.allowed, self.with_jobs + self.lost)


TestWorld = World.TestCase


@given(total=st.integers(1, 300), allowed=st.integers(-5, 400), then=st.integers(-5, 400))
def test_what_is_allowed_is_reached_in_one_go_where_nobody_has_any(
    total: int, allowed: int, then: int
) -> None:
    tokens = Tokens(total)
    for units in (allowed, then):
        tokens.allow(units)
        tokens.given(tokens.to_give)
        tokens.taken(tokens.to_take)
        assert tokens.issued == max(1, min(units, total))


@pytest.mark.parametrize("total", [0, -1])
def test_there_is_no_jobserver_without_a_token(total: int) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        Tokens(total)


def test_what_was_not_to_be_done_is_no_count() -> None:
    tokens = Tokens(3)
    for count in (3, -1):
        with pytest.raises(ValueError, match="2 were to be"):
            tokens.given(count)
    with pytest.raises(ValueError, match="0 were to be"):
        tokens.taken(1)
    assert tokens.held == 2


@pytest.mark.parametrize(
    ("units", "now", "at_rest", "left"),
    [
        (3, 3, 3, 3),
        (3, 2, 3, 2),
        (3, 1, 3, 1),
        (8, 2, 3, 5),  # floor(5.33)
        (1, 1, 3, 1),
        (2, 1, 3, 1),  # floor(0.67), but never none
        (4, 0, 3, 1),
        (4, 9, 3, 4),  # a level above allows more than level 0: no more than there are
        (4, 3, 0, 4),  # a configuration without a measure
    ],
)
def test_a_level_leaves_its_share(units: int, now: int, at_rest: int, left: int) -> None:
    assert units_at(units, now, at_rest) == left


@given(st.integers(1, 1000), st.integers(0, 100), st.integers(1, 100))
def test_a_share_is_never_none_and_never_more_than_all(units: int, now: int, at_rest: int) -> None:
    assert 1 <= units_at(units, now, at_rest) <= units
    assert units_at(units, now, at_rest) <= units_at(units, now + 1, at_rest)
