"""What a history says of each hour: what the daemon's profiles are built anew from at its start."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import groupby
from math import floor
from pathlib import Path

from admission.core.foresight import Remembered
from admission.core.profile import Hour, hour_of
from admission.service.local_hours import local_hours

# An hour of which fewer minutes were seen says little of it.
MINUTES_MIN = 24
# So much of CPU counts in any case, and what is above as far as tasks waited: as the governor
# has it, which see.
_CPU = "min(cpu_used_pct, :unstalled + coalesce(cpu_stall_pct, 100))"
# The first daemon of all may have been killed before it had made the tables.
_TABLES = "SELECT count(*) FROM sqlite_master WHERE name IN ('minutes', 'samples')"
_MINUTES = f"""SELECT minute, memory_used_pct, {_CPU} FROM (
    SELECT minute, memory_used_pct, cpu_used_pct, cpu_stall_pct FROM minutes
    UNION ALL
    SELECT CAST(at / 60 AS INTEGER) AS minute, avg(memory_used_pct), avg(cpu_used_pct),
        avg(cpu_stall_pct) FROM samples GROUP BY 1)
    ORDER BY minute"""

Minute = tuple[int, float | None, float | None]


def remembered(path: Path, cpu_unstalled_pct: float) -> Remembered:
    """The hours of this history, oldest first. Reads all of it: not for the event loop.

    Raises:
        sqlite3.Error: it can't be read.
    """
    uri = path.absolute().as_uri()
    with closing(sqlite3.connect(f"{uri}?mode=ro", uri=True)) as connection:
        if connection.execute(_TABLES).fetchone() != (2,):
            return Remembered((), ())
        rows = connection.execute(_MINUTES, {"unstalled": cpu_unstalled_pct})
        return hours_of(row for row in rows if not any(isinstance(one, str | bytes) for one in row))


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
