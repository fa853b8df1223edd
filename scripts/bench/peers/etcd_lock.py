"""A lock in etcd, by its HTTP gateway, on one connection that stays."""

import base64
import http.client
import json
import socket
from contextlib import closing
from typing import Any

from scripts.bench.peers import ETCD
from scripts.bench.stage import Broken, Stage

LEASE_S = 60
TIMEOUT_S = 10.0


def serve_etcd(stage: Stage) -> str:
    """A server of its own in the stage's folder, which is in memory; host and port, once it
    answers.
    """
    clients, peers = (f"127.0.0.1:{port}" for port in _free_ports(2))
    words = ["--name", "bench", "--data-dir", str(stage.folder / "etcd"), "--log-level", "error"]
    words += ["--listen-client-urls", f"http://{clients}"]
    words += ["--advertise-client-urls", f"http://{clients}"]
    words += ["--listen-peer-urls", f"http://{peers}"]
    words += ["--initial-advertise-peer-urls", f"http://{peers}"]
    words += ["--initial-cluster", f"bench=http://{peers}"]
    stage.start(ETCD.path, *words)
    stage.wait_until(lambda: _is_up(clients), "etcd")
    return clients


class Lock:
    """Taken under one lease of etcd's, which ends it if its holder dies."""

    def __init__(self, address: str) -> None:
        self._http = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
        self._lease = self._ask("/v3/lease/grant", {"TTL": LEASE_S})["ID"]
        self._name = base64.b64encode(b"bench").decode()

    def close(self) -> None:
        self._http.close()

    def pair(self) -> None:
        """Takes the lock and gives it back."""
        taken = self._ask("/v3/lock/lock", {"name": self._name, "lease": self._lease})
        self._ask("/v3/lock/unlock", {"key": taken["key"]})

    def _ask(self, path: str, fields: dict[str, object]) -> dict[str, Any]:
        self._http.request("POST", path, json.dumps(fields))
        with self._http.getresponse() as reply:
            body = reply.read()
        if reply.status != http.client.OK:
            raise Broken(f"etcd answered {reply.status} to {path}: {body!r}")
        answer: dict[str, Any] = json.loads(body)
        return answer


def _is_up(address: str) -> bool:
    try:
        with closing(http.client.HTTPConnection(address, timeout=1.0)) as probe:
            probe.request("GET", "/health")
            return b"true" in probe.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False


def _free_ports(count: int) -> list[int]:
    socks = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [sock.getsockname()[1] for sock in socks]
    finally:
        for sock in socks:
            sock.close()
