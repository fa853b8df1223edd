"""`admission fleet`: the nodes and pools as a person reads them, and orders."""

import json
from pathlib import Path

import pytest

from admission.protocol import Frame
from admission_client.cli import main
from tests.clients.impostors import Impostor, answers
from tests.wire.goldens import load

GOLDEN = next(one.message for one in load("replies.json") if one.name == "fleet")


def said(capsys: pytest.CaptureFixture[str], folder: Path, reply: Frame, *words: str) -> str:
    path = str(folder / "s")
    with Impostor(path, [[answers(reply)]]):
        assert main(["fleet", *words, "--socket", path]) == 0
    return capsys.readouterr().out


def test_nodes_and_pools_are_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    node = {**GOLDEN["nodes"][0], "labels": ["gpu", "\x1b[31m"]}  # type: ignore[index]
    away, _, row, more, _, pool = said(
        capsys, folder, {**GOLDEN, "nodes": [node], "left_out": 3}
    ).splitlines()
    assert away.startswith("the fleet is away (http://10.0.0.9:2379 does not answer): nothing new")
    for figure in ("build1 (here)", "cordoned", "2 of 3", "0.5", "gpu, ", "12 s ago"):
        assert figure in row
    assert "\x1b" not in row
    assert more == "and 3 more nodes"
    assert " ".join(pool.split()) == "api 7 of 20 1 41 build1 2, build2 5 and 1 waited for"


def test_what_is_lent_while_etcd_is_away_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = {**GOLDEN, "when_away": "share"}
    assert "only what is given back here" in said(capsys, folder, reply)


def test_leases_shows_where_the_units_of_the_fleet_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody: Frame = {"leases": [], "waiting": []}
    shown = {"one": "build2 5 and 1 waited for", "none": "the fleet has no pools"}
    for name, reply in (("one", GOLDEN), ("none", {**GOLDEN, "pools": []})):
        path = str(folder / name)
        with Impostor(path, [[answers(nobody), answers(reply)]]):
            assert main(["leases", "--fleet", "--socket", path]) == 0
        assert shown[name] in capsys.readouterr().out


def test_json_is_what_the_daemon_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(said(capsys, folder, GOLDEN, "--json"))["pools"] == GOLDEN["pools"]


def test_nobody_is_there_yet(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = {**GOLDEN, "problem": None, "nodes": [], "pools": []}
    assert said(capsys, folder, empty) == "nobody is in the fleet yet\n"


@pytest.mark.parametrize("word", ["cordon", "uncordon", "drain"])
def test_an_order_names_one_node(
    folder: Path, capsys: pytest.CaptureFixture[str], word: str
) -> None:
    reply: Frame = {"node": "build2", "state": "open"}
    assert said(capsys, folder, reply, word, "build2").startswith("build2 ")
    for words in ([], ["a", "b"]):
        assert main(["fleet", word, *words]) == 2
        assert f"admission fleet {word} NODE" in capsys.readouterr().err
