"""What the actors write down: one line each, by one call, into one file.

A line is there whole or not at all, so whoever is killed leaves what it had written. Instants are
seconds on CLOCK_MONOTONIC, which all processes of a machine share.
"""

import json
import os
import time
from pathlib import Path
from typing import Self

Record = dict[str, object]


def now_s() -> float:
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Book:
    """The file, open for appending; children inherit it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def note(self, kind: str, *, at: float | None = None, **facts: object) -> float:
        """Writes one record; returns its instant, which is now unless given."""
        instant = now_s() if at is None else at
        line = json.dumps({"kind": kind, "at": instant, **facts}) + "\n"
        os.write(self._file, line.encode())
        return instant

    def read(self) -> list[Record]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]
