"""The command `dashboard`: a live page in the browser, served by a process of its own.

It is a client of the daemon's socket like any other: the daemon opens no port for it.
"""

import sys

from admission.protocol import BadConfiguration
from admission_client.options import SOCKET, Option, parse, take_no_words


def dashboard(words: list[str]) -> int:
    """Serves the page until Ctrl-C."""
    options = parse(
        words,
        (
            Option("--port", "port", "where to serve (7411); 0 takes a free one", "N", parse_port),
            Option("--no-open", "no_open", "open no browser"),
            Option("--read-only", "read_only", "nothing can be done from the page"),
            Option("--token-file", "token_file", "keep the page's token here", "FILE"),
            SOCKET,
        ),
        "dashboard [options]",
        "A live page: the level and why, memory and CPU over time, who holds a slot, who waits.\n"
        "It is served to this machine alone, and only to who has the address that is printed.\n"
        "Its /metrics is for Prometheus. Ends with Ctrl-C.",
    )
    take_no_words("dashboard", options)
    try:
        from admission_client.dashboard.serving import serve  # late: an extra brings what it needs
    except ModuleNotFoundError as missing:
        raise BadConfiguration(
            f'dashboard: the page needs {missing.name}: pip install "admission[dashboard]"'
        ) from None
    return serve(options, say)


def parse_port(written: str) -> int:
    """A TCP port, or 0 for any that is free."""
    if written.isascii() and written.isdigit() and int(written) < 1 << 16:
        return int(written)
    raise ValueError(f'"{written}" is no port; write a number from 0 to 65535')


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
