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
