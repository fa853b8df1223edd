"""What is asked about one lease: to give it back, renew it, yield it, regain it, take it up again.

Each is a step of `core.admission`; a lease that is not there is refused, and nothing changes.
"""

from dataclasses import replace

from admission.core import events as ev
from admission.core.leases import Caller, Lease, Reason, State
from admission.core.ledger import Ledger
from admission.core.queueing import come_back, enqueue

AboutLease = ev.Release | ev.Renew | ev.Yield | ev.Regain | ev.Resume


def ask(ledger: Ledger, now: float, event: AboutLease) -> None:
    """Does what is asked of a lease, and answers."""
    lease = ledger.lease(event.lease)
    if lease is None:
        message = f"there is no lease {event.lease}: it has ended, or never was"
        ledger.refuse(event.caller, "unknown_lease", f'{message}; see "admission leases"')
        return
    match event:
        case ev.Release():
            _release(ledger, now, event, lease)
        case ev.Renew():
            _renew(ledger, now, event.caller, lease)
        case ev.Yield():
            _yield(ledger, event.caller, lease)
        case ev.Regain():
            _regain(ledger, now, event, lease)
        case ev.Resume():  # pragma: no branch -- no others
            _resume(ledger, event, lease)


def _release(ledger: Ledger, now: float, event: ev.Release, lease: Lease) -> None:
    own = lease.caller is not None and lease.caller.connection == event.caller.connection
    is_own = own or any(one in event.ancestors for one in lease.holders)
    ledger.end(now, lease, Reason.RELEASED if is_own else Reason.REVOKED)
    ledger.effects.append(ev.Done(event.caller))


def _renew(ledger: Ledger, now: float, caller: Caller, lease: Lease) -> None:
    if lease.claim.ttl_s is not None:
        lease = replace(lease, expires_at=now + lease.claim.ttl_s)
        ledger.put_lease(lease)
        ledger.persist(ev.Renewed(lease.id, lease.expires_at))
    ledger.effects.append(ev.Told(caller, lease))


def _yield(ledger: Ledger, caller: Caller, lease: Lease) -> None:
    if lease.is_out:
        lease = ledger.pools[lease.claim.pool].move(lease, State.YIELDED)
        ledger.persist(ev.Yielded(lease.id))
    # One that waits to regain its units has thought better of it.
    ledger.drop_regain(lease, "cancelled", "the lease was yielded again")
    ledger.effects.append(ev.Told(caller, lease))


def _regain(ledger: Ledger, now: float, event: ev.Regain, lease: Lease) -> None:
    if lease.is_out:
        ledger.effects.append(ev.Told(event.caller, lease))
    elif waiter := ledger.regaining(lease):
        come_back(ledger, now, event.caller, waiter, event.wait_s)
    elif (holder := next(iter(lease.holders), None)) is None:
        message = f"the holder of lease {lease.id} has just exited; ask again in a moment"
        ledger.refuse(event.caller, "holder_gone", message)
    else:
        # The request id stays the lease's: two answers under one id would not be "once".
        claim = replace(lease.claim, request=None, holder=holder)
        enqueue(ledger, now, claim, event.caller, event.wait_s, lease.id)


def _resume(ledger: Ledger, event: ev.Resume, lease: Lease) -> None:
    if lease.claim.secret != event.secret:
        message = f"lease {lease.id} has another secret; only its holder can take it up again"
        ledger.refuse(event.caller, "not_permitted", message)
        return
    lease = ledger.take_up(lease, event.caller)
    ledger.effects.append(ev.Told(event.caller, lease))
