"""Recommendations, and the facts that they are made from: plain figures, gathered by others."""

from dataclasses import dataclass

from admission.core.alarm import Alarm

GIB, MIB = 1 << 30, 1 << 20


@dataclass(frozen=True, slots=True)
class Recommendation:
    """One thing to do.

    Attributes:
        rule: which rule says so; a word that does not change.
        what: what to do.
        why: with the numbers that call for it.
        command: the one to do it, or to see it closer; program and arguments.
        weight: the more, the sooner; up to 100.
    """

    rule: str
    what: str
    why: str
    command: tuple[str, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Group:
    """Who shares fairly, and the units of `agents` that it has out and waits for."""

    name: str
    held: int = 0
    waiting: int = 0

    @property
    def asked(self) -> int:
        return self.held + self.waiting


@dataclass(frozen=True, slots=True)
class ByHand:
    """A level that was set until changed, what the machine calls for instead, and why."""

    level: int
    called_for: int
    reason: str


@dataclass(frozen=True, slots=True)
class Heavy:
    """Processes that belong together and to no lease.

    `pid`: the one of them with the most memory. `cpus`: CPUs' worth of time; None where it is not
    known.
    """

    name: str
    pid: int
    processes: int
    memory_bytes: int
    cpus: float | None = None


@dataclass(frozen=True, slots=True)
class Habit:
    """What 19 of 20 runs of a task stay within, and how many failed for want of memory."""

    task: str
    runs: int
    peak_bytes: int
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Minute:
    """What was seen within one minute: the most of each figure, of the CPU the mean."""

    level: int
    memory_used_pct: float
    cpu_used_pct: float
    in_use: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Tried:
    """What one setting did on the recorded time, in the simulation; an hour of it."""

    cycles_per_hour: float
    kills_per_hour: float
    above_95_s_per_hour: float


@dataclass(frozen=True, slots=True)
class Trials:
    """The bounds of the levels as they are, and all of them so many points lower or higher."""

    recorded_s: float
    points: float
    current: Tried
    lower: Tried
    higher: Tried


@dataclass(frozen=True, slots=True)
class Disk:
    """Where the history is."""

    folder: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at one moment; what is not is left out, and nothing is said of it.

    Attributes:
        level: in force.
        capacity: of `agents`, now, and `capacity_at_rest` at level 0.
        below_pct: of memory and CPU, the bounds of level 0.
        groups: who asks for units of `agents`.
        alarms: that last, the oldest first.
        by_hand: where the level is held until changed.
        paused: pools that are paused until somebody ends that, with how many wait there.
        memory_total_bytes, cpus: what the machine has.
        survivors: processes that outlived their leases.
        agents: those that run under no lease.
        foreign: what else runs under none.
        habits: what tasks took before.
        minutes: of the last day, where there were any.
        disk: where it could be seen.
        journal_problem, history_problem: why it can't be written; empty where it can.
    """

    level: int = 0
    capacity: int = 5
    capacity_at_rest: int = 5
    below_pct: tuple[float, float] = (70.0, 60.0)
    groups: tuple[Group, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    by_hand: ByHand | None = None
    paused: tuple[tuple[str, int], ...] = ()
    memory_total_bytes: int | None = None
    cpus: float | None = None
    survivors: tuple[Heavy, ...] = ()
    agents: tuple[Heavy, ...] = ()
    foreign: tuple[Heavy, ...] = ()
    habits: tuple[Habit, ...] = ()
    minutes: tuple[Minute, ...] = ()
    trials: Trials | None = None
    disk: Disk | None = None
    journal_problem: str = ""
    history_problem: str = ""

    def share(self, size_bytes: int) -> float:
        """Of the machine's memory, 0 to 1; 0 where it is not known how much there is."""
        return min(size_bytes / self.memory_total_bytes, 1.0) if self.memory_total_bytes else 0.0

    def sized(self, size_bytes: int) -> str:
        """For a sentence: `1.2 GiB (8 % of the memory)`."""
        share = f" ({100 * self.share(size_bytes):.0f} % of the memory)"
        return sized(size_bytes) + (share if self.memory_total_bytes else "")


def sized(size_bytes: int) -> str:
    """For a sentence: `640 MiB`, `1.2 GiB`."""
    if size_bytes < GIB:
        return f"{size_bytes / MIB:.0f} MiB"
    return f"{size_bytes / GIB:.1f} GiB"
