"""What the pages tell one to type is what the commands take; found by looking, not by a list."""

import ast
import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from admission.service.config_file import read_file, read_pool
from tests.docs.pages import PAGES, Snippet, command_lines, name, problem_with, snippets

IDS = [name(page) for page in PAGES]
ALL = [(page, one) for page in PAGES for one in snippets(page.read_text("utf-8"))]


def of(*languages: str) -> list[object]:
    found = [(page, one) for page, one in ALL if one.language in languages]
    return [pytest.param(one, id=f"{name(page)}:{one.line}") for page, one in found]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_command_line_is_one_that_the_command_takes(page: Path) -> None:
    lines = command_lines(page.read_text("utf-8"))
    wrong = {line: problem for line in lines if (problem := problem_with(line))}
    assert wrong == {}


def test_there_are_many() -> None:
    readme = next(page for page in PAGES if name(page) == "README.md")
    assert len(list(command_lines(readme.read_text("utf-8")))) > 40


@pytest.mark.parametrize("snippet", of("python"))
def test_python_can_be_read(snippet: Snippet) -> None:
    compile(snippet.text, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("snippet", of("toml"))
def test_the_configuration_is_one_that_the_daemon_takes(snippet: Snippet) -> None:
    file = read_file(snippet.text, "page")
    for pool, table in file.pools.items():
        read_pool(pool, table, "page")
    assert tomllib.loads(snippet.text)


@pytest.mark.parametrize("snippet", of("json"))
def test_json_can_be_read(snippet: Snippet) -> None:
    json.loads(snippet.text)


@pytest.mark.parametrize("snippet", of("sh", "bash"))
def test_shell_can_be_read(snippet: Snippet) -> None:
    result = subprocess.run(["bash", "-n"], input=snippet.text, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("queue move 7 --to back", None),
        ("run --wait 10m -- claude -p --whatever", None),
        ("reserve POOL UNITS --for 30m", None),
        ("pause POOL --for 10m", None),
        ("completion bash|zsh|fish", None),
        ("dance", 'there is no command "dance"'),
        ("run --dance -- true", "run: "),
        ("run --wait soon -- true", "run: "),
        ("hook instal", '"instal" is none of install, uninstall, status'),
        ("status agents", 'status: "agents" is one word too many'),
    ],
)
def test_a_wrong_line_is_found(line: str, problem: str | None) -> None:
    found = problem_with(line)
    assert found is None if problem is None else found is not None and found.startswith(problem)


def test_command_lines_are_found_wherever_they_stand() -> None:
    text = """Say `admission pause [POOL]` or `echo "$(admission level)"`.

```sh
lease=$(admission acquire --task x) && trap 'admission release "$lease"' EXIT  # admission not
claude mcp add admission -- admission mcp > log
```

```console
$ .venv/bin/admission leases | head
admission: it says so
```
"""
    assert list(command_lines(text)) == [
        "acquire --task x",
        'release "$lease"',
        "mcp",
        "leases",
        "pause POOL",
        "level",
    ]
