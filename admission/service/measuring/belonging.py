"""Which process counts for which lease: each for one of a pool, the innermost.

By pool, since a build step with a lease of `operations` is its agent's all the same: an agent's
memory is that of its builds as well. Nothing here reads anything but by what it is given.
"""

from collections.abc import Callable, Iterable, Mapping

from admission.core.leases import Holder, Lease
from admission.service.sensors.belonging import nearest
from admission.service.sensors.processes import Processes

# The leases for which a process counts, and how much of it for each.
Shares = Mapping[int, float]


def shares_of(
    processes: Processes,
    leases: Iterable[Lease],
    seen: Mapping[int, frozenset[Holder]],
    marked: Callable[[int], int | None],
    gathered: Mapping[int, frozenset[int]],
) -> dict[int, dict[int, float]]:
    """For each process of a lease's tree, its shares by the lease's number.

    Those who hold several leases of a pool have one tree for all of them, of which each has an
    equal share: nobody can tell what it does for which.

    Args:
        processes: all of them.
        leases: those that are there.
        seen: what was seen below each lease's holder and may have left it since.
        marked: the lease in the environment of the process of this PID.
        gathered: the PIDs in each cgroup that is a lease's own.
    """
    leases = list(leases)
    numbers = {lease.id: lease.claim.pool for lease in leases}
    held: dict[str, dict[int, frozenset[int]]] = {pool: {} for pool in numbers.values()}
    for lease in leases:
        marks = held[lease.claim.pool]
        for pid in _there(processes, lease.holders):
            marks[pid] = marks.get(pid, frozenset()) | {lease.id}
    # Descent first. What has lost that goes by what is known of it: it has one lease at most in
    # each pool, the youngest, as that is the innermost.
    strays = dict.fromkeys(held, frozenset(processes))
    strays = {pool: all_ - nearest(processes, held[pool]).keys() for pool, all_ in strays.items()}
    known: dict[str, dict[int, int]] = {pool: {} for pool in held}

    def note(pid: int, number: int | None) -> None:
        pool = numbers.get(number or 0)
        if number is not None and pool is not None and pid in strays[pool]:
            known[pool][pid] = max(known[pool].get(pid, 0), number)

    for number in numbers:
        for pid in _there(processes, seen.get(number, ())):
            note(pid, number)
        for pid in gathered.get(number, ()):
            note(pid, number)
    for pid in frozenset[int]().union(*strays.values()):
        note(pid, marked(pid))
    return _by_pid(processes, held, known)


def _by_pid(
    processes: Processes,
    held: Mapping[str, Mapping[int, frozenset[int]]],
    known: Mapping[str, Mapping[int, int]],
) -> dict[int, dict[int, float]]:
    found: dict[int, dict[int, float]] = {}
    for pool, marks in held.items():
        strays = {pid: frozenset({number}) for pid, number in known[pool].items()}
        for pid, numbers in nearest(processes, {**strays, **marks}).items():
            mine = found.setdefault(pid, {})
            mine |= dict.fromkeys(numbers, 1 / len(numbers))
    return found


def _there(processes: Processes, holders: Iterable[Holder]) -> list[int]:
    """The PIDs of those that are among them, and no later ones of their numbers."""
    return [
        one.pid
        for one in holders
        if (row := processes.get(one.pid)) is not None and row.start_ticks == one.start_ticks
    ]
