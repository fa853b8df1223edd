"""A PID namespace between client and daemon, as a container makes one: in either direction."""

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from admission_client.granted import text, whole
from tests.system.stage import Stage, end_process
from tests.system.talking import UNSHARE, talker, why_no_namespace

pytestmark = pytest.mark.skipif(bool(why_no_namespace()), reason=why_no_namespace())

ONCE = "ab" * 16


def serve_inside(stage: Stage) -> int:
    """A daemon in a PID namespace of its own; its number here, once it serves."""
    process = stage.spawn("serve", before=UNSHARE)
    assert process.stderr is not None
    for line in process.stderr:
        if b" serving " in line:
            (daemon,) = psutil.Process(process.pid).children()
            return daemon.pid
    raise AssertionError("it did not serve")


@pytest.fixture
def inside(empty_stage: Stage) -> Iterator[Stage]:
    """A stage whose daemon can't see whoever connects from here."""
    empty_stage.env["ADMISSION_AUTOSTART"] = "0"
    daemon = serve_inside(empty_stage)
    yield empty_stage
    end_process(daemon, signal.SIGKILL)


def test_who_can_not_be_seen_holds_by_its_connection_and_by_nothing_else(inside: Stage) -> None:
    with talker(inside) as client:
        refused = client.ask("acquire", bound="process")
        assert refused["code"] == "not_permitted"
        assert "another PID namespace" in text(refused, "message")
        assert client.ask("acquire", pid=client.process.pid)["code"] == "not_permitted"
        lease = client.ask("acquire", bound="connection")
        assert lease["pid"] == 0
        view = inside.until(lambda view: view.in_use() == 1)
        assert view.leases[0]["from"] == "another PID namespace"
    inside.until(lambda view: view.in_use() == 0)


def test_a_command_that_can_not_be_seen_is_told_what_to_do(inside: Stage) -> None:
    done = inside.run("run", "--", "true")
    assert done.returncode == 77
    assert "--hold connection" in done.stderr


def test_a_child_that_keeps_the_connection_keeps_the_lease(inside: Stage) -> None:
    """Nobody waits for the end of the process that connected."""
    with inside.client() as client:
        client.ask("acquire", {"bound": "connection"})
        if (child := os.fork()) == 0:
            signal.pause()  # with the socket open
    try:
        with inside.client() as other:
            other.ask("status")
            assert inside.look().in_use() == 1
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    inside.until(lambda view: view.in_use() == 0)


def test_a_lease_is_taken_up_again_by_its_request_and_by_its_secret(inside: Stage) -> None:
    with talker(inside) as client, talker(inside) as other:
        lease = client.ask("acquire", request=ONCE)
        again = other.ask("acquire", request=ONCE)
        assert (again["lease"], again["secret"]) == (lease["lease"], lease["secret"])
        words = {"lease": lease["lease"], "secret": lease["secret"]}
        assert client.ask("resume", **words)["lease"] == lease["lease"]
        assert inside.look().in_use() == 1


def test_a_daemon_that_was_away_takes_who_can_not_be_seen_for_living(empty_stage: Stage) -> None:
    daemon = serve_inside(empty_stage)
    empty_stage.env["ADMISSION_AUTOSTART"] = "0"
    with talker(empty_stage) as client:
        lease = client.ask("acquire")
        end_process(daemon, signal.SIGKILL)
        daemon = serve_inside(empty_stage)
        assert empty_stage.look().in_use() == 1
        client.ask("reconnect")
        words = {"lease": lease["lease"], "secret": lease["secret"]}
        assert client.ask("resume", **words)["lease"] == lease["lease"]
        (row,) = empty_stage.look().leases
        assert (row["lease"], row["state"]) == (lease["lease"], "held")
    end_process(daemon, signal.SIGKILL)


def test_a_client_in_a_namespace_below_is_seen_as_what_it_is_here(stage: Stage) -> None:
    with talker(stage, *UNSHARE) as client:
        assert client.ask("reconnect")["pid"] == 1, "so it calls itself"
        lease = client.ask("acquire", bound="process")
        pid = whole(lease, "pid")
        assert os.path.samefile(f"/proc/{pid}/cwd", "/")
        assert pid != 1
        assert client.ask("acquire", pid=1, bound="process")["pid"] == pid, "by its own number"
        refused = client.ask("acquire", pid=os.getpid(), bound="process")
        assert refused["code"] == "not_permitted"
        assert f"{os.getpid()} is a number of your PID namespace" in text(refused, "message")
        assert stage.look().in_use() == 2
        os.kill(pid, signal.SIGKILL)
        stage.until(lambda view: view.in_use() == 0)
