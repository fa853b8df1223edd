"""Asks the holder of a lease to end, where that was asked for when the lease was.

One signal, and nothing harder: the lease ends when the holder does.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

from admission.core.leases import UNSEEN, Holder, Lease
from admission.service.holders import identify, owner_uid

log = logging.getLogger(__name__)


def end_gently(lease: Lease) -> None:
    """Asks each process that this lease depends on, and logs what came of it."""
    _ask_each(lease, _ask, "as it has held it for too long")


def ask_to_end(lease: Lease, name: str, why: str) -> None:
    """Likewise, by the signal of this name; `why` is for the log."""
    _ask_each(lease, partial(_send, signal.Signals[f"SIG{name}"]), why)


def _ask_each(lease: Lease, ask: Callable[[Holder, int], str | None], why: str) -> None:
    for holder in lease.holders:
        what, problem = f"lease {lease.id}: process {holder.pid}", ask(holder, lease.claim.uid)
        if problem is None:
            outcome = f"was asked to end, {why}"
        else:
            outcome = f"is not asked to end: {problem}"
        log.warning("%s %s", what, outcome, extra={"lease": lease.id})


def _ask(holder: Holder, uid: int) -> str | None:
    return _send(signal.SIGTERM, holder, uid)


def _send(number: signal.Signals, holder: Holder, uid: int) -> str | None:
    """A signal to this very process, if it is this user's. Why not, in words; None where it was."""
    if holder == UNSEEN:
        return "it can't be seen from here"
    if holder.pid == os.getpid():
        return "it is the daemon"
    try:
        if sys.platform != "linux":
            if (problem := _check(holder, uid)) is None:
                os.kill(holder.pid, number)
            return problem
        pidfd = os.pidfd_open(holder.pid)
        try:
            # Opened by number: only now that it is open can be told whose it is.
            if (problem := _check(holder, uid)) is None:
                signal.pidfd_send_signal(pidfd, number)
            return problem
        finally:
            os.close(pidfd)
    except ProcessLookupError:
        return "it has ended"
    except OSError as error:
        return str(error)


def _check(holder: Holder, uid: int) -> str | None:
    if identify(holder.pid) != holder:
        return "it has ended"
    if owner_uid(holder.pid) != uid:
        return "it is another user's"
    return None
