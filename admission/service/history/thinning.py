"""Keeps the history small: samples in full for a day, by the minute for a month, then gone.

In steps of a few hundred rows. So a step is short, a pile of old samples (the daemon was away for
a week) hinders nobody, and a wall clock that is wrong for a minute costs a minute's steps and not
the whole history.
"""

import sqlite3
from dataclasses import dataclass

from admission.service.history.schema import FIGURES

DAY_S = 86_400.0
# One step takes this many minutes of samples: 900 of them at one every 2 s.
STEP_MINUTES = 30
# And looks at this many of the oldest leases, runs and changes of level.
STEP_RECORDS = 500


@dataclass(frozen=True, slots=True)
class Keep:
    """How much is kept. The ages, in seconds, are what is wanted; the counts of rows, the oldest
    going first, hold whatever the clock says and however fast samples come.

    Attributes:
        samples_s: samples in full; afterwards a mean and a maximum per minute.
        minutes_s: those.
        records_s: level changes, leases and runs.
        samples_max: a day at one sample every 0.9 s.
        minutes_max: a month and four days.
        records_max: of each of these.
    """

    samples_s: float = DAY_S
    minutes_s: float = 30 * DAY_S
    records_s: float = 30 * DAY_S
    samples_max: int = 100_000
    minutes_max: int = 50_000
    records_max: int = 200_000


_old = "(at < :upto OR id <= :id_max)"
_names = ", ".join(f"{name}, {name}_max" for name in FIGURES)
_means = ", ".join(f"avg({name}), max({name})" for name in FIGURES)
# A minute that is there already came from an earlier step, or the clock went back over it.
_merged = ", ".join(
    f"{name} = coalesce(({name} * n + excluded.{name} * excluded.n) / (n + excluded.n), "
    f"{name}, excluded.{name}), "
    f"{name}_max = coalesce(max({name}_max, excluded.{name}_max), "
    f"{name}_max, excluded.{name}_max)"
    for name in FIGURES
)
_GATHER = f"""INSERT INTO minutes (minute, n, {_names})
    SELECT CAST(at / 60 AS INTEGER), count(*), {_means} FROM samples WHERE {_old} GROUP BY 1
    ON CONFLICT (minute) DO UPDATE SET {_merged}, n = n + excluded.n"""
_DROP_SAMPLES = f"DELETE FROM samples WHERE {_old}"
_DROP_OLD_MINUTES = "DELETE FROM minutes WHERE minute < ?"
_DROP_SURPLUS_MINUTES = """DELETE FROM minutes WHERE minute <= (
    SELECT minute FROM minutes ORDER BY minute DESC LIMIT 1 OFFSET ?)"""
# Only the first few are looked at: where the oldest is young enough, so are the others.
_DROP_RECORDS = f"""DELETE FROM {{table}}
    WHERE id IN (SELECT id FROM {{table}} ORDER BY id LIMIT {STEP_RECORDS}) AND {{at}} < :before
    OR id <= (SELECT max(id) FROM {{table}}) - :most"""
_DROP_LEVELS = _DROP_RECORDS.format(table="levels", at="at")
# One that is out for longer than that is written anew, and whole, when it ends.
_DROP_LEASES = _DROP_RECORDS.format(table="leases", at="coalesce(ended_at, granted_at)")

_DROP_RUNS = _DROP_RECORDS.format(table="runs", at="at")


def thin(connection: sqlite3.Connection, keep: Keep, now: float) -> bool:
    """One step, within the caller's transaction; whether there is more to be done.

    `now`: seconds since 1970.
    """
    is_behind = _thin_samples(connection, keep, now)
    _thin_minutes(connection, keep, now)
    records = {"before": now - keep.records_s, "most": keep.records_max}
    connection.execute(_DROP_LEVELS, records)
    connection.execute(_DROP_LEASES, records)
    connection.execute(_DROP_RUNS, records)
    return is_behind


def _thin_samples(connection: sqlite3.Connection, keep: Keep, now: float) -> bool:
    """Whole minutes only: half a one would be merged by guess."""
    oldest, id_last = connection.execute("SELECT min(at), max(id) FROM samples").fetchone()
    if oldest is None:
        return False
    due_at = (now - keep.samples_s) // 60 * 60
    upto: float = min(due_at, (oldest // 60 + STEP_MINUTES) * 60)
    bounds = {"upto": upto, "id_max": id_last - keep.samples_max}
    connection.execute(_GATHER, bounds)
    connection.execute(_DROP_SAMPLES, bounds)
    return upto < due_at


def _thin_minutes(connection: sqlite3.Connection, keep: Keep, now: float) -> None:
    connection.execute(_DROP_OLD_MINUTES, ((now - keep.minutes_s) // 60,))
    first, last = connection.execute("SELECT min(minute), max(minute) FROM minutes").fetchone()
    if first is not None and last - first >= keep.minutes_max:  # else there can't be too many
        connection.execute(_DROP_SURPLUS_MINUTES, (keep.minutes_max,))
