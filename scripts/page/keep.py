"""Puts a story into a history, as if a daemon had written it."""

import json
from pathlib import Path

from admission.service.history.schema import RUN_COLUMNS, SAMPLE_COLUMNS
from admission.service.history.store import (
    INSERT_LEVEL,
    INSERT_SAMPLE,
    UPSERT_LEASE,
    UPSERT_RUN,
    Row,
    Store,
)
from admission.service.history.thinning import Keep
from scripts.page.story import Seen, Story, Work

MEMORY_BYTES = 16 << 30
CPUS = 8.0
THIN_STEPS = 200


def keep(told: Story, path: Path) -> None:
    """All of it, thinned as the daemon would have done by now."""
    store = Store(path, "a made-up boot", Keep())
    try:
        store.write([_sample(told, seen) for seen in told.seen])
        store.write([_change(told, *change) for change in told.changes])
        done = [*told.ended, *told.running]
        store.write([_lease(told, one) for one in done])
        store.write([_run(one) for one in told.ended])
        for _ in range(THIN_STEPS):
            if not store.thin(told.until):
                break
    finally:
        store.close()


def sample(seen: Seen) -> dict[str, object]:
    """One look at the machine, as a sample has it."""
    used = seen.memory_pct / 100 * MEMORY_BYTES
    return {
        "memory_used_pct": round(seen.memory_pct, 1),
        "cpu_used_pct": round(seen.cpu_pct, 1),
        "memory_total_bytes": MEMORY_BYTES,
        "memory_available_bytes": int(MEMORY_BYTES - used),
        "swap_used_pct": 0.0,
        "load_1min": round(seen.cpu_pct / 100 * CPUS, 2),
        "cpus": CPUS,
        "cpu_stall_pct": round(seen.cpu_stall_pct, 1),
        "memory_stall_pct": round(seen.memory_stall_pct, 1),
        "io_stall_pct": round(seen.io_stall_pct, 1),
        "memory_pressure": None,
        "claude_processes": seen.in_use,
        "node_processes": 2 * seen.in_use,
        "foreign_agents": 0,
    }


def memory_bytes(one: Work) -> int:
    return int(one.memory_pct / 100 * MEMORY_BYTES)


def _monotonic_s(told: Story, at: float) -> float:
    return at - told.seen[0].at + 1


def _sample(told: Story, seen: Seen) -> Row:
    figures = sample(seen)
    about = (seen.at, _monotonic_s(told, seen.at), seen.level, seen.in_use, seen.waiting)
    return INSERT_SAMPLE, (*about, *(figures[name] for name in SAMPLE_COLUMNS))


def _change(told: Story, at: float, level: int, why: str) -> Row:
    return INSERT_LEVEL, (at, _monotonic_s(told, at), level, 0, json.dumps([why]))


def _lease(told: Story, one: Work) -> Row:
    granted_at = one.granted_at or one.queued_at
    held_s = None if one.ended_at is None else one.ended_at - granted_at
    about = (one.number, _monotonic_s(told, granted_at), "agents", one.task, one.class_, "")
    times = (one.queued_at, granted_at, granted_at - one.queued_at, one.ended_at, held_s)
    return UPSERT_LEASE, (*about, 0, 1, *times, one.ended_at and "holder exited")


def _run(one: Work) -> Row:
    peak = memory_bytes(one)
    lasted_s = (one.ended_at or 0.0) - (one.granted_at or 0.0)
    taken = {
        "task": one.task,
        "agent": "claude",
        "workspace": "/srv/shop",
        "uid": 1000,
        "mean_bytes": int(peak * 0.8),
        "peak_bytes": peak,
        "cpu_s": lasted_s * one.cpu_pct / 100 * CPUS,
        "lasted_s": lasted_s,
        "io_bytes": 0,
        "processes_max": 3,
        "ended": "finished",
    }
    return UPSERT_RUN, (0.0, one.number, one.ended_at, *(taken[name] for name in RUN_COLUMNS))
