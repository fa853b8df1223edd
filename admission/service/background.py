"""Goes to the background once it serves, so that whoever started it knows that it does."""

import os
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from admission.protocol import AdmissionError, AlreadyServed, Unreachable, error_for
from admission.service.place import open_own

READY = b"ready"
SAID_BYTES_MAX = 4096
LOG_BYTES_MAX = 1 << 20


def serve_in_background(log: Path, serve: Callable[[Callable[[], None]], None]) -> None:
    """Runs `serve` in a process of its own, and returns when it has said that it is ready.

    The process belongs to no terminal and no session, and writes what it says to `log`.

    Args:
        log: is set aside first where it has grown past 1 MiB.
        serve: gets what it is to call when it is ready. To be called before any thread or event
            loop is started, as it forks.

    Raises:
        AdmissionError: what `serve` raised before it was ready, or that it ended without a word.
        AlreadyServed: it was told to end first, as one is that makes way for another.
    """
    listening, speaking = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(listening)
        _serve_and_exit(log, serve, speaking)
    os.close(speaking)
    with os.fdopen(listening, "rb") as pipe:
        said = pipe.read(SAID_BYTES_MAX)
    if said == READY:
        return
    if said:
        code, _, message = said.decode(errors="replace").partition(" ")
        raise error_for(code, message)
    _, status = os.waitpid(child, 0)
    if status == 0:
        raise AlreadyServed("the daemon was told to end before it served")
    raise Unreachable(f"the daemon ended before it served; {log} says why")


def _serve_and_exit(
    log: Path, serve: Callable[[Callable[[], None]], None], speaking: int
) -> NoReturn:
    """The child's whole life. It leaves by `os._exit`: what its parent tidies is not its own."""

    def say(words: bytes) -> None:
        with suppress(OSError):  # whoever started us may be gone, and others want to be served
            os.write(speaking, words[:SAID_BYTES_MAX])
        os.close(speaking)

    status = 1
    try:
        os.setsid()
        os.chdir("/")
        _redirect(log)
        serve(lambda: say(READY))
        status = 0
    except AdmissionError as problem:
        say(f"{problem.code} {problem}".encode())
    except BaseException:
        traceback.print_exc()  # a bug: to the log, with all that is known
        raise
    finally:
        os._exit(status)


def _redirect(log: Path) -> None:
    """Standard input from nowhere; output and errors to the log."""
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_suffix(".log-old"))
    nowhere, file = os.open(os.devnull, os.O_RDONLY), open_own(log, os.O_WRONLY | os.O_APPEND)
    for source, target in ((nowhere, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    os.close(nowhere)
    os.close(file)
