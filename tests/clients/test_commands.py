"""What the commands print when all is well, a daemon beside them."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from admission.protocol import Frame
from admission_client import Client, lease
from admission_client.granted import mapping, rows
from tests.clients.commands import Caller, command
from tests.clients.daemons import Daemon
from tests.clients.fronts import Holder, holding
from tests.clients.test_output import HOSTILE

# Every command finds the daemon by its environment here.
pytestmark = pytest.mark.usefixtures("found")


@pytest.fixture
def found(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMISSION_SOCKET", daemon.path)


def lines_of(table: str) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in table.splitlines()]


# --- holding ------------------------------------------------------------------------------------


def test_acquire_prints_an_id_that_release_takes(daemon: Daemon, call: Caller) -> None:
    taken = call("acquire", "--pool", "one", "--task", "by hand")
    assert (taken.status, taken.err) == (0, "")
    assert re.fullmatch(r"\d+\n", taken.out)
    (held,) = rows(daemon.ask("leases"), "leases")
    assert (held["task"], held["pid"], held["bound"]) == ("by hand", os.getppid(), "process")
    assert call("release", taken.out.strip()) == (0, f"lease {held['lease']} released\n", "")
    assert daemon.in_use() == 0


def test_acquire_holds_for_the_process_it_is_told(daemon: Daemon, call: Caller) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as other:
        taken = call("acquire", "--pool", "one", "--pid", str(other.pid), "--json")
        assert taken.json["pid"] == other.pid
        assert taken.json["params"]
    daemon.wait_until(daemon.is_idle)


def test_acquire_shares_the_lease_it_runs_under_unless_it_is_for_another_process(
    daemon: Daemon, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lease("one", socket=daemon.path) as granted:
        monkeypatch.setenv("ADMISSION_LEASE", str(granted.id))
        shared = call("acquire", "--pool", "one", "--no-wait", "--json").json
        assert (shared["shared"], shared["lease"]) == (True, granted.id)
        other = str(os.getppid())
        assert call("acquire", "--pool", "one", "--no-wait", "--pid", other).status == 75


def test_release_takes_several_and_says_each(daemon: Daemon, call: Caller) -> None:
    ids = [call("acquire", "--pool", "two").out.strip() for _ in range(2)]
    released = call("release", "--json", *ids)
    assert [json.loads(line) for line in released.out.splitlines()] == [
        {"lease": int(number)} for number in ids
    ]
    assert daemon.in_use("two") == 0


def test_release_spares_the_lease_it_runs_under_unless_it_is_forced(
    daemon: Daemon, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = call("acquire", "--pool", "one").out.strip()
    monkeypatch.setenv("ADMISSION_LEASE", number)
    spared = call("release", number)
    assert spared.status == 0
    assert spared.out == f"lease {number} is the one this runs under: it stays until that ends\n"
    assert call("release", "--json", number).json == {"lease": int(number), "shared": True}
    assert daemon.in_use() == 1
    assert call("release", "--force", number).out == f"lease {number} released\n"
    assert daemon.in_use() == 0


def test_renew_says_what_is_left(call: Caller) -> None:
    number = call("acquire", "--pool", "two", "--ttl", "5m").out.strip()
    other = call("acquire", "--pool", "two").out.strip()
    assert call("renew", number, other).out.splitlines() == [
        f"lease {number} ends in 5 min",
        f"lease {other} has no ttl",
    ]
    assert call("renew", "--json", number).json["ttl_s"] == 300
    call("release", number, other)


# --- looking ------------------------------------------------------------------------------------


def test_leases_shows_who_holds_what_and_who_waits_where_and_why(
    daemon: Daemon, call: Caller
) -> None:
    assert call("leases") == (0, "no leases\n", "")
    with (
        holding(lease("one", socket=daemon.path, task="first")) as first,
        Holder(lease("one", socket=daemon.path, task="second", class_="batch")) as second,
    ):
        daemon.wait_for_waiting("second")
        held, _, waiting = call("leases").out.partition("\n\n")
        table = lines_of(held)
        assert " ".join(table[0]) == "LEASE POOL TASK PID STATE CLASS WEIGHT AGE FROM"
        expected = [str(first.lease.result().id), "one", "first", str(os.getpid())]
        assert table[1][:7] == [*expected, "held", "normal", "1"]
        table = lines_of(waiting)
        assert " ".join(table[0]) == "PLACE POOL TASK PID CLASS WEIGHT WAITED ABOUT WHY"
        assert table[1][:6] == ["1", "one", "second", str(os.getpid()), "batch", "1"]
        assert table[1][-1] == "1 of 1 units of one are out"
        found = call("leases", "--json").json
        assert [len(rows(found, name)) for name in ("leases", "waiting")] == [1, 1]
        first.let_go()
        second.lease.result()


def test_leases_can_be_narrowed_down(daemon: Daemon, call: Caller) -> None:
    def found(*words: str) -> list[object]:
        return [one["task"] for one in rows(call("leases", "--json", *words).json, "leases")]

    with lease("one", socket=daemon.path, task="a"), lease("two", socket=daemon.path, task="b"):
        assert found() == ["a", "b"]
        assert found("--pool", "two") == ["b"]
        assert found("--task", "a") == ["a"]
        assert found("--pid", str(os.getpid())) == ["a", "b"]
        assert found("--pid", "1") == []


def test_leases_shows_all_however_many_answers_that_takes(daemon: Daemon, call: Caller) -> None:
    """A frame holds 64 KiB, and a label may take 800 bytes."""
    label = "\N{DUCK}" * 200
    program = """
import sys
from admission_client import Client
from admission_client.granted import claim_fields
with Client(sys.argv[1]) as client:
    for _ in range(100):
        client.acquire(claim_fields(pool="many", task=sys.argv[2]))
    print("ready", flush=True)
    sys.stdin.read()
"""
    line = [*command()[:3], program, daemon.path, label]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        assert daemon.ask("leases")["more"], "it fits into one answer: nothing is tested"
        assert len(rows(call("leases", "--json").json, "leases")) == 100
        assert len(call("leases").out.splitlines()) == 101
    daemon.wait_until(daemon.is_idle)


def test_status_says_the_level_why_and_how_full_the_pools_are(daemon: Daemon, call: Caller) -> None:
    with Client(daemon.path) as client:  # the first look may not be over yet
        news = client.watch(["level", "sample"])
        next(one for one in news if daemon.ask("status")["sample"] is not None)
    with lease("one", socket=daemon.path):
        shown = call("status").out.splitlines()
        assert re.fullmatch(r"level 0 \(normal\) for .*: .*", shown[0])
        assert shown[1] == 'set by hand until changed; "admission level auto" gives it back'
        assert re.fullmatch(r"memory \d+ %, CPU (\d+ %|unknown) \(.* ago\)", shown[2])
        assert shown[3].startswith("forecast: memory")
        table = lines_of("\n".join(shown[5:]))
        assert table[0] == ["POOL", "CAPACITY", "IN USE", "WAITING"]
        assert ["one", "1", "1", "0"] in table
        assert ["agents", "5", "0", "0"] in table
        found = call("status", "--json").json
        assert mapping(found, "in_use")["one"] == 1
        assert found["level"] == 0


def test_status_says_what_is_overcommitted(daemon: Daemon, call: Caller) -> None:
    with lease("shrinking", weight=2, socket=daemon.path):
        call("level", "2", "--for", "10m")
        shown = call("status").out
    assert "level 2 (medium)" in shown
    assert 'set by hand for another 10 min; "admission level auto" gives it back' in shown
    assert "shrinking is overcommitted by 1: nobody loses a lease, none is granted" in shown


# --- news ---------------------------------------------------------------------------------------


@contextmanager
def watching(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """`admission watch`, past its first line, which says the level."""
    line = command("watch", *words)
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert "level" in process.stdout.readline()
        yield process
        process.kill()


def next_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_watch_prints_the_news_a_line_each(daemon: Daemon) -> None:
    with watching() as process:
        with lease("one", socket=daemon.path, task="refactor") as granted:
            line = next_line(process)
            assert re.fullmatch(
                rf"\d\d:\d\d:\d\d lease {granted.id} granted: pool one, weight 1, task refactor, "
                rf"class normal, pid {os.getpid()}, waited_ms \d+\n",
                line,
            )
        assert f" lease {granted.id} ended: " in (line := next_line(process))
        assert "reason released" in line
        daemon.ask("level", set=1)
        assert " level 1 (light): " in next_line(process)


def test_watch_prints_json_of_the_topics_asked_for(daemon: Daemon) -> None:
    with watching("--json", "--topics", "level,lease") as process:
        with lease("one", socket=daemon.path, task=HOSTILE):
            line = next_line(process)
        assert line.removesuffix("\n").isprintable()
        event: Frame = json.loads(line)
        assert (event["event"], event["task"]) == ("granted", HOSTILE)


def test_watch_lets_no_label_draw_on_the_terminal(daemon: Daemon) -> None:
    with watching() as process, lease("one", socket=daemon.path, task=HOSTILE):
        assert next_line(process).removesuffix("\n").isprintable()


def test_watch_ends_quietly_when_its_reader_has_enough(daemon: Daemon) -> None:
    with watching() as process:
        assert process.stdout is not None
        process.stdout.close()
        with lease("one", socket=daemon.path):
            assert process.wait() == 141
        assert process.stderr is not None
        assert process.stderr.read() == ""


@pytest.mark.usefixtures("ctrl_c")
def test_watch_ends_at_ctrl_c_as_programs_do_that_leave_it_alone(daemon: Daemon) -> None:
    with watching() as process:
        process.send_signal(signal.SIGINT)
        assert process.wait() == -signal.SIGINT
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_watch_says_when_the_daemon_ended(daemon: Daemon) -> None:
    with watching() as process:
        daemon.end()
        assert process.wait() == 69
        assert process.stderr is not None
        assert process.stderr.read().startswith("admission: the daemon closed the connection")


# --- steering -----------------------------------------------------------------------------------


def test_the_level_is_shown_set_for_a_while_and_given_back(daemon: Daemon, call: Caller) -> None:
    assert call("level") == (0, "level 0 (normal)\n", "")
    assert call("level", "2") == (0, "level 2 (medium)\n", "")
    assert call("level", "3", "--for", "10m") == (0, "level 3 (heavy) for 10 min\n", "")
    until = mapping(daemon.ask("status"), "by_hand")["until_s"]
    assert isinstance(until, float)
    assert 590 < until <= 600
    assert call("level", "--json").json["level"] == 3
    assert call("level", "auto").status == 0
    assert daemon.ask("status")["by_hand"] is None
