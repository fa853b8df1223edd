"""What there is to do about what takes the machine: what was left behind, what nobody admitted, and
tasks that need more than others.
"""

from collections.abc import Iterator

from admission.core.advice import (
    GIB,
    MIB,
    Disk,
    Facts,
    Habit,
    Heavy,
    Recommendation,
    sized,
)
from admission.core.averages import median

# What outlived its lease is worth an end from here on.
SURVIVORS_BYTES, SURVIVORS = 128 * MIB, 10
AGENTS = 2
# What runs under no lease is heavy from these shares of the machine on.
HEAVY_MEMORY, HEAVY_CPUS = 0.20, 0.40
# A task needs more than others from so many times what is usual on, and so much.
TIMES, HUNGRY_BYTES = 3.0, GIB
RUNS_MIN, OTHERS_MIN, FAILURES = 3, 2, 2
WEIGHT_MAX = 8
# A disk with less than that is as good as full.
FREE_BYTES, FREE_SHARE = 256 * MIB, 0.01
NAMED_MAX = 3


def orphans(facts: Facts) -> Iterator[Recommendation]:
    """What outlived its lease, with its memory."""
    found = facts.survivors
    taken = sum(one.memory_bytes for one in found)
    if taken < SURVIVORS_BYTES and len(found) < SURVIVORS:
        return
    largest = max(found, key=lambda one: one.memory_bytes)
    are_many = len(found) > 1
    of_it = f", {sized(largest.memory_bytes)} of it " if are_many else ", all of it "
    yield Recommendation(
        "orphans",
        f"end the {len(found)} processes that outlived a lease"
        if are_many
        else "end the process that outlived its lease",
        f"{facts.sized(taken)} in all{of_it}by {largest.name} (process {largest.pid})",
        ("admission", "orphans", "--stop"),
        40.0 + 50.0 * facts.share(taken),
    )


def agents_without_lease(facts: Facts) -> Iterator[Recommendation]:
    """Agents that nobody admitted, while those that were are held back."""
    found = facts.agents
    if facts.level == 0 or len(found) < AGENTS:
        return
    taken = sum(one.memory_bytes for one in found)
    names = ", ".join(sorted({one.name for one in found})[:NAMED_MAX])
    yield Recommendation(
        "agents-without-lease",
        "have every agent ask for its slot, or end those that nobody needs",
        f"{len(found)} agents ({names}) under no lease hold {facts.sized(taken)}, "
        f"and the level is {facts.level}",
        ("admission", "orphans"),
        30.0 + 50.0 * facts.share(taken),
    )


def heavy_process(facts: Facts) -> Iterator[Recommendation]:
    """What is no agent, takes much of the machine, and keeps the level up."""
    if facts.level == 0:
        return
    heaviest = max(facts.foreign, key=lambda one: _share(one, facts), default=None)
    if heaviest is None:
        return
    memory, cpus = facts.share(heaviest.memory_bytes), _cpu_share(heaviest, facts)
    if memory < HEAVY_MEMORY and cpus < HEAVY_CPUS:
        return
    named = f"{heaviest.name} (process {heaviest.pid})"
    if heaviest.processes > 1:
        named = f"{named} and {heaviest.processes - 1} more of it"
    takes = []
    if memory >= HEAVY_MEMORY:
        takes.append(f"up to {facts.sized(heaviest.memory_bytes)}")
    if cpus >= HEAVY_CPUS:
        takes.append(f"{heaviest.cpus:.1f} of {facts.cpus:g} CPUs")
    yield Recommendation(
        "heavy-process",
        f"see whether {heaviest.name} is needed now",
        f"{named}, under no lease, takes {' and '.join(takes)}, and the level is {facts.level}",
        ("ps", "-o", "pid,user,etime,rss,args", "-p", str(heaviest.pid)),
        30.0 + 50.0 * max(memory, cpus),
    )


def _cpu_share(one: Heavy, facts: Facts) -> float:
    return (one.cpus or 0.0) / facts.cpus if facts.cpus else 0.0


def _share(one: Heavy, facts: Facts) -> float:
    return max(facts.share(one.memory_bytes), _cpu_share(one, facts))


def hungry_task(facts: Facts) -> Iterator[Recommendation]:
    """The task that needs much more memory than others, or that fails for want of it."""
    known = [one for one in facts.habits if one.task and one.runs >= RUNS_MIN]
    found = [(one, _usual_bytes(one, known)) for one in known]
    hungry = [
        (one, usual)
        for one, usual in found
        if one.failures >= FAILURES or _times(one, usual) >= TIMES
    ]
    if not hungry:
        return
    one, usual = max(hungry, key=lambda pair: (pair[0].failures, pair[0].peak_bytes))
    units = min(max(round(_times(one, usual)), 2), facts.capacity_at_rest, WEIGHT_MAX)
    beside = f", where {sized(usual)} is usual" if usual else ""
    failed = f"; {one.failures} of them failed for want of memory" if one.failures else ""
    what = f"let each run of {one.task} count for {units} (--weight {units})"
    yield Recommendation(
        "hungry-task",
        what if units > 1 else f"run {one.task} where there is more memory",
        f"19 of 20 of its {one.runs} runs stay within {facts.sized(one.peak_bytes)}{beside}"
        f"{failed}",
        ("admission", "tasks", *([f"--task={one.task}"] * one.task.isprintable())),
        30.0 + 30.0 * facts.share(one.peak_bytes) + 20.0 * (one.failures >= FAILURES),
    )


def _usual_bytes(one: Habit, known: list[Habit]) -> int:
    """Of the other tasks; 0 where there are too few to say."""
    others = [other.peak_bytes for other in known if other.task != one.task]
    return int(median(others)) if len(others) >= OTHERS_MIN else 0


def _times(one: Habit, usual_bytes: int) -> float:
    return one.peak_bytes / usual_bytes if usual_bytes and one.peak_bytes >= HUNGRY_BYTES else 0.0


def records(facts: Facts) -> Iterator[Recommendation]:
    """What can't be written, and the disk that is in the way."""
    if facts.journal_problem:
        yield Recommendation(
            "journal",
            "have the journal written again",
            f"{facts.journal_problem}: no lease is granted",
            ("admission", "doctor"),
            100.0,
        )
    if facts.disk is not None and _is_full(facts.disk):
        yield Recommendation(
            "disk",
            "make room on the disk that the history is on",
            f"{sized(facts.disk.free_bytes)} of {sized(facts.disk.total_bytes)} are free",
            ("df", "-h", facts.disk.folder),
            85.0,
        )
    if facts.history_problem:
        yield Recommendation(
            "history",
            "have the history written again: without it nothing is learnt",
            facts.history_problem,
            ("admission", "doctor"),
            45.0,
        )


def _is_full(disk: Disk) -> bool:
    return disk.free_bytes < FREE_BYTES or disk.free_bytes < FREE_SHARE * disk.total_bytes
