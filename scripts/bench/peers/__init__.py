"""What others use instead of a daemon that grants leases: each is found, or left out by name.

Nothing is installed unless `--install` asks for it.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Peer:
    """A program, the Debian package that brings it, and the services that come with that. Or, where
    it has no package, a Python module that the extra `bench` brings.
    """

    program: str
    package: str = ""
    services: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Where the program is; empty where it isn't."""
        return shutil.which(self.program) or ""

    @property
    def is_here(self) -> bool:
        if self.package:
            return bool(self.path)
        return importlib.util.find_spec(self.program) is not None

    @property
    def why_not(self) -> str:
        """What to say of it where it is missing."""
        how = f"apt install {self.package}" if self.package else "pip install '.[bench]'"
        return f"{self.program} is not installed ({how})"


FLOCK = Peer("flock", "util-linux")
SEM = Peer("sem", "parallel")
TSP = Peer("tsp", "task-spooler")
REDIS = Peer("redis-server", "redis-server", ("redis-server.service",))
REDIS_PY = Peer("redis")
ETCD = Peer("etcd", "etcd-server", ("etcd.service",))
ETCDCTL = Peer("etcdctl", "etcd-client")
PEERS = (FLOCK, SEM, TSP, REDIS, REDIS_PY, ETCD, ETCDCTL)


def why_skipped(*peers: Peer) -> str:
    """What is missing of these; empty where nothing is."""
    return "; ".join(peer.why_not for peer in peers if not peer.is_here)


def install() -> str | None:
    """Installs what is missing, and sees to it that no service which came with it runs.

    Returns:
        What is still missing, and how to get it; None where everything is here.
    """
    missing = [peer for peer in PEERS if not peer.is_here]
    packages = [peer.package for peer in missing if peer.package]
    apt = shutil.which("apt-get")
    if packages and apt and os.geteuid() == 0:
        env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        words = [apt, "install", "--yes", "--quiet", "--no-install-recommends", *packages]
        subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
        _stop([service for peer in missing for service in peer.services])
    if REDIS_PY in missing:
        words = [sys.executable, "-m", "pip", "install", "--quiet", "redis>=5"]
        subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    importlib.invalidate_caches()
    return why_skipped(*PEERS) or None


def _stop(services: list[str]) -> None:
    """Debian starts what it installs; the benchmarks start their own."""
    systemctl = shutil.which("systemctl")
    if services and systemctl:
        words = [systemctl, "disable", "--now", *services]
        subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
