"""The terminal: whether it can show a full screen, and that it is as before when this ends."""

import os
import signal
import sys
import termios
from contextlib import suppress

from admission_client.options import WrongUsage
from admission_client.output import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
INSTEAD = '"admission status" and "admission leases" print, and "admission watch" follows the news'


def check_terminal() -> None:
    """Returns where a screen can be shown.

    Raises:
        WrongUsage: it can't; with what to use in its place.
    """
    if not all(os.isatty(number) for number in (0, 1, 2)):
        raise WrongUsage(f"top: it needs a terminal for input and output; {INSTEAD}")
    name = os.environ.get("TERM", "")
    if name in ("", "dumb", "unknown"):
        shown = printable(name) or "not set"
        raise WrongUsage(f"top: this terminal (TERM is {shown}) can show no screen; {INSTEAD}")


def has_colours() -> bool:
    """Whether the terminal shows colours and nobody minds."""
    if os.environ.get("NO_COLOR"):
        return False
    import curses  # only for what the terminal's own description says

    try:
        curses.setupterm()
        return curses.tigetnum("colors") >= 8
    except curses.error:  # not described on this machine: most have them
        return True


def is_unicode() -> bool:
    """Whether what is drawn with arrives."""
    try:
        "▁█…".encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


class Ends:
    """While it is entered, the signals that end a program end this one tidily; the second one
    without waiting for anything, as a terminal that takes nothing holds everything up.
    """

    def __init__(self, end: "Callable[[], None]") -> None:
        self.number = 0
        self._end = end

    def __enter__(self) -> "Ends":
        self._attributes = termios.tcgetattr(0)
        self._before = {number: signal.signal(number, self._on_signal) for number in ENDS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: "FrameType | None") -> None:
        is_second, self.number = bool(self.number), number
        if is_second:
            with suppress(termios.error):
                termios.tcsetattr(0, termios.TCSANOW, self._attributes)
            die_by(number)
        self._end()


def die_by(number: int) -> None:
    """Ends as a program does that leaves this signal alone, so that a calling script sees it."""
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
