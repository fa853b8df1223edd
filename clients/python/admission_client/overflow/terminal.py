"""Our terminal, while it is that of a command on another node."""

import os
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager


def size() -> tuple[int, int]:
    """Rows and columns; what is usual where nobody says so."""
    try:
        found = os.get_terminal_size(0)
    except OSError:
        return 24, 80
    return found.lines or 24, found.columns or 80


@contextmanager
def raw() -> Iterator[None]:
    """Every key goes to the other side as it is; afterwards all is as it was."""
    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
