"""What one sample alone calls for: a leg for each source, each with its level and its reason.

The level of the machine is that of the worst leg. Memory and CPU are the user's document and
always there; the others are there where a source is, or where the configuration asks for them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from admission.core.levels import Levels
from admission.core.sample import Sample

HEAVIEST = 3
# Who sees nothing goes slowly.
BLIND = 1
# The kernel's word on macOS: from here on the level does not fall, and is as high as can be.
MACOS_WARNING, MACOS_CRITICAL = 2, 4

# From how many of something on level 1, 2 and 3 are called for; None: never.
Counts = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Legs:
    """The legs besides memory and CPU.

    Attributes:
        memory_stall_pct: from this on, all tasks wait for memory so much of the time (Linux PSI
            `full`) that the level is the highest. None: never.
        foreign_agents: from how many agents without a lease on level 1, 2 and 3 hold. Ours never
            count, so that they can't throttle themselves by their number.
        claude_processes: likewise for all processes that are Claude's, with a lease or without.
        node_processes: likewise for Node.
    """

    memory_stall_pct: float | None = 20.0
    foreign_agents: Counts = None
    claude_processes: Counts = None
    node_processes: Counts = None


@dataclass(frozen=True, slots=True)
class Leg:
    """The level that one source calls for. `reason` is empty at level 0."""

    what: str
    level: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one sample alone calls for. `reasons` is empty at level 0."""

    level: int
    reasons: tuple[str, ...]


def judge(
    memory_used_pct: float | None, cpu_used_pct: float | None, levels: Levels, margin_pct: float = 0
) -> Judgement:
    """The level whose bounds these readings are within: the worse of the two legs.

    Args:
        memory_used_pct: 0 to 100; None where it is not known, which says nothing.
        cpu_used_pct: 0 to 100; likewise.
        levels: the table.
        margin_pct: points that a reading must stay below a bound to count as within it.
    """
    return worst(table_legs(memory_used_pct, cpu_used_pct, levels, margin_pct))


def worst(legs: tuple[Leg, ...]) -> Judgement:
    """The highest level that any leg calls for, and all reasons, the weightiest first."""
    weightiest_first = sorted(legs, key=lambda leg: -leg.level)
    reasons = tuple(leg.reason for leg in weightiest_first if leg.level)
    return Judgement(max((leg.level for leg in legs), default=0), reasons)


def table_legs(
    memory_used_pct: float | None, cpu_used_pct: float | None, levels: Levels, margin_pct: float
) -> tuple[Leg, ...]:
    """The legs of the document's table."""
    memory_pcts = [row.memory_below_pct for row in levels]
    cpu_pcts = [row.cpu_below_pct for row in levels]
    return (
        _table_leg("memory", memory_used_pct, memory_pcts, margin_pct),
        _table_leg("CPU", cpu_used_pct, cpu_pcts, margin_pct),
    )


def _table_leg(what: str, used_pct: float | None, below_pct: list[float], margin_pct: float) -> Leg:
    if used_pct is None:
        return Leg(what, 0)
    level = sum(1 for bound in below_pct[:-1] if used_pct >= bound - margin_pct)
    if level == 0:
        return Leg(what, 0)
    bound = below_pct[level - 1]
    word = "at or above" if used_pct >= bound else "not far enough below"
    return Leg(what, level, f"{what} {used_pct:.0f} % is {word} {bound:g} %")


def other_legs(sample: Sample, legs: Legs) -> Iterator[Leg]:
    """The legs that are there besides the table's."""
    if sample.memory_used_pct is None and sample.cpu_used_pct is None:
        yield Leg("sensors", BLIND, "neither memory nor CPU can be read")
    stall_pct, bound_pct = sample.memory_stall_pct, legs.memory_stall_pct
    if stall_pct is not None and bound_pct is not None and stall_pct >= bound_pct:
        reason = f"all tasks wait for memory {stall_pct:.0f} % of the time, {bound_pct:g} % is much"
        yield Leg("memory stalls", HEAVIEST, reason)
    if sample.memory_pressure is not None and sample.memory_pressure >= MACOS_CRITICAL:
        yield Leg("kernel", HEAVIEST, "the kernel calls memory pressure critical")
    yield from _count_leg("foreign agents", sample.foreign_agents, legs.foreign_agents)
    yield from _count_leg("Claude processes", sample.claude_processes, legs.claude_processes)
    yield from _count_leg("Node processes", sample.node_processes, legs.node_processes)


def _count_leg(what: str, count: int | None, bounds: Counts) -> Iterator[Leg]:
    if count is None or bounds is None:
        return
    level = sum(1 for bound in bounds if count >= bound)
    if level:
        yield Leg(what, level, f"{count} {what} are at least {bounds[level - 1]}")


def veto(sample: Sample) -> str | None:
    """Why the level must not fall now, however good the readings are; None where it may.

    The kernel's warning on macOS can stay for minutes after its cause has gone, so it is no reason
    to throttle, and one to wait.
    """
    if sample.memory_pressure is not None and sample.memory_pressure >= MACOS_WARNING:
        return "the kernel warns of memory pressure, so the level stays"
    return None
