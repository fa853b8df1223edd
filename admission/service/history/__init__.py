"""What was learnt: samples, level changes and leases, in an SQLite file of bounded size.

Losing it costs hindsight and never a slot, so nothing here is waited for: the daemon hands rows
over and goes on, and a file that can't be written is a line in `degraded`.

    schema.py     the tables, and how the file is opened for writing
    store.py      writes batches, in one thread
    thinning.py   keeps the file small: a day in full, a month by the minute
    rows.py       rows on their way to it: a queue that never blocks, and how many may come
    recorder.py   the daemon's door, and the thread behind it
    remembering.py  what a daemon that starts is told of it
    reading.py    for everybody else, daemon or no daemon

Instants (`at`, `*_at`) are seconds since 1970 in UTC, durations end in `_s`. A wall clock can be
set to anything, so order is that of the row ids, and `monotonic_s` beside each instant is on the
clock of the daemon's events, which only compares within one boot.
"""

import os
from pathlib import Path


def state_folder() -> Path:
    """Where what was learnt is kept, on every system alike.

    `$XDG_STATE_HOME/admission`, else `~/.local/state/admission`. The variable counts only if it is
    absolute, as its specification says.
    """
    given = os.environ.get("XDG_STATE_HOME", "")
    home = given if os.path.isabs(given) else os.path.expanduser("~/.local/state")
    return Path(home) / "admission"


def history_path() -> Path:
    """The file that the daemon writes unless it is told otherwise."""
    return state_folder() / "history.db"
