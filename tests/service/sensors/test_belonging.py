"""Who belongs to whom, on processes that a test makes up."""

from admission.core.leases import Holder
from admission.service.sensors.belonging import Consumer, count, held_by, nearest, top, tree
from admission.service.sensors.kinds import OTHER, Kind
from admission.service.sensors.processes import Look, Process

CLAUDE = Kind("claude")
GEMINI = Kind("gemini", is_node=True)
NODE = Kind(is_node=True)
SERVICE = Kind("claude", is_infrastructure=True)
MB = 10**6


def made(*rows: Process) -> dict[int, Process]:
    return {row.pid: row for row in rows}


def one(
    pid: int, parent: int, kind: Kind = OTHER, name: str = "sh", mb: int = 10, cpu_s: float = 0.0
) -> Process:
    return Process(pid, parent, 100 + pid, name, kind, mb * MB, cpu_s)


def holder(pid: int) -> Holder:
    return Holder(pid, 100 + pid)


INIT = one(1, 0, name="init")


def test_the_tree_has_each_process_under_its_parent() -> None:
    processes = made(INIT, one(2, 1), one(3, 1), one(4, 3))
    children = tree(processes)
    assert {pid: [row.pid for row in rows] for pid, rows in children.items()} == {
        0: [1],
        1: [2, 3],
        3: [4],
    }


def test_everything_below_a_holder_is_its_lease_s_and_the_nearest_holder_s_first() -> None:
    processes = made(INIT, one(2, 1), one(3, 2), one(4, 3), one(5, 4), one(6, 1))
    assert held_by(processes, {holder(2): 70, holder(4): 71}) == {2: 70, 3: 70, 4: 71, 5: 71}


def test_a_pid_that_was_reused_holds_nothing() -> None:
    processes = made(INIT, one(2, 1), one(3, 2))
    assert held_by(processes, {Holder(2, 5): 70, holder(9): 71}) == {}


def test_a_line_that_comes_back_to_itself_ends() -> None:
    processes = made(one(2, 4), one(3, 2), one(4, 3), one(5, 4), one(6, 6))
    assert nearest(processes, {9: "x"}) == {}
    assert nearest(processes, {3: "x"}) == {2: "x", 3: "x", 4: "x", 5: "x"}


def test_a_deep_line_is_no_trouble() -> None:
    processes = made(INIT, *(one(pid, pid - 1) for pid in range(2, 50_000)))
    assert len(nearest(processes, {2: True})) == 49_998


def test_agents_count_as_foreign_unless_they_run_under_a_lease() -> None:
    processes = made(
        INIT,
        one(10, 1),  # a holder
        one(11, 10, CLAUDE),
        one(12, 11, NODE),
        one(20, 1, CLAUDE),
        one(21, 20, NODE),
        one(30, 1, GEMINI),
        one(31, 30, GEMINI),  # the worker of that one
        one(40, 1, SERVICE),
        one(41, 40, SERVICE),
        one(42, 41, CLAUDE),  # a session that the service holds open
    )
    counts = count(processes, frozenset({holder(10)}))
    assert counts.claude_processes == 5
    assert counts.node_processes == 4
    assert counts.foreign_agents == 3
    assert count(processes, frozenset()).foreign_agents == 4


def test_an_agent_that_an_agent_starts_through_a_shell_is_one_more() -> None:
    processes = made(INIT, one(2, 1, CLAUDE), one(3, 2), one(4, 3, CLAUDE))
    assert count(processes, frozenset()).foreign_agents == 2


def test_the_top_is_grouped_by_lease_then_agent_then_program() -> None:
    before = Look(
        100.0,
        made(
            INIT,
            one(10, 1, name="admission"),
            one(11, 10, CLAUDE, "2.1.331", 200, 5.0),
            one(20, 1, CLAUDE, "claude", 300, 9.0),
            one(21, 20, NODE, "MainThread", 50, 1.0),
            one(30, 1, name="cc", mb=5),
        ),
    )
    now = Look(
        110.0,
        made(
            INIT,
            one(10, 1, name="admission"),
            one(11, 10, CLAUDE, "2.1.331", 250, 10.0),
            one(12, 11, name="rustc", mb=700, cpu_s=10.0),
            one(20, 1, CLAUDE, "claude", 300, 9.0),
            one(21, 20, NODE, "MainThread", 60, 2.0),
            one(30, 1, name="cc", mb=100, cpu_s=8.0),
            one(31, 1, name="cc", mb=120, cpu_s=8.0),
        ),
    )
    found = top(now, before, {holder(10): 7}, 3)
    lease = Consumer(7, "claude", 12, 3, 1.5, 960 * MB)
    agent = Consumer(None, "claude", 20, 2, 0.1, 360 * MB)
    program = Consumer(None, "cc", 31, 2, 1.6, 220 * MB)
    assert found.by_memory == (lease, agent, program)
    assert found.by_cpu == (program, lease, agent)
    assert top(now, before, {holder(10): 7}, 1).by_memory == (lease,)


def test_without_an_earlier_look_nothing_is_said_of_cpu() -> None:
    now = Look(110.0, made(one(10, 1, name="cc", cpu_s=1000.0)))
    assert top(now, None, {}, 5).by_cpu == ()
    assert top(now, now, {}, 5).by_cpu == ()
    assert top(now, None, {}, 5).by_memory == (Consumer(None, "cc", 10, 1, None, 10 * MB),)


def test_the_past_of_what_was_reaped_is_not_counted_again() -> None:
    """`make` is told of all that its compilers used, also of what was seen of them before."""
    before = Look(
        0.0,
        made(
            INIT,
            one(2, 1, name="make", cpu_s=1.0),
            one(3, 2, name="sh", cpu_s=1.0),
            one(4, 3, name="cc", cpu_s=50.0),
        ),
    )
    now = Look(10.0, made(INIT, one(2, 1, name="make", cpu_s=1.0 + 1.0 + 58.0)))
    assert top(now, before, {}, 5).by_cpu == (Consumer(None, "make", 2, 1, 0.8, 10 * MB),)


def test_what_ended_unreaped_takes_nothing_below_nothing() -> None:
    before = Look(0.0, made(INIT, one(2, 1, name="make"), one(3, 2, name="cc", cpu_s=50.0)))
    now = Look(10.0, made(INIT, one(2, 1, name="make", cpu_s=1.0)))
    assert top(now, before, {}, 5).by_cpu == ()


def test_an_agent_that_was_admitted_in_between_brings_no_past_along() -> None:
    before = Look(0.0, made(INIT, one(2, 1, CLAUDE, "claude", cpu_s=500.0)))
    now = Look(10.0, made(INIT, one(2, 1, CLAUDE, "claude", cpu_s=505.0)))
    (found,) = top(now, before, {holder(2): 7}, 5).by_cpu
    assert (found.lease, found.cpus) == (7, 0.5)
