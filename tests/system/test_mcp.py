"""Slots for agents that ask by the Model Context Protocol: by its official client, and by hand."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from tests.system.stage import COMMAND, Stage

CLIENT = str(Path(__file__).parent / "mcp_client.py")
Message = dict[str, Any]


class Session:
    """A server, spoken to line by line."""

    def __init__(self, process: "Popen[bytes]") -> None:
        self.process = process
        self._answers: dict[object, Message] = {}
        self.notes: list[Message] = []

    def send(self, **message: object) -> None:
        self.send_bytes(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def answer(self, number: object) -> Message:
        while number not in self._answers:
            message = self._read()
            if "method" in message:
                self.notes.append(message)
            else:
                self._answers[message["id"]] = message
        return self._answers.pop(number)

    def note(self) -> Message:
        while not self.notes:
            message = self._read()
            assert "method" in message, message
            self.notes.append(message)
        return self.notes.pop(0)

    def _read(self) -> Message:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server has ended"
        message: Message = json.loads(line)
        assert message["jsonrpc"] == "2.0"
        return message

    def ask(self, number: object, method: str, **params: object) -> Message:
        self.send(id=number, method=method, params=params)
        return self.answer(number)

    def call(self, number: object, tool: str, **arguments: object) -> Message:
        answer = self.ask(number, "tools/call", name=tool, arguments=arguments)
        result: Message = answer["result"]
        return result


@pytest.fixture
def session(stage: Stage) -> Iterator[Session]:
    process = stage.spawn("mcp")
    session = Session(process)
    asked = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": "test"}}
    started = session.ask(0, "initialize", **asked)["result"]
    assert started["protocolVersion"] == "2025-03-26"
    session.send(method="notifications/initialized")
    yield session
    _, said = process.communicate()
    assert (process.returncode, said) == (0, b"")


def test_a_slot_is_taken_and_given_back(stage: Stage, session: Session) -> None:
    taken = session.call(1, "request_slot", task="build")
    slot = taken["structuredContent"]["slot"]
    (lease,) = stage.look().leases
    assert (lease["lease"], lease["pool"], lease["task"]) == (slot, "operations", "build")
    assert taken["content"][0]["text"].startswith(f"Slot {slot} of operations is yours")
    assert session.call(2, "release_slot", slot=slot)["structuredContent"] == {"released": True}
    assert not stage.look().leases
    again = session.call(3, "release_slot", slot=slot)
    assert again["isError"]


def test_others_are_answered_while_one_waits(stage: Stage, session: Session) -> None:
    assert session.call(1, "request_slot", weight=3)["structuredContent"]["granted"]
    session.send(
        id=2,
        method="tools/call",
        params={"name": "request_slot", "arguments": {}, "_meta": {"progressToken": "t"}},
    )
    note = session.note()
    assert note["method"] == "notifications/progress"
    assert note["params"]["progressToken"] == "t"
    assert note["params"]["message"].startswith("1 in the queue: 3 of 3 units of operations")
    status = session.call(3, "resource_status")
    assert status["structuredContent"]["waiting"]["operations"] == 1
    assert "operations: 3 of 3 taken, 1 wait" in status["content"][0]["text"]
    first = stage.look().leases[0]["lease"]
    session.call(4, "release_slot", slot=first)
    assert session.answer(2)["result"]["structuredContent"]["granted"]


def test_a_wait_can_be_cancelled(stage: Stage, session: Session) -> None:
    session.call(1, "request_slot", weight=3)
    session.send(id=2, method="tools/call", params={"name": "request_slot", "arguments": {}})
    stage.until(lambda view: len(view.waiting) == 1)
    session.send(method="notifications/cancelled", params={"requestId": 2})
    assert not session.answer(2)["result"]["structuredContent"]["granted"]
    assert not stage.look().waiting


def test_without_a_slot_the_agent_is_told_what_to_do(stage: Stage, session: Session) -> None:
    session.call(1, "request_slot", weight=3)
    refused = session.call(2, "request_slot", wait_s=0)
    assert refused["structuredContent"]["granted"] is False
    assert refused["content"][0]["text"].startswith("There is no slot now: 3 of 3 units")
    assert "do not ask again in the next minute" in refused["content"][0]["text"]


def test_what_was_taken_is_given_back_at_the_end(stage: Stage, session: Session) -> None:
    session.call(1, "request_slot", weight=2)
    session.send(
        id=2, method="tools/call", params={"name": "request_slot", "arguments": {"weight": 2}}
    )
    stage.until(lambda view: len(view.waiting) == 1)
    assert session.process.stdin is not None
    session.process.stdin.close()
    session.process.wait()
    stage.until(lambda view: not view.leases and not view.waiting)
    session.process.stdin = None


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"nonsense\n", -32700),
        (b"[1, 2]\n", -32600),
        (b'{"jsonrpc": "2.0", "id": 7}\n', -32600),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "nonesuch"}\n', -32601),
        (b'{"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "x"}}\n', -32602),
        (b"[" * 5000 + b"\n", -32700),
    ],
)
def test_what_is_wrong_is_answered_and_the_session_goes_on(
    session: Session, line: bytes, code: int
) -> None:
    session.send_bytes(line)
    number = 7 if b'"method"' in line else None
    assert session.answer(number)["error"]["code"] == code
    assert session.ask("ping", "ping")["result"] == {}


@pytest.mark.parametrize(
    "arguments",
    [
        {"weight": 0},
        {"weight": True},
        {"pool": 5},
        {"wait_s": -1},
        {"wait_s": "long"},
        {"task": []},
    ],
)
def test_wrong_arguments_are_named(session: Session, arguments: Message) -> None:
    params = {"name": "request_slot", "arguments": arguments}
    error = session.ask(1, "tools/call", **params)["error"]
    assert error["code"] == -32602
    assert next(iter(arguments)) in error["message"]


def test_an_unknown_pool_is_an_error_that_the_agent_reads(session: Session) -> None:
    answer = session.call(1, "request_slot", pool="nonesuch")
    assert answer["isError"]
    assert "there is no pool" in answer["content"][0]["text"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_is_small(session: Session) -> None:
    """For each session of an agent there is one."""
    session.call(1, "resource_status")
    status = Path(f"/proc/{session.process.pid}/status").read_text()
    rss_kib = int(status.split("VmRSS:")[1].split()[0])
    assert rss_kib < 20 * 1024


@pytest.mark.skipif(importlib.util.find_spec("mcp") is None, reason="the package mcp is missing")
def test_the_official_client_gets_on_with_it(stage: Stage) -> None:
    agent = stage.start(sys.executable, CLIENT, *COMMAND, "mcp")
    calls = [
        ["resource_status", {}],
        ["request_slot", {"task": "tests", "weight": 3}],
        ["request_slot", {"wait_s": 0}],
        ["release_slot", {"slot": 1}],
    ]
    out, err = agent.communicate("".join(json.dumps(call) + "\n" for call in calls).encode())
    assert agent.returncode == 0, err.decode()
    start, status, taken, refused, released = map(json.loads, out.splitlines())
    assert start["tools"] == ["request_slot", "release_slot", "resource_status"]
    assert status["about"]["level"] == 0
    assert (taken["about"]["granted"], taken["about"]["slot"]) == (True, 1)
    assert (refused["is_error"], refused["about"]["granted"]) == (False, False)
    assert released["about"] == {"released": True}
    stage.until(lambda view: not view.leases)
