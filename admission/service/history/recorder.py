"""The daemon's door to the history: a queue that never blocks, and the one thread that writes.

A thread of its own, and not one of trio's: a write may take seconds (a slow disk, another
process's lock), an SQLite connection wants to stay in the thread that opened it, and a thread that
hangs must not keep the daemon from ending, which waits for those of trio's pool.
"""

import json
import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TypeVar

import trio

from admission.core import events as ev
from admission.core.estimates import Learnt, Recalled
from admission.core.foresight import Remembered
from admission.core.leases import Lease
from admission.core.sample import Sample
from admission.service.history import store as sql
from admission.service.history.remembering import recalled, remembered
from admission.service.history.rows import Allowance, Queue
from admission.service.history.schema import RUN_COLUMNS, SAMPLE_COLUMNS, Damaged, set_aside
from admission.service.history.store import Row, Store
from admission.service.history.thinning import Keep

# A batch is written so long after its first row, or at once when it is full. What a killed daemon
# loses is what it noted since.
BATCH_S = 10.0
BATCH_ROWS = 500
# What may wait for the thread: half an hour of samples at one every 2 s, and a burst of leases.
SAMPLES_MAX = 1_000
RECORDS_MAX = 10_000
RETRY_S = 30.0
THIN_S = 60.0
FAREWELL_S = 2.0
# `degraded` names dropped rows for so long after the last one.
DROPPED_SHOWN_S = 600.0

# What SQLite says of rows that no table takes, whatever the state of the file.
_UNWRITABLE = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    OverflowError,
)

T = TypeVar("T")

log = logging.getLogger(__name__)


class History:
    """Takes notes of what the daemon sees. Everything but `run` returns at once.

    Args:
        path: the database; its folder is made if it is missing.
        boot: names this boot of the machine (`journal.boot_id()`).
        keep: how much is kept.
        clock: the clock of the daemon's events, in seconds.
        wall: seconds since 1970.
        batch_s: how long a row may wait for others.
        retry_s: how long a file that can't be written is left alone.
    """

    def __init__(
        self,
        path: Path,
        boot: str,
        *,
        keep: Keep | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        batch_s: float = BATCH_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self.path = path
        self._boot = boot
        self._keep = keep or Keep()
        self._clock = clock
        self._wall = wall
        self._batch_s = batch_s
        self._retry_s = retry_s
        self._samples = Queue(SAMPLES_MAX)
        self._records = Queue(RECORDS_MAX)
        self._dropped_at = -inf
        self._begun_at = clock()
        self._allowance = Allowance(self._begun_at)
        self._allowance_of_runs = Allowance(self._begun_at)
        # Those leases that are out and listed; their ends are as well.
        self._listed: set[int] = set()
        self._unlisted = 0
        self._unlisted_at = -inf
        # Set: there is something to write; enough of it; no more will come.
        self._has_rows = threading.Event()
        self._is_full = threading.Event()
        self._is_over = threading.Event()
        # Those who wait for what was noted until they asked to be written.
        self._flushes: deque[threading.Event] = deque()
        # The thread's own: the open file, and the batch that could not be written yet.
        self._store: Store | None = None
        self._batch: list[Row] = []
        self._thin_at = -inf
        self._problem: str | None = None

    # --- what the daemon calls ------------------------------------------------------------------

    def note_sample(self, sample: Sample, level: int, in_use: int, waiting: int) -> None:
        """A sample, and what it led to: the level, and the pool `agents` (units out, waiters)."""
        figures = [getattr(sample, name) for name in SAMPLE_COLUMNS]
        values = (self._at(sample.at), sample.at, level, in_use, waiting, *figures)
        self._put(self._samples, (sql.INSERT_SAMPLE, values))

    def note_record(self, record: ev.Record) -> None:
        """A record, if it is of a kind that is kept: a grant, an end, a change of level."""
        match record:
            case ev.Granted(lease):
                self._note_lease(lease)
            case ev.Ended(reason=reason, before=Lease() as lease):
                self._note_lease(lease, reason.value)
            case ev.LevelChanged(level, reasons, by_hand_until):
                now = self._clock()
                words = _clean(json.dumps(reasons, ensure_ascii=False))
                values = (self._at(now), now, level, by_hand_until is not None, words)
                self._put(self._records, (sql.INSERT_LEVEL, values))
            case _:
                pass

    def _note_lease(self, lease: Lease, reason: str | None = None) -> None:
        """A grant, or with a reason an end. A lease that was not listed when it was granted may
        be when it ends.
        """
        now = self._clock()
        if lease.id not in self._listed and not self._allowance.take(now):
            self._unlisted += reason is not None
            self._unlisted_at = now
            return
        if reason is None:
            self._listed.add(lease.id)
            self._put(self._records, self._lease_row(lease))
        else:
            self._listed.discard(lease.id)
            self._put(self._records, self._lease_row(lease, now - lease.granted_at, reason))

    def note_run(self, learnt: Learnt) -> None:
        """What a lease took whose end was noted, or what is known of that by now."""
        now, run = self._clock(), learnt.run
        if self._allowance_of_runs.take(now):
            figures = (getattr(run, name) for name in RUN_COLUMNS)
            cleaned = (_clean(one) if isinstance(one, str) else one for one in figures)
            values = (self._begun_at, learnt.lease, self._at(now), *cleaned)
            self._put(self._records, (sql.UPSERT_RUN, values))

    @property
    def problem(self) -> str:
        """Why it can't be written, as a line; empty where it can."""
        return f"the history can't be written: {said}" if (said := self._problem) else ""

    def problems(self) -> list[str]:
        """What is wrong with the history, a line each, for `degraded`."""
        found = [problem] if (problem := self.problem) else []
        now = self._clock()
        if now - self._unlisted_at < DROPPED_SHOWN_S:
            found.append(
                f"leases come too fast for the history to list each: {self._unlisted} are left out"
            )
        if now - self._dropped_at < DROPPED_SHOWN_S:
            found.append(
                f"the history lags behind: {self._samples.dropped} samples and "
                f"{self._records.dropped} leases and level changes were dropped"
            )
        return found

    async def run(
        self,
        remember: Callable[[Remembered | Recalled], None] | None = None,
        cpu_unstalled_pct: float = 0.0,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Keeps the thread until cancelled; then waits a moment for its last batch.

        `remember` is told, on the event loop, what the history says of each hour and each task.
        """
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()

        def work() -> None:
            try:
                if remember is not None:
                    for found in self._memories(cpu_unstalled_pct):
                        with suppress(trio.RunFinishedError):
                            token.run_sync_soon(remember, found)
                self.work()
            finally:
                with suppress(trio.RunFinishedError):  # it took too long; nobody waits any more
                    token.run_sync_soon(done.set)

        threading.Thread(target=work, name="history", daemon=True).start()
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            self.end()
            with trio.move_on_after(FAREWELL_S, shield=True):
                await done.wait()

    def end(self) -> None:
        """No more will come: the thread writes what is there, and ends."""
        self._is_over.set()
        self._is_full.set()
        self._has_rows.set()

    def _memories(self, cpu_unstalled_pct: float) -> Iterator[Remembered | Recalled]:
        for found in (self.remembered(cpu_unstalled_pct), self.recalled()):
            if found is not None:
                yield found

    def flush(self, wait_s: float) -> bool:
        """Has what was noted until now written; whether that was tried within the time. Not for
        the event loop, as it waits.
        """
        is_done = threading.Event()
        self._flushes.append(is_done)
        self._is_full.set()
        self._has_rows.set()
        return is_done.wait(wait_s)

    def remembered(self, cpu_unstalled_pct: float) -> Remembered | None:
        """What the file says of each hour, before it is written; None where it says nothing."""
        return self._said(lambda: remembered(self.path, cpu_unstalled_pct))

    def recalled(self) -> Recalled | None:
        """What it says of each task; likewise."""
        found = self._said(lambda: recalled(self.path))
        return found if found and found.runs else None

    def _said(self, read: Callable[[], T]) -> T | None:
        try:
            return read() if self.path.exists() else None
        # A damaged file may hold any number as its time. Who writes it sees what is to be done.
        except Exception as problem:  # noqa: BLE001
            log.info("the history %s tells nothing of the past: %s", self.path, problem)
            return None

    # --- rows -----------------------------------------------------------------------------------

    def _at(self, instant: float) -> float:
        """The wall clock's time of an instant on the clock of the events."""
        return self._wall() - (self._clock() - instant)

    def _lease_row(
        self, lease: Lease, held_s: float | None = None, reason: str | None = None
    ) -> Row:
        claim = lease.claim
        granted_at = self._at(lease.granted_at)
        values = (
            lease.id,
            lease.granted_at,
            _clean(claim.pool),
            _clean(claim.task),
            claim.rank.name.lower(),
            _clean(claim.group),
            claim.holder.pid,
            claim.weight,
            granted_at - lease.waited_s,
            granted_at,
            lease.waited_s,
            None if held_s is None else granted_at + held_s,
            held_s,
            reason,
        )
        return sql.UPSERT_LEASE, values

    def _put(self, queue: Queue, row: Row) -> None:
        if not queue.put(row):
            self._dropped_at = self._clock()
        self._has_rows.set()
        if len(queue) >= BATCH_ROWS:
            self._is_full.set()

    # --- the thread -----------------------------------------------------------------------------

    def work(self) -> None:
        """Writes until `end`. The body of the thread; a test may call it as it is.

        Asleep while nothing comes: at rest the daemon wakes for a sample and for nothing else.
        """
        self._save()  # nothing yet; but whether it can be written is known from the start
        is_over = False
        while not is_over:
            self._has_rows.wait()
            # Before the batch is waited for: where rows keep coming, the thread wakes once for each
            # batch, and not once more for its first row, when the loop has the interpreter.
            self._has_rows.clear()
            self._is_full.wait(self._batch_s)
            if not self._is_over.is_set():
                self._is_full.clear()
            is_over = self._is_over.is_set()  # before the rows are taken: none comes after it
            while not self._save() and not is_over:
                self._is_over.wait(self._retry_s)
                is_over = self._is_over.is_set()
        if self._store is not None:
            self._store.close()

    def _save(self) -> bool:
        """Writes all there is; False where the file can't be written now."""
        flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
        try:
            return self._write_all()
        finally:
            for one in flushes:
                one.set()

    def _write_all(self) -> bool:
        try:
            store = self._open()
            while self._batch or self._fill():
                self._write(store)
            self._thin(store)
        # Whatever it is, it must not end the thread: the daemon goes on and `degraded` tells it.
        except Exception as problem:  # noqa: BLE001
            self._fail(problem)
            return False
        if self._problem is not None:
            log.info("the history %s can be written again", self.path)
            self._problem = None
        return True

    def _fill(self) -> bool:
        self._batch += self._records.take(BATCH_ROWS)
        self._batch += self._samples.take(BATCH_ROWS)
        return bool(self._batch)

    def _write(self, store: Store) -> None:
        try:
            store.write(self._batch)
        except _UNWRITABLE as problem:  # such rows would be in the way for ever; none is known
            log.error("%d rows of the history are lost: %r", len(self._batch), problem)
        self._batch = []

    def _thin(self, store: Store) -> None:
        now = time.monotonic()
        if now >= self._thin_at:
            is_behind = store.thin(self._wall())
            self._thin_at = now if is_behind else now + THIN_S

    def _open(self) -> Store:
        if self._store is not None and not self._store.is_in_place:
            self._close()
        if self._store is None:
            try:
                self._store = Store(self.path, self._boot, self._keep)
            except Damaged as problem:
                aside = set_aside(self.path)
                log.warning("the history %s is damaged (%s): now %s", self.path, problem, aside)
                self._store = Store(self.path, self._boot, self._keep)
        return self._store

    def _fail(self, problem: Exception) -> None:
        said = str(problem) or type(problem).__name__
        if said != self._problem:
            log.warning("the history %s can't be written: %s", self.path, said)
        self._problem = said
        self._close()  # when it is opened again it is looked at, and set aside if it is damaged

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


def _clean(text: str) -> str:
    """Text that SQLite takes, whatever a client sent."""
    return text.encode(errors="replace").decode()
