"""Daemons from a process that has imported all that one needs, which is most of what a start costs.

Each is forked before anything runs, and goes its own way by `serve --detach` as any other: what is
not done again is to start an interpreter and to import. Starting one as users do it is tested by
`tests/service/test_serve.py`, and by all tests here that run `serve` as a command.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Self

# Its own options have the word "serve" in them, as those of any daemon.
FORGE = """
import json, os, sys
from admission.service import serve
from admission_client import cli

def become(asked):
    said = os.open(asked["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(said)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["folder"])
    os.setsid()
    return cli.main(["serve", "--detach", *asked["options"]])

while line := sys.stdin.buffer.raw.readline():
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            status = become(json.loads(line))
        except SystemExit as end:
            status = end.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def _of_the_interpreter(env: Mapping[str, str]) -> dict[str, str]:
    """What counts before the first line of a program does."""
    return {name: it for name, it in env.items() if name.startswith(("PYTHON", "LD_"))}


class Forge:
    """See the module. It ends when whoever started it does."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", FORGE, "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._env = _of_the_interpreter(os.environ)

    @classmethod
    @cache
    def of_this_process(cls) -> Self:
        return cls()

    def can_serve(self, env: Mapping[str, str]) -> bool:
        """Whether such a daemon differs in nothing from one that is started with this."""
        return _of_the_interpreter(env) == self._env

    def serve(self, env: Mapping[str, str], folder: Path, *options: str) -> tuple[int, str]:
        """Starts a daemon that serves; gives the status of the command, and what it said."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        said = folder / "said-by-serve"
        asked = {"env": dict(env), "folder": str(folder), "said": str(said), "options": options}
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
            status = int(self._process.stdout.readline())
        except BaseException:  # its answer may still come, and would be taken for the next one's
            self.end()
            raise
        return status, said.read_text()

    def end(self) -> None:
        Forge.of_this_process.cache_clear()
        self._process.kill()
        self._process.communicate()
