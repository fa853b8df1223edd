"""A jobserver for the command that `run` becomes: as many jobs at once as its lease has units, and
fewer while the machine is under pressure. docs/design.md, "Builds", has the rules.
"""

import fcntl
import os

from admission.protocol import AdmissionError, Unavailable, socket_path
from admission_client.blocking import Client
from admission_client.makeflags import (
    FIFO,
    auths,
    descriptors,
    understands_fifo,
    with_jobserver,
)
from admission_client.tokenkeeper import allowed_units, bury, start_keeper
from admission_client.tokenpipe import TokenPipe, is_open, is_pipe, make_pipe
from admission_client.tokens import Tokens

VERSION_BYTES_MAX = 4096


def give_jobserver(
    path: str | None, units: int, style: str | None, program: str, inherited_from: int
) -> None:
    """Puts a jobserver into this process's environment, for the command that it becomes. Where
    there is one already, of an outer make or run, that is shared.

    Args:
        path: the daemon's socket, as for `Client`.
        units: of the lease: how many jobs may run at once at level 0.
        style: "fifo" or "pipe"; without it what the make of this machine understands.
        program: the command's.
        inherited_from: the lowest number of the descriptors that the command inherits.

    Raises:
        Unavailable: there is no place for it, or no process to be had.
    """
    outer = shared_flags()
    if outer is not None:
        os.environ["MAKEFLAGS"] = outer
        return
    path = socket_path(path)
    tokens = Tokens(units)
    tokens.allow(_allowed_now(path, units))
    pipe = make_pipe(_folders(path), tokens)
    pipe.settle()
    try:
        if not start_keeper(pipe, path):
            raise Unavailable("no process can be started to keep the jobserver")
        auth = _hand_over(pipe, style or _usual_style(program), inherited_from)
    except OSError as problem:
        pipe.remove()
        raise Unavailable(f"no jobserver can be had: {problem.strerror}") from None
    except AdmissionError:
        pipe.remove()
        raise
    pipe.close()
    os.environ["MAKEFLAGS"] = with_jobserver(os.environ.get("MAKEFLAGS", ""), units, auth)
    # Cargo goes by this one first, and what it says of a jobserver is over.
    os.environ.pop("CARGO_MAKEFLAGS", None)


def shared_flags() -> str | None:
    """The MAKEFLAGS by which this process can use a jobserver that is there already."""
    for flags, auth in auths(os.environ):
        if auth.startswith(FIFO):
            is_there = is_open(auth.removeprefix(FIFO))
        else:
            pair = descriptors(auth)
            is_there = pair is not None and is_pipe(*pair)
        if is_there:
            return flags
    return None


def _allowed_now(path: str, units: int) -> int:
    try:
        with Client(path) as client:
            return allowed_units(units, client.ask("status"))
    except AdmissionError:
        return units  # it has just gone away; the keeper hears of the level when it is back


def _folders(path: str) -> list[str]:
    """Where the pipe may lie: beside the socket, unless that is somebody else's."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return [os.path.dirname(path), f"{runtime}/admission", os.path.expanduser("~/.admission")]


def _hand_over(pipe: TokenPipe, style: str, inherited_from: int) -> str:
    """Has the command inherit the pipe. One that it would open by name is inherited as well: so
    the tokens stay, and nobody waits for ever to open it, should the keeper be killed.
    """
    if style == "fifo":
        _inherit(os.open(pipe.path, os.O_RDWR), inherited_from)
        return FIFO + pipe.path
    # Of its own, since make changes whether reading blocks for whoever shares the descriptor.
    reading = _inherit(os.open(pipe.path, os.O_RDONLY), inherited_from)
    writing = _inherit(os.open(pipe.path, os.O_WRONLY), inherited_from)
    return f"{reading},{writing}"


def _inherit(descriptor: int, inherited_from: int) -> int:
    try:
        inherited = fcntl.fcntl(descriptor, fcntl.F_DUPFD, inherited_from)  # no close-on-exec
    except OSError:  # so many may not be open
        os.set_inheritable(descriptor, True)
        return descriptor
    os.close(descriptor)
    return inherited


def _usual_style(program: str) -> str:
    """What the tools of this machine understand: make before 4.4 knows descriptors only, and ends
    at the sight of a name; ninja knows names only; all others know both.
    """
    if os.path.basename(program) == "ninja":
        return "fifo"
    return "fifo" if understands_fifo(_version_of_make(program)) else "pipe"


def _version_of_make(program: str) -> str:
    """What `make --version` says; nothing where there is none."""
    make = program if os.path.basename(program) in ("make", "gmake") else "make"
    reading, writing = os.pipe()
    quiet = [(os.POSIX_SPAWN_OPEN, one, os.devnull, os.O_RDWR, 0) for one in (0, 2)]
    outside = {name: value for name, value in os.environ.items() if name != "MAKEFLAGS"}
    try:
        child = os.posix_spawnp(
            make,
            [make, "--version"],
            outside,
            file_actions=[*quiet, (os.POSIX_SPAWN_DUP2, writing, 1)],
        )
    except OSError:
        os.close(reading)
        return ""
    finally:
        os.close(writing)
    with open(reading, "rb") as pipe:
        said = pipe.read(VERSION_BYTES_MAX)
    bury(child)
    return said.decode(errors="replace")
