"""Kernel triggers on pressure (Linux): the machine says by itself that it is time to look.

Source: Documentation/accounting/psi.rst in the kernel's tree.
"""

import os
import select
import sys
from types import TracebackType
from typing import Protocol, Self

import trio

# Whoever lacks CAP_SYS_RESOURCE gets windows that are multiples of 2 s only. The kernel tells at
# most once a window, so this is also how often a wake can come.
WINDOW_US = 2_000_000
# What calls for a look, in microseconds of a window. A fifth of the time waited for CPUs is what a
# burst of work shows at once, and what an idle desktop does not; a machine with memory to spare
# never waits for memory at all.
STALL_US = {"cpu": 400_000, "memory": 100_000}


class NoTriggers(Exception):
    """This machine gives none, and the message says why."""


class Triggers(Protocol):
    """Waits for pressure, again and again."""

    async def wait(self) -> None:
        """Returns when it is time to go and read.

        A wake may be spurious, as one right after the start is, so it says nothing by itself.

        Raises:
            NoTriggers: the kernel has taken them back.
        """

    def close(self) -> None:
        """Lets go of them."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


if sys.platform == "linux":

    class PressureTriggers:
        """One trigger each on the stalls of `STALL_US`, behind one descriptor.

        A trigger's own descriptor always looks readable, and its event is EPOLLPRI alone, for which
        trio can't wait. An epoll that waits for that is itself readable exactly when it has come.
        """

        def __init__(self, proc: str) -> None:
            self._epoll = select.epoll()
            self._triggers: list[int] = []
            try:
                for resource, stall_us in STALL_US.items():
                    self._arm(f"{proc}/pressure/{resource}", stall_us)
            except BaseException:
                self.close()
                raise

        def _arm(self, path: str, stall_us: int) -> None:
            trigger = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            self._triggers.append(trigger)
            # The kernel overwrites the last byte of what it is given: without the NUL that would
            # be a digit of the window.
            os.write(trigger, f"some {stall_us} {WINDOW_US}\0".encode())
            self._epoll.register(trigger, select.EPOLLPRI)

        async def wait(self) -> None:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            # The event itself is used up by now. An error is there to stay and would wake for ever.
            ended = select.EPOLLERR | select.EPOLLHUP
            if any(flags & ended for _, flags in self._epoll.poll(0)):
                raise NoTriggers("the kernel has taken them back")

        def close(self) -> None:
            self._epoll.close()
            while self._triggers:
                os.close(self._triggers.pop())

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()


def open_triggers(proc: str = "/proc") -> Triggers | None:
    """Triggers on the system's CPU and memory stalls; None where the system knows no such thing.

    Raises:
        NoTriggers: it should give some, and does not.
    """
    if sys.platform == "linux":
        try:
            return PressureTriggers(proc)
        except OSError as problem:
            raise NoTriggers(str(problem)) from None
    return None
