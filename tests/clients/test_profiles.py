"""Under pressure an agent thinks less, and never more than its user wants."""

from pathlib import Path

import pytest

from admission.protocol import BadConfiguration, Frame
from admission_client.granted import Lease
from admission_client.profiles import adapted


def lease(level: int, effort: str = "low") -> Lease:
    params: Frame = {"level": level, "name": "x", "max_agents": 1, "max_concurrent": 1}
    params |= {"batch_size": 1, "delay_ms": 0, "reasoning_effort": effort}
    reply: Frame = {"lease": 1, "fence": 1, "pool": "agents", "weight": 1, "level": level}
    return Lease(reply | {"waited_ms": 0, "params": params})


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("")
    monkeypatch.setenv("ADMISSION_CONFIG", str(path))
    return path


def test_at_level_0_everything_is_left_alone() -> None:
    environ: dict[str, str] = {}
    for words in (["claude", "-p", "x"], ["codex", "exec", "x"], ["aider"]):
        assert adapted(words, lease(0, "high"), environ) == words
    assert environ == {}


def test_under_pressure_each_is_told_in_its_own_way() -> None:
    environ: dict[str, str] = {}
    assert adapted(["/usr/bin/claude", "-p", "x"], lease(3), environ)[1:] == ["-p", "x"]
    assert environ == {"CLAUDE_CODE_EFFORT_LEVEL": "low"}
    told = ["codex", "exec", "-c", "model_reasoning_effort=low", "x"]
    assert adapted(["codex", "exec", "x"], lease(3), environ) == told
    told = ["aider", "--reasoning-effort", "low", "--message", "x"]
    assert adapted(["aider", "--message", "x"], lease(3), environ) == told
    assert adapted(["gemini", "-p", "x"], lease(3), environ) == ["gemini", "-p", "x"]
    assert adapted(["make"], lease(3), environ) == ["make"]


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ("low", "low"),
        ("medium", "medium"),
        ("high", "medium"),
        ("max", "medium"),
        ("auto", "medium"),
    ],
)
def test_the_users_own_setting_is_only_made_lighter(own: str, told: str) -> None:
    environ = {"CLAUDE_CODE_EFFORT_LEVEL": own}
    adapted(["claude"], lease(2, "medium"), environ)
    assert environ["CLAUDE_CODE_EFFORT_LEVEL"] == told


@pytest.mark.parametrize(
    "words",
    [
        ["codex", "exec", "-c", "model_reasoning_effort=high", "x"],
        ["aider", "--reasoning-effort", "high"],
        ["aider", "--reasoning-effort=high"],
    ],
)
def test_what_stands_on_the_command_line_is_meant(words: list[str]) -> None:
    assert adapted(words, lease(3), {}) == words


def test_other_options_by_the_same_letter_are_not_taken_for_it() -> None:
    words = ["codex", "exec", "-c", "model=small", "x"]
    told = ["codex", "exec", "-c", "model_reasoning_effort=low", "-c", "model=small", "x"]
    assert adapted(words, lease(3), {}) == told


def test_users_add_their_own_and_name_models(config: Path) -> None:
    config.write_text(
        '[agents.gemini]\nmodels = { low = "flash" }\n'
        '[agents.mine]\neffort_env = "THINK"\nefforts = { low = "barely" }\n'
        '[agents.claude]\nmodel_env = "ANTHROPIC_MODEL"\nmodels = { low = "haiku" }\n'
    )
    environ: dict[str, str] = {}
    assert adapted(["gemini", "-p", "x"], lease(3), environ) == ["gemini", "-m", "flash", "-p", "x"]
    adapted(["mine"], lease(3), environ)
    adapted(["claude"], lease(3), environ)
    assert environ == {
        "THINK": "barely",
        "CLAUDE_CODE_EFFORT_LEVEL": "low",
        "ANTHROPIC_MODEL": "haiku",
    }
    environ = {"ANTHROPIC_MODEL": "opus"}
    adapted(["claude"], lease(3), environ)
    assert environ["ANTHROPIC_MODEL"] == "opus"


def test_a_broken_configuration_is_one_sentence(config: Path) -> None:
    config.write_text("[agents.claude\n")
    with pytest.raises(BadConfiguration, match="can't be read"):
        adapted(["claude"], lease(3), {})


# --- what the user says in other ways -------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["claude", "--effort", "low", "-p", "x"],
        ["claude", "-p", "x", "--effort=low"],
        ["codex", "exec", "--config=model_reasoning_effort=low", "x"],
        ["codex", "-cmodel_reasoning_effort=low", "exec", "x"],
    ],
)
def test_what_the_user_says_in_another_way_is_not_made_heavier(words: list[str]) -> None:
    environ: dict[str, str] = {}
    assert adapted(words, lease(2, "medium"), environ) == words
    assert environ == {}


def test_a_variable_that_speaks_for_an_argument_is_the_users_own() -> None:
    environ = {"AIDER_REASONING_EFFORT": "low"}
    words = ["aider", "--message", "x"]
    assert adapted(words, lease(2, "medium"), environ) == words


def test_behind_two_dashes_nothing_is_the_users_option() -> None:
    environ: dict[str, str] = {}
    adapted(["claude", "-p", "--", "--effort", "low"], lease(2, "medium"), environ)
    assert environ == {"CLAUDE_CODE_EFFORT_LEVEL": "medium"}


# --- a shell's command, as the autopilot's tasks are ----------------------------------------------


def told_by_shell(command: str) -> tuple[list[str], dict[str, str]]:
    environ: dict[str, str] = {}
    return adapted(["/bin/sh", "-c", command], lease(2, "medium"), environ), environ


def test_a_plain_command_is_told_as_if_it_were_started_directly() -> None:
    line, environ = told_by_shell('codex exec \'say "$HOME"\' "it\'s"')
    codex = ["codex", "exec", "-c", "model_reasoning_effort=medium", 'say "$HOME"', "it's"]
    assert line == ["/bin/sh", "-c", 'exec "$@"', "/bin/sh", *codex]
    assert environ == {}
    line, environ = told_by_shell("claude -p x")
    assert line[1:] == ["-c", "claude -p x"]
    assert environ == {"CLAUDE_CODE_EFFORT_LEVEL": "medium"}


@pytest.mark.parametrize(
    "command",
    [
        *["codex exec $PROMPT", "codex exec x > log", "codex exec x; ls", "codex exec *.md"],
        *["codex exec ~/a", "codex exec a\nls", "X=1 codex exec x", "codex exec x # now"],
        *["cd web && codex exec x", "make test", "claude-next -p x", ""],
        # Somebody sits in front of it, or it says itself what it wants.
        *["cd web && claude", "cd web && claude --effort low -p x"],
        "CLAUDE_CODE_EFFORT_LEVEL=low claude -p x",
    ],
)
def test_a_command_that_is_more_is_never_changed(command: str) -> None:
    assert told_by_shell(command) == (["/bin/sh", "-c", command], {})


@pytest.mark.parametrize(
    "command",
    ["cd web && claude -p 'go'", "timeout 60 /usr/bin/claude -p x", 'claude -p "$(cat x)"'],
)
def test_an_agent_among_other_things_is_told_by_its_variable(command: str) -> None:
    told = {"CLAUDE_CODE_EFFORT_LEVEL": "medium"}
    assert told_by_shell(command) == (["/bin/sh", "-c", command], told)
