"""Reads a history, whether or not a daemon runs. Opens it read-only and changes no row."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from admission.core.sample import Sample
from admission.protocol import Unavailable
from admission.service.history.schema import BUSY_S, SAMPLE_COLUMNS

# Read at once; between two pages the writer may cut its log back.
PAGE_ROWS = 2_000


@dataclass(frozen=True, slots=True)
class Recorded:
    """One sample at full resolution. Within a `boot`, `sample.at` never goes back."""

    at: float
    boot: int
    level: int | None
    in_use: int | None
    waiting: int | None
    sample: Sample


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was seen within an interval from `at` on: means, and maxima (`_max`).

    `level` and `waiting` are the highest; None stands for what no sample of the interval had.
    """

    at: float
    samples: int
    memory_used_pct: float | None
    memory_used_pct_max: float | None
    cpu_used_pct: float | None
    cpu_used_pct_max: float | None
    in_use: float | None
    in_use_max: int | None
    waiting: int | None
    level: int | None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the throttle level; `by_hand`: somebody set it."""

    at: float
    level: int
    by_hand: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A lease. `ended_at`, `held_s` and `reason` are None where no end was seen."""

    lease: int
    pool: str
    task: str
    class_: str
    group: str
    pid: int
    weight: int
    queued_at: float
    granted_at: float
    waited_s: float
    ended_at: float | None
    held_s: float | None
    reason: str | None


_PAGE = f"""SELECT id, at, boot, level, in_use, waiting, monotonic_s, {", ".join(SAMPLE_COLUMNS)}
    FROM samples WHERE id > ? AND at >= ? ORDER BY id LIMIT {PAGE_ROWS}"""
_MEANS = ("memory_used_pct", "cpu_used_pct", "in_use")
# `1.0 *`, as SQLite divides whole numbers to whole ones.
_SERIES = f"""SELECT CAST((at - :since) / :step AS INTEGER), sum(n),
    {", ".join(f"1.0 * sum({m} * n) / sum(n * ({m} IS NOT NULL)), max({m}_max)" for m in _MEANS)},
    max(waiting), max(level)
    FROM (
        SELECT at, 1 AS n, {", ".join(f"{m}, {m} AS {m}_max" for m in _MEANS)}, waiting, level
        FROM samples WHERE at >= :since AND at < :until
        UNION ALL
        SELECT minute * 60 + 30 AS at, n, {", ".join(f"{m}, {m}_max" for m in _MEANS)},
            waiting_max, level_max
        FROM minutes WHERE minute * 60 + 30 >= :since AND minute * 60 + 30 < :until)
    GROUP BY 1 ORDER BY 1"""
_CHANGES = "SELECT at, level, by_hand, reasons FROM levels WHERE at >= ? ORDER BY id"
_LEASES = """SELECT lease, pool, task, class, "group", pid, weight, queued_at, granted_at, waited_s,
    ended_at, held_s, reason FROM leases WHERE coalesce(ended_at, granted_at) >= ? ORDER BY id"""
_ENDS = """SELECT min(at), max(at) FROM (
    SELECT at FROM samples UNION ALL SELECT minute * 60 + 30 FROM minutes
    UNION ALL SELECT at FROM levels UNION ALL SELECT granted_at FROM leases)"""


def read_samples(path: Path, since: float) -> Iterator[Recorded]:
    """The samples that are kept in full, from `since` (seconds since 1970) on, as they came.

    Raises:
        Unavailable: there is no history, or it can't be read. Likewise below.
    """
    last = 0
    while True:
        with reading(path) as connection:
            rows = connection.execute(_PAGE, (last, since)).fetchall()
        for number, at, boot, level, in_use, waiting, monotonic_s, *figures in rows:
            last = number
            # Without its check sums, SQLite can't see every flipped bit: a number may be text.
            if not any(isinstance(value, str | bytes) for value in (at, monotonic_s, *figures)):
                named = dict(zip(SAMPLE_COLUMNS, figures, strict=True))
                yield Recorded(at, boot, level, in_use, waiting, Sample(monotonic_s, **named))
        if len(rows) < PAGE_ROWS:
            return


def series(path: Path, since: float, until: float, points: int) -> list[Bucket]:
    """What was seen between two instants, as at most so many intervals of equal length, oldest
    first. One in which nothing was seen is left out. Samples in full and minutes count alike.
    """
    step_s = (until - since) / points
    with reading(path) as connection:
        rows = connection.execute(_SERIES, {"since": since, "until": until, "step": step_s})
        return [Bucket(since + index * step_s, *row) for index, *row in rows]


def level_changes(path: Path, since: float) -> list[Change]:
    """The changes of the level, in the order in which they came."""
    with reading(path) as connection:
        rows = connection.execute(_CHANGES, (since,)).fetchall()
    return [Change(at, level, bool(hand), _words(reasons)) for at, level, hand, reasons in rows]


def leases(path: Path, since: float) -> list[Held]:
    """The leases that ended since then, or were granted and have not; in order of their grants."""
    with reading(path) as connection:
        return [Held(*row) for row in connection.execute(_LEASES, (since,))]


def ends(path: Path) -> tuple[float, float] | None:
    """When the oldest and the newest of it all were seen; None of an empty history."""
    with reading(path) as connection:
        oldest, newest = connection.execute(_ENDS).fetchone()
    return None if oldest is None else (oldest, newest)


def _words(written: str) -> tuple[str, ...]:
    try:
        return tuple(str(one) for one in json.loads(written))
    except (ValueError, TypeError):  # damaged: shown as it stands
        return (str(written),)


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The file, open to be read.

    Raises:
        Unavailable: see above; also what comes of reading it.
    """
    if not path.exists():
        raise _missing(path)
    try:
        with closing(_open(path)) as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            if not connection.execute("PRAGMA user_version").fetchone()[0]:
                raise _missing(path)  # it is being made
            yield connection
    except sqlite3.Error as problem:
        raise Unavailable(
            f"the history {path} can't be read: {problem}; a daemon that starts makes a new one "
            "if it is damaged",
            "history_unavailable",
        ) from None


def _open(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri()  # which quotes `?`, `#` and `%`
    connection = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=BUSY_S)
    try:
        connection.execute("SELECT 1 FROM sqlite_master")
    except sqlite3.OperationalError:
        connection.close()
        if Path(f"{path}-wal").exists():
            raise
        # Where no file can be made beside it, as in a copy on a read-only disk.
        connection = sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True)
    return connection


def _missing(path: Path) -> Unavailable:
    return Unavailable(
        f"there is no history at {path} yet; the daemon writes it while it runs",
        "history_unavailable",
    )
