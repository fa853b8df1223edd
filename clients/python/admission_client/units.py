"""The text of the files by which systemd and launchd start the daemon: each a function of what is
installed, and marked, so that a later one knows whether it was changed since.
"""

import hashlib
import plistlib
from typing import NamedTuple

from admission.protocol import Unavailable

LABEL = "local.admission"
MARK = 'written by "admission service install"; what you change here is kept aside by the next one'


class About(NamedTuple):
    """What is installed: the command that serves, and what it finds."""

    command: tuple[str, ...]
    socket: str
    log: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    oom_score_adjust: int | None = None


# --- systemd --------------------------------------------------------------------------------------


def service_unit(about: About) -> str:
    """admission.service. Nothing in it may hide the machine's processes, or change whose they are:
    the daemon knows its clients by what the kernel says of them.
    """
    program, *words = about.command
    # A path with these is refused by systemd, however it is written.
    if any(char in "\"'\\" or not char.isprintable() for char in program):
        raise Unavailable(
            f"systemd starts no program with quotes or backslashes in its path, as {program}; "
            "install admission elsewhere",
            "no_service_manager",
        )
    lines = [
        "[Unit]",
        "Description=Admission control for the agents of this machine",
        "Requires=admission.socket",
        "After=admission.socket",
        "",
        "[Service]",
        "Type=notify",
        # ":" leaves "$" alone.
        f"ExecStart=:{' '.join(map(quoted, (program, *words)))}",
        "ExecReload=kill -HUP $MAINPID",
        *(f"Environment={quoted(f'{name}={value}')}" for name, value in about.environment),
        "Restart=on-failure",
        "RestartSec=1",
        # Not permitted, or a wrong configuration: trying again changes nothing.
        "RestartPreventExitStatus=77 78",
    ]
    if about.oom_score_adjust is not None:
        lines.append(f"OOMScoreAdjust={about.oom_score_adjust}")
    lines += [
        "UMask=0077",
        "NoNewPrivileges=yes",
        "LockPersonality=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "RestrictNamespaces=yes",
        "RestrictAddressFamilies=AF_UNIX",
        "SystemCallArchitectures=native",
        "",
        "[Install]",
        "Also=admission.socket",
    ]
    return sealed("\n".join(lines) + "\n", "# ", "")


def socket_unit(about: About) -> str:
    """admission.socket: systemd listens, and starts the daemon when somebody connects."""
    lines = [
        "[Unit]",
        "Description=Where agents ask for admission",
        "",
        "[Socket]",
        f"ListenStream={about.socket}",
        "SocketMode=0600",
        "DirectoryMode=0700",
        "",
        "[Install]",
        "WantedBy=sockets.target",
    ]
    return sealed("\n".join(lines) + "\n", "# ", "")


def literal(path: str) -> str:
    """A path as it stands in a unit, where "%" begins a specifier."""
    return path.replace("%", "%%")


def quoted(word: str) -> str:
    """One word of a command or an assignment, as systemd reads it."""
    written = literal(word).replace("\\", "\\\\").replace('"', '\\"')
    written = "".join(
        char if char.isprintable() else "".join(f"\\x{byte:02x}" for byte in char.encode())
        for char in written
    )
    return f'"{written}"' if written != word or not word or " " in word or "'" in word else word


# --- launchd --------------------------------------------------------------------------------------


def launch_agent(about: About) -> str:
    """The property list: started at login, and again where it failed."""
    agent: dict[str, object] = {
        "Label": LABEL,
        "ProgramArguments": [*about.command],
        "EnvironmentVariables": dict(about.environment),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "Umask": 0o077,
        "StandardErrorPath": about.log,
    }
    return sealed(plistlib.dumps(agent).decode(), "<!-- ", " -->")


# --- whose they are -------------------------------------------------------------------------------


def sealed(text: str, before: str, after: str) -> str:
    """The text with a last line that says who wrote it, and a digest of all above."""
    return f"{text}{before}{MARK} ({_digest(text)}){after}\n"


def is_as_written(text: str) -> bool:
    """Whether nobody has changed it since it was sealed."""
    body, _, last = text.rstrip("\n").rpartition("\n")
    return MARK in last and f"({_digest(body + chr(10))})" in last


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
