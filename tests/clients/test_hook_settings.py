"""An agent's settings are somebody's: what is not ours stays, and what is broken is left alone."""

import json
import os
from pathlib import Path

import pytest

from admission.protocol import BadConfiguration, NotPermitted
from admission_client.cli import main
from admission_client.hook import jsonc
from admission_client.hook.entries import KINDS, groups, is_ours
from admission_client.hook.settings import installed, uninstalled, write

OURS = groups("claude", "admission", [])
THEIRS = """\
// mine, all mine
{
    "model": "opus", // the big one
    "unknown": {"key": [1, 2, 3,],},
    "hooks": {
        "Stop": [
            {"hooks": [{"type": "command", "command": "notify-send done"}]}, /* loud */
        ],
        "PreToolUse": [
            {
                "matcher": "Bash",
                "hooks": [
                    {"type": "command", "command": "check.sh"},
                    {"type": "command", "command": "/old/bin/admission hook --agent claude"},
                ],
            },
        ],
    },
}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("CLAUDE_CONFIG_DIR", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _settings(home: Path, agent: str = "claude") -> Path:
    path = home / KINDS[agent].file
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def test_every_event_has_its_hook_and_the_rest_stays() -> None:
    text = installed(THEIRS, OURS, "x")
    value = jsonc.parse(text).value
    assert isinstance(value, dict)
    assert value["model"] == "opus"
    assert value["unknown"] == {"key": [1, 2, 3]}
    assert {entry.event for entry in KINDS["claude"].entries} <= {*value["hooks"]}
    stop = [one["hooks"][0]["command"] for one in value["hooks"]["Stop"]]
    assert stop == ["notify-send done", "admission hook --agent claude"]
    before_tool = [hook["command"] for one in value["hooks"]["PreToolUse"] for hook in one["hooks"]]
    assert before_tool == ["check.sh", "admission hook --agent claude --wait 100s"]
    for comment in ("// mine, all mine\n", " // the big one\n", " /* loud */\n"):
        assert comment in text


def test_installing_again_changes_nothing() -> None:
    text = installed(THEIRS, OURS, "x")
    assert installed(text, OURS, "x") == text


def test_installing_something_else_replaces_what_was_ours() -> None:
    other = groups("claude", "/opt/bin/admission", ["--operations", "make"])
    text = installed(installed(THEIRS, OURS, "x"), other, "x")
    assert text == installed(THEIRS, other, "x")
    assert text.count("--operations make") == len(other)


def test_uninstalling_leaves_what_was_there_before() -> None:
    text = uninstalled(installed(THEIRS, OURS, "x"), "x")
    assert text == uninstalled(THEIRS, "x")
    assert jsonc.parse(uninstalled(installed("", OURS, "x"), "x")).value == {}
    assert uninstalled('{"a": 1}', "x") == '{"a": 1}'


@pytest.mark.parametrize(
    "odd", ["[[1, 2]]", '[{"hooks": 5}]', '[{"hooks": [[1]]}]', "[null]", "{}"]
)
def test_what_is_made_as_no_hook_is_none_of_ours_and_stays(odd: str) -> None:
    text = f'{{"hooks": {{"Other": {odd}}}}}'
    assert uninstalled(text, "x") == text
    added = jsonc.parse(installed(text, OURS, "x")).get("hooks")
    assert added is not None
    assert added.get("Other") is not None


@pytest.mark.parametrize("agent", KINDS)
def test_a_hook_answers_before_the_agent_stops_listening(agent: str) -> None:
    for entry, (_, group) in zip(KINDS[agent].entries, groups(agent, "a", []), strict=True):
        assert isinstance(group, dict)
        timeout_s = group["hooks"][0]["timeout"] / KINDS[agent].timeout_per_s
        assert timeout_s >= entry.wait_s + 10


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"hooks": ', "line 1, column 11: a value is expected"),
        ("[]", "it holds no map"),
        ('{"hooks": []}', '"hooks" is no map'),
        ('{"hooks": {"Stop": {}}}', "hooks.Stop is no list"),
    ],
)
def test_a_file_that_is_broken_is_left_alone(home: Path, text: str, why: str) -> None:
    path = _settings(home)
    path.write_text(text)
    with pytest.raises(BadConfiguration, match="nothing was changed") as problem:
        installed(text, OURS, str(path))
    assert why in str(problem.value)
    assert main(["hook", "install", "--agent", "claude"]) == 78
    assert path.read_text() == text
    assert os.listdir(path.parent) == ["settings.json"]


def test_a_read_only_file_is_left_alone(home: Path) -> None:
    path = _settings(home)
    path.write_text("{}")
    path.chmod(0o444)
    with pytest.raises(NotPermitted, match="it is read-only; nothing was changed"):
        write(path, "{ }", "{}")
    assert path.read_text() == "{}"


def test_a_link_stays_a_link_and_the_file_keeps_its_mode(home: Path) -> None:
    """As those have it who keep their settings in a repository."""
    real = home / "dotfiles" / "claude.json"
    real.parent.mkdir()
    real.write_text("{}\n")
    real.chmod(0o640)
    path = _settings(home)
    path.symlink_to(real)
    assert main(["hook", "install", "--agent", "claude"]) == 0
    assert path.is_symlink()
    assert "hooks" in json.loads(real.read_text())
    assert real.stat().st_mode & 0o777 == 0o640
    assert real.with_name("claude.json.before-admission").read_text() == "{}\n"


def test_the_difference_is_shown_and_nothing_changes(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _settings(home)
    path.write_text('{\n  "model": "opus"\n}\n')
    assert main(["hook", "install", "--agent", "claude", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert '+  "hooks": {' in shown
    assert ' {\n-  "model": "opus"\n+  "model": "opus",' in shown
    assert path.read_text() == '{\n  "model": "opus"\n}\n'


def test_status_says_how_each_stands(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for agent in KINDS:
        assert main(["hook", "install", "--agent", agent]) == 0
    path = _settings(home, "gemini")
    value = json.loads(path.read_text())
    del value["hooks"]["AfterTool"]
    path.write_text(json.dumps(value))
    path = _settings(home, "codex")
    path.write_text(path.read_text().replace('"command": "', '"command": "/nonesuch/'))
    capsys.readouterr()
    assert main(["hook", "status", "--json"]) == 0
    states = {one["agent"]: one["state"] for one in json.loads(capsys.readouterr().out)["agents"]}
    assert states["claude"] == "installed"
    assert states["gemini"] == "5 of 6 hooks (install again)"
    assert states["codex"].endswith("is gone (install again)")


def test_a_projects_settings_name_no_path_of_this_machine(home: Path) -> None:
    assert main(["hook", "install", "--agent", "codex", "--project"]) == 0
    value = json.loads((home / ".codex" / "hooks.json").read_text())
    commands = [one["hooks"][0]["command"] for groups in value["hooks"].values() for one in groups]
    assert all(command.startswith("admission hook --agent codex") for command in commands)


def test_whose_settings_has_to_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hook", "install"]) == 2
    assert "say whose: --agent claude, codex, gemini" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("admission hook", True),
        ("'/a b/admission' hook --agent claude", True),
        ("admission run -- x", False),
        ("echo admission hook", False),
        ("'", False),
        (None, False),
        ("", False),
    ],
)
def test_our_own_hooks_are_known_by_what_they_call(command: object, expected: bool) -> None:
    assert is_ours(command) is expected
