"""A real sshd of a test's own, one for each connection: ssh starts it in the place of a network."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest

# Debian's has it made by what starts the service.
SEPARATION = Path("/run/sshd")


def needed() -> str:
    """Where sshd is; the test is skipped where it can't be."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None or shutil.which("ssh") is None:
        pytest.skip("sshd or ssh is missing: install openssh-server")
    if os.getuid() == 0:
        if _is_locked("root"):
            pytest.skip("sshd lets nobody in as root: the account is locked")
        try:
            SEPARATION.mkdir(mode=0o755, exist_ok=True)
        except OSError as problem:
            pytest.skip(f"sshd needs {SEPARATION}: {problem.strerror}")
    return found


def _is_locked(user: str) -> bool:
    try:
        lines = Path("/etc/shadow").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{user}:!") for line in lines)


class Sshd:
    """The other side of `ssh`, a command line that finds it as host `there`; `env` is what a
    session has there.
    """

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        program = needed()
        self.folder = folder
        folder.mkdir()
        for name in ("host", "user"):
            self._make_key(name)
        public = (folder / "user.pub").read_text()
        (folder / "authorized").write_text(public)
        host_key = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known").write_text(f"there {host_key}\n")
        setenv = " ".join(f'"{name}={value}"' for name, value in env.items())
        (folder / "sshd_config").write_text(
            f"HostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nUsePAM no\n"
            f"StrictModes no\nPermitRootLogin yes\nSetEnv {setenv}\nLogLevel ERROR\n"
        )
        (folder / "ssh_config").write_text(
            f"User {pwd.getpwuid(os.getuid()).pw_name}\nIdentityFile {folder}/user\n"
            f"IdentitiesOnly yes\nUserKnownHostsFile {folder}/known\nGlobalKnownHostsFile none\n"
            "StrictHostKeyChecking yes\n"
            f"Host there\nHostKeyAlias there\n"
            f"ProxyCommand {program} -i -f {folder}/sshd_config -E {folder}/log\n"
        )
        self.ssh = ["ssh", "-F", f"{folder}/ssh_config"]

    def _make_key(self, name: str) -> None:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)],
            check=True,
            stdin=subprocess.DEVNULL,
        )

    def forget_host(self) -> None:
        """As if nobody had ever been there."""
        (self.folder / "known").write_text("")

    def let_nobody_in(self) -> None:
        (self.folder / "authorized").write_text("")
