"""Who belongs to a lease's tree, on processes that a test makes up."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from admission.core.leases import Bound, Claim, Holder, Lease
from admission.service.sensors.kinds import OTHER
from admission.service.sensors.processes import Process, Processes
from admission.service.trees import FORMER_MAX, LOOKS_MAX, Trees


def one(pid: int, parent: int, start_ticks: int | None = None) -> Process:
    return Process(
        pid, parent, 100 + pid if start_ticks is None else start_ticks, "sh", OTHER, 0, 0
    )


def holder(pid: int) -> Holder:
    return Holder(pid, 100 + pid)


def lease(number: int, pid: int, pool: str = "agents") -> Lease:
    claim = Claim(holder(pid), pool=pool, bound=Bound.TREE)
    return Lease(number, claim, number, 0.0)


def left(of: Lease, *pids: int) -> Lease:
    return replace(of, is_left=True, tree=tuple(map(holder, pids)))


class Machine:
    """What the machine says, as the test sets it."""

    def __init__(self, *rows: Process) -> None:
        self.rows = list(rows)
        self.marks: dict[int, int] = {}
        self.sessions: dict[int, int] = {}
        self.groups: dict[int, str] = {}
        self.looks = 0
        self.before_look: Callable[[int], None] = lambda number: None
        self.after_look: Callable[[int], None] = lambda number: None
        self.born = 0

    def start(self, *rows: Process) -> None:
        self.rows += rows
        self.born += len(rows)

    def end(self, *pids: int) -> None:
        """As the kernel has it: whom they leave behind is given to init."""
        self.rows = [
            row._replace(parent=1) if row.parent in pids else row
            for row in self.rows
            if row.pid not in pids
        ]

    def table(self) -> Processes:
        return {row.pid: row for row in self.rows}

    def processes(self) -> Processes:
        self.looks += 1
        self.before_look(self.looks)
        table = self.table()
        self.after_look(self.looks)
        return table

    def births(self) -> int | None:
        return self.born

    def lease_of(self, pid: int) -> int | None:
        return self.marks.get(pid)

    def session_of(self, pid: int) -> int | None:
        return self.sessions.get(pid)

    def group_of(self, pid: int) -> str | None:
        return self.groups.get(pid)

    def members(self, group: str) -> frozenset[int]:
        return frozenset(pid for pid, name in self.groups.items() if name == group)


INIT = one(1, 0)
L1 = lease(1, 10)


def found(trees: Trees, of: Lease, *others: int) -> list[int]:
    return [one.pid for one in trees.find(of, frozenset(map(holder, others)))]


# --- ancestry -------------------------------------------------------------------------------------


def test_what_was_seen_below_a_holder_is_found_when_it_is_gone_and_what_that_started_since() -> (
    None
):
    machine = Machine(INIT, one(10, 1), one(11, 10), one(12, 11), one(99, 1))
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    machine.end(10, 11)
    machine.start(one(13, 12))
    assert found(trees, left(L1)) == [12, 13]
    assert machine.looks == 1


def test_what_was_seen_stays_known_though_its_parent_has_left_it_since() -> None:
    machine = Machine(INIT, one(10, 1), one(11, 10), one(12, 11))
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    machine.end(11)
    machine.start(one(13, 12))
    trees.note(machine.table(), [L1])
    machine.end(10, 12)
    assert found(trees, left(L1)) == [13]


def test_a_later_process_of_a_number_is_another() -> None:
    machine = Machine(INIT, one(10, 1), one(11, 10))
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    machine.end(10, 11)
    machine.start(one(11, 1, 7777), one(10, 1, 7777))
    assert found(trees, left(L1)) == []


def test_those_whom_it_follows_already_are_found_though_this_daemon_never_saw_their_holder() -> (
    None
):
    machine = Machine(INIT, one(12, 1), one(13, 12))
    assert found(Trees(traces=machine), left(L1, 11, 12)) == [12, 13]


def test_what_is_started_below_a_tree_while_it_is_followed_is_noted_too() -> None:
    machine = Machine(INIT, one(12, 1), one(13, 12))
    trees = Trees(traces=machine)
    trees.note(machine.table(), [left(L1, 12)])
    machine.end(12)
    assert found(trees, left(L1)) == [13]


def test_a_holder_is_never_of_its_own_tree() -> None:
    machine = Machine(INIT, one(10, 1), one(11, 10))
    machine.marks = {10: 1}
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    assert found(trees, L1) == [11]


# --- marks, sessions, cgroups ---------------------------------------------------------------------


def test_whoever_has_the_mark_is_found_and_what_stands_below_it() -> None:
    machine = Machine(INIT, one(21, 1), one(22, 21), one(23, 1))
    machine.marks = {21: 1, 23: 2}
    assert found(Trees(traces=machine), left(L1)) == [21, 22]


def test_a_session_that_the_holder_led_is_its_own_but_only_at_the_first_look() -> None:
    machine = Machine(INIT, one(10, 1))
    machine.sessions = {10: 10, 21: 10}
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    machine.end(10)
    machine.start(one(21, 1))
    assert found(trees, left(L1)) == [21]
    trees.note(machine.table(), [left(L1, 21)])  # which is not forgotten while it is looked for
    assert found(trees, left(L1)) == [21]
    # Whoever got its number may lead a session as well.
    assert found(trees, left(L1, 30)) == [21]  # seen before
    machine.end(21)
    machine.start(one(10, 1, 7777), one(31, 10))
    machine.sessions = {10: 10, 31: 10}
    assert found(trees, left(L1, 30)) == []


def test_a_session_that_somebody_else_leads_is_no_evidence() -> None:
    machine = Machine(INIT, one(5, 1), one(10, 5), one(21, 5))
    machine.sessions = {5: 5, 10: 5, 21: 5}
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    machine.end(10)
    assert found(trees, left(L1)) == []


def test_a_cgroup_with_nobody_else_in_it_is_the_holders_own() -> None:
    machine = Machine(INIT, one(10, 1), one(11, 10))
    machine.groups = {10: "/scope", 11: "/scope"}
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    machine.end(10, 11)
    machine.start(one(21, 1))
    machine.groups = {21: "/scope"}
    assert found(trees, left(L1)) == [21]


def test_a_cgroup_stays_its_own_though_a_child_was_given_to_init() -> None:
    machine = Machine(INIT, one(10, 1), one(11, 10), one(12, 11))
    machine.groups = {10: "/scope", 12: "/scope"}
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    machine.end(11)
    trees.note(machine.table(), [L1])
    machine.end(10)
    machine.start(one(21, 1))
    machine.groups[21] = "/scope"
    assert found(trees, left(L1)) == [12, 21]


@pytest.mark.parametrize("traces", ["sessions", "groups"])
def test_a_holder_that_ends_between_a_sample_and_its_noting_keeps_what_was_its_own(
    traces: str,
) -> None:
    machine = Machine(INIT, one(10, 1))
    own: int | str = 10 if traces == "sessions" else "/scope"
    setattr(machine, traces, {10: own})
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    sample = machine.table()
    machine.end(10)
    machine.start(one(21, 1))
    setattr(machine, traces, {21: own})
    trees.note(sample, [L1])
    assert found(trees, left(L1)) == [21]


def test_a_cgroup_that_others_are_in_is_no_evidence() -> None:
    machine = Machine(INIT, one(10, 1), one(30, 1))
    machine.groups = {10: "/scope"}
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    machine.groups[30] = "/scope"
    trees.note(machine.table(), [L1])
    machine.end(10)
    assert found(trees, left(L1)) == []


# --- who is not -----------------------------------------------------------------------------------


def test_another_leases_holder_and_what_stands_below_it_are_that_leases() -> None:
    machine = Machine(INIT, one(10, 1), one(11, 10), one(12, 11), one(13, 10))
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])  # before the second one was granted
    machine.end(10)
    assert found(trees, left(L1), 11) == [13]
    assert found(trees, left(L1)) == [11, 12, 13]


def test_two_leases_of_one_holder_follow_the_same_processes() -> None:
    machine = Machine(INIT, one(10, 1), one(11, 10))
    trees = Trees(traces=machine)
    second = lease(2, 10)
    trees.note(machine.table(), [L1, second])
    machine.end(10)
    assert found(trees, left(L1)) == found(trees, left(second)) == [11]


def test_a_holder_in_another_pool_is_its_agents_all_the_same() -> None:
    machine = Machine(INIT, one(10, 1), one(11, 10), one(12, 11))
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1, lease(2, 11, pool="operations")])
    machine.end(10)
    assert found(trees, left(L1)) == [11, 12]


def test_the_daemon_is_never_of_a_tree_though_a_holder_started_it() -> None:
    me = os.getpid()
    machine = Machine(INIT, one(10, 1), one(me, 10), one(me + 1, me))
    machine.marks = {me: 1}
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1])
    machine.end(10)
    assert found(trees, left(L1)) == []


# --- that nobody is left --------------------------------------------------------------------------


def test_nobody_is_believed_to_be_left_after_one_look() -> None:
    machine = Machine(INIT)
    machine.before_look = lambda number: machine.marks.update({21: 1} if number == 2 else {})
    machine.start(one(21, 1))  # it is just becoming another program: there is no environment
    assert found(Trees(traces=machine), left(L1)) == [21]


def test_one_that_was_started_behind_the_look_is_found_by_the_next() -> None:
    machine = Machine(INIT)
    machine.marks = dict.fromkeys(range(20, 40), 1)

    def start_behind_it(number: int) -> None:
        if number < 5:  # it has started another and is gone, each time before it is seen
            machine.born += 1
        elif number == 5:
            machine.start(one(25, 1))

    machine.after_look = start_behind_it
    assert found(Trees(traces=machine), left(L1)) == [25]
    assert machine.looks == 6


def test_where_processes_are_started_all_the_time_it_is_not_looked_for_ever() -> None:
    machine = Machine(INIT)

    def start(number: int) -> None:
        machine.born += 1

    machine.after_look = start
    assert found(Trees(traces=machine), left(L1)) == []
    assert machine.looks == LOOKS_MAX


# --- what outlives a lease ------------------------------------------------------------------------


def test_what_outlives_a_lease_is_remembered_until_it_ends() -> None:
    machine = Machine(INIT, one(10, 1), one(11, 10), one(12, 1), one(13, 12))
    trees = Trees(traces=machine)
    trees.note(machine.table(), [L1, lease(2, 12)])
    assert trees.former() == {}
    machine.end(10)
    trees.note(machine.table(), [lease(2, 12)])
    machine.start(one(14, 11))
    trees.note(machine.table(), [lease(2, 12)])
    assert trees.former() == {holder(11): 1, holder(14): 1}
    machine.end(11)
    trees.note(machine.table(), [])
    assert trees.former() == {holder(14): 1, holder(13): 2}
    machine.end(14, 13)
    trees.note(machine.table(), [])
    assert trees.former() == {}


def test_only_so_many_ended_leases_are_remembered() -> None:
    count = FORMER_MAX + 5
    machine = Machine(INIT)
    for number in range(count):
        machine.start(one(1000 + number, 1), one(5000 + number, 1000 + number))
    trees = Trees(traces=machine)
    trees.note(machine.table(), [lease(number + 1, 1000 + number) for number in range(count)])
    machine.end(*range(1000, 1000 + count))
    trees.note(machine.table(), [])
    assert set(trees.former().values()) == set(range(6, count + 1))
