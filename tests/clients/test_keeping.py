"""A lease that is kept while its body runs: over restarts of the daemon, and until it is lost.

What holds for each client comes first, what is one's alone below.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from itertools import islice
from pathlib import Path
from threading import Event, main_thread

import anyio
import anyio.lowlevel
import pytest
from anyio.to_thread import run_sync

from admission.protocol import LeaseLost, NoSlot, Unreachable
from admission_client import aio, autostart, blocking, keeping, lease
from admission_client.dialogue import RECONNECT_PAUSES_S, pauses_s
from tests.clients.answers import GRANTED
from tests.clients.daemons import Daemon
from tests.clients.fronts import Front, Holder, holding
from tests.clients.impostors import Impostor, Reply, answers, hangs_up, refuses


class Ear:
    """An `on_lost` that notes what it is told, and by whom."""

    def __init__(self) -> None:
        self.told: list[LeaseLost] = []
        self.by: list[threading.Thread] = []
        self._has_come = Event()

    def __call__(self, problem: LeaseLost) -> None:
        self.told.append(problem)
        self.by.append(threading.current_thread())
        self._has_come.set()

    def wait(self) -> str:
        """What it was told first, in words."""
        self._has_come.wait()
        return str(self.told[0])


# --- over restarts ------------------------------------------------------------------------------


def test_a_lease_bound_to_the_connection_is_taken_up_again_after_each_restart(
    daemon: Daemon, front: Front
) -> None:
    with front.lease("one", daemon.path, bound="connection"):
        for _ in range(2):
            daemon.kill()
            daemon.start()
            with pytest.raises(NoSlot):  # a newcomer, whether or not it has been taken up yet
                front.lease("one", daemon.path, wait=0).__enter__()
            daemon.await_resumed()
            assert daemon.states() == ["held"]
    assert daemon.in_use() == 0


def test_a_body_that_ends_while_the_daemon_is_away_gives_back_once_it_is_there(
    daemon: Daemon, front: Front
) -> None:
    ear = Ear()
    body = front.lease("one", daemon.path, bound="connection", on_lost=ear)
    body.__enter__()
    daemon.kill()
    starting = threading.Thread(target=daemon.start)
    starting.start()
    body.__exit__(None, None, None)
    starting.join()
    assert daemon.in_use() == 0
    assert ear.told == []


def test_a_daemon_that_stays_away_takes_no_lease_but_the_end_says_that_it_is_gone(
    daemon: Daemon, front: Front
) -> None:
    ear = Ear()
    body = front.lease("one", daemon.path, bound="connection", on_lost=ear)
    body.__enter__()
    daemon.kill()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(front.module, "RECONNECT_S", 0.05)
        with pytest.raises(Unreachable, match=f"^no daemon answers at {daemon.path}"):
            body.__exit__(None, None, None)
    assert ear.told == []
    daemon.forget()


# --- until it is lost ---------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["process", "connection"])
def test_who_wants_to_know_is_told_at_once_and_once_that_the_lease_is_lost(
    daemon: Daemon, front: Front, bound: str
) -> None:
    ear = Ear()
    with front.lease("one", daemon.path, bound=bound, ttl=0.01, on_lost=ear) as granted:
        assert ear.wait() == f"lease {granted.id} has ended: ttl passed; renew it in time"
        assert ear.told[0].exit_status == 75
    assert len(ear.told) == 1
    assert main_thread() not in ear.by


def test_without_anybody_to_tell_the_end_of_the_body_raises(daemon: Daemon, front: Front) -> None:
    body = front.lease("one", daemon.path, bound="connection", ttl=0.01)
    body.__enter__()
    daemon.wait_until(daemon.is_idle)
    with pytest.raises(LeaseLost):
        body.__exit__(None, None, None)


@pytest.mark.parametrize("bound", ["process", "connection"])
def test_a_daemon_that_knows_nothing_of_the_lease_any_more_has_lost_it(
    daemon: Daemon, front: Front, bound: str
) -> None:
    ear = Ear()
    with front.lease("one", daemon.path, bound=bound, on_lost=ear) as granted:
        daemon.forget()
        daemon.start()
        assert ear.wait().startswith(f"there is no lease {granted.id}: it has ended, or ")
    assert len(ear.told) == 1


def test_what_turns_out_only_at_the_end_is_told_there(daemon: Daemon, front: Front) -> None:
    """The holder's own process gave it back; of that the daemon tells nobody."""
    ear = Ear()
    with front.lease("one", daemon.path, on_lost=ear) as granted:
        daemon.ask("release", lease=granted.id)
        assert ear.told == []
    assert str(ear.told[0]).startswith(f"there is no lease {granted.id}")


def test_what_fails_in_being_told_fails_at_the_end_of_the_body(
    daemon: Daemon, front: Front
) -> None:
    has_come = Event()

    def fail(_: LeaseLost) -> None:
        has_come.set()
        raise ZeroDivisionError

    body = front.lease("one", daemon.path, ttl=0.01, on_lost=fail)
    body.__enter__()
    has_come.wait()
    with pytest.raises(ZeroDivisionError):
        body.__exit__(None, None, None)


def test_what_fails_in_a_kept_body_comes_out_as_it_is(daemon: Daemon, front: Front) -> None:
    for bound in ("process", "connection"):
        ear = Ear()
        body = front.lease("one", daemon.path, bound=bound, on_lost=ear)
        with pytest.raises(ZeroDivisionError), body:
            raise ZeroDivisionError
        assert ear.told == []
    assert daemon.in_use() == 0


def test_a_lease_that_is_shared_is_its_holders_to_keep(
    daemon: Daemon, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = Ear()
    with front.lease("one", daemon.path) as outer:
        monkeypatch.setenv("ADMISSION_LEASE", str(outer.id))
        with front.lease("one", daemon.path, bound="connection", on_lost=ear) as inner:
            assert inner.is_shared
        assert daemon.in_use() == 1
    assert ear.told == []


def test_it_asks_again_until_it_is_taken_up_or_refused(front: Front, folder: Path) -> None:
    ear = Ear()
    path = str(folder / "a.sock")
    script: list[list[Reply]] = [
        [answers({**GRANTED, "secret": "00ff"})],
        [hangs_up],
        [refuses("shutting_down", "the daemon is ending")],
        [answers({})],
        [refuses("not_permitted", "lease 42 has another secret")],
    ]
    with Impostor(path, script) as impostor:
        with front.lease("one", path, bound="connection", on_lost=ear):
            said = ear.wait()
        assert said == "lease 42 could not be taken up again: lease 42 has another secret"
        assert impostor.asked == [["acquire"], ["resume"], ["resume"], ["resume"], ["resume"]]


# --- the thread of the blocking client ----------------------------------------------------------


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/dev/fd"))


def test_the_keeper_ends_with_the_body_and_leaves_nothing_open(daemon: Daemon) -> None:
    threads, before = threading.active_count(), descriptors()
    with lease("one", socket=daemon.path, bound="connection"):
        assert threading.active_count() == threads + 1
    assert (threading.active_count(), descriptors()) == (threads, before)
    with pytest.raises(LeaseLost), lease("one", socket=daemon.path, bound="connection", ttl=0.01):
        daemon.wait_until(daemon.is_idle)
    assert (threading.active_count(), descriptors()) == (threads, before)


def test_no_keeper_runs_where_nobody_needs_one(daemon: Daemon) -> None:
    threads = threading.active_count()
    with lease("one", socket=daemon.path):
        assert threading.active_count() == threads


def test_a_body_ends_at_once_while_the_keeper_waits_for_a_daemon_that_is_stopped(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = lease("one", socket=daemon.path, bound="connection")
    body.__enter__()
    daemon.kill()
    daemon.start()
    with daemon.stopped():
        monkeypatch.setattr(blocking, "ANSWER_TIMEOUT_S", 0.05)
        monkeypatch.setattr(blocking, "RECONNECT_S", 0.05)
        with pytest.raises(Unreachable):
            body.__exit__(None, None, None)
    daemon.wait_until(lambda: "held" not in daemon.states())
    daemon.forget()


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("bound", ["process", "connection"])
def test_ctrl_c_in_a_kept_body_gives_the_lease_back(daemon: Daemon, bound: str) -> None:
    ear = Ear()
    body = lease("one", socket=daemon.path, bound=bound, on_lost=ear)
    with pytest.raises(KeyboardInterrupt), body:
        signal.raise_signal(signal.SIGINT)
    assert daemon.in_use() == 0
    assert ear.told == []


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("step", ["Keeper.begin", "Keeper.end", "Client.release"])
def test_ctrl_c_on_the_way_in_or_out_gives_the_lease_back_all_the_same(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Right after what that step does, when the next one has not begun."""
    kind = {"Keeper": keeping.Keeper, "Client": blocking.Client}[step.split(".")[0]]
    name = step.split(".")[1]
    does = getattr(kind, name)

    def interrupted(*words: object) -> None:
        monkeypatch.undo()
        does(*words)
        signal.raise_signal(signal.SIGINT)

    threads, before = threading.active_count(), descriptors()
    monkeypatch.setattr(kind, name, interrupted)
    with pytest.raises(KeyboardInterrupt), lease("one", socket=daemon.path, bound="connection"):
        pass
    assert daemon.in_use() == 0
    assert (threading.active_count(), descriptors()) == (threads, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_is_heard_while_an_on_lost_is_waited_for(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_told, is_ending, may_end = Event(), Event(), Event()
    ends = keeping.Keeper.end

    def take_long(_: LeaseLost) -> None:
        is_told.set()
        may_end.wait()

    def end(keeper: keeping.Keeper, client: blocking.Client) -> None:
        is_ending.set()
        ends(keeper, client)

    def interrupt() -> None:
        is_ending.wait()
        signal.pthread_kill(main_thread().ident or 0, signal.SIGINT)
        may_end.set()

    monkeypatch.setattr(keeping.Keeper, "end", end)
    before = descriptors()
    thread = threading.Thread(target=interrupt)
    body = lease("one", socket=daemon.path, ttl=0.01, on_lost=take_long)
    body.__enter__()
    thread.start()
    is_told.wait()
    with pytest.raises(KeyboardInterrupt):
        body.__exit__(None, None, None)
    thread.join()
    assert descriptors() == before


FORKING = """
import os, sys, threading
from admission_client import Client, lease

def state():
    with Client(sys.argv[1]) as client:
        return [one["state"] for one in client.ask("leases", {"pool": "one"})["leases"]]

is_lost = threading.Event()
with lease("one", socket=sys.argv[1], bound="connection", on_lost=lambda _: is_lost.set()) as it:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        print(*state(), is_lost.is_set())
        input()  # the daemon is started anew meanwhile
        while state() == ["detached"]:
            pass
        print(*state(), is_lost.is_set())
if not child:
    print("child", flush=True)
    os._exit(0)
print(*state(), is_lost.is_set())
"""


def test_a_forked_child_that_leaves_the_body_disturbs_no_keeper(daemon: Daemon) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-u", "-c", FORKING, daemon.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["child\n", "held False\n"]
        daemon.kill()
        daemon.start()
        said, _ = process.communicate("\n")
        assert said == "held False\nFalse\n"
    assert process.returncode == 0


# --- the task of the async client ---------------------------------------------------------------


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.anyio
@pytest.mark.parametrize("is_told", [True, False])
async def test_a_body_is_cancelled_where_that_is_asked_and_the_end_says_why(
    daemon: Daemon, is_told: bool
) -> None:
    ear = Ear()
    with pytest.raises(LeaseLost, match="has ended: ttl passed"):
        async with aio.lease(
            "one",
            socket=daemon.path,
            ttl=0.01,
            cancel_on_lost=True,
            on_lost=ear if is_told else None,
        ):
            await anyio.sleep_forever()
    assert len(ear.told) == is_told
    await anyio.lowlevel.checkpoint()  # nobody else is cancelled


@pytest.mark.anyio
async def test_a_kept_body_that_is_cancelled_gives_its_lease_back(daemon: Daemon) -> None:
    with anyio.CancelScope() as scope:
        async with aio.lease("one", socket=daemon.path, bound="connection"):
            assert await run_sync(daemon.in_use) == 1
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert daemon.in_use() == 0


@pytest.mark.anyio
async def test_a_kept_body_is_cancelled_while_the_daemon_is_away(daemon: Daemon) -> None:
    with anyio.CancelScope() as scope:
        async with aio.lease("one", socket=daemon.path, bound="connection"):
            await run_sync(daemon.kill)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    await run_sync(daemon.forget)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_with_a_kept_body_that_asyncio_cancels_gives_its_lease_back(
    daemon: Daemon,
) -> None:
    is_in = asyncio.Event()

    async def holding() -> None:
        async with aio.lease("one", socket=daemon.path, bound="connection"):
            is_in.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(holding())
    await is_in.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert daemon.in_use() == 0


# --- coming back --------------------------------------------------------------------------------


def test_many_who_lost_the_same_daemon_do_not_come_back_at_the_same_moments() -> None:
    many = [list(islice(pauses_s(), 20)) for _ in range(64)]
    for longest_s, *found in zip([*RECONNECT_PAUSES_S, *[0.5] * 14], *many, strict=True):
        assert len({*found}) > 16
        assert all(longest_s / 2 <= pause_s <= longest_s for pause_s in found)


def test_a_waiter_looks_for_its_daemon_before_it_starts_one(
    daemon: Daemon, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def refuse(path: str) -> None:
        started.append(path)
        raise Unreachable("none may be started")

    monkeypatch.setattr(autostart, "start_daemon", refuse)
    monkeypatch.setattr(aio, "start_daemon", refuse)
    for limit_s, tries in ((0.01, 0), (2.0, 1)):
        with holding(front.lease("one", daemon.path)) as first:
            with Holder(front.lease("one", daemon.path, task="second")) as second:
                daemon.wait_for_waiting("second")
                monkeypatch.setattr(front.module, "RECONNECT_S", limit_s)
                daemon.kill()
                with pytest.raises(Unreachable):
                    second.lease.result()
                assert bool(started) == bool(tries)
            daemon.forget()
            daemon.start()
            first.leave()
