"""Room for file descriptors: each connection takes one, and one to wait for its process's end."""

import logging
import resource
from contextlib import suppress

# The journal, the lock, the history, the event loop, a look at /proc: a few dozen.
OWN = 64
PER_CONNECTION = 2
# What this process began with, before it raised it.
SOFT_AT_START, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

log = logging.getLogger(__name__)


def needed(connections_max: int) -> int:
    """How many are open at most while so many processes are connected."""
    return OWN + PER_CONNECTION * connections_max


def fitting(allowed: int) -> int:
    """How many connections so many open files are enough for."""
    return max(0, (allowed - OWN) // PER_CONNECTION)


def make_room(connections_max: int) -> None:
    """Raises this process's limit to what so many connections take, as far as it may.

    The usual limit, 1,024, is for programs that use `select`, which this is not. No program
    that others have written inherits it: `starting` lowers it first.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed(connections_max)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):  # macOS has a lower one that it does not tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if (problem := shortage(connections_max)) is not None:
        log.warning("%s", problem)


def shortage(connections_max: int) -> str | None:
    """What is wrong where there is not room for so many connections; None where there is."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = needed(connections_max)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    fit = fitting(soft)
    return (
        f"{soft} open files are allowed and {connections_max} connections take {wanted}, so about "
        f'{fit} fit; raise the hard limit ("ulimit -Hn", LimitNOFILE=), or set [limits] connections'
    )
