"""What is the blocking client's alone. What it shares with the other is in test_contract.py."""

import signal
import socket
import subprocess
import sys
from threading import Thread, main_thread

import pytest

from admission.protocol import Frame, NotPermitted, encode
from admission_client import Client, blocking, lease
from admission_client.granted import claim_fields
from tests.clients.daemons import Daemon
from tests.clients.fronts import Holder, holding

HEAVY = {
    "anyio", "argparse", "asyncio", "dataclasses", "enum", "json", "msgspec", "psutil", "re",
    "selectors", "socket", "subprocess", "threading", "trio", "typing",
}  # fmt: skip


def run_python(program: str, *words: str) -> str:
    """What a program of its own prints; fails where it fails."""
    found = subprocess.run(
        [sys.executable, "-P", "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout


# --- being interrupted --------------------------------------------------------------------------


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_waiting_takes_the_request_back_and_the_next_one_is_served(
    daemon: Daemon,
) -> None:
    behind = Holder(lease("one", socket=daemon.path, task="behind"))

    def interrupt() -> None:
        daemon.wait_for_waiting("in front")
        behind.__enter__()
        daemon.wait_for_waiting("in front", "behind")
        signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)

    with holding(lease("one", socket=daemon.path)) as first:
        thread = Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            lease("one", socket=daemon.path, task="in front").__enter__()
        thread.join()
        daemon.wait_for_waiting("behind")
        first.let_go()
        assert behind.lease.result().pool == "one"
        behind.let_go()


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_the_body_gives_the_lease_back(daemon: Daemon) -> None:
    with pytest.raises(KeyboardInterrupt), lease("one", socket=daemon.path):
        signal.raise_signal(signal.SIGINT)
    assert daemon.in_use() == 0


# --- being asked again --------------------------------------------------------------------------


def test_on_wait_is_called_at_once_with_news_and_when_it_asked_to_be(daemon: Daemon) -> None:
    calls: list[Frame | None] = []
    with holding(lease("one", socket=daemon.path)) as first, Client(daemon.path) as client:

        def on_wait(event: Frame | None) -> float:
            calls.append(event)
            if any(calls) and calls[-2:] == [None, None]:
                first.leave()
            return 0.01

        client.release(client.acquire(claim_fields(pool="one"), None, on_wait))
    assert calls[0] is None
    assert [call["event"] for call in calls if call is not None] == ["queued"]


# --- processes ----------------------------------------------------------------------------------

FORKING = """
import os, sys
from admission_client import Client, blocking, lease

def in_use():
    with Client(sys.argv[1]) as client:
        return client.ask("status")["in_use"]["one"]

with lease("one", socket=sys.argv[1]):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        print(in_use())
if child:
    print(in_use())
"""


def test_a_forked_child_that_leaves_the_body_gives_nothing_back(daemon: Daemon) -> None:
    assert run_python(FORKING, daemon.path).split() == ["1", "0"]


def test_a_lease_ends_with_its_process_however_that_ends(daemon: Daemon) -> None:
    program = """
import os, sys
from admission_client import lease

lease("one", socket=sys.argv[1]).__enter__()
os.kill(os.getpid(), 9)
"""
    found = subprocess.run([sys.executable, "-P", "-c", program, daemon.path], check=False)
    assert found.returncode == -signal.SIGKILL
    daemon.wait_until(daemon.is_idle)


def test_importing_it_imports_nothing_heavy() -> None:
    loaded = run_python("import sys, admission_client; print(*sys.modules)").split()
    already = run_python("import sys; print(*sys.modules)").split()
    assert sorted(HEAVY & {*loaded} - {*already}) == []


def test_a_lease_imports_msgpack_and_nothing_heavy(daemon: Daemon) -> None:
    program = (
        "import sys; from admission_client import lease\n"
        "with lease(socket=sys.argv[1]): print(*sys.modules)"
    )
    loaded = run_python(program, daemon.path).split()
    already = run_python("import sys; print(*sys.modules)").split()
    assert "msgpack" in loaded
    assert sorted(HEAVY & {*loaded} - {*already}) == []


def test_who_is_not_let_in_is_told_why_even_if_it_can_not_send(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The daemon says so and closes, maybe before the client has said a word."""

    def refused(_: str) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            error = {"code": "not_permitted", "message": "members only"}
            theirs.send(encode({"id": 0, "ok": False, "error": error}))
        return ours

    monkeypatch.setattr(blocking, "connect", refused)
    with Client("/nowhere") as client, pytest.raises(NotPermitted, match="members only"):
        client.ask("hello")
