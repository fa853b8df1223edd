"""What systemd hands over, and what it wants to be told. See sd_listen_fds(3) and sd_notify(3).

Nothing of it can keep the daemon from serving: what is wrong with it stands in the log.
"""

import logging
import os
import socket
import time
from collections.abc import MutableMapping
from pathlib import Path

import trio

FIRST_FD = 3
VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
# How long it gets to take a message where its queue is full.
TELL_LIMIT_S = 1.0

log = logging.getLogger(__name__)
Environment = MutableMapping[str, str]


def take_socket(environ: Environment = os.environ) -> socket.socket | None:
    """The listening socket that systemd has made for this process, where it has. The variables
    that say so are removed, so that nobody else takes it for theirs.
    """
    pid, count, *_ = [environ.pop(name, "") for name in VARIABLES]
    if pid != str(os.getpid()) or count in ("", "0"):
        return None
    try:
        if count != "1":
            raise ValueError(f"{count} descriptors are handed over, and one is served")
        return _checked(socket.socket(fileno=FIRST_FD))
    except (OSError, ValueError) as problem:
        log.error(
            "what systemd hands over is of no use (%s): see ListenStream= in the .socket unit; "
            "a socket of our own is served",
            problem,
        )
        return None


def _checked(sock: socket.socket) -> socket.socket:
    is_listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if (sock.family, sock.type) != (socket.AF_UNIX, socket.SOCK_STREAM) or not is_listening:
        sock.detach()  # it is not ours to close
        raise ValueError(f"descriptor {FIRST_FD} is no listening Unix stream socket")
    name = sock.getsockname()
    if not isinstance(name, str) or not name.startswith("/"):
        sock.detach()
        raise ValueError(f"descriptor {FIRST_FD} has no path")
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def path_of(sock: socket.socket) -> Path:
    """Where a socket that was handed over lies."""
    return Path(sock.getsockname())


class Notifier:
    """Tells systemd how the daemon is, where it wants to know. The variable that says so is
    removed, as with `take_socket`.
    """

    def __init__(self, environ: Environment = os.environ) -> None:
        address = environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def __bool__(self) -> bool:
        return bool(self._address)

    async def ready(self, status: str) -> None:
        """The daemon serves, and is this process."""
        await self.tell("READY=1", f"STATUS={status}", f"MAINPID={os.getpid()}")

    async def reloading(self) -> None:
        """The configuration is about to be read anew; `ready` is to follow."""
        await self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    async def stopping(self, status: str) -> None:
        await self.tell("STOPPING=1", f"STATUS={status}")

    async def tell(self, *lines: str) -> None:
        """One message. Where it can't be sent, the log says so."""
        if not self._address:
            return
        try:
            with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                with trio.move_on_after(TELL_LIMIT_S) as limit:
                    await sock.connect(self._address)
                    await sock.send("\n".join(lines).encode())
                if limit.cancelled_caught:
                    log.warning("systemd does not take %s", lines[0])
        except (OSError, ValueError) as problem:
            log.warning("systemd can't be told %s: %s", lines[0], problem)
