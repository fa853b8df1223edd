"""The way into the queue, back to one's place there, and out of it without a grant.

Nothing is granted while the journal can't be written, so whoever asks why hears of that first.
"""

from dataclasses import replace
from math import inf

from admission.core import events as ev
from admission.core import filling, permitting, places
from admission.core.durations import said
from admission.core.leases import Caller, Claim, Waiter
from admission.core.ledger import Ledger
from admission.core.pool import Pool

UNWRITABLE = "the journal can't be written"


def grantable(ledger: Ledger, pool: Pool, now: float) -> Waiter | None:
    """The waiter that is to be granted now, if any."""
    return filling.grantable(pool, now) if ledger.journal_works else None


def why_not(ledger: Ledger, pool: Pool, waiter: Waiter, now: float) -> str:
    """Why this waiter is not granted, in words."""
    return places.reason_of(pool, waiter, now) if ledger.journal_works else UNWRITABLE


def enqueue(
    ledger: Ledger,
    now: float,
    claim: Claim,
    caller: Caller,
    wait_s: float | None,
    lease: int | None = None,
    by_s: float | None = None,
    resumes: int | None = None,
    deferred_until: float | None = None,
) -> None:
    """A new waiter at its place; or a refusal, if it would have to wait and does not want to.

    Args:
        ledger: to whose queue it goes.
        now: seconds on the clock of the events.
        claim: what it asks for.
        caller: who is answered.
        wait_s: None for ever, 0 now or not at all; no longer than `by_s`.
        lease: the yielded lease whose units it asks for again.
        by_s: it must have started within that; it is refused where the estimate is longer.
        resumes: the lease that it goes on with; where that was parked, and was the same user's, it
            stands at the head of its class.
        deferred_until: it is put off until then at most; None: it is not.
    """
    pool = ledger.pools[claim.pool]
    wait_s = permitting.patience_s(pool, wait_s)
    deadline_at = inf if wait_s is None else now + wait_s
    is_back = resumes is not None and ledger.parked.get(resumes) == claim.uid
    waiter = Waiter(
        ledger.last_ticket + 1, claim, caller, now, deadline_at, lease=lease, ahead=int(is_back)
    )
    if deferred_until is not None:
        waiter = replace(waiter, is_deferred=True, deferred_until=deferred_until)
    is_next = ledger.journal_works and filling.is_next(pool, waiter, now)
    if wait_s == 0 and not is_next:
        why = places.obstacle(pool, waiter, now) if ledger.journal_works else UNWRITABLE
        ledger.refuse(caller, *_no_slot_now(ledger, why))
        return
    if by_s is not None and not is_next and (late := _too_late(ledger, pool, waiter, now, by_s)):
        ledger.refuse(caller, "timeout", late)
        return
    if resumes is not None and is_back:
        del ledger.parked[resumes]
    ledger.last_ticket += 1
    if is_next:
        ledger.admit(now, pool, waiter)
    else:
        ledger.enqueue(waiter)
        ledger.persist(ev.Queued(waiter))


def shorter(one_s: float | None, other_s: float | None) -> float | None:
    """The shorter of two waits; None is for ever."""
    return min([each for each in (one_s, other_s) if each is not None], default=None)


def _too_late(ledger: Ledger, pool: Pool, newcomer: Waiter, now: float, by_s: float) -> str | None:
    """Why this one, which is not to be granted at once, would start too late; None where the
    estimate does not say so.
    """
    eta_s = places.estimate_s(pool, newcomer, now)
    if eta_s is None or eta_s <= by_s:
        return None
    why = places.obstacle(pool, newcomer, now) if ledger.journal_works else UNWRITABLE
    return (
        f"it must start within {said(by_s)}, and by the estimate it could in {said(eta_s)}: {why}; "
        "give it longer, or ask later"
    )


def refuse_now(ledger: Ledger, now: float, waiter: Waiter) -> None:
    """It leaves, as it is not granted and does not want to wait."""
    why = why_not(ledger, ledger.pools[waiter.claim.pool], waiter, now)
    ledger.leave(waiter, *_no_slot_now(ledger, why))


def _no_slot_now(ledger: Ledger, why: str) -> tuple[str, str]:
    code = "timeout" if ledger.journal_works else "journal_unavailable"
    return code, f'no slot now: {why}; wait for one with "--wait", or see "admission leases"'


def come_back(
    ledger: Ledger, now: float, caller: Caller, waiter: Waiter, wait_s: float | None
) -> None:
    """The same request again: the same place, and the answer goes to who asked last."""
    if waiter.caller is not None:
        message = "the same request was made again and is answered there"
        ledger.refuse(waiter.caller, "cancelled", message)
    wait_s = permitting.patience_s(ledger.pools[waiter.claim.pool], wait_s)
    deadline_at = inf if wait_s is None else now + wait_s
    back = replace(
        waiter, caller=caller, deadline_at=deadline_at, away_until=inf, keeps_place=False
    )
    ledger.replace_waiter(waiter, back)
    if wait_s == 0 and grantable(ledger, ledger.pools[back.claim.pool], now) is not back:
        refuse_now(ledger, now, back)


def time_out(ledger: Ledger, now: float, waiter: Waiter) -> None:
    """Its deadline has passed, or it was away for too long."""
    pool = ledger.pools[waiter.claim.pool]
    code = "timeout" if waiter.deadline_at <= now else "cancelled"
    waited_s = waiter.due_at - waiter.queued_at
    ledger.leave(
        waiter,
        code,
        f"no slot within {waited_s:.3g} s: {why_not(ledger, pool, waiter, now)}, "
        f'you were {pool.ordinal(waiter)}; see "admission leases"',
    )
