"""Daemons with a bug, to see that it is found: `python -m scripts.torture.plants NAME serve`.

Each bug is a patch of the running daemon, and nothing of it is in the product.
"""

import sys
from collections.abc import Callable, Set
from dataclasses import replace
from itertools import dropwhile

from admission.core import by_hand, filling, operating, queueing, restart
from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor
from admission.core.leases import Bound, Caller, Holder, Lease, Waiter
from admission.core.ledger import Ledger
from admission.core.pool import Pool
from admission.service import ending
from admission.service.journal import Journal


def admit_one_more() -> None:
    """Now and then one more is let in than there is room for."""
    honest = filling.fitting

    def fitting(pool: Pool, now: float) -> Waiter | None:
        found = honest(pool, now)
        front = pool.front() if found is None and pool.waiters else None
        if front is None or front.ticket % 10:
            return found
        return front if pool.in_use + front.claim.weight == pool.capacity + 1 else None

    filling.fitting = fitting


def lose_a_slot() -> None:
    """The end of a holder within 50 ms of its grant goes unnoticed."""
    honest = Admission._holder_exited

    def holder_exited(self: Admission, now: float, holder: Holder) -> None:
        fresh = [
            one
            for one in self.ledger.of(holder)
            if isinstance(one, Lease)
            and one.claim.bound is Bound.PROCESS
            and now - one.granted_at < 0.05
        ]
        if not fresh:
            honest(self, now, holder)

    Admission._holder_exited = holder_exited  # type: ignore[method-assign]


def forget_a_grant() -> None:
    """Every fifth grant does not get into the journal, and the next daemon knows nothing of it."""
    honest = Journal.append

    def append(self: Journal, record: ev.Record) -> bool:
        if isinstance(record, ev.Granted) and record.lease.id % 5 == 0:
            return True
        return honest(self, record)

    Journal.append = append  # type: ignore[method-assign]


def serve_out_of_order() -> None:
    """Now and then the second one in the queue comes first."""
    honest = Pool.front

    def front(self: Pool) -> Waiter | None:
        first = honest(self)
        if first is None or first.ticket % 6:
            return first
        behind = dropwhile(lambda one: one is not first, self.queue())
        others = (one for one in behind if one is not first and not one.is_away)
        like_it = (one for one in others if one.claim.rank == first.claim.rank)
        return next((one for one in like_it if one.claim.weight <= first.claim.weight), first)

    Pool.front = front  # type: ignore[method-assign]


def forget_a_waiter() -> None:
    """One in four that comes back to its place after a restart is not heard, and is dropped."""
    honest = queueing.come_back

    def come_back(
        ledger: Ledger, now: float, caller: Caller, waiter: Waiter, wait_s: float | None
    ) -> None:
        if waiter.keeps_place and waiter.ticket % 4 == 0:
            ledger.leave(waiter, "cancelled", "a planted bug")
        else:
            honest(ledger, now, caller, waiter, wait_s)

    queueing.come_back = come_back


def grant_twice() -> None:
    """A request that is repeated gets another lease at times."""
    honest = Admission._acquire

    def acquire(self: Admission, now: float, event: ev.Acquire) -> None:
        request = event.claim.request
        known = self.ledger.of(request) if request is not None else []
        if any(isinstance(one, Lease) and one.id % 2 == 0 for one in known):
            event = replace(event, claim=replace(event.claim, request=None))
        honest(self, now, event)

    Admission._acquire = acquire  # type: ignore[method-assign]


def reuse_numbers() -> None:
    """A new daemon counts on from the leases that are held, and not from those that were."""
    honest = restart.take_over

    def take_over(
        now: float, event: ev.Restarted, ledger: Ledger, governor: Governor, grace_s: float
    ) -> None:
        honest(now, event, ledger, governor, grace_s)
        held = [number for pool in ledger.pools.values() for number in pool.leases]
        ledger.last_lease = max(held, default=max(0, ledger.last_lease - 3))

    restart.take_over = take_over


def drop_connection_leases() -> None:
    """What is bound to a connection does not outlive the daemon."""
    honest = restart._adopt_lease

    def adopt(ledger: Ledger, lease: Lease, living: Set[Holder], back_by: float) -> None:
        is_bound = lease.claim.bound is Bound.CONNECTION
        honest(ledger, lease, living, back_by - 10.0 if is_bound else back_by)

    restart._adopt_lease = adopt


def give_away_what_is_kept() -> None:
    """One in three has no regard for reservations."""
    honest = Pool.kept_from

    def kept(self: Pool, waiter: Waiter) -> int:
        return 0 if waiter.ticket % 3 == 0 else honest(self, waiter)

    Pool.kept_from = kept  # type: ignore[method-assign]


def grant_while_paused() -> None:
    """One in five has no regard for pauses."""
    honest = Pool.suits

    def suits(self: Pool, waiter: Waiter) -> bool:
        if waiter.ticket % 5:
            return honest(self, waiter)
        paused_until, self.paused_until = self.paused_until, None
        found = honest(self, waiter)
        self.paused_until = paused_until
        return found

    Pool.suits = suits  # type: ignore[method-assign]


def forget_what_hands_wished() -> None:
    """Reservations and pauses do not outlive the daemon."""
    honest = restart._replay_by_hand

    def replay(record: by_hand.Record, ledger: Ledger, waiters: dict[int, Waiter]) -> None:
        if not isinstance(record, by_hand.Reserved | by_hand.Paused):
            honest(record, ledger, waiters)

    restart._replay_by_hand = replay


def put_nobody_ahead() -> None:
    """It says that the waiter was moved, and leaves it where it is."""

    def move(ledger: Ledger, event: by_hand.Move) -> None:
        found = ledger.waiter(event.ticket) is not None
        ledger.effects.append(ev.Done(event.caller, found=found))

    operating._move = move


def take_nobody_out() -> None:
    """It says that the ticket was cancelled, and the waiter waits on."""
    honest = Admission._cancel

    def cancel(self: Admission, now: float, event: ev.Cancel) -> None:
        if event.ticket is None:
            honest(self, now, event)
        else:
            found = self.ledger.waiter(event.ticket) is not None
            self.ledger.effects.append(ev.Done(event.caller, found=found))

    Admission._cancel = cancel  # type: ignore[method-assign]


def forget_deadlines() -> None:
    """Who must start by a moment waits on when it has passed."""
    queueing.shorter = lambda one_s, other_s: one_s


def ask_nobody_to_end() -> None:
    """Whoever holds for too long and wished to be told is not."""
    ending._ask = lambda holder, uid: None


PLANTS: dict[str, Callable[[], None]] = {
    "over-admission": admit_one_more,
    "lost-slot": lose_a_slot,
    "lost-grant": forget_a_grant,
    "order": serve_out_of_order,
    "forgotten-waiter": forget_a_waiter,
    "twice": grant_twice,
    "fence": reuse_numbers,
    "lost-lease": drop_connection_leases,
    "reservation": give_away_what_is_kept,
    "pause": grant_while_paused,
    "lost-wish": forget_what_hands_wished,
    "move": put_nobody_ahead,
    "cancel": take_nobody_out,
    "deadline": forget_deadlines,
    "end": ask_nobody_to_end,
}


if __name__ == "__main__":
    from admission_client.cli import main

    PLANTS[sys.argv[1]]()
    del sys.argv[1]
    sys.exit(main())
