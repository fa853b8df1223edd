"""What a history says of each hour and of each task: what the daemon builds its profiles and its
estimates anew from at its start.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby
from math import floor
from pathlib import Path
from typing import Any

from admission.core.estimates import Ended, Recalled, Run
from admission.core.foresight import Remembered
from admission.core.profile import Hour, hour_of
from admission.service.history.schema import RUN_COLUMNS
from admission.service.local_hours import local_hours

# An hour of which fewer minutes were seen says little of it.
MINUTES_MIN = 24
# So much of CPU counts in any case, and what is above as far as tasks waited: as the governor
# has it, which see.
_CPU = "min(cpu_used_pct, :unstalled + coalesce(cpu_stall_pct, 100))"
_MINUTES = f"""SELECT minute, memory_used_pct, {_CPU} FROM (
    SELECT minute, memory_used_pct, cpu_used_pct, cpu_stall_pct FROM minutes
    UNION ALL
    SELECT CAST(at / 60 AS INTEGER) AS minute, avg(memory_used_pct), avg(cpu_used_pct),
        avg(cpu_stall_pct) FROM samples GROUP BY 1)
    ORDER BY minute"""
# Of each task of each user, so many of the last runs; and of all of them, so many.
RUNS_OF_A_TASK = 30
RUNS_MAX = 10_000
_RUNS = f"""SELECT {", ".join(RUN_COLUMNS)} FROM (
    SELECT *, row_number() OVER (PARTITION BY uid, task ORDER BY id DESC) AS nth
    FROM (SELECT * FROM runs ORDER BY id DESC LIMIT {RUNS_MAX}))
    WHERE nth <= {RUNS_OF_A_TASK} ORDER BY id"""
# What each column holds in a file that is sound.
_KINDS = tuple(
    str if name in ("task", "agent", "workspace", "ended") else int | float for name in RUN_COLUMNS
)

Minute = tuple[int, float | None, float | None]


def remembered(path: Path, cpu_unstalled_pct: float) -> Remembered:
    """The hours of this history, oldest first. Reads all of it: not for the event loop.

    Raises:
        sqlite3.Error: it can't be read.
    """
    with closing(_open(path)) as connection:
        if not _has(connection, "minutes", "samples"):
            return Remembered((), ())
        rows = connection.execute(_MINUTES, {"unstalled": cpu_unstalled_pct})
        return hours_of(row for row in rows if not any(isinstance(one, str | bytes) for one in row))


def recalled(path: Path) -> Recalled:
    """The last runs of each task in this history, oldest first. Not for the event loop.

    Raises:
        sqlite3.Error: it can't be read.
    """
    with closing(_open(path)) as connection:
        if not _has(connection, "runs"):
            return Recalled(())
        found = [run for row in connection.execute(_RUNS) if (run := _run_of(row)) is not None]
    return Recalled(tuple(found))


def _run_of(row: tuple[object, ...]) -> Run | None:
    """None where it holds what no daemon has written."""
    if not all(isinstance(one, kind) for one, kind in zip(row, _KINDS, strict=True)):
        return None
    named: dict[str, Any] = dict(zip(RUN_COLUMNS, row, strict=True))
    try:
        return Run(**{**named, "ended": Ended(named["ended"])})
    except ValueError:
        return None


def _has(connection: sqlite3.Connection, *tables: str) -> bool:
    """Whether it has these: an earlier version made fewer, and a daemon that was killed in its
    first moment none.
    """
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    return names.issuperset(tables)


def _open(path: Path) -> sqlite3.Connection:
    # Written to only to undo what a daemon had begun that was killed; a file that is missing is not
    # made, and one that may not be written is read all the same.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)


def hours_of(minutes: Iterable[Minute]) -> Remembered:
    """The hours of these minutes (since 1970, memory, CPU), each in its place on the wall clock."""
    memory: list[Hour] = []
    cpu: list[Hour] = []
    for number, group in groupby(_placed(minutes), lambda one: one[0]):
        rows = [(memory_pct, cpu_pct) for _, memory_pct, cpu_pct in group]
        for hours, column in ((memory, 0), (cpu, 1)):
            known_pct = [pct for row in rows if (pct := row[column]) is not None]
            if len(known_pct) >= MINUTES_MIN:
                hours.append(hour_of(number, known_pct))
    return Remembered(tuple(memory), tuple(cpu))


def _placed(minutes: Iterable[Minute]) -> Iterator[Minute]:
    """With the hour in the place of the minute. Offsets from UTC are whole quarters of an hour, so
    that the time zone is asked once for each, and not for forty thousand minutes.
    """
    for quarter, group in groupby(minutes, lambda one: one[0] // 15):
        number = floor(local_hours(quarter * 900.0))
        for _, memory_pct, cpu_pct in group:
            yield number, memory_pct, cpu_pct
