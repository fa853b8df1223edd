"""What is worth doing: the facts as the daemon sees them, and the answer to who asks."""

import os
import shlex
import time
from dataclasses import replace
from pathlib import Path

import pytest
from trio.testing import MockClock

from admission.core.advice import Facts, Heavy, Minute, Recommendation, Trials, Tried
from admission.core.estimates import Ended, Learnt, Run
from admission.core.leases import Holder
from admission.core.sample import Sample
from admission.protocol import Frame, Unavailable
from admission.service import recommending
from admission.service.facts import Scene, facts_of, past_of, seen_in
from admission.service.history.recorder import History
from admission.service.recommending import recommendation_map
from admission.service.sensors.kinds import OTHER, Kind
from admission.service.sensors.processes import Look, Process
from tests.service.conftest import Start
from tests.service.house import Open
from tests.service.stage import error_of, rest, rows_of

pytestmark = pytest.mark.trio
GIB = 1 << 30


# --- the facts ------------------------------------------------------------------------------------


async def test_who_asks_is_told_by_group_with_what_is_out_and_waited_for(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.hold(line, group="a", weight=2)
    yielded = stage.hold(line, group="a")
    stage.ask(line, "yield", lease=yielded)
    stage.send(line, "acquire", group="b", weight=4)
    stage.send(line, "acquire", group="a", weight=5)
    facts = facts_of(stage.core, stage.daemon.clock())
    found = {one.name: (one.held, one.waiting) for one in facts.groups}
    assert found == {"a": (2, 5), "b": (0, 4)}
    assert (facts.capacity, facts.capacity_at_rest, facts.level) == (5, 5, 0)
    assert facts.below_pct == (70.0, 60.0)


async def test_a_pause_without_end_is_one_and_a_pause_for_a_while_is_none(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start()
    line = stage.connect()
    stage.ask(line, "pause", pool="agents")
    stage.ask(line, "pause", pool="operations", for_s=60)
    stage.send(line, "acquire")
    assert facts_of(stage.core, stage.daemon.clock()).paused == (("agents", 1),)


async def test_a_level_until_changed_stands_beside_what_the_machine_calls_for(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(reading=(95.0, 10.0))
    await rest(1)
    line = stage.connect()
    stage.ask(line, "level", set=0, for_s=60)
    assert facts_of(stage.core, stage.daemon.clock()).by_hand is None
    stage.ask(line, "level", set=0)
    hand = facts_of(stage.core, stage.daemon.clock()).by_hand
    assert hand is not None
    assert (hand.level, hand.called_for) == (0, 3)
    assert "memory 95 %" in hand.reason


async def test_alarms_are_among_the_facts(start: Start, autojump_clock: MockClock) -> None:
    stage = await start()
    line = stage.connect()
    lease = stage.hold(line, max_hold_s=10)
    await rest(11)
    (alarm,) = facts_of(stage.core, stage.daemon.clock()).alarms
    assert (alarm.is_held, alarm.number) == (True, lease)


def processes(*rows: tuple[int, int, str, Kind, int]) -> dict[int, Process]:
    return {
        pid: Process(pid, parent, 1, name, kind, rss_bytes, 0.0)
        for pid, parent, name, kind, rss_bytes in rows
    }


async def test_what_is_foreign_is_no_lease_no_agent_and_none_of_the_daemons() -> None:
    found = processes(
        (10, 1, "java", OTHER, 3 * GIB),
        (11, 10, "java", OTHER, 2 * GIB),
        (20, 1, "bash", OTHER, GIB),
        (21, 20, "cc1", OTHER, 4 * GIB),
        (30, 1, "claude", Kind("claude"), 2 * GIB),
        (os.getpid(), 1, "admission", OTHER, GIB),
        (40, os.getpid(), "python3", OTHER, GIB),
    )
    looks = (Look(5.0, found), None)
    facts = seen_in(Scene({}, looks, {Holder(20, 1): 7}))
    assert facts.foreign == (Heavy("java", 10, 2, 5 * GIB),)


def row(pid: int) -> Frame:
    return {"pid": pid, "name": "node", "processes": 2, "memory_bytes": GIB}


async def test_survivors_and_agents_are_those_that_the_survey_found() -> None:
    surveyed: Frame = {"survivors": [row(5)], "agents": [row(6)]}
    facts = seen_in(Scene(surveyed, (None, None), {}))
    assert facts.survivors == (Heavy("node", 5, 2, GIB),)
    assert facts.agents == (Heavy("node", 6, 2, GIB),)
    refused = seen_in(Scene(Unavailable("no", "too_many_connections"), (None, None), {}))
    assert refused == Facts()


def filled(path: Path, minutes: int) -> History:
    """A history of so many minutes, the last of which was just now, and of two runs of a task."""
    history = History(path, "this boot", clock=time.monotonic)
    now = time.monotonic()
    for number in range(minutes):
        sample = Sample(now - 60.0 * number, 40.0 + number, 30.0)
        history.note_sample(sample, 0, in_use=5, waiting=2)
    run = Run("tests", "claude", "/w", 0, GIB, 2 * GIB, 9.0, 60.0)
    history.note_run(Learnt(1, run))
    history.note_run(Learnt(2, replace(run, ended=Ended.OUT_OF_MEMORY)))
    history.end()
    history.work()
    return history


async def test_the_past_is_that_of_the_history(tmp_path: Path) -> None:
    facts = past_of(filled(tmp_path / "h.db", 3))
    assert [one.memory_used_pct for one in facts.minutes] == [42.0, 41.0, 40.0]
    assert {(one.level, one.in_use, one.waiting) for one in facts.minutes} == {(0, 5, 2)}
    (habit,) = facts.habits
    assert (habit.task, habit.runs, habit.peak_bytes, habit.failures) == ("tests", 2, 2 * GIB, 1)
    assert facts.disk is not None
    assert facts.disk.folder == str(tmp_path)
    assert 0 < facts.disk.free_bytes <= facts.disk.total_bytes


async def test_of_a_history_that_is_not_there_nothing_is_said(tmp_path: Path) -> None:
    assert past_of(History(tmp_path / "none" / "h.db", "boot")) == Facts()
    assert past_of(None) == Facts()


# --- the door -------------------------------------------------------------------------------------


def rules(frame: Frame) -> dict[object, Frame]:
    return {one["rule"]: one for one in rows_of(frame, "recommendations")}


async def test_whoever_asks_is_told_what_to_do_why_and_how(serve: Open) -> None:
    house = await serve()
    client = await house.connect()
    await client.ask("pause", pool="agents")
    waiter = await house.connect()
    await waiter.request("acquire")
    found = rules(await client.ask("recommendations"))
    assert found["paused"] == {
        "rule": "paused",
        "what": "have agents granted again",
        "why": "agents was paused by hand until somebody ends that, and 1 waits",
        "command": "admission unpause agents",
    }


async def test_who_asks_soon_again_is_told_of_now_without_another_look(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Scene] = []
    pasts: list[None] = []

    def look(scene: Scene) -> Facts:
        looks.append(scene)
        return Facts(survivors=(Heavy("node", 5, 1, GIB),))

    def past(history: None) -> Facts:
        pasts.append(history)
        return Facts(habits=())

    monkeypatch.setattr(recommending, "seen_in", look)
    monkeypatch.setattr(recommending, "past_of", past)
    house = await serve()
    client, waiter = await house.connect(), await house.connect()
    first = rules(await client.ask("recommendations"))
    await client.ask("pause", pool="agents")
    await waiter.request("acquire")
    second = rules(await client.ask("recommendations"))
    assert ("paused" in first, "paused" in second) == (False, True)
    assert first["orphans"] == second["orphans"]
    assert (len(looks), len(pasts)) == (1, 1)
    monkeypatch.setattr(recommending, "FRESH_S", 0.0)
    await client.ask("recommendations")
    assert (len(looks), len(pasts)) == (2, 1)


async def test_a_look_that_fails_is_an_answer_of_its_own(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(scene: Scene) -> Facts:
        raise KeyError("name\n")

    monkeypatch.setattr(recommending, "seen_in", look)
    house = await serve()
    client = await house.connect()
    code, message = error_of(await client.ask("recommendations"))
    assert code == "too_many_connections"
    assert message.startswith("nothing can be recommended: KeyError")
    assert (await client.ask("status"))["ok"] is True


async def test_a_journal_that_can_not_be_written_comes_first(serve: Open) -> None:
    house = await serve()
    house.stage.journal.is_broken = True
    client = await house.connect()
    await client.ask("acquire", wait_s=0)
    first, *_ = rows_of(await client.ask("recommendations"), "recommendations")
    assert first["rule"] == "journal"
    assert "can't be written" in str(first["why"])


async def test_what_was_tried_is_among_what_is_recommended(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    fair, slow = Tried(300.0, 0.0, 1.0), Tried(200.0, 0.0, 1.0)
    minutes = (Minute(1, 75.0, 30.0, 3, 2),) * 120
    monkeypatch.setattr(recommending, "past_of", lambda history: Facts(minutes=minutes))
    house = await serve()
    trying = house.stage.daemon.recommendations._trying
    considered: list[tuple[Minute, ...]] = []
    monkeypatch.setattr(trying, "consider", lambda minutes, level: considered.append(minutes))
    client = await house.connect()
    assert "thresholds-tight" not in rules(await client.ask("recommendations"))
    assert considered == [minutes]
    trying._found = Trials(7200.0, 5.0, slow, slow, fair)
    trying._levels = house.stage.daemon.config.levels
    told = rules(await client.ask("recommendations"))["thresholds-tight"]
    assert told["command"] == "admission simulate --since 1d --bounds=+5"


async def test_the_words_of_others_are_one_line_and_quoted_where_they_are_to_be_typed() -> None:
    task = "a'; rm -rf ~"
    one = Recommendation("x", "do\n" + "y" * 500, "\x1b[2J", ("admission", f"--task={task}"), 1.0)
    told = recommendation_map(one)
    assert str(told["what"]).isprintable()
    assert len(str(told["what"])) == recommending.TEXT_CHARS_MAX
    assert str(told["why"]) == "?[2J"
    assert shlex.split(str(told["command"])) == ["admission", f"--task={task}"]
