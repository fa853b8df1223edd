"""`admission tasks`: what each task took, and what to do where nothing is known."""

import json
from pathlib import Path

import pytest

from admission.protocol import Frame
from admission_client.cli import main
from tests.clients.impostors import Impostor, answers

ROW: Frame = {
    "task": "review\x1b[31m",
    "runs": 7,
    "failures": 1,
    "memory_p50_bytes": 600 << 20,
    "memory_p95_bytes": 700 << 20,
    "cpu_p50_s": 41.5,
    "cpu_p95_s": 60.0,
    "lasted_p50_s": 300.0,
    "lasted_p95_s": None,
    "last_seen_s": 7200.0,
}


def said(capsys: pytest.CaptureFixture[str], folder: Path, found: list[Frame], *words: str) -> str:
    path = str(folder / "-".join(["s", *words]))
    reply: Frame = {"tasks": found, "left_out": 2 if found else 0}
    with Impostor(path, [[answers(reply)]]):
        assert main(["tasks", "--socket", path, *words]) == 0
    return capsys.readouterr().out


def test_a_task_is_a_line_of_plain_figures(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head, line, more = said(capsys, folder, [ROW]).splitlines()
    assert head.split()[:3] == ["TASK", "RUNS", "MEMORY"]
    assert "\x1b" not in line
    for figure in ("600 MiB", "700 MiB", "42 s", "5 min", "2.0 h ago"):
        assert figure in line, line
    assert more == "and 2 more; --task NAME shows one"


def test_a_user_stands_before_his_tasks_where_there_are_several(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, folder, [{**ROW, "user": "ann"}])
    assert out.splitlines()[0].startswith("USER")
    assert out.splitlines()[1].startswith("ann")


def test_as_json_it_is_what_the_daemon_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(said(capsys, folder, [ROW], "--json"))
    assert found["tasks"] == [ROW]


def test_where_nothing_is_known_it_says_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "admission run --task tests -- make test" in said(capsys, folder, [])
    assert 'no run of "a" is known' in said(capsys, folder, [], "--task", "a")
