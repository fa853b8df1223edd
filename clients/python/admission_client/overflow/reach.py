"""What is started to reach a node, and in words why it did not work."""

import os
import shlex
import signal
import subprocess
from contextlib import suppress

import trio

from admission_client.durations import said as duration
from admission_client.overflow.nodes import Node, Settings

NOT_EXECUTABLE, NOT_FOUND = 126, 127
# The last of what was said is enough to know why.
SAID_BYTES_MAX = 4096
# What ssh says, and what that means. The first that is found counts.
MEANINGS = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "has another host key than before; find out why, then `ssh-keygen -R {host}`",
    ),
    ("Host key verification failed", "has a host key not known here; connect once: ssh {host}"),
    (
        "Permission denied (",
        "does not let this user in without a question ({last}); `ssh -o BatchMode=yes {host} true` "
        "has to work",
    ),
    ("Too many authentication failures", "does not let this user in ({last})"),
    ("Could not resolve hostname", "has a host name, {host}, that nobody knows"),
    ("Connection refused", "can't be reached ({last})"),
    ("timed out", "can't be reached ({last})"),
    ("No route to host", "can't be reached ({last})"),
    ("Network is unreachable", "can't be reached ({last})"),
)


class NodeFailed(Exception):
    """The node, or the way to it, does not work; in words that go behind its name."""


class NodeRefused(Exception):
    """The node works, and does not take this command; `status` is what its `run` ended with."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def line_to(node: Node, settings: Settings, cwd: str, *words: str) -> list[str]:
    """What runs `admission WORDS …` there."""
    command = [*node.command, *words]
    if node.runner:
        return [*node.filled(node.runner, cwd), *command]
    options = [
        "BatchMode=yes",
        f"ConnectTimeout={max(1, round(settings.table.connect_s))}",
        "ClearAllForwardings=yes",
        # One that is open is used; we would end ours under others who came to use it.
        "ControlMaster=no",
        "RemoteCommand=none",
    ]
    given = [word for option in options for word in ("-o", option)]
    # A shell of the other side reads it.
    return [*settings.table.ssh, "-T", *given, "--", node.host, shlex.join(command)]


def why_failed(node: Node, status: int | None, said: bytes) -> str:
    """Why what reaches a node has ended, by its exit status and what it said."""
    text = said.decode(errors="replace")
    last = last_line(said)
    for sign, meaning in MEANINGS:
        if not node.runner and sign in text:
            return meaning.format(host=node.host, last=last)
    program = node.command[0]
    if status == NOT_FOUND:
        return f"has no {program}; install it there, or say where it is by `command` ({last})"
    if status == NOT_EXECUTABLE:
        return f"can't run {program} ({last})"
    if "is no command" in text or 'there is no command "receive"' in text:
        return "has an older admission, which takes no work; install the same version there"
    if status is None:
        return "did not answer in time"
    return f"failed: {last or f'exit status {status}'}"


async def run_to_end(line: list[str], limit_s: float) -> "subprocess.CompletedProcess[bytes]":
    """Runs this with nothing to read, in a session of its own, which is killed where it takes too
    long, or nobody waits any more.

    Raises:
        trio.TooSlowError: it took longer.
        OSError: it can't be started.
    """
    with trio.fail_after(limit_s):
        return await trio.run_process(
            line,
            stdin=subprocess.DEVNULL,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            start_new_session=True,
            deliver_cancel=_kill,
        )


async def why_not_moved(line: list[str], limit_s: float) -> str:
    """Runs a command that moves a working directory, if there is one; why that did not work, or
    nothing.
    """
    if not line:
        return ""
    try:
        done = await run_to_end(line, limit_s)
    except trio.TooSlowError:
        return f"{line[0]} did not end within {duration(limit_s)}"
    except OSError as problem:
        return f"{line[0]}: {problem.strerror}"
    if done.returncode == 0:
        return ""
    last = last_line(done.stderr)
    return f"{line[0]} ended with {done.returncode}" + (f": {last}" if last else "")


async def _kill(process: trio.Process) -> None:
    kill_session(process)


def kill_session(process: trio.Process) -> None:
    """Ends what was started in a session of its own, and what that has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def last_line(said: bytes) -> str:
    """The last line with anything in it, as something that a terminal can be shown."""
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return "".join(char for char in lines[-1] if char.isprintable())[:300] if lines else ""
