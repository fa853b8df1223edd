"""Agents that are admitted by their hooks: sessions as the real programs have them, in order and
not, with anything missing, and with the agent killed at any point.
"""

import json
import random
import sys

import pytest

from admission.protocol import Frame
from tests.system.agents import Agent, after_subagent, before_subagent, story
from tests.system.stage import Stage, View

STORY = story()
LENGTH = len(STORY)


def _is_empty(view: View) -> bool:
    return not view.leases and not view.waiting


def _tasks(stage: Stage) -> list[str]:
    return sorted(str(lease["task"]) for lease in stage.look().leases)


def test_a_session_in_order_holds_what_works_and_nothing_else(stage: Stage) -> None:
    turn, first, second = "claude turn", "claude subagent: part 1", "claude subagent: part 2"
    held = [
        [],
        [turn],
        *[[first, turn]] * 3,
        *[[first, second, turn]] * 2,
        *[[first, turn]] * 2,
        ["claude operation: make all", first, turn],
        *[[first, turn]] * 2,
        [turn],
        [turn],
        [],
        [],
    ]
    with Agent(stage) as agent:
        for (event, fields), expected in zip(STORY, held, strict=True):
            assert agent.ask(event, **fields) == (0, "", "")
            assert _tasks(stage) == expected, event
            assert stage.look().holders <= {agent.pid}


def test_the_same_event_twice_is_the_same_lease(stage: Stage) -> None:
    with Agent(stage) as agent:
        for event, fields in STORY[:7]:
            for _ in range(2):
                assert agent.ask(event, **fields).status == 0
        assert len(stage.look().leases) == 3


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_and_with_events_missing_nothing_outlives_the_session(
    stage: Stage, seed: int
) -> None:
    chance = random.Random(seed)
    events = [one for one in STORY[:-1] if chance.random() < 0.8]
    chance.shuffle(events)
    with Agent(stage) as agent:
        numbers = [agent.tell(event, "--wait", "1s", **fields) for event, fields in events]
        for number in numbers:
            agent.answer(number)
        assert stage.look().in_use() <= 5
        assert agent.ask("SessionEnd", reason="other").status == 0
        left = stage.look()
        assert all("subagent" not in str(lease["task"]) for lease in left.leases), left
    stage.until(_is_empty)


def test_an_agent_killed_at_any_point_leaves_nothing(stage: Stage) -> None:
    for killed_after in (1, 3, 6, 9, 12):
        with Agent(stage) as agent:
            for event, fields in STORY[:killed_after]:
                agent.ask(event, **fields)
            agent.tell(*STORY[killed_after][:1], **STORY[killed_after][1])
            agent.kill()
        stage.until(_is_empty)


def test_three_subagents_at_once_at_a_limit_of_two_are_two(stage: Stage) -> None:
    stage.set_level(2)
    with Agent(stage) as agent:
        asked = [agent.tell("PreToolUse", "--wait", "1s", **before_subagent(n)) for n in range(3)]
        answers = [agent.answer(number) for number in asked]
        refused = [answer for answer in answers if answer.is_refused]
        assert len(refused) == 1
        assert stage.look().in_use() == 2
        said = json.loads(refused[0].out)["hookSpecificOutput"]
        assert said["hookEventName"] == "PreToolUse"
        assert said["permissionDecision"] == "deny"
        assert said["permissionDecisionReason"].startswith(
            "This machine has no slot within 1 s: 2 of 2"
        )
        assert "Do not start this agent again" in said["permissionDecisionReason"]
        # The refused one had no lease, so its end gives none back.
        lost = answers.index(refused[0])
        agent.ask("PostToolUseFailure", **before_subagent(lost))
        assert stage.look().in_use() == 2
        agent.ask("PostToolUse", **after_subagent((lost + 1) % 3))
        assert stage.look().in_use() == 1
        assert not agent.ask("PreToolUse", "--wait", "1s", **before_subagent(lost)).is_refused


def test_a_subagent_waits_for_its_slot_and_gets_it(stage: Stage) -> None:
    stage.set_level(3)
    holder = stage.hold("--task", "other")
    stage.until(lambda view: view.in_use() == 1)
    with Agent(stage) as agent:
        asked = agent.tell("PreToolUse", **before_subagent(1))
        stage.until(lambda view: view.waiters == [agent.pid])
        holder.kill()
        assert agent.answer(asked) == (0, "", "")
        assert stage.look().holders == {agent.pid}


def test_a_killed_agents_waiting_hook_wins_no_slot(stage: Stage) -> None:
    stage.set_level(3)
    holder = stage.hold("--task", "other")
    stage.until(lambda view: view.in_use() == 1)
    with Agent(stage) as agent:
        agent.tell("PreToolUse", **before_subagent(1))
        stage.until(lambda view: view.waiters == [agent.pid])
        agent.kill()
        stage.until(lambda view: not view.waiting)
    holder.kill()
    stage.until(_is_empty)


def test_a_refused_prompt_is_refused_in_the_agents_own_way(stage: Stage) -> None:
    stage.set_level(3)
    stage.hold("--task", "other")
    stage.until(lambda view: view.in_use() == 1)
    with Agent(stage) as claude, Agent(stage, kind="codex") as codex:
        for agent in (claude, codex):
            answer = agent.ask("UserPromptSubmit", "--wait", "0", prompt="go")
            assert answer.status == 2
            assert answer.err.startswith("admission: This machine has no slot now: 1 of 1 agents")
            assert answer.err.count("\n") == 1
    with Agent(stage, kind="gemini") as gemini:
        answer = gemini.ask("BeforeAgent", "--wait", "0", prompt="go")
        assert answer.status == 0
        assert json.loads(answer.out)["decision"] == "deny"


@pytest.mark.parametrize("kind", ["codex", "gemini"])
def test_the_other_agents_hold_a_slot_for_a_turn(stage: Stage, kind: str) -> None:
    begin, end = ("BeforeAgent", "AfterAgent")
    if kind == "codex":
        begin, end = ("UserPromptSubmit", "Stop")
    with Agent(stage, kind=kind) as agent:
        assert agent.ask("SessionStart", says_pid=False).status == 0
        assert _tasks(stage) == []
        agent.ask(begin, says_pid=False)
        assert _tasks(stage) == [f"{kind} turn"]
        assert stage.look().holders == {agent.pid}
        agent.ask(end, says_pid=False)
        assert _tasks(stage) == []


def test_a_headless_agent_holds_its_slot_to_its_end(stage: Stage) -> None:
    with Agent(stage, "-p") as agent:
        agent.ask("SessionStart", source="startup")
        agent.ask("UserPromptSubmit", prompt="go")
        agent.ask("Stop")
        assert _tasks(stage) == ["claude session"]
    stage.until(_is_empty)


def test_an_agent_that_was_admitted_already_takes_no_second_slot(stage: Stage) -> None:
    stage.set_level(3)
    with Agent(stage, under="run") as agent:
        assert agent.ask("UserPromptSubmit", "--wait", "0", prompt="go") == (0, "", "")
        assert len(stage.look().leases) == 1
        agent.ask("Stop")
        assert len(stage.look().leases) == 1
        agent.ask("SessionEnd")
        assert len(stage.look().leases) == 1
    stage.until(_is_empty)


def test_an_agent_within_anothers_turn_shares_its_slot(stage: Stage) -> None:
    """Else a session that runs `claude -p` would wait behind itself."""
    stage.set_level(3)
    with Agent(stage) as outer:
        outer.ask("UserPromptSubmit", prompt="go")
        event: Frame = {"hook_event_name": "UserPromptSubmit", "session_id": "inner"}
        inner = (
            "import os, subprocess, sys\n"
            "done = subprocess.run(sys.argv[2:], input=sys.argv[1].encode())\n"
            "open('inner', 'w').write(str(done.returncode))\n"
        )
        hook = [sys.executable, "-P", "-m", "admission_client.cli", "hook", "--wait", "5s"]
        outer.start(sys.executable, "-c", inner, json.dumps(event), *hook, "--agent", "codex")
        outer.ask("Stop", background_tasks=["inner"])
        path = stage.folder / "inner"
        while not path.exists() or not path.read_text():
            outer.ask("PreCompact")
        assert path.read_text() == "0"
        assert len(stage.look().leases) == 1


def test_the_environment_is_not_believed(stage: Stage) -> None:
    """An inner session has the PID of the outer one in its environment."""
    with Agent(stage) as agent:
        agent.ask("UserPromptSubmit", says_pid=False, prompt="go")
        assert stage.look().holders == {agent.pid}


def test_without_a_daemon_nothing_starts_unless_that_is_wanted(empty_stage: Stage) -> None:
    empty_stage.env["ADMISSION_AUTOSTART"] = "0"
    with Agent(empty_stage) as agent:
        refused = agent.ask("PreToolUse", **before_subagent(1))
        assert refused.is_refused
        assert "no daemon answers" in refused.out
        for event in ("SubagentStop", "Stop", "SessionEnd"):
            assert agent.ask(event, agent_id="a").status == 0
    empty_stage.env["ADMISSION_FAIL"] = "open"
    with Agent(empty_stage) as agent:
        assert not agent.ask("PreToolUse", **before_subagent(1)).is_refused


def test_a_mistake_never_reads_as_no(stage: Stage) -> None:
    """Exit status 2 would keep an agent from stopping, again and again."""
    with Agent(stage) as agent:
        answer = agent.ask("Stop", "--nonesuch")
        assert answer.status == 64
        assert "--nonesuch" in answer.err
        assert "Traceback" not in answer.err
