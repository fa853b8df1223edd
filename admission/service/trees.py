"""What a lease's holder has started: noted while that lives, looked for when it is gone.

Each kind of evidence misses something, so all of them count:

- ancestry, as noted with each sample: not what was started and left by its parent in between;
- the mark `ADMISSION_LEASE` in the environment: not where that was cleared or written over;
- the session, and the cgroup, of a holder that has one of its own: not what has left it.

What escapes all four (forked, left by its parent and rid of its environment between two samples, in
no cgroup of its own) can't be told from anybody else's process, and is not found.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from admission.core.leases import Holder, Lease
from admission.service.sensors.belonging import nearest
from admission.service.sensors.processes import Processes
from admission.service.traces import Traces, traces_of_this_machine

FORMER_MAX = 256
LOOKS_MAX = 10

Seen = Mapping[int, frozenset[Holder]]


class Trees:
    """See the module. For one thread at a time, but for what is asked of it: `former`, `seen`,
    `own_group` and `groups`.
    """

    def __init__(self, socket: Path | None = None, traces: Traces | None = None) -> None:
        """`socket`: where the daemon listens, so that another daemon's mark is told from its own.
        `traces`: what the machine says.
        """
        self._traces = traces or traces_of_this_machine(socket)
        # What was seen below each lease's holder and still lives, by the lease's number: of those
        # that are out, and of the last ones that have ended.
        self._seen: Seen = {}
        self._former: Seen = {}
        # The session and the cgroup that are a holder's own, by its lease's number.
        self._led: frozenset[int] = frozenset()
        self._groups: dict[int, str] = {}

    # --- while the holders live -------------------------------------------------------------------

    def note(self, processes: Processes, leases: Iterable[Lease]) -> None:
        """Remembers what lives below each lease now, and what of that outlives it.

        Args:
            processes: all of them.
            leases: those that are there, in whatever state.
        """
        leases = list(leases)
        seen: dict[int, frozenset[Holder]] = {}
        for pool in {lease.claim.pool for lease in leases}:
            # By pool: a build step with a lease of `operations` is its agent's all the same.
            seen |= self._below(processes, [one for one in leases if one.claim.pool == pool])
        former = {number: had for number, had in self._seen.items() if number not in seen}
        self._former = self._with_offspring(processes, {**self._former, **former})
        self._seen = seen
        living = [lease for lease in leases if _is_there(processes, lease.claim.holder)]
        self._note_sessions(processes, living)
        self._note_groups(processes, living)

    def former(self) -> dict[Holder, int]:
        """What lived when last noted of all that was seen below leases that have ended: for each
        process, that lease's number.
        """
        return {one: number for number, had in self._former.items() for one in had}

    def seen(self) -> Seen:
        """What lived when last noted below each lease that was out then, by the lease's number."""
        return self._seen

    def own_group(self, number: int) -> str | None:
        """The cgroup of this lease's holder, where there is nobody in it but its tree."""
        return self._groups.get(number)

    def groups(self) -> Mapping[int, str]:
        """The folder of the cgroup that is a lease's own, by its number, as when last noted."""
        return self._groups

    def _below(self, processes: Processes, leases: list[Lease]) -> dict[int, frozenset[Holder]]:
        """What belongs to each of these leases: seen before, or the nearest holder's above it."""
        marks: dict[int, frozenset[int]] = {}
        known = {lease.id: _there(processes, self._seen.get(lease.id, ())) for lease in leases}
        for number, had in known.items():
            for one in had:
                marks[one.pid] = marks.get(one.pid, frozenset()) | {number}
        # A holder is its own lease's, whoever started it.
        held: dict[int, frozenset[int]] = {}
        for lease in leases:
            for one in _there(processes, lease.holders):
                held[one.pid] = held.get(one.pid, frozenset()) | {lease.id}
        found = {number: set(had) for number, had in known.items()}
        for pid, numbers in nearest(processes, marks | held).items():
            for number in numbers:
                found[number].add(processes[pid].holder)
        return {lease.id: frozenset(found[lease.id] - {lease.claim.holder}) for lease in leases}

    def _with_offspring(self, processes: Processes, former: Seen) -> Seen:
        marks: dict[int, int] = {}
        for number in sorted(former)[-FORMER_MAX:]:
            marks |= {one.pid: number for one in _there(processes, former[number])}
        found: dict[int, set[Holder]] = {}
        for pid, number in nearest(processes, marks).items():
            found.setdefault(number, set()).add(processes[pid].holder)
        return {number: frozenset(had) for number, had in found.items()}

    def _note_sessions(self, processes: Processes, living: list[Lease]) -> None:
        """Whoever is in a session that the holder leads was started by it."""
        led = {number for number in self._led if number in self._seen}
        for lease in living:
            pid = lease.claim.holder.pid
            session = self._traces.session_of(pid)
            if session is None:
                continue  # it has ended since, and what is known of it stays
            led.discard(lease.id)
            if session == pid:
                led.add(lease.id)
        self._led = frozenset(led)

    def _note_groups(self, processes: Processes, living: list[Lease]) -> None:
        """A cgroup with nobody in it but the holder and what stands below it is its own."""
        kept = {number: self._groups[number] for number in self._groups if number in self._seen}
        for lease in living:
            pid = lease.claim.holder.pid
            group = self._traces.group_of(pid)
            members = frozenset[int]() if group is None else self._traces.members(group)
            if group is None or pid not in members:
                continue  # it has ended since, and what is known of it stays
            kept.pop(lease.id, None)
            own = (lease.claim.holder, *self._seen[lease.id])
            below = nearest(processes, {one.pid: True for one in own})
            # Of those that the sample does not have, as they are younger, nothing can be said.
            if members & processes.keys() <= below.keys():
                kept[lease.id] = group
        self._groups = kept

    # --- when a holder is gone --------------------------------------------------------------------

    def find(self, lease: Lease, others: frozenset[Holder] = frozenset()) -> tuple[Holder, ...]:
        """The living processes of this lease's tree, but for its holder. It blocks.

        Args:
            lease: as it is now.
            others: the living holders of the pool's other leases; they, and what stands below
                them, are those leases' already.

        Raises:
            OSError: the machine can't be looked at just now, which does not mean that none lives.
        """
        # One that is found may have ended since, which whoever watches it will hear of. But that
        # none is found is believed, so it must be true, although a table of processes is no
        # picture of one instant: while it is read, a parent can start a child whose place has been
        # passed already, and be gone when its own comes. If no process at all was started during a
        # look, then whoever lives at its end lived at its beginning, and was seen. Where so many
        # are started that no look is ever undisturbed, the one that escapes must have been started
        # behind each of ten looks, and its parent have ended before it was seen in each of them.
        #
        # And never the first look alone: between two programs of one process (exec) its
        # environment reads empty for an instant, without any being started.
        for number in range(LOOKS_MAX):
            births = self._traces.births()
            if found := self._look(lease, others):
                return found
            if number and births == self._traces.births():
                break
        return ()

    def _look(self, lease: Lease, others: frozenset[Holder]) -> tuple[Holder, ...]:
        processes = self._traces.processes()
        known = {*self._seen.get(lease.id, ()), *lease.tree}
        marks = dict.fromkeys((one.pid for one in _there(processes, known)), True)
        marks |= dict.fromkeys(self._gathered(lease) & processes.keys(), True)
        for pid in processes:
            if pid not in marks and self._is_marked(lease, pid):
                marks[pid] = True
        elsewhere = {one.pid: True for one in _there(processes, others)} | {os.getpid(): True}
        taken = nearest(processes, elsewhere)
        below = [pid for pid in nearest(processes, marks) if pid not in taken]
        found = {processes[pid].holder for pid in below} - {lease.claim.holder}
        return tuple(sorted(found, key=lambda one: (one.start_ticks, one.pid)))

    def _is_marked(self, lease: Lease, pid: int) -> bool:
        """By its environment; or, at the first look, by its session: later, the leader's number
        may be another's, who leads one of its own.
        """
        is_first = not lease.tree and lease.id in self._led
        if is_first and self._traces.session_of(pid) == lease.claim.holder.pid:
            return True
        return self._traces.lease_of(pid) == lease.id

    def _gathered(self, lease: Lease) -> frozenset[int]:
        group = self._groups.get(lease.id)
        return frozenset() if group is None else self._traces.members(group)


def _is_there(processes: Processes, holder: Holder) -> bool:
    """Whether this process is among them, and not a later one of its number."""
    row = processes.get(holder.pid)
    return row is not None and row.start_ticks == holder.start_ticks


def _there(processes: Processes, holders: Iterable[Holder]) -> list[Holder]:
    return [one for one in holders if _is_there(processes, one)]
