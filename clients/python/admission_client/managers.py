"""What starts the daemon for a user: systemd, or launchd. Each says which files it wants, which
commands put them in force and take them back, and what it says of itself.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Protocol

from admission.protocol import Unavailable
from admission_client import units
from admission_client.units import About

COMMAND_LIMIT_S = 60.0
INSTEAD = (
    'nothing was changed. The daemon starts by itself when it is needed, or by "admission serve '
    '--detach"'
)

Command = tuple[str, ...]


class State(NamedTuple):
    """What a manager says of the service."""

    enabled: bool
    listens: bool  # for the daemon, which it starts when somebody connects
    pid: int | None


class Manager(Protocol):
    name: str

    def check(self) -> None:
        """Raises Unavailable where it does not answer."""

    def files(self, about: About) -> dict[Path, str]:
        """The files that are wanted, and their text."""

    def paths(self) -> list[Path]:
        """Where these files are."""

    def start(self, changed: set[Path], served_by: int | None) -> list[Command]:
        """What puts the files in force, some of which were changed; `served_by`: who serves now."""

    def stop(self) -> list[Command]:
        """What ends the service, before its files are removed."""

    def forget(self) -> list[Command]:
        """What tells the manager that files were removed."""

    def state(self) -> State:
        """What it says of the service. Raises Unavailable where it does not answer."""


def ask(command: Command) -> "subprocess.CompletedProcess[str]":
    """Runs a command of the manager's.

    Raises:
        Unavailable: it is not there, or does not end.
    """
    program = shutil.which(command[0])
    if program is None:
        raise Unavailable(f"there is no {command[0]} here; {INSTEAD}", "no_service_manager")
    try:
        return subprocess.run(
            [program, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unavailable(
            f"{command[0]} is of no use here: {problem}", "no_service_manager"
        ) from None


def last_words(done: "subprocess.CompletedProcess[str]") -> str:
    """Why a command failed, as it says itself."""
    said = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2].strip()
    return said or f"exit status {done.returncode}"


class Systemd:
    """The user's own systemd."""

    name = "systemd"
    service, socket = "admission.service", "admission.socket"

    def __init__(self) -> None:
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        self._folder = Path(home) / "systemd" / "user"
        self._oom_score_adjust: int | None = None

    def paths(self) -> list[Path]:
        return [self._folder / self.service, self._folder / self.socket]

    def check(self) -> None:
        self._show("--property=DefaultOOMScoreAdjust")

    def files(self, about: About) -> dict[Path, str]:
        about = about._replace(
            socket=_within_runtime_folder(about.socket), oom_score_adjust=self._least_oom_score()
        )
        service, socket = self.paths()
        return {service: units.service_unit(about), socket: units.socket_unit(about)}

    def start(self, changed: set[Path], served_by: int | None) -> list[Command]:
        _, socket = self.paths()
        commands = [self._command("daemon-reload")]
        if socket in changed and socket.exists():
            commands.append(self._command("stop", self.socket))  # one that listens goes on as it is
        commands.append(self._command("enable", "--now", self.socket))
        # Where nobody serves, the first who connects starts it.
        if served_by is not None and (changed or self.state().pid != served_by):
            commands.append(self._command("restart", self.service))
        return commands

    def stop(self) -> list[Command]:
        return [
            self._command("disable", "--now", self.socket),
            self._command("stop", self.service),
        ]

    def forget(self) -> list[Command]:
        return [self._command("daemon-reload")]

    def state(self) -> State:
        said = self._show(
            self.service, self.socket, "--property=Id,UnitFileState,ActiveState,MainPID"
        )
        found: dict[str, dict[str, str]] = {}
        for block in said.split("\n\n"):
            values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
            found[values.get("Id", "")] = values
        service, socket = found.get(self.service, {}), found.get(self.socket, {})
        pid = service.get("MainPID", "0")
        return State(
            enabled=socket.get("UnitFileState") == "enabled",
            listens=socket.get("ActiveState") == "active",
            pid=int(pid) if pid.isdigit() and pid != "0" else None,
        )

    def _least_oom_score(self) -> int | None:
        """systemd gives its services 100 more than itself, and may give them as much as itself:
        so the agents go first where memory runs out, and not who admits them.
        """
        said = self._show("--property=DefaultOOMScoreAdjust").strip().rpartition("=")[2]
        return int(said) - 100 if said.isdigit() and int(said) >= 100 else None

    def _show(self, *words: str) -> str:
        done = ask(self._command("show", *words))
        if done.returncode:
            raise Unavailable(
                f"systemd does not answer for this user ({last_words(done)}); {INSTEAD}",
                "no_service_manager",
            )
        return done.stdout

    def _command(self, *words: str) -> Command:
        return ("systemctl", "--user", *words)


def _within_runtime_folder(path: str) -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    if path == f"{runtime}/admission/admission.sock":
        return "%t/admission/admission.sock"
    return units.literal(path)


class Launchd:
    """The user's launchd, on macOS."""

    name = "launchd"

    def __init__(self) -> None:
        self._domain = f"gui/{os.getuid()}"
        self._service = f"{self._domain}/{units.LABEL}"
        self._path = Path(os.path.expanduser("~/Library/LaunchAgents")) / f"{units.LABEL}.plist"

    def paths(self) -> list[Path]:
        return [self._path]

    def check(self) -> None:
        done = ask(("launchctl", "print", self._domain))
        if done.returncode:
            raise Unavailable(
                f"launchd does not answer for this user ({last_words(done)}): install it from a "
                f"terminal of the desktop; {INSTEAD}",
                "no_service_manager",
            )

    def files(self, about: About) -> dict[Path, str]:
        return {self._path: units.launch_agent(about)}

    def start(self, changed: set[Path], served_by: int | None) -> list[Command]:
        state = self.state()
        if not changed and state.enabled and served_by in (None, state.pid):
            return []
        out = [("launchctl", "bootout", self._service)] if state.enabled else []
        return [
            *out,
            ("launchctl", "enable", self._service),
            ("launchctl", "bootstrap", self._domain, str(self._path)),
        ]

    def stop(self) -> list[Command]:
        return [("launchctl", "bootout", self._service)] if self.state().enabled else []

    def forget(self) -> list[Command]:
        return []

    def state(self) -> State:
        done = ask(("launchctl", "print", self._service))
        lines = [line.strip() for line in done.stdout.splitlines()] if not done.returncode else []
        pids = [line.removeprefix("pid = ") for line in lines if line.startswith("pid = ")]
        pid = int(pids[0]) if pids and pids[0].isdigit() else None
        return State(enabled=done.returncode == 0, listens=False, pid=pid)


def manager() -> Manager:
    """This machine's."""
    return Launchd() if sys.platform == "darwin" else Systemd()
