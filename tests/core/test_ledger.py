from math import inf

from admission.core import events as ev
from admission.core.leases import Bound, Caller, Claim, Lease, Reason, Waiter
from admission.core.ledger import Ledger
from admission.core.levels import LEVELS
from tests.core.worlds import ANN, BEN, agents, spec

CALLER = Caller(1, 1)


def ledger_of(*capacity: int) -> Ledger:
    return Ledger((agents(*capacity), spec("operations", 1)), LEVELS[0])


def waiter(ticket: int, deadline_at: float = inf, claim: Claim | None = None) -> Waiter:
    return Waiter(ticket, claim or Claim(ANN), CALLER, 0.0, deadline_at)


def granted(ledger: Ledger, claim: Claim, caller: Caller = CALLER) -> Lease:
    """A lease that was granted at 0.0."""
    ledger.last_ticket += 1
    waiter = Waiter(ledger.last_ticket, claim, caller, 0.0)
    ledger.enqueue(waiter)
    ledger.grant(0.0, ledger.pools[claim.pool], waiter)
    return ledger.pools[claim.pool].leases[ledger.last_lease]


# --- by what things are found ---------------------------------------------------------------------


def test_a_lease_is_found_by_holder_caller_connection_and_request() -> None:
    ledger = ledger_of(2)
    lease = granted(ledger, Claim(ANN, request=b"r"))
    for handle in (ANN, CALLER, 1, b"r"):
        assert ledger.of(handle) == [lease]
    for handle in (BEN, Caller(1, 2), 2, b"s"):
        assert ledger.of(handle) == []
        assert not ledger.has(handle)


def test_a_lease_that_outlives_its_connection_is_none_of_the_connections() -> None:
    ledger = ledger_of(2)
    granted(ledger, Claim(ANN, bound=Bound.PROCESS))
    assert ledger.of(1) == []


def test_leases_come_before_waiters_and_the_oldest_first() -> None:
    ledger = ledger_of(2)
    waiting = waiter(3)
    first, second = granted(ledger, Claim(ANN)), granted(ledger, Claim(ANN, pool="operations"))
    ledger.enqueue(waiting)
    assert ledger.of(ANN) == [first, second, waiting]
    assert (ledger.held, ledger.waiting) == (2, 1)


def test_what_has_ended_is_found_by_nothing() -> None:
    ledger = ledger_of(2)
    ledger.end(5.0, granted(ledger, Claim(ANN, request=b"r")), Reason.RELEASED)
    assert not any(ledger.has(handle) for handle in (ANN, CALLER, 1, b"r"))
    assert ledger.lease(1) is None
    assert (ledger.granted, ledger.ended, ledger.held) == (1, 1, 0)


# --- the watch on holders -------------------------------------------------------------------------


def test_a_holder_is_watched_once_and_until_nothing_of_it_is_left() -> None:
    ledger = ledger_of(2)
    first, second = granted(ledger, Claim(ANN)), granted(ledger, Claim(ANN))
    watches = [effect for effect in ledger.effects if isinstance(effect, ev.Watch)]
    assert watches == [ev.Watch(ANN)]
    assert ledger.effects[0] == ev.Watch(ANN)
    ledger.effects = []
    ledger.end(1.0, first, Reason.RELEASED)
    assert ev.Unwatch(ANN) not in ledger.effects
    ledger.end(1.0, second, Reason.RELEASED)
    assert ev.Unwatch(ANN) in ledger.effects


# --- when something is due ------------------------------------------------------------------------


def test_the_next_alarm_is_the_earliest_of_all_leases_and_waiters() -> None:
    ledger = ledger_of(2)
    assert ledger.next_alarm() == inf
    granted(ledger, Claim(ANN, ttl_s=60.0))
    assert ledger.next_alarm() == 60.0
    ledger.enqueue(waiter(7, deadline_at=30.0))
    assert ledger.next_alarm() == 30.0
    ledger.leave(waiter(7, deadline_at=30.0), "cancelled", "no more")
    assert ledger.next_alarm() == 60.0


def test_what_is_due_comes_in_the_order_of_its_time() -> None:
    ledger = ledger_of(2)
    for ticket, deadline_at in ((1, 30.0), (2, 10.0), (3, 20.0), (4, 40.0)):
        ledger.enqueue(waiter(ticket, deadline_at))
    due = []
    for one in ledger.due(30.0):
        assert isinstance(one, Waiter)
        due.append(one.ticket)
        ledger.leave(one, "timeout", "too late")
    assert due == [2, 3, 1]
    assert ledger.next_alarm() == 40.0


def test_hints_of_what_is_over_do_not_pile_up() -> None:
    ledger = ledger_of(1)
    ledger.enqueue(waiter(1, deadline_at=1_000.0))
    for ticket in range(2, 5_000):
        ledger.enqueue(waiter(ticket, deadline_at=2_000.0 + ticket))
        ledger.leave(ledger.pools["agents"].waiters[ticket], "cancelled", "no more")
    assert len(ledger._alarms) < 100
    assert ledger.next_alarm() == 600.0, "when the one that is left is aged"
