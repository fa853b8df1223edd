"""What each event must lead to, said once more in other words than the core's.

`follow` changes the books and notes in `books.chains` the effects that must be seen, all but the
grants: which waiter is granted is the core's to decide, and `tests.core.invariants` judges it.
"""

from collections.abc import Set
from dataclasses import replace
from math import inf
from typing import assert_never

from admission.core import by_hand, shedding
from admission.core import events as ev
from admission.core.estimates import Experience, Measured, OutOfMemory, Recalled
from admission.core.foresight import Remembered
from admission.core.leases import Bound, Caller, Claim, Holder, Lease, Reason, State, Waiter
from admission.core.permits import Permitted
from tests.core import books_of_deferring, books_of_hand, books_of_shedding
from tests.core.books import Books, Chain, depends_on, is_of, is_out

OfLease = ev.Release | ev.Renew | ev.Yield | ev.Regain | ev.Resume


def follow(books: Books, now: float, event: ev.Event) -> None:
    """One step of the books."""
    if isinstance(event, ev.JournalFailed):
        # What could not be written has not happened, so no time has passed for it either.
        _take_back(books, now, event)
        books.pass_time(now)
        books_of_shedding.follow(books, now, None)
        return
    books.granted.clear()
    books.may_be_too_late = False
    books.pass_time(now)
    match event:
        case ev.Acquire():
            _acquire(books, now, event)
        case ev.Cancel():
            _cancel(books, event)
        case ev.Release() | ev.Renew() | ev.Yield() | ev.Regain() | ev.Resume():
            _of_lease(books, now, event)
        case ev.SetLevel():
            _set_level(books, now, event)
        case (
            by_hand.Reserve()
            | by_hand.Unreserve()
            | by_hand.Pause()
            | by_hand.Unpause()
            | by_hand.Move()
        ):
            books_of_hand.do(books, now, event)
        case _:
            _befall(books, now, event)
    books.note_level()
    books_of_deferring.follow(books, now, event)
    books_of_shedding.follow(books, now, event)


def _befall(  # noqa: C901 -- one line a case
    books: Books,
    now: float,
    event: ev.ConnectionClosed
    | ev.HolderExited
    | ev.TreeFound
    | ev.TimePassed
    | ev.Sampled
    | Remembered
    | Permitted
    | Experience
    | ev.Woke
    | ev.Configured
    | ev.JournalWorks
    | ev.Restarted,
) -> None:
    match event:
        case ev.ConnectionClosed(connection):
            _close(books, now, connection)
        case ev.HolderExited(holder):
            _bury(books, {holder})
        case ev.TreeFound():
            _follow_tree(books, event)
        case ev.Sampled(sample, local_h):
            books.governor.take(sample, books.out("agents"), local_h)
        case Remembered():
            books.governor.forecasts.remember(event)
        case Permitted():
            books.permits.hear(now, event)
        case ev.Woke():
            books.governor.wake(now)
        case ev.Configured():
            books.governor.adopt(event.throttle)
            books.specs.update({spec.name: spec for spec in event.specs})
            books.turns.ageing = event.ageing
        case ev.JournalWorks():
            books.journal_works = True
        case ev.Restarted():
            _take_over(books, now, event)
        case ev.TimePassed() | Measured() | OutOfMemory() | Recalled():
            pass
        case _:
            assert_never(event)


# --- asking for a lease ---------------------------------------------------------------------------


def _acquire(books: Books, now: float, event: ev.Acquire) -> None:
    caller, claim = event.caller, event.claim
    known = [one for one in books.all() if claim.request and one.claim.request == claim.request]
    known = [one for one in known if one.claim.uid == claim.uid]
    if known:
        _repeat(books, now, event, known[0])
    elif claim.pool not in books.specs:
        books.chains.append([ev.Refused(caller, "unknown_pool", "")])
    elif shared := _enclosing(books, event):
        books.chains.append([ev.Told(caller, shared, shared=True)])
    elif claim.weight > max(books.specs[claim.pool].capacity):
        books.chains.append([ev.Refused(caller, "impossible", "")])
    elif _is_crowded(books, caller.connection, claim.uid):
        books.chains.append([ev.Refused(caller, "queue_full", "")])
    elif not books.is_off_by_hand and books.lessons.is_too_large(claim):
        books.chains.append([ev.Refused(caller, "impossible", "")])
    elif _would_wait_for_itself(books, event):
        books.chains.append([ev.Refused(caller, "would_deadlock", "")])
    else:
        for_s = books_of_deferring.bound_s(books, event) if event.defer else None
        resumes = event.resumes
        _arrive(books, now, claim, caller, _waits_s(event), resumes=resumes, deferred_s=for_s)
        books.may_be_too_late = event.by_s is not None and not event.defer


def _waits_s(event: ev.Acquire) -> float | None:
    by_s = None if event.defer else event.by_s
    given = [one for one in (event.wait_s, by_s) if one is not None]
    return min(given) if given else None


def _enclosing(books: Books, event: ev.Acquire) -> Lease | None:
    """The lease of the nearest process above that has one out; of several, its newest."""
    if event.parent is None or event.is_new:
        return None
    newest_first = sorted(books.leases.values(), key=lambda lease: -lease.id)
    for holder in event.ancestors:
        for lease in newest_first:
            is_there = holder in depends_on(lease) and lease.claim.pool == event.claim.pool
            if is_there and is_out(lease) and lease.id <= event.parent:
                return lease
    return None


def _would_wait_for_itself(books: Books, event: ev.Acquire) -> bool:
    """Whether what it waits for is held by those who wait for it: of its own pool, or of one that
    is to be taken after it.
    """
    if event.wait_s == 0 or (event.parent is None and not event.is_new):
        return False
    newest = inf if event.parent is None else event.parent
    above = [
        one.claim
        for one in books.leases.values()
        if is_out(one) and one.id <= newest and {*depends_on(one)} & {*event.ancestors}
    ]
    names = list(books.specs)
    place = names.index(event.claim.pool)
    if any(names.index(claim.pool) > place for claim in above):
        return True
    mine = sum(claim.weight for claim in above if claim.pool == event.claim.pool)
    most = max(books.specs[event.claim.pool].capacity)
    return mine + event.claim.weight > most


def _is_crowded(books: Books, connection: int, uid: int) -> bool:
    mine = [one for one in books.waiters.values() if is_of(connection, one)]
    return (
        len(books.waiters) >= books.limits.waiters_max
        or len(mine) >= books.limits.waiters_per_connection_max
        or _has_its_share(books, uid)
    )


def _has_its_share(books: Books, uid: int) -> bool:
    limits = books.limits
    own = sum(one.claim.uid == uid for one in books.waiters.values())
    left = limits.waiters_max - (len(books.waiters) - own)
    return uid not in limits.unshared and own >= max(1, left * limits.user_share_pct // 100)


def _arrive(
    books: Books,
    now: float,
    claim: Claim,
    caller: Caller,
    wait_s: float | None,
    lease: int | None = None,
    resumes: int | None = None,
    deferred_s: float | None = None,
) -> None:
    wait_s = books.permits.wait_s(claim.pool, wait_s)
    deadline_at = inf if wait_s is None else now + wait_s
    waiter = Waiter(books.last_ticket + 1, claim, caller, now, deadline_at, lease=lease)
    if (resumes, claim.uid) in books.parked:
        waiter = replace(waiter, ahead=1)
    if deferred_s is not None:
        waiter = books_of_deferring.put_off(waiter, deferred_s)
    is_next = books.may_be_granted(now, waiter)
    if wait_s == 0 and not is_next:
        books.chains.append([ev.Refused(caller, _code_for_now(books), "")])
        return
    books.parked = [one for one in books.parked if one[0] != resumes or one[1] != claim.uid]
    books.last_ticket = waiter.ticket
    books.join(waiter)
    if not is_next:
        books.chains.append([ev.Persist(ev.Queued(waiter))])


def _code_for_now(books: Books) -> str:
    return "timeout" if books.journal_works else "journal_unavailable"


def _repeat(books: Books, now: float, event: ev.Acquire, known: Lease | Waiter) -> None:
    if known.claim.holder != event.claim.holder:
        books.chains.append([ev.Refused(event.caller, "not_permitted", "")])
    elif isinstance(known, Lease):
        _take_up(books, known, event.caller)
    else:
        _come_back(books, now, known, event.caller, _waits_s(event))


def _take_up(books: Books, lease: Lease, caller: Caller) -> None:
    state = State.HELD if is_out(lease) else State.YIELDED
    lease = replace(lease, caller=caller, state=state, detached_until=inf)
    books.leases[lease.id] = lease
    books.chains.append([ev.Told(caller, lease)])


def _come_back(
    books: Books, now: float, waiter: Waiter, caller: Caller, wait_s: float | None
) -> None:
    if waiter.caller is not None:
        books.chains.append([ev.Refused(waiter.caller, "cancelled", "")])
    wait_s = books.permits.wait_s(waiter.claim.pool, wait_s)
    deadline_at = inf if wait_s is None else now + wait_s
    back = replace(waiter, caller=caller, deadline_at=deadline_at)
    back = replace(back, away_until=inf, keeps_place=False)
    books.waiters[back.ticket] = back
    if wait_s == 0 and not books.may_be_granted(now, back):
        books.chains.append(books.leave(back, _code_for_now(books)))


def _cancel(books: Books, event: ev.Cancel) -> None:
    found: list[Lease] | list[Waiter] | list[Lease | Waiter]
    if event.ticket is not None:
        found = [one for one in books.waiters.values() if one.ticket == event.ticket]
        found = [one for one in found if event.uid is None or one.claim.uid == event.uid]
    elif event.request is not None:
        found = [one for one in books.all() if one.claim.request == event.request]
        found = [one for one in found if event.uid is None or one.claim.uid == event.uid]
    else:
        asked_as = Caller(event.caller.connection, event.id or 0)
        found = [one for one in books.all() if one.caller == asked_as]
    chain: Chain = []
    for one in found:
        chain += books.bury(one, Reason.RELEASED, "cancelled")
    books.chains.append([*chain, ev.Done(event.caller, found=bool(found))])


# --- asking about a lease -------------------------------------------------------------------------


def _of_lease(books: Books, now: float, event: OfLease) -> None:
    lease = books.leases.get(event.lease)
    if lease is None:
        books.chains.append([ev.Refused(event.caller, "unknown_lease", "")])
        return
    match event:
        case ev.Release():
            _release(books, event, lease)
        case ev.Renew():
            _renew(books, now, event, lease)
        case ev.Yield():
            _yield(books, event, lease)
        case ev.Regain():
            _regain(books, now, event, lease)
        case ev.Resume() if event.secret == lease.claim.secret:
            _take_up(books, lease, event.caller)
        case ev.Resume():
            books.chains.append([ev.Refused(event.caller, "not_permitted", "")])


def _release(books: Books, event: ev.Release, lease: Lease) -> None:
    is_own = is_of(event.caller.connection, lease) or depends_on(lease) & {*event.ancestors}
    chain = books.end(lease, Reason.RELEASED if is_own else Reason.REVOKED)
    books.chains.append([*chain, ev.Done(event.caller)])


def _renew(books: Books, now: float, event: ev.Renew, lease: Lease) -> None:
    chain: Chain = []
    if lease.claim.ttl_s is not None:
        lease = replace(lease, expires_at=now + lease.claim.ttl_s)
        books.leases[lease.id] = lease
        chain = [ev.Persist(ev.Renewed(lease.id, lease.expires_at))]
    books.chains.append([*chain, ev.Told(event.caller, lease)])


def _yield(books: Books, event: ev.Yield, lease: Lease) -> None:
    chain: Chain = []
    if is_out(lease):
        lease = replace(lease, state=State.YIELDED)
        books.leases[lease.id] = lease
        chain = [ev.Persist(ev.Yielded(lease.id))]
    for waiter in books.regaining(lease):
        chain += books.leave(waiter, "cancelled")
    books.chains.append([*chain, ev.Told(event.caller, lease)])


def _regain(books: Books, now: float, event: ev.Regain, lease: Lease) -> None:
    waiting = books.regaining(lease)
    if is_out(lease):
        books.chains.append([ev.Told(event.caller, lease)])
    elif waiting:
        _come_back(books, now, waiting[0], event.caller, event.wait_s)
    elif not lease.is_left:
        claim = replace(lease.claim, request=None)
        _arrive(books, now, claim, event.caller, event.wait_s, lease.id)
    elif not lease.tree:
        books.chains.append([ev.Refused(event.caller, "holder_gone", "")])
    else:
        claim = replace(lease.claim, request=None, holder=lease.tree[0])
        _arrive(books, now, claim, event.caller, event.wait_s, lease.id)


# --- what befalls them ----------------------------------------------------------------------------


def _set_level(books: Books, now: float, event: ev.SetLevel) -> None:
    until = inf if event.for_s is None else now + event.for_s
    books.set_by_hand(None if event.level is None else (event.level, until), event.is_off)
    books.chains.append([books.tell_level(), ev.ToldLevel(event.caller)])


def _close(books: Books, now: float, connection: int) -> None:
    bound = [one for one in books.leases.values() if one.claim.bound is Bound.CONNECTION]
    for lease in bound:
        if is_of(connection, lease):
            books.chains.append(books.end(lease, Reason.CONNECTION_CLOSED))
    for waiter in [one for one in books.waiters.values() if is_of(connection, one)]:
        if waiter.claim.request is None and waiter.lease is None:
            books.chains.append(books.leave(waiter, "cancelled"))
        else:
            away_until = now + books.limits.grace_s
            books.waiters[waiter.ticket] = replace(waiter, caller=None, away_until=away_until)


def _take_back(books: Books, now: float, event: ev.JournalFailed) -> None:
    books.journal_works = False
    for record in event.records:
        assert isinstance(record, ev.Promise), "something was lost with a grant"
        if isinstance(record, shedding.Frozen):
            lease = books.leases[record.lease]
            books.leases[lease.id] = replace(lease, is_frozen=False)
        else:
            books.take_back(now, record)


def _take_over(books: Books, now: float, event: ev.Restarted) -> None:
    for record in event.records:
        if isinstance(record, ev.LevelChanged) and record.by_hand_until is not None:
            books.set_by_hand((record.level, record.by_hand_until), record.is_off)
        elif isinstance(record, ev.LevelChanged):
            books.set_by_hand(None)
            books.governor.resume_at(record.level)
    books.adopt(now, event.records)
    known = {one for each in books.all() for one in (each.claim.holder, *depends_on(each))}
    left = [lease for lease in books.leases.values() if lease.is_left]
    for lease in left:  # what has become of them since is not known, whoever of them lives
        books.chains.append(books.lose(lease, known - event.living))
    _bury(books, known - event.living)


def _bury(books: Books, dead: Set[Holder]) -> None:
    """Ends whatever belongs to these processes, or looks for what they have left."""
    for one in list(books.all()):
        if not depends_on(one) & dead:
            continue
        if isinstance(one, Lease):
            books.chains.append(books.lose(one, dead))
        elif one.ticket in books.waiters:
            books.chains.append(books.leave(one, "holder_gone"))


def _follow_tree(books: Books, event: ev.TreeFound) -> None:
    lease = books.leases.get(event.lease)
    if lease is None or not lease.is_left:
        return
    if event.left:
        books.leases[lease.id] = replace(lease, tree=event.left)
        books.chains.append([ev.Persist(ev.Followed(lease.id, event.left))])
    else:
        books.chains.append(books.end(lease, Reason.HOLDER_EXITED))
