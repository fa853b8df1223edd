"""The signals that a daemon ends or reads its configuration by, and when they reach it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextmanager
def held() -> Iterator[None]:
    """Lets none of them through until `let_through`, so that a daemon that has its lock and does
    not listen to them yet ends tidily all the same, and tells whoever started it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def let_through() -> Iterator[None]:
    """For as long as this lasts, they come; also those that were held."""
    before = signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def forget() -> None:
    """Drops those that are held: what they ask for has been done."""
    for number in SIGNALS:
        if number in signal.sigpending():
            signal.signal(number, signal.signal(number, signal.SIG_IGN))
