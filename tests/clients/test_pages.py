"""The Python of the pages that people copy from, run as it stands with a real daemon."""

import ast
import inspect
from pathlib import Path
from typing import Any

import anyio
import pytest

import admission_client
from admission_client import aio
from tests.clients.daemons import Daemon
from tests.docs.pages import DOCS, ROOT, Snippet, name, snippets

PAGES = [ROOT / "README.md", DOCS / "tutorial.md", DOCS / "howto.md", DOCS / "design.md"]
ALL = [
    pytest.param(one, id=f"{name(page)}:{one.line}")
    for page in PAGES
    for one in snippets(page.read_text("utf-8"))
    if one.language == "python"
]


class Agent:
    """What a reader has in its place."""

    def terminate(self) -> None: ...


def readers_own(folder: Path) -> dict[str, Any]:
    """What a reader of the pages has already: agents to run, a workspace, the imports before."""

    def do(*_: object, **__: object) -> str:
        return ""

    own = ("run_agent", "ask_the_model", "apply")
    return {
        "aio": aio,
        "lease": admission_client.lease,
        "ResourceMonitor": admission_client.ResourceMonitor,
        "agent": Agent(),
        "workspace_root": str(folder),
        **dict.fromkeys(own, do),
    }


@pytest.mark.parametrize("snippet", ALL)
def test_it_runs(
    snippet: Snippet, daemon: Daemon, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMISSION_SOCKET", daemon.path)
    monkeypatch.chdir(folder)
    code = compile(snippet.text, "page", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, readers_own(folder))
    if inspect.iscoroutine(running):

        async def run() -> None:
            await running

        anyio.run(run, backend="trio")
    assert daemon.ask("leases")["leases"] == []
