"""Who is at the other end of a connection, by the kernel's word: process, user and groups."""

import errno
import os
import pwd
import select
import socket
import struct
import sys
from dataclasses import dataclass

from admission.core.leases import UNSEEN, Holder
from admission.service.holders import Gone, identify

# Linux 6.5; not yet in the socket module. Names the process that connected even if its PID has
# been reused since.
SO_PEERPIDFD = 77
# Linux 4.13.
SO_PEERGROUPS = 59
GROUPS_MAX = 256
# macOS <sys/un.h>.
SOL_LOCAL, LOCAL_PEERCRED, LOCAL_PEERPID = 0, 1, 2
XUCRED_BYTES, XUCRED_GROUPS = 76, 16


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a connection, as the kernel knows it. `gids`: None where it does not tell
    all of them.
    """

    holder: Holder
    uid: int
    gids: frozenset[int] | None = frozenset()


def peer_of(sock: socket.socket) -> Peer:
    """Who is at the other end of a connected Unix socket.

    A process of a PID namespace that is not below ours has no number here: it is `UNSEEN`.

    Raises:
        Gone: the process that connected has ended.
        OSError: it can't be told, as no file descriptor is left.
    """
    if sys.platform == "darwin":
        pid = struct.unpack("i", sock.getsockopt(SOL_LOCAL, LOCAL_PEERPID, 4))[0]
        uid, gids = parse_xucred(sock.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, XUCRED_BYTES))
        holder = identify(pid)
    else:
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        pid, uid, gid = struct.unpack("iII", credentials)
        gids = _groups_of(sock, gid)
        if pid == UNSEEN.pid:
            return Peer(UNSEEN, uid, gids)
        holder = identify(pid)
        if _has_ended(sock):
            raise Gone
    if holder is None:
        raise Gone
    return Peer(holder, uid, gids)


def parse_xucred(raw: bytes) -> tuple[int, frozenset[int] | None]:
    """User and groups from macOS's `struct xucred`: version, uid, their number, up to 16 gids."""
    _, uid, how_many = struct.unpack_from("IIh", raw)
    if how_many >= XUCRED_GROUPS:
        return uid, None
    return uid, frozenset(struct.unpack_from(f"{how_many}I", raw, 12))


def _groups_of(sock: socket.socket, gid: int) -> frozenset[int] | None:
    """The peer's groups: its first, and the others where the kernel tells."""
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, 4 * GROUPS_MAX)
    except OSError:  # an older kernel, or more groups than fit
        return None
    return frozenset((gid, *struct.unpack(f"{len(raw) // 4}I", raw)))


def groups_by_database(uid: int) -> frozenset[int]:
    """The groups that a user has when he logs in; none where the system does not know him."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:
        return frozenset()
    return frozenset(os.getgrouplist(user.pw_name, user.pw_gid))


def _has_ended(sock: socket.socket) -> bool:
    """Whether the process that connected is gone, even if its PID is in use again.

    Raises:
        OSError: it can't be told, as no file descriptor is left.
    """
    try:
        pidfd = sock.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as problem:
        if problem.errno in (errno.ESRCH, errno.EINVAL):
            return True  # so says Linux before 6.16 of one that has ended and was reaped
        if problem.errno in (errno.EMFILE, errno.ENFILE):
            raise
        return False  # an older kernel: the PID has to do
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(0))
    finally:
        os.close(pidfd)
