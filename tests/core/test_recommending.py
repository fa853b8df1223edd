"""Each rule of advice: it fires, just below it does not, and its numbers are those of the facts."""

from dataclasses import dataclass, replace

import pytest

from admission.core.advice import (
    GIB,
    MIB,
    ByHand,
    Disk,
    Facts,
    Group,
    Habit,
    Heavy,
    Minute,
    Recommendation,
    Trials,
    Tried,
)
from admission.core.alarm import Alarm
from admission.core.leases import Claim, Holder
from admission.core.recommending import RULES, recommend

CLAIM = Claim(Holder(4711, 1), task="secret")
MACHINE = Facts(memory_total_bytes=16 * GIB, cpus=8.0)
CALM = Minute(0, 40.0, 30.0, 5, 2)
FAIR = Tried(300.0, 0.0, 10.0)
HARSH = Tried(300.0, 1.0, 120.0)


def waits(number: int, for_s: float) -> Alarm:
    return Alarm(False, number, CLAIM, for_s, "5 of 5 agents run")


def node(pid: int, size_bytes: int) -> Heavy:
    return Heavy("node", pid, 1, size_bytes)


def habits(*peaks_bytes: int, failures: int = 0, runs: int = 3) -> tuple[Habit, ...]:
    """Of tasks a, b, …; the failures are the first one's."""
    found = [Habit(chr(97 + n), runs, peak) for n, peak in enumerate(peaks_bytes)]
    return (replace(found[0], failures=failures), *found[1:])


def trials(lower: Tried, current: Tried, higher: Tried) -> Trials:
    return Trials(6 * 3600.0, 5.0, current, lower, higher)


@dataclass(frozen=True)
class Case:
    """`fires`: facts by which the rule speaks, and words that are then in what it says; `silent`:
    nearly the same facts, by which it does not.
    """

    rule: str
    fires: Facts
    words: tuple[str, ...]
    silent: tuple[Facts, ...]
    command: str


CASES = (
    Case(
        "long-wait",
        replace(MACHINE, alarms=(waits(12, 1200.0), waits(13, 2040.0), waits(14, 60.0))),
        ("ticket 13 of agents", "waited for 34 min: 5 of 5 agents run", "2 more wait"),
        (MACHINE, replace(MACHINE, alarms=(Alarm(True, 7, CLAIM, 60.0, "held"),))),
        "admission queue move 13",
    ),
    Case(
        "long-hold",
        replace(MACHINE, alarms=(Alarm(True, 7, CLAIM, 900.0, "held for 15 min"), waits(1, 9.0))),
        ("lease 7 of agents", "held for 15 min"),
        (MACHINE, replace(MACHINE, alarms=(waits(12, 60.0),))),
        "admission leases --pool agents",
    ),
    Case(
        "too-many-agents",
        replace(MACHINE, capacity=3, groups=(Group("ci", 1, 5), Group("", 1, 0))),
        ("at most 5", "ci asked for 6 (1 run, 5 wait)", "3 may run now, and 5 at rest"),
        (
            replace(MACHINE, groups=(Group("ci", 1, 4),)),
            replace(MACHINE, capacity=5, groups=(Group("ci", 6, 0),)),
            replace(MACHINE, groups=(Group("a", 2, 3), Group("b", 2, 3))),
        ),
        "admission queue --pool agents",
    ),
    Case(
        "too-many-agents",
        replace(MACHINE, groups=(Group("", 4, 3), Group("b", 1, 3))),
        ("all together asked for 11 (5 run, 6 wait)",),
        (replace(MACHINE, groups=(Group("", 4, 3), Group("b", 1, 2))),),
        "admission queue --pool agents",
    ),
    Case(
        "two-autopilots",
        replace(
            MACHINE, capacity=4, groups=(Group("autopilot-9", 1, 2), Group("autopilot-7", 2, 1))
        ),
        ("autopilot-7, autopilot-9 asked for 6 agents", "4 may run now, so 3 of theirs wait"),
        (
            replace(MACHINE, groups=(Group("autopilot-7", 2, 0), Group("autopilot-9", 2, 0))),
            replace(MACHINE, groups=(Group("autopilot-7", 2, 1), Group("autopilot-x", 2, 1))),
            replace(MACHINE, groups=(Group("autopilot-7", 2, 1), Group("autopilots", 2, 1))),
        ),
        "admission queue --pool agents",
    ),
    Case(
        "level-by-hand",
        replace(MACHINE, by_hand=ByHand(0, 2, "memory 85 % is above 80 %")),
        ("level 0 was set", "calls for level 2: memory 85 % is above 80 %"),
        (MACHINE, replace(MACHINE, by_hand=ByHand(2, 2, "memory 85 % is above 80 %"))),
        "admission level auto",
    ),
    Case(
        "paused",
        replace(MACHINE, paused=(("operations", 3),)),
        ("have operations granted", "3 wait"),
        (replace(MACHINE, paused=(("operations", 0),)),),
        "admission unpause operations",
    ),
    Case(
        "orphans",
        replace(MACHINE, survivors=(node(71, 100 * MIB), node(72, 300 * MIB))),
        (
            "end the 2 processes that outlived",
            "400 MiB (2 % of the memory)",
            "300 MiB of it by node (process 72)",
        ),
        (MACHINE, replace(MACHINE, survivors=(node(71, 64 * MIB), node(72, 63 * MIB)))),
        "admission orphans --stop",
    ),
    Case(
        "orphans",
        replace(MACHINE, survivors=tuple(node(n, MIB) for n in range(1, 11))),
        ("end the 10 processes that outlived", "10 MiB"),
        (replace(MACHINE, survivors=tuple(node(n, MIB) for n in range(1, 10))),),
        "admission orphans --stop",
    ),
    Case(
        "agents-without-lease",
        replace(MACHINE, level=1, agents=(Heavy("codex", 5, 2, GIB), Heavy("claude", 6, 1, GIB))),
        ("2 agents (claude, codex)", "2.0 GiB (12 % of the memory)", "the level is 1"),
        (
            replace(MACHINE, level=0, agents=(node(5, GIB), node(6, GIB))),
            replace(MACHINE, level=1, agents=(node(5, GIB),)),
        ),
        "admission orphans",
    ),
    Case(
        "heavy-process",
        replace(MACHINE, level=2, foreign=(node(5, 1), Heavy("java", 8, 3, 4 * GIB, 0.5))),
        ("java (process 8) and 2 more", "4.0 GiB (25 % of the memory)", "the level is 2"),
        (
            replace(MACHINE, level=0, foreign=(Heavy("java", 8, 3, 4 * GIB, 8.0),)),
            replace(MACHINE, level=2, foreign=(Heavy("java", 8, 3, 3 * GIB, 3.1),)),
            replace(MACHINE, level=2, memory_total_bytes=None, foreign=(node(5, 4 * GIB),)),
        ),
        "ps -o pid,user,etime,rss,args -p 8",
    ),
    Case(
        "heavy-process",
        replace(MACHINE, level=1, foreign=(Heavy("make", 9, 1, GIB, 3.3),)),
        ("make (process 9), under no lease", "takes 3.3 of 8 CPUs,"),
        (replace(MACHINE, level=1, cpus=None, foreign=(Heavy("make", 9, 1, GIB, 3.3),)),),
        "ps -o pid,user,etime,rss,args -p 9",
    ),
    Case(
        "hungry-task",
        replace(MACHINE, habits=habits(6 * GIB, 2 * GIB, GIB)),
        ("each run of a count for 4", "--weight 4", "its 3 runs", "6.0 GiB", "1.5 GiB is usual"),
        (
            replace(MACHINE, habits=habits(4 * GIB, 2 * GIB, GIB)),
            replace(MACHINE, habits=habits(6 * GIB, 2 * GIB)),
            replace(MACHINE, habits=habits(6 * GIB, 2 * GIB, GIB, runs=2)),
            replace(MACHINE, habits=habits(900 * MIB, 9 * MIB, MIB)),
            replace(MACHINE, habits=(replace(habits(6 * GIB)[0], task=""), *habits(GIB, GIB))),
        ),
        "admission tasks --task=a",
    ),
    Case(
        "hungry-task",
        replace(MACHINE, habits=habits(2 * GIB, GIB, GIB, failures=2)),
        ("2 of them failed for want of memory",),
        (replace(MACHINE, habits=habits(2 * GIB, GIB, GIB, failures=1)),),
        "admission tasks --task=a",
    ),
    Case(
        "journal",
        replace(MACHINE, journal_problem="the journal /j can't be written"),
        ("the journal /j can't be written",),
        (MACHINE,),
        "admission doctor",
    ),
    Case(
        "disk",
        replace(MACHINE, disk=Disk("/var/x", 255 * MIB, 20 * GIB)),
        ("255 MiB of 20.0 GiB",),
        (MACHINE, replace(MACHINE, disk=Disk("/var/x", 256 * MIB, 20 * GIB))),
        "df -h /var/x",
    ),
    Case(
        "disk",
        replace(MACHINE, disk=Disk("/var/x", 3 * GIB, 400 * GIB)),
        ("3.0 GiB of 400.0 GiB",),
        (replace(MACHINE, disk=Disk("/var/x", 4 * GIB, 400 * GIB)),),
        "df -h /var/x",
    ),
    Case(
        "history",
        replace(MACHINE, history_problem="the history can't be written: disk full"),
        ("disk full",),
        (MACHINE,),
        "admission doctor",
    ),
    Case(
        "limit-reached",
        replace(
            MACHINE,
            minutes=(CALM,) * 29
            + (replace(CALM, memory_used_pct=35.0), Minute(1, 75.0, 9.0, 5, 2)),
        ),
        ("let 7 agents", "where 5 may", "30 of the last 31 minutes", "40 %", "30 %"),
        (
            replace(MACHINE, minutes=(CALM,) * 29),
            replace(MACHINE, minutes=(replace(CALM, memory_used_pct=55.1),) * 60),
            replace(MACHINE, minutes=(replace(CALM, cpu_used_pct=45.1),) * 60),
            replace(MACHINE, minutes=(replace(CALM, in_use=4),) * 60),
            replace(MACHINE, minutes=(replace(CALM, waiting=0),) * 60),
            replace(MACHINE, minutes=(replace(CALM, level=1),) * 60),
        ),
        "admission simulate --since 1d --agents 7",
    ),
    Case(
        "thresholds-tight",
        replace(MACHINE, trials=trials(FAIR, FAIR, replace(FAIR, cycles_per_hour=330.0))),
        ("5 points higher", "last 6.0 h", "330 cycles", "in place of 300", "10 s above 95 %"),
        (
            replace(MACHINE, trials=trials(FAIR, FAIR, replace(FAIR, cycles_per_hour=329.0))),
            replace(MACHINE, trials=trials(FAIR, FAIR, Tried(400.0, 0.1, 10.0))),
            replace(MACHINE, trials=trials(FAIR, FAIR, Tried(400.0, 0.0, 10.1))),
        ),
        "admission simulate --since 1d --bounds=+5",
    ),
    Case(
        "thresholds-loose",
        replace(MACHINE, trials=trials(Tried(285.0, 0.5, 60.0), HARSH, HARSH)),
        ("5 points lower", "285 cycles", "0.5 out of memory and 60 s", "1.0 out of memory and 120"),
        (
            replace(MACHINE, trials=trials(Tried(284.0, 0.5, 60.0), HARSH, HARSH)),
            replace(MACHINE, trials=trials(Tried(285.0, 0.51, 60.0), HARSH, HARSH)),
            replace(MACHINE, trials=trials(Tried(300.0, 0.0, 0.0), Tried(300.0, 0.2, 59.0), HARSH)),
        ),
        "admission simulate --since 1d --bounds=-5",
    ),
)


def said_by(rule: str, facts: Facts) -> list[Recommendation]:
    return [one for one in recommend(facts) if one.rule == rule]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_rule_speaks_with_the_numbers_of_the_facts(case: Case) -> None:
    (found,) = said_by(case.rule, case.fires)
    for words in case.words:
        assert words in f"{found.what}: {found.why}"
    assert " ".join(found.command) == case.command
    assert 0 < found.weight <= 100


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_and_is_silent_just_below(case: Case) -> None:
    for facts in case.silent:
        assert said_by(case.rule, facts) == []


def test_of_nothing_nothing_is_said() -> None:
    assert recommend(Facts()) == []
    assert recommend(MACHINE) == []


def test_each_rule_has_its_case() -> None:
    spoken = {one.rule for case in CASES for rule in RULES for one in rule(case.fires)}
    assert spoken == {case.rule for case in CASES}
    assert all(any([*rule(case.fires)] for case in CASES) for rule in RULES)


def test_the_weightiest_comes_first_and_equals_in_the_order_of_the_rules() -> None:
    facts = replace(
        MACHINE,
        level=1,
        agents=(node(5, GIB), node(6, GIB)),
        survivors=(node(7, 8 * GIB),),
        by_hand=ByHand(0, 3, "memory"),
        paused=(("agents", 1), ("operations", 2)),
    )
    found = recommend(facts)
    assert [one.weight for one in found] == sorted((one.weight for one in found), reverse=True)
    rules = [one.rule for one in found]
    assert rules == ["level-by-hand", "paused", "paused", "orphans", "agents-without-lease"]
    assert [one.command[-1] for one in found[1:3]] == ["agents", "operations"]


def test_more_memory_weighs_more() -> None:
    (light,) = recommend(replace(MACHINE, survivors=(node(7, GIB),)))
    (heavy,) = recommend(replace(MACHINE, survivors=(node(7, 8 * GIB),)))
    assert heavy.weight > light.weight


def test_a_level_by_hand_that_is_too_high_is_less_urgent_than_one_too_low() -> None:
    (low,) = recommend(replace(MACHINE, by_hand=ByHand(0, 2, "memory 85 %")))
    (high,) = recommend(replace(MACHINE, by_hand=ByHand(3, 0, "")))
    assert low.weight > high.weight
    assert high.why.endswith("calls for level 0")


def test_a_task_whose_name_no_terminal_takes_is_not_named_in_a_command() -> None:
    evil = replace(habits(6 * GIB)[0], task="a\nrm -rf ~")
    (found,) = recommend(replace(MACHINE, habits=(evil, *habits(GIB, GIB))))
    assert found.command == ("admission", "tasks")


def test_a_larger_capacity_is_within_what_memory_and_cpu_leave_and_who_waits() -> None:
    def more(memory_pct: float, cpu_pct: float, waiting: int) -> str:
        minute = Minute(0, memory_pct, cpu_pct, 5, waiting)
        (found,) = recommend(replace(MACHINE, minutes=(minute,) * 40))
        return found.command[-1]

    assert more(10.0, 10.0, 40) == "10"
    assert more(50.0, 10.0, 40) == "7"
    assert more(10.0, 45.0, 40) == "6"
    assert more(10.0, 10.0, 3) == "8"
    assert more(0.0, 0.0, 9) == "10"
