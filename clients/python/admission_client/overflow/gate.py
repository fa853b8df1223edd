"""The gate that a command waits at which runs for another node: admitted, and not yet begun.

So the other side can still decide that the work runs elsewhere, and nothing is run twice.
"""

import fcntl
import os
import sys
import termios

GO = b"1"
NEVER_BEGAN = 75


def wait_for_go(descriptor: int) -> None:
    """Returns when the other side says so, and ends the process, and its lease, where it is gone.

    A terminal that the command was given becomes its controlling one.
    """
    said = os.read(descriptor, 1)
    os.close(descriptor)
    if said != GO:
        sys.exit(NEVER_BEGAN)
    if os.isatty(0):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
