"""Three daemons, one etcd: never more than the fleet has, whatever dies, and in order."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from admission.protocol import Frame
from admission_client.granted import number, rows, text, whole
from tests.system.fleet import POOL, Cluster, Fleet, Node, Relay, Server, Talk, at_once
from tests.system.stage import stopped

# Says that it has a unit, and ends as soon as it hears that it has it no more.
OBEDIENT = """
import os, sys, threading
from admission_client import lease
lost = threading.Event()
with open(sys.argv[1], "a", buffering=1) as record:
    try:
        with lease(pool=sys.argv[2], bound="connection", on_lost=lambda problem: lost.set()):
            record.write(f"start {os.getpid()}\\n")
            lost.wait(float(sys.argv[3]))
            record.write(f"end {os.getpid()}\\n")
    except Exception as problem:
        print(problem)
"""


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with Server(folder) as server:
        yield server


def started(fleet: Fleet, count: int) -> None:
    """Waits until so many have had a unit."""
    while fleet.record.read_text().count("start") < count:
        time.sleep(0.01)


def waits(said: Frame) -> int:
    """How many wait in the whole fleet."""
    return whole(rows(said, "pools")[0], "waiting")


def is_idle(said: Frame) -> bool:
    """Whether nothing is out in the whole fleet."""
    return not whole(rows(said, "pools")[0], "held")


def test_never_more_than_three_whatever_is_killed(folder: Path, server: Server) -> None:
    with Fleet(folder, [[server.url]] * 3) as fleet:
        a, b, _ = fleet.nodes
        victim = b.work(fleet.record, 600)
        started(fleet, 1)
        work = [fleet.nodes[number % 3].work(fleet.record, 0.3) for number in range(11)]
        started(fleet, 3)
        a.kill_daemon()
        a.serve()
        fleet.kill_holder(victim)
        server.kill()
        server.start()
        b.kill_daemon()
        b.serve()
        assert victim.wait() == -signal.SIGKILL
        assert [process.wait() for process in work] == [0] * 11
        assert max(at_once(fleet.record)) == 3
        assert sum(1 for _ in at_once(fleet.record)) == 24
        for node in fleet.nodes:
            node.fleet_until(is_idle)


def test_who_came_first_goes_first_and_an_order_is_obeyed(folder: Path, server: Server) -> None:
    with Fleet(folder, [[server.url]] * 3, more='labels = ["gpu"]\ncost = 2') as fleet:
        a, b, c = fleet.nodes
        with Talk(a) as first, Talk(b) as second, Talk(c) as third:
            leases = [first.ask("acquire", pool=POOL) for _ in range(3)]
            waiting = []
            for ahead, one in enumerate((second, third, second)):
                waiting.append((one, one.send("acquire", pool=POOL)))
                a.fleet_until(lambda said, n=ahead: waits(said) > n)  # type: ignore[misc]
            why = "3 of 3 units of api are out in the fleet, and 1 on other nodes go first"
            c.look_until(lambda view: [one["reason"] for one in view.waiting] == [why])
            fences = [whole(one, "fence") for one in leases]
            rows_ = rows(first.ask("leases"), "leases")
            assert [whole(one, "fence") for one in rows_] == fences
            for lease, (one, asked) in zip(leases, waiting, strict=True):
                first.ask("release", lease=lease["lease"])
                fences.append(whole(one.hear(asked), "fence"))
            assert fences == sorted({*fences}), "each is newer than all before"
        _check_orders(a, b)
        _check_rest(server, a)


def _check_orders(a: Node, b: Node) -> None:
    assert "b  " in (shown := a.call("fleet").stdout)
    assert "gpu" in shown
    assert a.call("fleet", "drain", "b").returncode == 0
    b.until(lambda view: "api" in view.status["paused"])  # type: ignore[operator]
    a.fleet_until(lambda said: text(rows(said, "nodes")[1], "state") == "draining")
    b.kill_daemon()
    assert a.call("fleet", "uncordon", "b").returncode == 0
    b.serve()  # it was told while it was away
    b.look_until(lambda view: view.status["paused"] == {})
    assert a.call("fleet", "cordon", "b").returncode == 0
    a.fleet_until(lambda said: text(rows(said, "nodes")[1], "state") == "cordoned")
    assert b.look().status["paused"] == {}
    unknown = a.call("fleet", "cordon", "nonesuch")
    assert (unknown.returncode, "there are: a, b, c" in unknown.stderr) == (64, True)


def _check_rest(server: Server, node: Node) -> None:
    """At rest a node writes nothing; that it is there is no write of etcd's."""
    node.fleet_until(lambda said: min(number(one, "seen_s") for one in rows(said, "nodes")) > 1.1)
    before = server.revision()
    node.fleet_until(lambda said: min(number(one, "seen_s") for one in rows(said, "nodes")) > 2)
    assert server.revision() == before


def test_one_that_is_cut_off_gives_up_what_others_may_have(folder: Path, server: Server) -> None:
    with (
        Relay(server) as relay,
        Fleet(folder, [[server.url], [server.url], [relay.url]], ttl_s=2) as fleet,
    ):
        a, b, c = fleet.nodes
        here = c.python(OBEDIENT, str(fleet.record), POOL, "60")
        with Talk(b) as stopped_one:
            lease = stopped_one.ask("acquire", pool=POOL, bound="process")
            started(fleet, 1)
            relay.cut()
            with stopped(b.daemon_pid):
                work = [a.work(fleet.record, 0.2) for _ in range(2)]
                blind = c.work(fleet.record, 0.2)
                assert here.wait() == 0, "it heard that its unit is another's by now"
                assert [one.wait() for one in work] == [0] * 2
                a.fleet_until(lambda said: [row["node"] for row in rows(said, "nodes")] == ["a"])
                assert blind.poll() is None, "it grants nothing"
                assert c.look().waiting[0]["reason"] != ""
            told = stopped_one.hear(whole(lease, "id"), "revoked")
            assert "lost to the fleet" in text(told, "reason")
            assert b.look().leases[0]["state"] == "lost"
            relay.mend()
            assert blind.wait() == 0
            c.knows("a", "b", "c")
        assert max(at_once(fleet.record)) <= 3


def test_while_etcd_is_away_what_is_held_stays(folder: Path, server: Server) -> None:
    share, refuse = 'when_away = "share"', 'when_away = "refuse"'
    with Fleet(folder, [[server.url]] * 2, ttl_s=20, capacity=4, more=share) as fleet:
        a, b = fleet.nodes
        b.kill_daemon()
        b.config.write_text(b.config.read_text().replace(share, refuse))
        b.serve()
        with Talk(a) as here, Talk(b) as there:
            ours = [here.ask("acquire", pool=POOL) for _ in range(2)]
            theirs = [there.ask("acquire", pool=POOL) for _ in range(2)]
            third, fourth = here.send("acquire", pool=POOL), there.send("acquire", pool=POOL)
            a.fleet_until(lambda said: waits(said) == 2)
            server.kill()
            for node in (a, b):
                node.fleet_until(lambda said: said["state"] == "away")
            here.ask("release", lease=ours[0]["lease"])
            assert whole(here.hear(third), "fence") == ours[0]["fence"], "what came back here"
            there.ask("release", lease=theirs[0]["lease"])
            (waiter,) = b.look().waiting
            assert text(waiter, "reason").startswith("the fleet can't be asked: ")
            assert server.url in text(waiter, "reason")
            assert a.call("fleet").stdout.startswith("the fleet is away")
            server.start()
            there.hear(fourth)
            a.fleet_until(lambda said: whole(rows(said, "pools")[0], "held") == 4)
            assert [lease["state"] for lease in a.look().leases] == ["held"] * 2


def test_two_daemons_of_one_name_are_not_both_let_in(folder: Path, server: Server) -> None:
    one, other = (Node(folder / name, "a", [server.url], 2, 3, "") for name in "xy")
    with one, other:
        one.serve()
        one.knows("a")
        other.serve()
        said = other.fleet_until(lambda said: said["problem"] != "etcd has not answered yet")
        assert 'another daemon has joined as "a"' in text(said, "problem")
        assert one.fleet()["state"] == "joined"


def test_of_three_members_one_may_be_lost_and_two_come_back(folder: Path) -> None:
    with Cluster(folder) as cluster, Fleet(folder, [cluster.urls] * 2, ttl_s=20) as fleet:
        a, b = fleet.nodes
        with Talk(a) as here, Talk(b) as there:
            lease = here.ask("acquire", pool=POOL)
            cluster.lose(1)
            assert there.ask("acquire", pool=POOL)["ok"]
            cluster.lose(1)
            waiting = there.send("acquire", pool=POOL)
            a.fleet_until(lambda said: said["state"] == "away")
            b.fleet_until(lambda said: said["state"] == "away")
            assert [row["state"] for row in a.look().leases] == ["held"]
            cluster.start()
            assert there.hear(waiting)["ok"]
            here.ask("release", lease=lease["lease"])
            a.fleet_until(lambda said: whole(rows(said, "pools")[0], "held") == 2)
