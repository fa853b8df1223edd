"""`admission recommend`, and the first of it below `status`; and that each command works."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from admission.core.recommending import recommend
from admission.protocol import Frame
from admission_client.cli import BY_NAME, main
from admission_client.completion import commands
from admission_client.options import parse
from tests.clients.daemons import Daemon
from tests.clients.impostors import Impostor, answers
from tests.core.test_recommending import CASES


def row(number: int) -> Frame:
    return {"rule": f"r{number}", "what": f"do {number}", "why": "\x1b[31m9", "command": "true"}


def said(capsys: pytest.CaptureFixture[str], folder: Path, found: list[Frame], *words: str) -> str:
    path = str(folder / "s")
    with Impostor(path, [[answers({"recommendations": found})]]):
        assert main(["recommend", "--socket", path, *words]) == 0
    return capsys.readouterr().out


def test_each_says_what_and_why_and_by_which_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, folder, [row(1), row(2)]).splitlines()
    assert lines == ["do 1", "  �[31m9", "  $ true", "", "do 2", "  �[31m9", "  $ true"]


def test_where_there_is_nothing_it_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, folder, []) == "nothing to recommend\n"


def test_as_json_it_is_what_the_daemon_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(said(capsys, folder, [row(1)], "--json"))["recommendations"] == [row(1)]


def test_status_has_the_first_three_below_it(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "admission_client.recommend.rows", lambda found, name: [row(n) for n in range(1, 6)]
    )
    assert main(["status", "--socket", daemon.path]) == 0
    *_, first, second, third, more = capsys.readouterr().out.splitlines()
    assert first == "> do 1: �[31m9 [true]"
    assert (second[:6], third[:6]) == ("> do 2", "> do 3")
    assert more == '> and 2 more: "admission recommend"'


def test_status_of_a_daemon_that_knows_of_none_is_as_ever(
    daemon: Daemon, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(folder / "s")
    unknown: Frame = {"ok": False, "error": {"code": "unknown_op", "message": "no such op"}}
    with Impostor(path, [[answers(daemon.ask("status")), answers(unknown)]]):
        assert main(["status", "--socket", path]) == 0
    out = capsys.readouterr()
    assert "agents" in out.out
    assert ">" not in out.out
    assert out.err == ""


def test_each_command_that_is_recommended_is_one() -> None:
    """By the real tables of options; what is no command of ours is a program that is there."""
    known = {one.name: one for one in commands()}
    recommended = {one.command for case in CASES for one in recommend(case.fires)}
    assert len(recommended) > 10
    for program, *words in recommended:
        if program != "admission":
            assert shutil.which(program)
            continue
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert words[0] in BY_NAME
        given = known[name]
        options = parse(words[len(name.split()) :], given.options, f"{name} [options]", "")
        assert bool(options.words) <= bool(given.named)


def test_the_look_at_a_process_shows_it() -> None:
    look = next(
        one.command for case in CASES for one in recommend(case.fires) if one.command[0] == "ps"
    )
    done = subprocess.run([*look[:-1], "1"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0].split() == ["PID", "USER", "ELAPSED", "RSS", "COMMAND"]
