"""Agents are told how much to think, by the level that is really in force."""

from pathlib import Path

from tests.system.stage import Stage

SHOW = '#!/bin/sh\necho "$CLAUDE_CODE_EFFORT_LEVEL|$*"\n'


def _agent(stage: Stage, name: str) -> str:
    path = Path(stage.folder) / name
    path.write_text(SHOW)
    path.chmod(0o755)
    return str(path)


def test_run_tells_an_agent_under_pressure_and_only_then(stage: Stage) -> None:
    claude, codex = _agent(stage, "claude"), _agent(stage, "codex")
    assert stage.run("run", "--", claude, "-p", "x").stdout == "|-p x\n"
    assert stage.run("level", "3").returncode == 0
    assert stage.run("run", "--", claude, "-p", "x").stdout == "low|-p x\n"
    told = stage.run("run", "--", codex, "exec", "x").stdout
    assert told == "|exec -c model_reasoning_effort=low x\n"
    assert stage.run("run", "--keep-effort", "--", claude).stdout == "|\n"
    own = stage.run("run", "--", claude, CLAUDE_CODE_EFFORT_LEVEL="high").stdout
    assert own == "low|\n"


def test_a_table_of_ones_own_is_gone_by_and_a_wrong_one_refused(stage: Stage) -> None:
    mine = _agent(stage, "mine")
    before = stage.config.read_text()
    stage.config.write_text(before + '[agents.mine]\neffort_args = ["--think", "{effort}"]\n')
    assert stage.run("reload").returncode == 0
    assert stage.run("level", "3").returncode == 0
    assert stage.run("run", "--", mine, "x").stdout == "|--think low x\n"
    stage.config.write_text(before + '[agents.mine]\nefort_args = ["x"]\n')
    refused = stage.run("reload")
    assert refused.returncode == 78
    assert 'did you mean "effort_args"?' in refused.stderr
