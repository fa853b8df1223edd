"""Agents are told how much to think, by the level that is really in force."""

import json
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
    stage.set_level(3)
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
    stage.set_level(3)
    assert stage.run("run", "--", mine, "x").stdout == "|--think low x\n"
    stage.config.write_text(before + '[agents.mine]\nefort_args = ["x"]\n')
    refused = stage.run("reload")
    assert refused.returncode == 78
    assert 'did you mean "effort_args"?' in refused.stderr


def _by_autopilot(stage: Stage, *lines: str, **env: str) -> list[str]:
    """What each of these tasks prints, each on its own."""
    said = []
    for line in lines:
        (stage.folder / "tasks").write_text(json.dumps({"command": line, "env": env}))
        done = stage.run("autopilot", "--results", "results", "tasks")
        assert done.returncode == 0, done.stderr
        result = json.loads((stage.folder / "results").read_text().splitlines()[-1])
        said.append(Path(str(result["log"])).read_text())
    return said


def test_the_autopilots_tasks_are_told_as_well_and_only_under_pressure(stage: Stage) -> None:
    for name in ("claude", "codex", "aider"):
        _agent(stage, name)
    stage.env["PATH"] = f"{stage.folder}:{stage.env['PATH']}"
    lines = ["claude -p 'a b'", "codex exec 'a b'", "aider --message x", "cd / && claude -p x"]
    unchanged = ["|-p a b\n", "|exec a b\n", "|--message x\n", "|-p x\n"]
    assert _by_autopilot(stage, *lines) == unchanged
    stage.set_level(2)
    assert _by_autopilot(stage, *lines) == [
        "medium|-p a b\n",
        "|exec -c model_reasoning_effort=medium a b\n",
        "|--reasoning-effort medium --message x\n",
        "medium|-p x\n",
    ]
    assert _by_autopilot(stage, lines[0], CLAUDE_CODE_EFFORT_LEVEL="low") == ["low|-p a b\n"]
