"""A place for a socket."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def path() -> Iterator[Path]:
    """Where a socket may be, in a folder as a daemon makes it."""
    with tempfile.TemporaryDirectory(prefix="adm", dir="/tmp") as made:
        yield Path(made) / "a.sock"
