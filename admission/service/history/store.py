"""Writes batches of rows, each in one transaction. Belongs to the thread that opened it."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from admission.service.history.schema import RUN_COLUMNS, SAMPLE_COLUMNS, connect, transaction
from admission.service.history.thinning import Keep, thin

# A statement and what fills it, less the boot's number, which is always its first.
Row = tuple[str, tuple[object, ...]]

_columns = ("boot", "at", "monotonic_s", "level", "in_use", "waiting", *SAMPLE_COLUMNS)
INSERT_SAMPLE = (
    f"INSERT INTO samples ({', '.join(_columns)}) VALUES ({', '.join('?' * len(_columns))})"
)
INSERT_LEVEL = (
    "INSERT INTO levels (boot, at, monotonic_s, level, by_hand, reasons) VALUES (?, ?, ?, ?, ?, ?)"
)
# Written once when granted and once when ended, whole both times: neither needs the other.
UPSERT_LEASE = """INSERT INTO leases
    (boot, lease, granted_monotonic_s, pool, task, class, "group", pid, weight, queued_at,
     granted_at, waited_s, ended_at, held_s, reason)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (boot, lease, granted_monotonic_s) DO UPDATE SET
    ended_at = excluded.ended_at, held_s = excluded.held_s, reason = excluded.reason
    WHERE ended_at IS NULL"""
_run_columns = ("boot", "daemon_monotonic_s", "lease", "at", *RUN_COLUMNS)
# A later one says more of the same run; when it was, the first one said.
UPSERT_RUN = f"""INSERT INTO runs ({", ".join(_run_columns)})
    VALUES ({", ".join("?" * len(_run_columns))})
    ON CONFLICT (boot, daemon_monotonic_s, lease) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in RUN_COLUMNS)}"""


class Store:
    """The open file. Its methods raise sqlite3.Error.

    Args:
        path: the file.
        boot: names the boot of the machine within which `monotonic_s` can be compared.
        keep: how much to keep.
    """

    def __init__(self, path: Path, boot: str, keep: Keep) -> None:
        self.path = path
        self._keep = keep
        self._connection = connect(path)
        try:
            self._inode = path.stat().st_ino
            self._boot = self._number_of(boot)
        except BaseException:
            self._connection.close()
            raise

    def _number_of(self, boot: str) -> int:
        find = self._connection.execute
        with transaction(self._connection):
            find("INSERT INTO boots (boot) VALUES (?) ON CONFLICT DO NOTHING", (boot,))
            number: int = find("SELECT id FROM boots WHERE boot = ?", (boot,)).fetchone()[0]
        return number

    @property
    def is_in_place(self) -> bool:
        """Whether readers find the file that is written: nobody removed it or set it aside."""
        try:
            return os.stat(self.path).st_ino == self._inode
        except OSError:
            return False

    def write(self, rows: Sequence[Row]) -> None:
        """All of these rows, or none."""
        by_statement: dict[str, dict[object, tuple[object, ...]]] = {}
        for number, (statement, values) in enumerate(rows):
            # A lease is written whole each time, so of several only the last one counts.
            key = values[:2] if statement == UPSERT_LEASE else number
            by_statement.setdefault(statement, {})[key] = (self._boot, *values)
        with transaction(self._connection):
            for statement, several in by_statement.items():
                self._connection.executemany(statement, several.values())

    def thin(self, now: float) -> bool:
        """One small step towards the size to keep; whether there is more to be done.

        `now`: seconds since 1970.
        """
        with transaction(self._connection):
            return thin(self._connection, self._keep, now)

    def close(self) -> None:
        with suppress(sqlite3.Error):  # a checkpoint on a full disk; the log keeps it
            self._connection.close()
