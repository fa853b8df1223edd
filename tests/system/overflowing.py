"""Two machines on this one: each with a daemon of its own, and a way from one to the other."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.system.stage import CALM, COMMAND, Stage

OVERFLOW = """
[overflow]
after_s = 0.1
connect_s = 30
look_s = 0.2
"""


def toml(value: str | Sequence[str]) -> str:
    """A string or a list of strings, as TOML has it, which here is as JSON."""
    return json.dumps(value if isinstance(value, str) else list(value))


class Pair:
    """`here` and `there`; work goes from here to node `b`, which is there."""

    def __init__(self, folder: Path, here: Stage, there: Stage) -> None:
        self.folder = folder
        self.here = here
        self.there = there

    def configure(
        self,
        node: str = "",
        overflow: str = "",
        sync: Sequence[str] = (),
        fetch: Sequence[str] = (),
        command: Sequence[str] = COMMAND,
    ) -> None:
        """How work comes there: as `node` says, else by a command that changes the environment."""
        own = ("ADMISSION_SOCKET", "ADMISSION_CONFIG", "XDG_STATE_HOME")
        runner = ["env", *(f"{name}={self.there.env[name]}" for name in own)]
        node = node or f"runner = {toml(runner)}\n"
        self.here.config.write_text(
            f"{CALM}{OVERFLOW}{overflow}\ncommand = {toml(command)}\n"
            f"folder = {toml(str(self.there.folder))}\nsync = {toml(sync)}\nfetch = {toml(fetch)}\n"
            f"[overflow.nodes.b]\n{node}"
        )

    def serve(self) -> None:
        """Both daemons; here everything is taken."""
        self.here.serve()
        self.there.serve()
        self.here.set_level(3)
        self.here.hold()
        self.here.until(lambda view: view.in_use() == 1)

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """`admission run --overflow WORDS …` here, to its end."""
        return self.here.run("run", "--overflow", *words)

    def spawn(
        self,
        *words: str,
        stdin: int = subprocess.PIPE,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        env: dict[str, str] | None = None,
    ) -> "subprocess.Popen[bytes]":
        """The same, begun."""
        line = ("run", "--overflow", *words)
        return self.here.spawn(*line, stdin=stdin, stdout=stdout, stderr=stderr, env=env)


@contextmanager
def paired(folder: Path) -> Iterator[Pair]:
    for name in "ab":
        (folder / name).mkdir()
    with Stage(folder / "a") as here, Stage(folder / "b") as there:
        pair = Pair(folder, here, there)
        pair.configure()
        yield pair


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)
