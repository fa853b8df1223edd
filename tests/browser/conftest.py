"""The page in a real browser. Tests wait for what is shown, within a generous limit."""

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.shown import Shown, browser_path, shown
from tests.system.forge import Forge

NEEDED = ("playwright", "axe_playwright_python", "hypercorn", "starlette")


def what_is_missing() -> str | None:
    """Why these tests can't run here."""
    if browser_path() is None:
        return "no Chromium on this machine: the page is not looked at"
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            return f"{name} is not installed (pip install '.[browser]'): the page is not looked at"
    return None


@pytest.fixture(autouse=True, scope="session")
def forge() -> Iterator[None]:
    """Where the daemons come from; it ends with the tests."""
    yield
    Forge.of_this_process().end()


@pytest.fixture(scope="package")
def screen() -> Iterator[Shown]:
    """One browser for all, as its start takes longer than most tests."""
    if why := what_is_missing():
        pytest.skip(why)
    with tempfile.TemporaryDirectory(prefix="adm-", dir="/tmp") as made, shown(Path(made)) as it:
        yield it
