"""Takes over from the daemon that runs: asks it to end, and waits for its lock.

Runs before there is an event loop, so it may block. Nobody is ended who is not known, by the
kernel, to be the daemon that serves the socket: neither a number in a file nor a name is proof.
"""

import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from admission.core.leases import Holder
from admission.protocol import AlreadyServed, NotPermitted
from admission.service import signals
from admission.service.holders import identify, owner_uid
from admission.service.place import locked_by, try_lock, who_listens

END_LIMIT_S = 10.0
PAUSE_S = 0.02
# So many are replaced, one after the other, where others start daemons at the same time.
REPLACED_MAX = 3

log = logging.getLogger(__name__)


def take_over(path: Path, *, is_handed: bool = False, limit_s: float = END_LIMIT_S) -> int:
    """The lock beside this socket, once the daemon that held it has ended.

    Args:
        path: the socket's.
        is_handed: it is systemd's, so that whoever listens there is not the daemon.
        limit_s: how long one gets to end.

    Raises:
        AlreadyServed: it has not ended in time, others are always quicker, or who it is can't be
            told. Whoever holds the lock then goes on.
        NotPermitted: it is another user's.
    """
    asked: list[Holder] = []
    give_up_at = time.monotonic() + limit_s
    while (lock := try_lock(path)) is None:
        holder = _holder(path, is_handed)
        if holder is not None and holder not in asked:
            if len(asked) == REPLACED_MAX:
                raise AlreadyServed(
                    f"{REPLACED_MAX} daemons of {path} were replaced, and each time another was "
                    f"quicker; process {holder.pid} serves, and is left alone"
                )
            if _ask_to_end(path, holder, is_handed):
                log.info("asked process %d, which serves %s, to end", holder.pid, path)
                asked.append(holder)
                give_up_at = time.monotonic() + limit_s
        if time.monotonic() > give_up_at:
            raise _not_in_time(path, asked, limit_s)
        _pause()
    return lock


def _pause() -> None:
    with signals.let_through():  # Ctrl-C ends the wait
        time.sleep(PAUSE_S)


def _not_in_time(path: Path, asked: list[Holder], limit_s: float) -> AlreadyServed:
    if not asked:
        who = locked_by(path) or "unknown"
        return AlreadyServed(
            f"a daemon serves {path} (process {who}), but the kernel does not say that it is this "
            "one; it is left alone: end it by hand"
        )
    return AlreadyServed(
        f"process {asked[-1].pid}, which serves {path}, was asked to end and has not within "
        f"{limit_s:g} s (is it stopped?); none was started in its place"
    )


def _holder(path: Path, is_handed: bool) -> Holder | None:
    """The process that holds the lock; None while that can't be told.

    Raises:
        AlreadyServed: it serves a socket that another process has made for it.
    """
    written = locked_by(path)
    holder = identify(int(written)) if written.isascii() and written.isdigit() else None
    if holder is None:
        return None
    listens = None if is_handed else _listens(path)
    if listens == holder.pid:
        return holder
    if holder.pid not in _lockers(path):
        return None
    if listens:
        raise AlreadyServed(
            f"process {listens} listens at {path} for the daemon (process {holder.pid}), as "
            "systemd does, and starts it by itself: systemctl --user restart admission.service; "
            "it is left alone"
        )
    return holder


def _listens(path: Path) -> int | None:
    with suppress(OSError):
        return who_listens(path)
    return None


def _lockers(path: Path) -> set[int]:
    """Who holds the lock, as Linux tells everybody; nothing where it does not."""
    with suppress(OSError):
        inode = path.with_suffix(".lock").stat().st_ino
        return parse_locks(Path("/proc/locks").read_text(encoding="ascii"), inode)
    return set()


def parse_locks(text: str, inode: int) -> set[int]:
    """The processes that hold a `flock` on this inode, from /proc/locks.

    The device is not compared: of some file systems `stat` tells another one.
    """
    found = set()
    for line in text.splitlines():
        # 3: FLOCK  ADVISORY  WRITE 31489 fe:00:2146476 0 EOF; one that waits has "->" before FLOCK
        words = line.split()
        if words[1:2] == ["FLOCK"] and words[5].endswith(f":{inode}"):
            found.add(int(words[4]))
    return found


def _ask_to_end(path: Path, holder: Holder, is_handed: bool) -> bool:
    """SIGTERM to this process, if it still is the one that holds the lock."""
    if owner_uid(holder.pid) not in (0, os.getuid()):
        raise NotPermitted(f"process {holder.pid} serves {path} and is another user's; ask them")
    try:
        if sys.platform != "linux":
            os.kill(holder.pid, signal.SIGTERM)
            return True
        pidfd = os.pidfd_open(holder.pid)
        try:
            # Opened by number: only now that it is open can be told whose it is.
            if _holder(path, is_handed) != holder:
                return False
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        finally:
            os.close(pidfd)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise NotPermitted(
            f"process {holder.pid} serves {path}, and this user may not end it"
        ) from None
    return True
