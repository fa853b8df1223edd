"""What has happened since the daemon started, in numbers that only grow, and how it stands.

Counted is what the core's state does not say afterwards; all else is looked up when asked for.
Nothing here names a lease, a process or a task: their number has no bound, and not everybody may
know them.
"""

from bisect import bisect_left
from collections import Counter

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.leases import Class, Lease, Reason
from admission.core.pool import Pool
from admission.protocol import Frame

# Upper bounds of the histograms' buckets. A grant at once is below the first of them.
WAIT_BOUNDS_S = (0.01, 0.1, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)
HOLD_BOUNDS_S = (1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 14400.0, 43200.0, 86400.0)


class Histogram:
    """How many values came within each of the bounds, and beyond the last; and their sum."""

    __slots__ = ("bounds_s", "counts", "sum_s")

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self.bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def note(self, value_s: float) -> None:
        self.counts[bisect_left(self.bounds_s, value_s)] += 1
        self.sum_s += value_s

    def as_map(self) -> Frame:
        """`counts` are of one bucket each, not of all below it."""
        return {"counts": list(self.counts), "sum_s": round(self.sum_s, 3)}


class Counts:
    """See the module. The daemon tells it of each record, and of each refusal."""

    def __init__(self) -> None:
        self.waits: dict[tuple[str, Class], Histogram] = {}
        self.holds: dict[str, Histogram] = {}
        self.ended: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.level_changes = 0
        self.samples = 0
        self.alarms = 0

    def note(self, record: ev.Record, now: float) -> None:
        """One thing that came about. What is only regained was granted, and waited for, before."""
        if isinstance(record, ev.Granted):
            claim = record.lease.claim
            if (waits := self.waits.get((claim.pool, claim.rank))) is None:
                waits = self.waits[claim.pool, claim.rank] = Histogram(WAIT_BOUNDS_S)
            waits.note(record.lease.waited_s)
        elif isinstance(record, ev.Ended) and record.before is not None:
            self._note_end(record.before, record.reason, now)
        elif isinstance(record, ev.LevelChanged):
            self.level_changes += 1

    def _note_end(self, lease: Lease, reason: Reason, now: float) -> None:
        self.ended[reason.value] += 1
        if (holds := self.holds.get(lease.claim.pool)) is None:
            holds = self.holds[lease.claim.pool] = Histogram(HOLD_BOUNDS_S)
        holds.note(now - lease.granted_at)


def counts_map(counts: Counts, core: Admission, now: float) -> Frame:
    """The answer to `metrics`, but for what only the daemon knows."""
    governor = core.governor
    sample = governor.sample
    return {
        "level": governor.row.level,
        "pools": [_pool_map(pool) for pool in core.pools.values()],
        "wait_bounds_s": list(WAIT_BOUNDS_S),
        "waits": [
            {"pool": pool, "class": rank.name.lower(), **found.as_map()}
            for (pool, rank), found in counts.waits.items()
        ],
        "hold_bounds_s": list(HOLD_BOUNDS_S),
        "holds": [{"pool": pool, **found.as_map()} for pool, found in counts.holds.items()],
        "ended": dict(counts.ended),
        "refused": dict(counts.refused),
        "level_changes": counts.level_changes,
        "alarms": counts.alarms,
        "alarms_lasting": len(core.alarms.lasting),
        "samples": counts.samples,
        "sample_age_s": None if sample is None else round(now - sample.at, 3),
        "sources_failed": 0 if sample is None else len(sample.failed),
        "pressure_pct": {}
        if sample is None
        else {
            "memory": sample.memory_used_pct,
            "cpu": sample.cpu_used_pct,
            "memory_stall": sample.memory_stall_pct,
            "cpu_stall": sample.cpu_stall_pct,
        },
        "journal_works": core.journal_works,
    }


def _pool_map(pool: Pool) -> Frame:
    """`reserved`: units that reservations keep now, in use or not."""
    waiting = Counter(waiter.claim.rank for waiter in pool.waiters.values())
    return {
        "pool": pool.spec.name,
        "capacity": pool.capacity,
        "in_use": pool.in_use,
        "leases": len(pool.leases),
        "reserved": sum(one.units for one in pool.reservations.active),
        "is_paused": pool.paused_until is not None,
        "waiting": {rank.name.lower(): waiting[rank] for rank in Class},
    }
