"""What each agent's events call for; the fields are those that the real programs send."""

import pytest

from admission.protocol import BadRequest
from admission_client.hook.operations import BUILT_IN, is_operation, read_patterns
from admission_client.hook.payload import Payload, parse
from admission_client.hook.steps import OPERATION, SESSION, SUBAGENT, TURN, Step, step_for

PATTERNS = read_patterns(BUILT_IN)


def claude(event: str, **fields: object) -> Step | None:
    return step_for("claude", Payload({"hook_event_name": event, **fields}), PATTERNS)


def codex(event: str, **fields: object) -> Step | None:
    return step_for("codex", Payload({"hook_event_name": event, **fields}), PATTERNS)


def gemini(event: str, **fields: object) -> Step | None:
    return step_for("gemini", Payload({"hook_event_name": event, **fields}), PATTERNS)


def test_a_prompt_takes_a_turn_and_its_end_gives_it_back() -> None:
    assert claude("UserPromptSubmit", prompt="go") == Step("take", TURN, can_refuse=True)
    assert claude("Stop", stop_hook_active=False, background_tasks=[]) == Step("give", TURN)
    assert claude("Stop") == Step("give", TURN)


def test_a_turn_whose_subagents_still_work_is_not_over() -> None:
    assert claude("Stop", background_tasks=[{"id": "a1"}]) is None


def test_one_who_waits_for_a_person_has_no_turn() -> None:
    """A turn that was interrupted ends without a word."""
    assert claude("Notification", notification_type="idle_prompt") == Step("give", TURN)
    assert claude("Notification", notification_type="permission_prompt") is None


@pytest.mark.parametrize("tool", ["Agent", "Task"])
def test_a_subagent_is_asked_for_before_it_starts(tool: str) -> None:
    asked = {"description": "look around", "prompt": "…", "subagent_type": "Explore"}
    step = claude("PreToolUse", tool_name=tool, tool_input=asked, tool_use_id="toolu_1")
    assert step == Step("take", SUBAGENT, use="toolu_1", task="look around", can_refuse=True)


def test_a_subagent_in_the_background_has_only_begun_when_its_tool_returns() -> None:
    answer = {"status": "async_launched", "agentId": "a1"}
    step = claude("PostToolUse", tool_name="Agent", tool_use_id="toolu_1", tool_response=answer)
    assert step == Step("began", SUBAGENT, use="toolu_1", agent="a1")


def test_one_in_the_foreground_is_over_when_its_tool_returns() -> None:
    answer = {"status": "completed", "agentId": "a1"}
    step = claude("PostToolUse", tool_name="Agent", tool_use_id="toolu_1", tool_response=answer)
    assert step == Step("give", SUBAGENT, use="toolu_1", agent="a1")


@pytest.mark.parametrize("event", ["PostToolUseFailure", "PermissionDenied"])
def test_one_that_did_not_come_about_is_over(event: str) -> None:
    step = claude(event, tool_name="Agent", tool_use_id="toolu_1")
    assert step == Step("give", SUBAGENT, use="toolu_1")


def test_subagents_begin_and_stop_by_their_own_names() -> None:
    assert claude("SubagentStart", agent_id="a1") == Step("began", SUBAGENT, agent="a1")
    assert claude("SubagentStop", agent_id="a1") == Step("give", SUBAGENT, agent="a1")


def test_codex_asks_for_a_subagent_as_it_starts() -> None:
    step = codex("SubagentStart", agent_id="a1", agent_type="worker")
    assert step == Step("take", SUBAGENT, agent="a1", task="worker")
    assert codex("SubagentStop", agent_id="a1") == Step("give", SUBAGENT, agent="a1")


def test_codex_has_turns_and_may_be_interrupted() -> None:
    assert codex("UserPromptSubmit", turn_id="t") == Step("take", TURN, can_refuse=True)
    assert codex("Stop", turn_id="t") == Step("give", TURN)
    assert codex("Interrupt") == Step("give", TURN)


def test_gemini_names_its_events_otherwise() -> None:
    assert gemini("BeforeAgent", prompt="go") == Step("take", TURN, can_refuse=True)
    assert gemini("AfterAgent") == Step("give", TURN)
    assert gemini("SessionStart", source="startup") == Step("take", SESSION)
    assert gemini("SessionEnd", reason="exit") == Step("give", SESSION)
    assert gemini("BeforeModel") is None
    taken = gemini("BeforeTool", tool_name="run_shell_command", tool_input={"command": "make all"})
    given = gemini("AfterTool", tool_name="run_shell_command", tool_input={"command": "make all"})
    assert taken == Step("take", OPERATION, use="make all", task="make all", can_refuse=True)
    assert given == Step("give", OPERATION, use="make all")


def test_a_heavy_command_is_an_operation_and_a_light_one_is_nothing() -> None:
    heavy = {"tool_name": "Bash", "tool_use_id": "u", "tool_input": {"command": "npm test -- -x"}}
    light = {"tool_name": "Bash", "tool_use_id": "u", "tool_input": {"command": "ls -la"}}
    taken = Step("take", OPERATION, use="u", task="npm test -- -x", can_refuse=True)
    assert claude("PreToolUse", **heavy) == taken
    assert claude("PostToolUse", **heavy) == Step("give", OPERATION, use="u")
    assert claude("PostToolUseFailure", **heavy) == Step("give", OPERATION, use="u")
    assert claude("PreToolUse", **light) is None
    assert claude("PostToolUse", **light) is None


@pytest.mark.parametrize("event", ["PreCompact", "FileChanged", "MessageDisplay", "SomethingNew"])
def test_other_events_call_for_nothing(event: str) -> None:
    assert claude(event) is None


@pytest.mark.parametrize(
    "command",
    [
        "make",
        "make -j8 all",
        "cd build && make",
        "FOO=1 BAR=2 npm test",
        "time cargo build --release",
        "(cd x; pytest -q)",
        "timeout 600 pytest",
        "nice -n 10 make",
        "python3 -m pytest tests",
        "git pull\nmake test",
        "true || npm ci",
    ],
)
def test_heavy_commands_are_seen_wherever_they_stand(command: str) -> None:
    assert is_operation(command, PATTERNS)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "ls make",
        "cat Makefile",
        "npm view x",
        "makeup",
        "git commit -m make",
        "admission run --pool operations -- make",
    ],
)
def test_light_ones_are_not(command: str) -> None:
    assert not is_operation(command, PATTERNS)


def test_patterns_are_the_users_own() -> None:
    assert read_patterns("make, npm  test,") == [["make"], ["npm", "test"]]
    assert read_patterns("none") == []
    assert not is_operation("make", [])


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"null", b"{", b'{"a":1} {"b":2}', b'{"a":1}', b"\xff\xfe", b"[" * 100_000],
)
def test_what_is_no_event_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(BadRequest, match="hook"):
        parse(data)


def test_an_event_is_read_as_json_has_it() -> None:
    payload = parse(
        b'\xef\xbb\xbf {"hook_event_name": "Stop", "session_id": "\\u00e4", "n": [1, 2.5, null,'
        b' true], "x": {"y": "z"}, "wrong": 5}\n'
    )
    assert payload.event == "Stop"
    assert payload.session == "ä"
    assert payload.items("n") == [1, 2.5, None, True]
    assert payload.part("x").text("y") == "z"
    assert payload.text("wrong") == payload.text("missing") == ""
    assert payload.part("wrong").fields == {}
