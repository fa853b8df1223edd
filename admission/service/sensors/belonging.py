"""Which processes belong together: below a lease's holder, below an agent, or by their program.

Nothing here reads anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from admission.core.leases import Holder
from admission.service.sensors.processes import Look, Process, Processes

T = TypeVar("T")


def tree(processes: Processes) -> dict[int, list[Process]]:
    """The children of each process that has any, by its PID."""
    children: dict[int, list[Process]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    return children


def nearest(processes: Processes, marks: Mapping[int, T]) -> dict[int, T]:
    """For each process, the mark of the closest one at or above it that has one.

    The pass takes a while, so a PID may have been reused on the way and be its own ancestor: a line
    that comes back to itself has no mark.
    """
    found: dict[int, T | None] = dict(marks)
    for pid in processes:
        line: list[int] = []
        while pid in processes and pid not in found:
            found[pid] = None
            line.append(pid)
            pid = processes[pid].parent
        mark = found.get(pid)
        for below in line:
            found[below] = mark
    return {pid: mark for pid, mark in found.items() if mark is not None and pid in processes}


def held_by(processes: Processes, leases: Mapping[Holder, T]) -> dict[int, T]:
    """For each process at or below a holder, what that holder has.

    A PID alone is not enough: a later process of that number is another's.
    """
    marks = {
        holder.pid: has
        for holder, has in leases.items()
        if holder.pid in processes and processes[holder.pid].holder == holder
    }
    return nearest(processes, marks)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many there are, as in `Sample`."""

    claude_processes: int
    node_processes: int
    foreign_agents: int


def count(processes: Processes, holders: frozenset[Holder]) -> Counts:
    """Counts processes by kind, and agents that nobody admitted.

    An agent that is the child of one of its own kind is a worker of that one: Gemini and Codex
    start by a launcher that stays.
    """
    leased = held_by(processes, dict.fromkeys(holders, True))
    return Counts(
        sum(one.kind.agent == "claude" for one in processes.values()),
        sum(one.kind.is_node for one in processes.values()),
        sum(is_agent(one, processes) and pid not in leased for pid, one in processes.items()),
    )


def is_agent(process: Process, processes: Processes) -> bool:
    """Whether it is an agent, and not the worker of one."""
    kind = process.kind
    if kind.agent is None or kind.is_infrastructure:
        return False
    parent = processes.get(process.parent)
    return parent is None or parent.kind.is_infrastructure or parent.kind.agent != kind.agent


@dataclass(frozen=True, slots=True)
class Consumer:
    """What belongs together, and what it takes in all.

    Attributes:
        lease: its number, or None where it runs under none.
        name: the agent, or the program.
        pid: the process of it that has the most memory.
        processes: how many they are.
        cpus: how many CPUs' worth of time it took since the look before; None without one.
        rss_bytes: the sum. What they share counts for each, so it is an upper bound.
    """

    lease: int | None
    name: str
    pid: int
    processes: int
    cpus: float | None
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Top:
    """The heaviest first; the same one may stand in both."""

    by_cpu: tuple[Consumer, ...]
    by_memory: tuple[Consumer, ...]


def top(now: Look, before: Look | None, leases: Mapping[Holder, int], count: int) -> Top:
    """The `count` heaviest consumers: a lease, an agent with all below it, or a program.

    Args:
        now: the latest look.
        before: an earlier one, from which CPU is reckoned; without it `by_cpu` is empty.
        leases: the number of each holder's lease.
        count: how many of each at most.
    """
    groups = _groups(now.processes, leases)
    used_s = _used_s(now, before) if before is not None and now.at > before.at else None
    consumers: list[Consumer] = []
    for lease, name, members in groups:
        cpus = None
        if used_s is not None and before is not None:
            # Less than nothing: one that ended had used more than its parent was told of.
            cpus = max(sum(used_s[one.pid] for one in members), 0.0) / (now.at - before.at)
        largest = max(members, key=lambda one: one.rss_bytes)
        rss_bytes = sum(one.rss_bytes for one in members)
        consumers.append(Consumer(lease, name, largest.pid, len(members), cpus, rss_bytes))
    by_cpu = sorted((one for one in consumers if one.cpus), key=lambda one: -(one.cpus or 0))
    by_memory = sorted(consumers, key=lambda one: -one.rss_bytes)
    return Top(tuple(by_cpu[:count]), tuple(by_memory[:count]))


def _groups(
    processes: Processes, leases: Mapping[Holder, int]
) -> list[tuple[int | None, str, list[Process]]]:
    """Lease, name and processes of each group. What a lease holds is named by its agent, if any."""
    leased = held_by(processes, leases)
    agents = {pid: pid for pid, one in processes.items() if is_agent(one, processes)}
    of_agent = nearest(processes, agents)
    groups: dict[tuple[int | None, int | str], list[Process]] = {}
    for pid, process in processes.items():
        lease = leased.get(pid)
        of: int | str = "" if lease is not None else of_agent.get(pid, _program(process))
        groups.setdefault((lease, of), []).append(process)
    return [(lease, _name(members), members) for (lease, _), members in groups.items()]


def _program(process: Process) -> str:
    return process.kind.agent or ("node" if process.kind.is_node else process.name)


def _name(members: list[Process]) -> str:
    agent = next((one.kind.agent for one in members if one.kind.agent), None)
    return agent or _program(max(members, key=lambda one: one.rss_bytes))


def _used_s(now: Look, before: Look) -> dict[int, float]:
    """CPU seconds of each process since then.

    What an ended process had used before is in its parent's figure by now, once more, or in that of
    the nearest ancestor that lives: it is taken off there.
    """
    used_s = {pid: one.cpu_s for pid, one in now.processes.items()}
    heirs = {pid: pid for pid, one in before.processes.items() if _lives(one, now)}
    for pid, heir in nearest(before.processes, heirs).items():
        used_s[heir] -= before.processes[pid].cpu_s
    return used_s


def _lives(process: Process, now: Look) -> bool:
    row = now.processes.get(process.pid)
    return row is not None and row.start_ticks == process.start_ticks
