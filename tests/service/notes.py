"""A history on clocks that the test moves, written without a thread."""

import sqlite3
from contextlib import closing
from pathlib import Path

from admission.core import events as ev
from admission.core.leases import Claim, Class, Holder, Lease, Reason
from admission.core.sample import Sample
from admission.service.history.recorder import History
from admission.service.history.thinning import Keep

# Noon of a day in 2023, UTC, and a whole minute.
NOON = 1_700_049_600.0
MIB = 1 << 20


class Notes:
    """`now` is the clock of the events in seconds; `wall_offset` what the wall clock adds to it."""

    def __init__(
        self, path: Path, boot: str = "this boot", keep: Keep | None = None, now: float = 0.0
    ) -> None:
        self.path = path
        self.now = now
        self.wall_offset = NOON
        self.history = History(
            path, boot, keep=keep, clock=lambda: self.now, wall=self.wall, batch_s=0, retry_s=0
        )

    def wall(self) -> float:
        return self.wall_offset + self.now

    def sample(
        self, memory: float | None = 50.0, cpu: float | None = 25.0, *, level: int = 0
    ) -> Sample:
        """One sample, now."""
        sample = Sample(self.now, memory, cpu, memory_total_bytes=16 * MIB, foreign_agents=2)
        self.history.note_sample(sample, level, in_use=3, waiting=1)
        return sample

    def lease(self, number: int, task: str = "refactor", waited_s: float = 0.0) -> Lease:
        """A grant, now."""
        claim = Claim(Holder(4711, 99), task=task, rank=Class.BATCH, group="a session")
        lease = Lease(number, claim, number, self.now, waited_s)
        self.history.note_record(ev.Granted(lease))
        return lease

    def end(self, lease: Lease, reason: Reason = Reason.RELEASED) -> None:
        self.history.note_record(ev.Ended(lease.id, reason, lease))

    def level(self, level: int, *reasons: str, by_hand_until: float | None = None) -> None:
        self.history.note_record(ev.LevelChanged(level, reasons, by_hand_until))

    def save(self) -> bool:
        """Writes what was noted, as the thread does; whether that could be."""
        return self.history._save()

    def close(self) -> None:
        """The thread's whole life in this one: writes what is there, and closes the file."""
        self.history.end()
        self.history.work()


def count(path: Path, table: str = "samples") -> int:
    """How many rows there are."""
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found
