"""Whether the kernel has ended something for want of memory, and whose that was.

It counts whom it ends, and tells nobody but its log who that was. It takes the process that has
most; so of all that are gone since the last look, that is taken to be the one that had most.
"""

from admission.core.leases import Holder
from admission.service.sensors.processes import Processes
from admission.service.sensors.source import fields_in, text_of

# It ends one that had less than this only where nothing else is left.
LARGE_BYTES = 16 << 20


def killed_count(proc: str = "/proc") -> int | None:
    """How many the kernel has ended for want of memory since boot, of the whole machine or of some
    cgroup; None where it does not say.
    """
    try:
        return fields_in(text_of(f"{proc}/vmstat")).get("oom_kill")
    except OSError:
        return None


def events_count(group: str) -> int | None:
    """How many of this cgroup's; None where it has no memory controller."""
    try:
        return fields_in(text_of(f"{group}/memory.events")).get("oom_kill")
    except OSError:
        return None


def victims(
    before: Processes, now: Processes, shares: dict[int, dict[int, float]], kills: int
) -> frozenset[int]:
    """The leases of which something is taken to be among the last `kills` that were ended.

    Args:
        before: all processes as of the last look.
        now: as of this one.
        shares: for which leases each of them counted then.
        kills: how many were ended since.
    """
    gone = [
        process
        for process in before.values()
        if process.rss_bytes >= LARGE_BYTES and not _is_there(now, process.holder)
    ]
    gone.sort(key=lambda one: -one.rss_bytes)
    return frozenset(number for one in gone[:kills] for number in shares.get(one.pid, ()))


def _is_there(processes: Processes, holder: Holder) -> bool:
    row = processes.get(holder.pid)
    return row is not None and row.start_ticks == holder.start_ticks
