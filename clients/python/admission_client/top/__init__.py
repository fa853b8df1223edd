"""The command `top`: the level, the leases and the queue on the whole screen, live.

terminal.py   whether there is one that can show it, and that it is as before at the end
news.py       keeps the scene as the daemon has it; past.py: what was before
scene.py      what is shown, in which order: no terminal, no socket
columns.py    the tables' columns; picture.py all else; letters.py, readings.py: parts of it
app.py        the screen and its keys, by textual; dialogs.py
"""

from admission.protocol import BadConfiguration, socket_path
from admission_client.blocking import Client
from admission_client.durations import parse_duration
from admission_client.options import SOCKET, Option, WrongUsage, parse, take_no_words

INTERVAL_MIN_S, INTERVAL_MAX_S = 0.1, 3600.0


def top(words: list[str]) -> int:
    """Shows it until `q`."""
    options = parse(
        words,
        (
            Option(
                "-d --interval",
                "interval_s",
                "draw at most so often (1s)",
                "DURATION",
                parse_duration,
            ),
            Option("--ascii", "is_ascii", "draw with plain characters"),
            SOCKET,
        ),
        "top [options]",
        "The throttle level and why, the machine over the last minutes, the leases and the queue,\n"
        "live. The keys sort, filter, release, cancel, move, pause, and set the level; ? lists\n"
        "them. It starts no daemon.",
    )
    take_no_words("top", options)
    if not INTERVAL_MIN_S <= options.interval_s <= INTERVAL_MAX_S:
        raise WrongUsage("top: --interval is from 100ms to 1h")
    # Late, as all that is only of use on a terminal.
    from admission_client.top.terminal import check_terminal

    check_terminal()
    try:
        from admission_client.top import app
    except ModuleNotFoundError as problem:
        if (problem.name or "").split(".")[0] not in ("textual", "rich"):
            raise
        raise BadConfiguration(
            'top: it needs the package textual: pip install "admission[tui]"; "admission status", '
            '"admission leases" and "admission watch" do without'
        ) from None
    path = socket_path(options.socket)
    with Client(path) as client:
        status = client.ask("status")
    return app.show(path, status, options.interval_s, is_ascii=options.is_ascii)
