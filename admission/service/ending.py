"""Asks the holder of a lease to end, where that was asked for when the lease was.

SIGTERM, and nothing harder: the lease ends when the holder does.
"""

import logging
import os
import signal
import sys

from admission.core.leases import UNSEEN, Holder, Lease
from admission.service.holders import identify, owner_uid

log = logging.getLogger(__name__)


def end_gently(lease: Lease) -> None:
    """Asks each process that this lease depends on, and logs what came of it."""
    for holder in lease.holders:
        what, problem = f"lease {lease.id}: process {holder.pid}", _ask(holder, lease.claim.uid)
        if problem is None:
            why = "was asked to end, as it has held it for too long"
        else:
            why = f"is not asked to end: {problem}"
        log.warning("%s %s", what, why, extra={"lease": lease.id})


def _ask(holder: Holder, uid: int) -> str | None:
    """SIGTERM to this very process, if it is this user's. Why not, in words; None where it was."""
    if holder == UNSEEN:
        return "it can't be seen from here"
    if holder.pid == os.getpid():
        return "it is the daemon"
    try:
        if sys.platform != "linux":
            if (problem := _check(holder, uid)) is None:
                os.kill(holder.pid, signal.SIGTERM)
            return problem
        pidfd = os.pidfd_open(holder.pid)
        try:
            # Opened by number: only now that it is open can be told whose it is.
            if (problem := _check(holder, uid)) is None:
                signal.pidfd_send_signal(pidfd, signal.SIGTERM)
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
