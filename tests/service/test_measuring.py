"""What trees have used, as their processes come and go, on tables that a test has written."""

from admission.core.leases import Claim, Holder, Lease
from admission.service.measuring.belonging import shares_of
from admission.service.measuring.costs import parse_io
from admission.service.measuring.killing import victims
from admission.service.measuring.tallies import Tally, Used
from admission.service.sensors.kinds import OTHER
from admission.service.sensors.processes import Process, Processes

MIB = 1 << 20


def table(*rows: tuple[int, int]) -> dict[int, Process]:
    """Of PIDs and those of their parents; each takes as many MiB as its PID says."""
    return {pid: Process(pid, parent, 7, "x", OTHER, pid * MIB, 0.0) for pid, parent in rows}


def lease(number: int, pid: int, pool: str = "agents") -> Lease:
    return Lease(number, Claim(Holder(pid, 7), pool), number, 0.0)


def shares(processes: Processes, *leases: Lease) -> dict[int, dict[int, float]]:
    return shares_of(processes, leases, {}, lambda _: None, {})


def test_a_process_counts_for_the_innermost_lease_of_each_pool() -> None:
    processes = table((2, 1), (3, 2), (4, 3), (9, 1))
    found = shares(processes, lease(1, 2), lease(2, 3), lease(3, 3, "operations"))
    assert found == {2: {1: 1}, 3: {2: 1, 3: 1}, 4: {2: 1, 3: 1}}


def test_what_an_ended_child_had_used_counts_once_whenever_its_parent_waits_for_it() -> None:
    tally, both = Tally(), {2: {1: 1.0}, 3: {1: 1.0}}
    whole, alone = table((2, 1), (3, 2)), table((2, 1))
    seen = []
    for processes, used in (
        (alone, {2: Used(5)}),
        (whole, {2: Used(6), 3: Used(4)}),
        (alone, {2: Used(7)}),  # a zombie
        (alone, {2: Used(7, 4.5)}),
        (alone, {2: Used(8, 4.5)}),
    ):
        tally.take(processes, used, both, frozenset({1}))
        seen.append(tally.totals[1])
    assert seen == [0, 5, 6, 6.5, 7.5]


def test_of_those_that_are_gone_the_largest_is_taken_to_be_the_one_that_was_killed() -> None:
    before, now = table((20, 1), (30, 1), (40, 1)), table((40, 1))
    leased = {20: {1: 1.0}, 30: {2: 1.0}, 40: {3: 1.0}}
    assert victims(before, now, leased, 1) == {2}
    assert victims(before, now, leased, 2) == {1, 2}


def test_bytes_from_and_to_disks_are_read_and_nonsense_is_none() -> None:
    assert parse_io("rchar: 9\nread_bytes: 4096\nwrite_bytes: 512\n") == 4608
    assert parse_io("read_bytes: -1\nwrite_bytes: 5\n") is None
