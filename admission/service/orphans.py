"""What outlived its lease, and agents that have none: told from a table of processes, from what the
daemon knows of its leases, and from the evidence that each process carries. Nothing here reads
anything.

A survivor is a process with proof that it was started under a lease that has ended: the mark in its
environment, the daemon's memory of whom the holder had started, or a parent with such a proof. That
a process looks like an agent proves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from admission.core import events as ev
from admission.core.durations import said
from admission.core.leases import Holder, Lease, Reason
from admission.core.values import value
from admission.service.sensors.belonging import held_by, is_agent, nearest
from admission.service.sensors.processes import Process, Processes

# As many as one may ever want to read of; each takes some 300 bytes.
ENDINGS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Mark:
    """What a process's environment says: the lease it was started under, and of which daemon's.
    `socket`: without links; None where it names none.
    """

    lease: int
    socket: str | None = None


@value
class Ending:
    """A lease that has ended. `granted_ticks`: when it was granted, as processes count their start;
    0 where that is not known, as an earlier daemon granted it.
    """

    lease: int
    task: str
    holder: Holder
    reason: Reason
    ended_at: float
    granted_ticks: int = 0

    def told(self, now: float) -> str:
        how = "was revoked" if self.reason is Reason.REVOKED else "ended"
        return f"{named(self.lease, self.task)}, which {how} {said(now - self.ended_at)} ago"


def named(lease: int, task: str) -> str:
    return f"lease {lease} ({task})" if task else f"lease {lease}"


class Endings:
    """The leases that ended last."""

    def __init__(self, most: int = ENDINGS_MAX) -> None:
        self._most = most
        self._granted_ticks: dict[int, int] = {}
        self._endings: dict[int, Ending] = {}

    def note(self, record: ev.Record, now: float, now_ticks: int) -> None:
        """`now_ticks`: the present, as processes count their start."""
        match record:
            case ev.Granted(lease):
                self._granted_ticks[lease.id] = now_ticks
            case ev.Ended(lease=number, reason=reason, before=Lease(claim=claim)):
                ticks = self._granted_ticks.pop(number, 0)
                ending = Ending(number, claim.task, claim.holder, reason, now, ticks)
                self._endings[number] = ending
                if len(self._endings) > self._most:
                    del self._endings[next(iter(self._endings))]
            case _:
                pass

    def snapshot(self) -> dict[int, Ending]:
        return dict(self._endings)


@dataclass(frozen=True, slots=True)
class Known:
    """What the daemon knows at one moment.

    Attributes:
        now: seconds on the clock of the events.
        daemon: its own PID.
        holders: who has a lease, waits for one, or was seen below a lease that is out. What is
            below them belongs to it.
        out: the numbers of the leases that have not ended.
        last_lease: the highest number given out so far.
        endings: the leases that ended last.
        former: whom a holder had started, as the daemon saw it, by the lease that has ended.
        sockets: what a mark's socket is where the lease is of this daemon.
    """

    now: float
    daemon: int
    holders: frozenset[Holder] = frozenset()
    out: frozenset[int] = frozenset()
    last_lease: int = 0
    endings: Mapping[int, Ending] = field(default_factory=dict)
    former: Mapping[Holder, int] = field(default_factory=dict)
    sockets: frozenset[str | None] = frozenset({None})


@dataclass(frozen=True, slots=True)
class Orphan:
    """One process. `lease`: what it outlived; None for an agent that runs under none, of which
    `pids` are it and all below it.
    """

    process: Process
    lease: int | None
    task: str
    evidence: str
    pids: tuple[int, ...]


def leased_among(processes: Processes, known: Known) -> frozenset[int]:
    """Those that belong to a lease that is out, or to a request that waits."""
    return frozenset(held_by(processes, dict.fromkeys(known.holders, True)))


def find(processes: Processes, marks: Mapping[int, Mark], known: Known) -> list[Orphan]:
    """Survivors, and agents without a lease, by PID."""
    leased = leased_among(processes, known)
    free = {pid: one for pid, one in processes.items() if pid not in leased and pid != known.daemon}
    proven = {
        pid: lease
        for pid, one in free.items()
        if (lease := _lease_proven(one, processes, marks.get(pid), known)) is not None
    }
    above = nearest(processes, {pid: pid for pid in proven})
    found = [
        _survivor(free[pid], top, proven, marks, known) for pid, top in above.items() if pid in free
    ]
    found += _agents(processes, free, set(above), marks, known)
    return sorted(found, key=lambda one: one.process.pid)


def why_none(
    pid: int,
    processes: Processes,
    marks: Mapping[int, Mark],
    known: Known,
    leased: frozenset[int],
) -> str:
    """Why this process is not among those that were found. `leased`: see `leased_among`."""
    if pid == known.daemon:
        return "it is the daemon"
    if pid not in processes:
        return "there is no such process, or it has ended"
    if pid in leased:
        return "it runs under a lease that is out, or waits for one"
    mark = marks.get(pid)
    if mark is not None and _is_ours(mark, known) and mark.lease in known.out:
        return f"it was started under lease {mark.lease}, which has not ended"
    return "nothing shows that it was started under a lease that has ended"


def _lease_proven(
    process: Process, processes: Processes, mark: Mark | None, known: Known
) -> int | None:
    """The number of the lease that this process is proven to have outlived."""
    by_memory = known.former.get(process.holder)
    if by_memory is not None and by_memory not in known.out:
        return by_memory if _outlived(by_memory, process, processes, known) else None
    if mark is None or not _is_ours(mark, known) or not _has_ended(mark.lease, known):
        return None
    return mark.lease if _outlived(mark.lease, process, processes, known) else None


def _is_ours(mark: Mark, known: Known) -> bool:
    return mark.socket in known.sockets


def _has_ended(lease: int, known: Known) -> bool:
    """Whether this number was given out, and is out no more."""
    return 0 < lease <= known.last_lease and lease not in known.out


def _outlived(lease: int, process: Process, processes: Processes, known: Known) -> bool:
    """False where the lease was given back by a holder that goes on, which is nobody's fault; and
    where the process is older than the lease, so that its mark is of another one of that number.
    """
    ending = known.endings.get(lease)
    if ending is None or process.holder == ending.holder:
        return ending is None or ending.reason is not Reason.RELEASED
    holder = processes.get(ending.holder.pid)
    goes_on = holder is not None and holder.holder == ending.holder
    if goes_on and ending.reason is Reason.RELEASED:
        return False
    return process.start_ticks >= ending.granted_ticks


def _survivor(
    process: Process,
    top: int,
    proven: Mapping[int, int],
    marks: Mapping[int, Mark],
    known: Known,
) -> Orphan:
    lease = proven[top]
    ending = known.endings.get(lease)
    task = ending.task if ending else ""
    ended = ending.told(known.now) if ending else f"lease {lease}, which has ended"
    if process.pid != top:
        how = f"was started by process {top}, which outlived {named(lease, task)}"
    elif ending is not None and process.holder == ending.holder:
        how = f"held {ended}"
    elif top in marks and marks[top].lease == lease:
        how = f"started under {ended}"
    else:
        how = f"descends from the holder of {ended}"
    return Orphan(process, lease, task, how, (process.pid,))


def _agents(
    processes: Processes,
    free: Processes,
    survivors: set[int],
    marks: Mapping[int, Mark],
    known: Known,
) -> list[Orphan]:
    agents = {
        pid: pid
        for pid, one in free.items()
        if is_agent(one, processes) and pid not in survivors and not _is_out(marks.get(pid), known)
    }
    members: dict[int, list[int]] = {}
    for pid, agent in nearest(processes, agents).items():
        if pid in free and pid not in survivors:
            members.setdefault(agent, []).append(pid)
    return [
        Orphan(free[pid], None, "", f"{free[pid].kind.agent} under no lease", tuple(members[pid]))
        for pid in agents
    ]


def _is_out(mark: Mark | None, known: Known) -> bool:
    """Whether it left its holder's tree and still belongs to a lease that is out."""
    return mark is not None and _is_ours(mark, known) and mark.lease in known.out
