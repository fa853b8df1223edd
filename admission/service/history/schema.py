"""The tables, and how the file is opened for writing: made, checked, migrated, or set aside."""

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# How long a statement waits for another process's lock. In the history's own thread it may.
BUSY_S = 5.0
# SQLite would keep 2 MB of the file, all of it from the first look on: as much as a tenth of the
# daemon. Rows are added at the end, and what is read again the system has in memory anyway.
CACHE_KIB = 256
# The write-ahead log is cut back to this after a checkpoint.
WAL_BYTES_MAX = 4 << 20
# Files set aside beside the history; a disk that breaks each new one must not be filled as well.
BROKEN_FILES_MAX = 3

# The columns of `samples` that a Sample fills; all of it but `failed`, which is words.
SAMPLE_COLUMNS = (
    "memory_used_pct",
    "cpu_used_pct",
    "memory_total_bytes",
    "memory_available_bytes",
    "swap_used_pct",
    "load_1min",
    "cpus",
    "cpu_stall_pct",
    "memory_stall_pct",
    "io_stall_pct",
    "memory_pressure",
    "claude_processes",
    "node_processes",
    "foreign_agents",
)
# What `minutes` keeps of them, as a mean (its name) and a maximum (`_max`).
FIGURES = (
    "memory_used_pct",
    "cpu_used_pct",
    "level",
    "in_use",
    "waiting",
    "swap_used_pct",
    "load_1min",
    "cpu_stall_pct",
    "memory_stall_pct",
    "io_stall_pct",
    "claude_processes",
    "node_processes",
    "foreign_agents",
)
# The columns of `runs` that a Run fills: its fields, by their names.
RUN_COLUMNS = (
    "task",
    "agent",
    "workspace",
    "uid",
    "mean_bytes",
    "peak_bytes",
    "cpu_s",
    "lasted_s",
    "io_bytes",
    "processes_max",
    "ended",
)
_WHOLE = ("level", "in_use", "waiting", "claude_processes", "node_processes", "foreign_agents")
_FIGURE_COLUMNS = ", ".join(
    f"{name} REAL, {name}_max {'INTEGER' if name in _WHOLE else 'REAL'}" for name in FIGURES
)

# One entry a version: the statements that lead to it from the one before. Never edited once
# released; a new entry is added. Plain tables (no STRICT) for the SQLite of older systems.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE boots (id INTEGER PRIMARY KEY, boot TEXT NOT NULL UNIQUE)",
        """CREATE TABLE samples (
            id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at REAL NOT NULL,
            monotonic_s REAL NOT NULL, level INTEGER, in_use INTEGER, waiting INTEGER,
            memory_used_pct REAL, cpu_used_pct REAL,
            memory_total_bytes INTEGER, memory_available_bytes INTEGER,
            swap_used_pct REAL, load_1min REAL, cpus REAL,
            cpu_stall_pct REAL, memory_stall_pct REAL, io_stall_pct REAL,
            memory_pressure INTEGER, claude_processes INTEGER, node_processes INTEGER,
            foreign_agents INTEGER)""",
        "CREATE INDEX samples_at ON samples (at)",
        f"CREATE TABLE minutes (minute INTEGER PRIMARY KEY, n INTEGER NOT NULL, {_FIGURE_COLUMNS})",
        """CREATE TABLE levels (
            id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, at REAL NOT NULL,
            monotonic_s REAL NOT NULL, level INTEGER NOT NULL, by_hand INTEGER NOT NULL,
            reasons TEXT NOT NULL)""",
        # A lease's number starts anew where a journal was lost, so its grant's instant names it.
        """CREATE TABLE leases (
            id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, lease INTEGER NOT NULL,
            granted_monotonic_s REAL NOT NULL, pool TEXT NOT NULL, task TEXT NOT NULL,
            class TEXT NOT NULL, "group" TEXT NOT NULL, pid INTEGER NOT NULL,
            weight INTEGER NOT NULL, queued_at REAL NOT NULL, granted_at REAL NOT NULL,
            waited_s REAL NOT NULL, ended_at REAL, held_s REAL, reason TEXT,
            UNIQUE (boot, lease, granted_monotonic_s))""",
    ),
    (
        # What each lease's processes took. It is told of again where more is known of its end, by
        # the same daemon: so that one's start and the lease's number name it.
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY, boot INTEGER NOT NULL, daemon_monotonic_s REAL NOT NULL,
            lease INTEGER NOT NULL, at REAL NOT NULL, uid INTEGER NOT NULL, task TEXT NOT NULL,
            agent TEXT NOT NULL, workspace TEXT NOT NULL, mean_bytes INTEGER NOT NULL,
            peak_bytes INTEGER NOT NULL, cpu_s REAL NOT NULL, lasted_s REAL NOT NULL,
            io_bytes INTEGER NOT NULL, processes_max INTEGER NOT NULL, ended TEXT NOT NULL,
            UNIQUE (boot, daemon_monotonic_s, lease))""",
    ),
)
VERSION = len(MIGRATIONS)
# Asked of a file that is opened: where one of them fails, the file is no history.
_PROBES = (
    f"SELECT boot, at, monotonic_s, level, in_use, waiting, {', '.join(SAMPLE_COLUMNS)} "
    "FROM samples LIMIT 0",
    f"SELECT minute, n, {', '.join(f'{name}, {name}_max' for name in FIGURES)} "
    "FROM minutes LIMIT 0",
    "SELECT boot, at, monotonic_s, level, by_hand, reasons FROM levels LIMIT 0",
    "SELECT boot, lease, granted_monotonic_s, held_s, reason FROM leases LIMIT 0",
    f"SELECT boot, daemon_monotonic_s, lease, at, {', '.join(RUN_COLUMNS)} FROM runs LIMIT 0",
)


class Damaged(Exception):
    """The file is no history, or no longer one."""


class Newer(Exception):
    """A later version of this program wrote the file, and may want it back as it is."""


def is_damage(problem: Exception) -> bool:
    """Whether the file is to blame. Not so for a lock, a full disk or a missing permission."""
    if isinstance(problem, Damaged):
        return True
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
    # SQLITE_ERROR is "no such table": the statements are right, so the file is another's.
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def connect(path: Path) -> sqlite3.Connection:
    """The file, open for writing and sound; made where there is none.

    Raises:
        Damaged: what lies there is no sound history.
        Newer: it is a later version's.
        OSError, sqlite3.Error: it can't be had: no permission, no room, locked for too long.
    """
    _make_private(path)
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    try:
        # Where the file system has no shared memory (some network ones), SQLite stays with its
        # rollback journal, which is slower and as safe.
        connection.execute("PRAGMA journal_mode = WAL")
        # A batch may be lost with the machine's power, and never the file.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_MAX}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        _migrate(connection)
        _check(connection)
    except Exception as problem:
        connection.close()
        if is_damage(problem):
            raise Damaged(str(problem)) from None
        raise
    return connection


def _make_private(path: Path) -> None:
    """SQLite gives its other files (-wal, -shm) the mode that the first one has."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(f"{path} is a link or no file")


def _migrate(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise Newer(f"it has format {version}, and this version writes {VERSION}")
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        if version < VERSION:
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if verdict != "ok":
        raise Damaged(str(verdict))
    for probe in _PROBES:
        connection.execute(probe)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or none. Takes the lock at once, as one who reads first may find it taken."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After a full disk SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def set_aside(path: Path) -> Path:
    """Moves a damaged history, with its log, out of the way; its new name.

    Whoever has it open still writes to what was moved, and finds that out (`Store.is_in_place`).

    Raises:
        OSError: it can't be moved.
    """
    name = f"{path.name}.broken-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    aside = path.with_name(name)
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{name}-{number}")
    # The log first: left behind, it would be taken for that of the next file.
    for suffix in ("-wal", "-shm", ""):
        with suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{aside}{suffix}")
    _forget_old_ones(path)
    return aside


def _forget_old_ones(path: Path) -> None:
    found = [
        one
        for one in path.parent.iterdir()
        if one.name.startswith(f"{path.name}.broken-") and not one.name.endswith(("-wal", "-shm"))
    ]
    for old in sorted(found, key=lambda one: one.stat().st_mtime)[:-BROKEN_FILES_MAX]:
        for suffix in ("", "-wal", "-shm"):
            Path(f"{old}{suffix}").unlink(missing_ok=True)
