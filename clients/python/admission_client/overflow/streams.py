"""Our own standard streams, which others have as well: so none of them is made non-blocking."""

import os
import select

import trio

from admission_client.overflow.line import CHUNK_BYTES

# A pipe that takes anything at all takes so much (PIPE_BUF), whatever else is in it.
WRITE_BYTES = 4096
LOOK_S = 0.5


async def read_here(descriptor: int) -> bytes:
    """What comes next; empty at the end."""
    while True:
        # Who reads a terminal from the background is stopped, and the work needs nothing of it.
        while not _is_in_front(descriptor):  # noqa: ASYNC110 -- of that there is no news
            await trio.sleep(LOOK_S)
        await _ready(trio.lowlevel.wait_readable, descriptor)
        try:
            # Another one who reads the same may have been quicker.
            if select.select([descriptor], [], [], 0)[0]:
                return os.read(descriptor, CHUNK_BYTES)
        except (OSError, ValueError):  # closed, or a terminal that is gone
            return b""


async def write_here(descriptor: int, data: bytes) -> bool:
    """Writes all of it; False where nobody wants it."""
    while data:
        await _ready(trio.lowlevel.wait_writable, descriptor)
        try:
            data = data[os.write(descriptor, data[:WRITE_BYTES]) :]
        except BlockingIOError:
            await trio.sleep(0.01)  # somebody else made it non-blocking
        except OSError:
            return False
    return True


async def _ready(wait: "Wait", descriptor: int) -> None:
    try:
        await wait(descriptor)
    except OSError:  # a file is always ready, and can't be waited for
        await trio.lowlevel.checkpoint()


def _is_in_front(descriptor: int) -> bool:
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # no terminal of ours
        return True


TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Wait = Callable[[int], Awaitable[None]]
