"""Starts talkers (`talker.py`) as other users and in other PID namespaces."""

import grp
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from admission.protocol import Frame
from tests.system.stage import Stage

TALKER = [sys.executable, "-P", str(Path(__file__).with_name("talker.py"))]
UNSHARE = ["unshare", "-p", "-f", "--mount-proc", "--kill-child"]
NOBODY, SOMEBODY = 65534, 65533


class Talker:
    """One that runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def ask(self, op: str, **fields: object) -> Frame:
        """The answer; of an error its `code` and `message`."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([op, fields]) + "\n")
        stdin.flush()
        line = stdout.readline()
        assert line, "it ended"
        found: Frame = json.loads(line)
        return found


@contextmanager
def talker(
    stage: Stage, *before: str, uid: int | None = None, gids: tuple[int, ...] = ()
) -> Iterator[Talker]:
    """One that talks to the stage's daemon until it is left; `before` stands before its command."""
    user = [] if uid is None else map(str, (uid, *gids))
    with subprocess.Popen(
        [*before, *TALKER, *user],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=stage.env,
        cwd="/",
    ) as process:
        try:
            yield Talker(process)
        finally:
            process.kill()


# Runs code as another user: what it needs is imported before, as in `talker.become`.
BECOME = """
import argparse, importlib, os, pkgutil, socket, sys
import admission_client
for found in pkgutil.iter_modules(admission_client.__path__):
    importlib.import_module(f"admission_client.{found.name}")
uid, *gids = map(int, sys.argv.pop(1).split())
os.setgroups(gids)
os.setgid(uid)
os.setuid(uid)
"""


def as_user(code: str, *words: str, uid: int, gids: tuple[int, ...] = ()) -> list[str]:
    """The command that runs this Python code as another user; the words are its `sys.argv`."""
    user = " ".join(map(str, (uid, *gids)))
    return [sys.executable, "-P", "-c", BECOME + code, user, *words]


def runs(*words: str) -> bool:
    """Whether this can be run here at all."""
    try:
        return subprocess.run(words, capture_output=True, check=False, cwd="/").returncode == 0
    except FileNotFoundError:
        return False


@cache
def group() -> grp.struct_group:
    """Any that is not root's and not one of the two users' own."""
    own = (0, NOBODY, SOMEBODY)
    found = next((one for one in grp.getgrall() if one.gr_gid not in own), None)
    return found or grp.getgrgid(os.getgid())


@cache
def why_no_other_user() -> str:
    """Why no process of another user's can be started; nothing where one can."""
    gids = (group().gr_gid,)
    found = all(runs(*as_user("", uid=uid, gids=gids)) for uid in (NOBODY, SOMEBODY))
    return "" if found else "a process of another user's can't be started; only root can"


@cache
def why_no_namespace() -> str:
    """Why there is no PID namespace to be had; nothing where there is."""
    return "" if runs(*UNSHARE, "true") else "no PID namespace can be had on this machine"
