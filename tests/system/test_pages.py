"""The shell of the pages: the tutorial as a whole, and the scripts of the how-tos."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.docs.pages import DOCS, ROOT, Snippet, snippets
from tests.system.stage import Stage

LIMIT_S = 120
# What the machine of whoever reads it has, and ours may not.
STAND_INS = ("make", "pip", "claude", "codex", "python")
# What can't be typed here, by how it begins, and why.
NOT_TYPED = {
    "make test": "that is this",
    "admission run --defer": "it may wait until six",
    "admission service": "it is no business of the tests' to start services",
    "admission metrics --output": "node_exporter is not on every machine",
    "admission leases": "of the README: there is nobody to be seen yet",
    "admission simulate": "it takes ten seconds",
    "admission autopilot": "the tutorial has one, and each takes a while",
}
# What can't succeed here: nobody has these tickets, and there is no terminal to ask on.
EXPECTED = {"admission queue move": 75, "admission queue cancel": 75, "admission orphans --stop": 2}


def typed(snippet: Snippet) -> list[str]:
    """What is typed of a block: of a console's, the lines with a prompt."""
    lines = snippet.text.splitlines()
    if snippet.language == "console":
        return [line[2:] for line in lines if line.startswith("$ ")]
    return ["\n".join(lines)] if snippet.language == "sh" else []


def answers(snippet: Snippet) -> list[str]:
    """What a console's block says that the machine answers."""
    return [line for line in snippet.text.splitlines() if not line.startswith("$ ")]


def play(stage: Stage, lines: list[str]) -> tuple[str, list[int]]:
    """Types these lines into one bash; what came of it, and the status of each."""
    programs = stage.folder / "bin"
    programs.mkdir()
    ours = f'exec {shlex.quote(sys.executable)} -P -m admission_client.cli "$@"'
    for program, body in [("admission", ours), *((one, "exit 0") for one in STAND_INS)]:
        (programs / program).write_text(f"#!/bin/sh\n{body}\n")
        (programs / program).chmod(0o755)
    script = "".join(f'{line}\necho "typed: $?" >&3\n' for line in lines)
    env = {
        **stage.env,
        "HOME": str(stage.folder),
        "PATH": f"{programs}:{stage.env['PATH']}",
        "NO_COLOR": "1",
    }
    statuses = stage.folder / "statuses"
    done = subprocess.run(
        ["bash", "-c", f"exec 3>{shlex.quote(str(statuses))}\n{script}"],
        env=env,
        cwd=stage.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    return said, [int(one) for one in re.findall(r"typed: (\d+)", statuses.read_text())]


def blocks(page: str) -> list[Snippet]:
    return snippets((DOCS / page).read_text("utf-8"))


def test_what_the_readme_and_the_how_tos_say_to_type_works(stage: Stage) -> None:
    (stage.folder / "tasks.txt").write_text("true\n")
    texts = [page.read_text("utf-8") for page in (ROOT / "README.md", DOCS / "howto.md")]
    found = [one for text in texts for one in snippets(text) if one.language == "console"]
    lines = [line for one in found for line in typed(one) if not line.startswith(tuple(NOT_TYPED))]
    lines = list(dict.fromkeys(lines))  # what stands on both pages is typed once
    assert len(lines) > 20
    said, statuses = play(stage, lines)
    wrong = {
        line: status
        for line, status in zip(lines, statuses, strict=True)
        if status != next((EXPECTED[one] for one in EXPECTED if line.startswith(one)), 0)
    }
    assert wrong == {}, said
    stage.until(lambda view: not view.holders)


def test_the_tutorial_goes_as_it_says(empty_stage: Stage) -> None:
    page = [one for one in blocks("tutorial.md") if one.language == "console"]
    lines = [line for one in page for line in typed(one)]
    said, statuses = play(empty_stage, lines)
    wrong = {line: status for line, status in zip(lines, statuses, strict=True) if status}
    doctor = wrong.pop("admission doctor", 0)  # it may find something about this machine
    assert (wrong, doctor in (0, 1)) == ({}, True), said
    for line in (line for one in page for line in answers(one)):
        assert re.search(rf"^{re.escape(line)}$", said, re.MULTILINE), line


SCRIPTS = [one for one in blocks("howto.md") if one.language == "sh" and "acquire" in one.text]


@pytest.mark.parametrize("script", SCRIPTS, ids=[f"howto.md:{one.line}" for one in SCRIPTS])
def test_a_script_of_the_how_tos_leaves_nothing_behind(stage: Stage, script: Snippet) -> None:
    said, statuses = play(stage, typed(script))
    assert statuses == [0], said
    stage.until(lambda view: not view.holders)
