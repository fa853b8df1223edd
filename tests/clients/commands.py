"""The command `admission` as its caller has it: in this process, or in one of its own."""

import json
import os
import subprocess
import sys
from typing import NamedTuple

import pytest

from admission.protocol import Frame
from admission_client import cli
from admission_client.granted import mapping

# As the script does that an installation makes.
PROGRAM = "import sys; from admission_client.cli import main; sys.exit(main())"


class Printed(NamedTuple):
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Frame:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> Frame:
        """What `--json` prints of a failure."""
        assert set(self.json) == {"error"}
        return mapping(self.json, "error")


class Caller:
    """Calls commands in this process, which is fast, and takes what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> Printed:
        self._capsys.readouterr()
        try:
            status = cli.main(list(words))
        except SystemExit as end:  # of argparse
            status = int(end.code or 0)
        return Printed(status, *self._capsys.readouterr())


def command(*words: str) -> list[str]:
    """What starts `admission WORDS …`."""
    return [sys.executable, "-P", "-c", PROGRAM, *words]


def run(*line: str, **env: str) -> Printed:
    """A program, to its end."""
    found = subprocess.run(
        line,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=os.environ | env,
        check=False,
    )
    return Printed(found.returncode, found.stdout, found.stderr)
