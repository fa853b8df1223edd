"""Which nodes failed lately: a file each, so that all who look for a node know it."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from admission.core.placement import Trouble
from admission_client.files import replace_file, state_folder


def _path(node: str) -> Path:
    return state_folder() / "nodes" / node


def troubles_of(nodes: Iterable[str]) -> dict[str, Trouble]:
    """What is known of these."""
    found = {}
    for node in nodes:
        with suppress(OSError, ValueError):
            path = _path(node)
            ago_s = max(0.0, time.time() - path.stat().st_mtime)
            found[node] = Trouble(int(path.read_text()), ago_s)
    return found


def failed(node: str) -> None:
    """Notes that it failed once more. Of two who say so at once one may not count."""
    before = troubles_of([node]).get(node)
    path = _path(node)
    with suppress(OSError):  # then it is asked again a little sooner
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, str(1 if before is None else before.failures + 1), 0o600)


def works(node: str) -> None:
    """Notes that it does not fail any more."""
    with suppress(OSError):
        _path(node).unlink(missing_ok=True)
