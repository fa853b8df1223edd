"""Three daemons of one fleet, and an etcd of the test's own, which can be killed and cut off."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

import pytest

from admission.protocol import Frame, Frames, encode
from admission_client.granted import rows
from tests.system.stage import CALM, Stage

POOL = "api"

# Appends when it starts and when it ends: the order of the lines is the order of what happened.
HOLDER = """
read -r up rest < /proc/uptime; echo "start $$ $up" >> "$0"
sleep "$1"
echo "end $$" >> "$0"
"""

# Passes bytes on between two ports, both ways. Stopped, it is a network that swallows all.
RELAY = """
import selectors, socket, sys
ears = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
selector, partner = selectors.DefaultSelector(), {}
selector.register(ears, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fileobj is ears:
            here, _ = ears.accept()
            try:
                there = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
            except OSError:
                here.close()
                continue
            partner[here], partner[there] = there, here
            for one in (here, there):
                selector.register(one, selectors.EVENT_READ)
        elif key.fileobj in partner:
            try:
                data = key.fileobj.recv(65536)
                partner[key.fileobj].sendall(data)
            except OSError:
                data = b""
            if not data:
                for one in (key.fileobj, partner.pop(key.fileobj)):
                    partner.pop(one, None)
                    selector.unregister(one)
                    one.close()
"""


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as ears:
        port = ears.getsockname()[1]
    assert isinstance(port, int)
    return port


class Server:
    """A member of an etcd, the only one unless `join` names others; its data outlives it."""

    def __init__(self, folder: Path, *options: str, name: str = "one") -> None:
        found = shutil.which("etcd")
        if found is None:
            pytest.skip("etcd is not on this machine (Debian: apt install etcd-server)")
        self._command, self._options = found, options
        self.name, self.folder = name, folder / f"etcd-{name}"
        self.port, self._peer_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._members = self.peer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def peer(self) -> str:
        """As the others of a cluster are told of it."""
        return f"{self.name}=http://127.0.0.1:{self._peer_port}"

    def join(self, *members: "Server") -> None:
        """To be called before it is started for the first time."""
        self._members = ",".join(member.peer for member in members)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_up(self) -> bool:
        return self._process is not None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Starts it, and returns when it answers."""
        self.launch()
        self.await_answer()

    def launch(self) -> None:
        peer = f"http://127.0.0.1:{self._peer_port}"
        line = [
            *(self._command, "--data-dir", str(self.folder), "--log-level", "error"),
            *("--name", self.name),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", self._members),
            *("--heartbeat-interval", "50", "--election-timeout", "250"),
            *self._options,
        ]
        self._process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def await_answer(self) -> None:
        while not self._answers():
            assert self._process is not None
            assert self._process.poll() is None, "etcd ended"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return self.revision() > 0
        except OSError:
            return False

    def revision(self) -> int:
        """How many changes there were."""
        asked = urllib.request.Request(f"{self.url}/v3/kv/range", b'{"key": "AA=="}')
        with urllib.request.urlopen(asked, timeout=5) as answer:
            return int(json.load(answer)["header"]["revision"])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Cluster:
    """Three members, of which two can do all."""

    def __init__(self, folder: Path) -> None:
        self.members = [Server(folder, name=name) for name in ("one", "two", "three")]
        for member in self.members:
            member.join(*self.members)

    @property
    def urls(self) -> list[str]:
        return [member.url for member in self.members]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.kill()

    def lose(self, count: int) -> None:
        """Kills so many of those that are up."""
        for member in [one for one in self.members if one.is_up][:count]:
            member.kill()

    def start(self) -> None:
        """Starts those that are not up, and returns when all answer."""
        missing = [member for member in self.members if not member.is_up]
        for member in missing:
            member.launch()
        for member in missing:
            member.await_answer()


class Relay:
    """The way to an etcd, which can be cut."""

    def __init__(self, server: Server) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", RELAY, str(self.port), str(server.port)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._process.stdout.readline()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def cut(self) -> None:
        """From now on nothing comes through, and nobody is told."""
        self._process.send_signal(signal.SIGSTOP)

    def mend(self) -> None:
        self._process.send_signal(signal.SIGCONT)


class Node(Stage):
    """A daemon of a fleet. Nothing tells it from one on a machine of its own."""

    def __init__(
        self, folder: Path, name: str, urls: Sequence[str], ttl_s: float, capacity: int, more: str
    ) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.name = name
        endpoints = ", ".join(f'"{url}"' for url in urls)
        self.config.write_text(
            f'{CALM}\n[fleet]\nnode = "{name}"\nendpoints = [{endpoints}]\nttl_s = {ttl_s}\n'
            f"{more}\n"
            f'[pools.{POOL}]\nscope = "fleet"\ncapacity = {capacity}\n'
        )

    def fleet(self) -> Frame:
        with self.client() as client:
            return client.ask("fleet")

    def fleet_until(self, holds: Callable[[Frame], bool]) -> Frame:
        while not holds(found := self.fleet()):
            time.sleep(0.02)
        return found

    def knows(self, *names: str) -> Frame:
        """Waits until these are the nodes that it knows of."""
        return self.fleet_until(lambda said: nodes(said) == sorted(names))

    def python(self, program: str, *words: str) -> "subprocess.Popen[bytes]":
        """Another process, with this node's environment."""
        return self.start(sys.executable, "-P", "-c", program, *words)

    def work(self, record: Path, work_s: float, *options: str) -> "subprocess.Popen[bytes]":
        """A process that holds a unit of the fleet pool for a while, and says when."""
        words = ("--", "sh", "-c", HOLDER, str(record), str(work_s))
        return self.spawn("run", "--pool", POOL, *options, *words, stderr=subprocess.DEVNULL)


def nodes(said: Frame) -> list[str]:
    return [str(row["node"]) for row in rows(said, "nodes")]


class Fleet:
    """Some nodes and what they share."""

    def __init__(
        self,
        folder: Path,
        urls: Sequence[Sequence[str]],
        ttl_s: float = 2,
        capacity: int = 3,
        more: str = "",
    ) -> None:
        self.record = folder / "record"
        self.record.touch()
        self.nodes = [
            Node(folder / name, name, urls, ttl_s, capacity, more)
            for name, urls in zip("abcdefgh", urls, strict=False)
        ]
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for node in self.nodes:
            self._stack.enter_context(node)
            node.serve()
        names = [node.name for node in self.nodes]
        for node in self.nodes:
            node.knows(*names)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def kill_holder(self, process: "subprocess.Popen[bytes]") -> None:
        """Kills one that has a unit, and writes down before that it has it no more."""
        with self.record.open("a") as file:
            file.write(f"end {process.pid}\n")
        process.kill()


def at_once(record: Path) -> Iterator[int]:
    """How many held a unit, after each line."""
    now = 0
    for line in record.read_text().splitlines():
        now += 1 if line.startswith("start") else -1
        yield now


class Talk:
    """A connection on which several requests can wait for their answers."""

    def __init__(self, node: Node) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(node.socket))
        self._frames = Frames()
        self._heard: list[Frame] = []
        self._last = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, op: str, **fields: object) -> int:
        self._last += 1
        self._socket.sendall(encode({"id": self._last, "op": op, **fields}))
        return self._last

    def hear(self, number: int, event: str | None = None) -> Frame:
        """The answer to this request; or the event that came for it."""
        while True:
            for frame in self._heard:
                if frame["id"] == number and frame.get("event") == event:
                    self._heard.remove(frame)
                    return frame
            self._heard += self._frames.feed(self._socket.recv(65_536))

    def ask(self, op: str, **fields: object) -> Frame:
        return self.hear(self.send(op, **fields))
