"""Starts a daemon where none runs, for the commands that need one."""

import _socket
import os
import subprocess
import sys

from admission.protocol import AlreadyServed, Unreachable
from admission_client.blocking import connect
from admission_client.granted import LEASE_VARIABLE


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
    # -P: what lies in the working folder is none of our modules.
    command = [sys.executable, "-P", "-m", "admission_client.cli", "serve", "--detach"]
    outside = {name: value for name, value in os.environ.items() if name != LEASE_VARIABLE}
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
    return connect(path)
