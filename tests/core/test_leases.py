from math import inf

import pytest

from admission.core.leases import Caller, Claim, Lease, State, Waiter
from tests.core.worlds import ANN, ANN_AGAIN

CALLER = Caller(1, 1)


def waiter(ticket: int) -> Waiter:
    return Waiter(ticket, Claim(ANN), CALLER, queued_at=0.0)


def test_a_process_that_got_a_used_pid_is_another_holder() -> None:
    assert ANN.pid == ANN_AGAIN.pid
    assert ANN != ANN_AGAIN


@pytest.mark.parametrize(
    ("state", "is_out"),
    [(State.HELD, True), (State.DETACHED, True), (State.YIELDED, False), (State.ENDED, False)],
)
def test_units_are_out_until_they_are_yielded_or_the_lease_ends(state: State, is_out: bool) -> None:
    assert Lease(1, Claim(ANN), ticket=1, granted_at=0.0, state=state).is_out is is_out


def test_whatever_comes_first_ends_a_lease_or_a_wait() -> None:
    lease = Lease(1, Claim(ANN), ticket=1, granted_at=0.0, expires_at=60.0, detached_until=10.0)
    assert lease.due_at == 10.0
    assert Waiter(1, Claim(ANN), None, 0.0, deadline_at=5.0, away_until=10.0).due_at == 5.0
    assert waiter(1).due_at == inf


def test_a_waiter_without_a_caller_is_away() -> None:
    assert Waiter(1, Claim(ANN), None, 0.0).is_away
    assert not waiter(1).is_away
