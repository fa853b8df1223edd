"""Starts a daemon where none runs, for the commands that need one."""

import _socket
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from admission.protocol import AlreadyServed, Unreachable
from admission_client.blocking import connect
from admission_client.granted import LEASE_VARIABLE

# What is this process's alone: whoever starts it with systemd waits for no word of the daemon.
OURS = (LEASE_VARIABLE, "NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
# How often to look for a daemon that another is starting: it takes its lock before it listens.
PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.0, 1.0, 1.0)


def start_daemon(path: str) -> _socket.socket:
    """A connection to a daemon at this path, which is started unless another was quicker.

    It goes to the background by itself once it serves, and belongs to nobody: not to the terminal,
    and not to the command that this process may become.

    Raises:
        Unreachable: it may not be started, or could not.
    """
    if os.environ.get("ADMISSION_AUTOSTART") == "0":
        raise Unreachable(
            f"no daemon answers at {path}, and ADMISSION_AUTOSTART=0 forbids to start one; "
            'start one with "admission serve"'
        )
    with _one_at_a_time(os.path.dirname(path)):
        with suppress(Unreachable):
            return connect(path)  # whoever came before us has started it
        return _start(path)


@contextmanager
def _one_at_a_time(folder: str) -> Iterator[None]:
    """Of many who lost the same daemon one starts another, and the rest find it. Whoever waits for
    too long, or finds no folder to lock, goes on all the same: at most one daemon gets to serve.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        for pause_s in PAUSES_S:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(pause_s)
        yield
    finally:
        os.close(descriptor)


def _start(path: str) -> _socket.socket:
    """One that started may have been told at once to end, as by `serve --replace`: then another is
    started. One that has its lock may not listen yet: it is waited for.
    """
    is_ours = True
    for pause_s in PAUSES_S:
        is_ours = is_ours and _serve(path)
        with suppress(Unreachable):
            return connect(path)
        time.sleep(pause_s)
    return connect(path)


def _serve(path: str) -> bool:
    """Whether a daemon of ours began to serve; else another has, or is about to."""
    # -P: what lies in the working folder is none of our modules.
    command = [sys.executable, "-P", "-m", "admission_client.cli", "serve", "--detach"]
    outside = {name: value for name, value in os.environ.items() if name not in OURS}
    started = subprocess.run(
        [*command, "--socket", path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=outside,
        check=False,
    )
    if started.returncode not in (0, AlreadyServed.exit_status):
        said = started.stderr.strip().rpartition("\n")[2].removeprefix("admission: ")
        raise Unreachable(f"no daemon answers at {path}, and none could be started: {said}")
    return started.returncode == 0
