"""One reading of the machine, as the rules see it."""

from admission.core.values import value


@value
class Sample:
    """What the machine said at one moment. A source that failed is None, never zero.

    Percents are 0 to 100 of the whole machine, or of the smallest limit that the daemon lives
    under. What is said of an interval is its mean since the sample before.

    Attributes:
        at: seconds on the clock of the events.
        memory_used_pct: of what agents may use, what is not available.
        cpu_used_pct: the share of all CPU time that was spent working.
        failed: a line for each source that is missing, denied or gave nonsense.
        memory_total_bytes: what there is for agents at all.
        memory_available_bytes: what can be had without swapping.
        swap_used_pct: of the swap space; None where there is none.
        load_1min: the load average.
        cpus: how many CPUs the machine, or its limit, gives.
        cpu_stall_pct: how much of the time some task waited for a CPU (Linux PSI `some`).
        memory_stall_pct: how much of the time all tasks waited for memory (PSI `full`).
        io_stall_pct: how much of the time all tasks waited for a disk (PSI `full`).
        memory_pressure: the kernel's own word on macOS: 1 normal, 2 warning, 4 critical.
        claude_processes: processes that are Claude's.
        node_processes: processes that are Node.
        foreign_agents: agents of any kind that run under no lease.
    """

    at: float
    memory_used_pct: float | None = None
    cpu_used_pct: float | None = None
    failed: tuple[str, ...] = ()
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    swap_used_pct: float | None = None
    load_1min: float | None = None
    cpus: float | None = None
    cpu_stall_pct: float | None = None
    memory_stall_pct: float | None = None
    io_stall_pct: float | None = None
    memory_pressure: int | None = None
    claude_processes: int | None = None
    node_processes: int | None = None
    foreign_agents: int | None = None
