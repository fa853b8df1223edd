"""Who keeps a lease while its body runs: a thread of the blocking client, a task of the async one.

What holds for both is in test_keeping.py.
"""

import asyncio
import signal
import subprocess
import sys
import threading
from threading import Event, main_thread

import anyio
import pytest
from anyio.to_thread import run_sync

from admission.protocol import LeaseLost, Unreachable
from admission_client import aio, blocking, keeping, lease
from tests.clients.daemons import Daemon
from tests.clients.fronts import Ear
from tests.clients.test_blocking import run_python

# --- the thread of the blocking client ----------------------------------------------------------


def keepers() -> int:
    return sum(thread.name == "admission keeper" for thread in threading.enumerate())


LEAVING = """
import os, sys, threading
from admission_client import LeaseLost, lease

def there():
    return threading.active_count(), len(os.listdir("/dev/fd"))

is_lost = threading.Event()
before = there()
with lease("one", socket=sys.argv[1], bound="connection"):
    assert there()[0] == before[0] + 1
assert there() == before, there()
with lease("one", socket=sys.argv[1], ttl=0.01, on_lost=lambda _: is_lost.set()):
    is_lost.wait()
assert there() == before, there()
try:
    with lease("one", socket=sys.argv[1], bound="connection", ttl=0.01):
        while there()[0] > before[0]:
            pass
except LeaseLost:
    assert there() == before, there()
"""


def test_the_keeper_ends_with_the_body_and_leaves_nothing_open(daemon: Daemon) -> None:
    run_python(LEAVING, daemon.path)


def test_no_keeper_runs_where_nobody_needs_one(daemon: Daemon) -> None:
    with lease("one", socket=daemon.path):
        assert keepers() == 0


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
@pytest.mark.parametrize("bound", ["process", "connection"])
@pytest.mark.parametrize("step", ["Client.acquire", "Keeper.begin", "Keeper.end"])
def test_ctrl_c_on_the_way_in_or_out_gives_the_lease_back_all_the_same(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, step: str, bound: str
) -> None:
    """Right after what that step does, when the next one has not begun."""
    kind = {"Keeper": keeping.Keeper, "Client": blocking.Client}[step.split(".")[0]]
    name = step.split(".")[1]
    does = getattr(kind, name)

    def interrupted(*words: object) -> None:
        monkeypatch.undo()
        does(*words)
        signal.raise_signal(signal.SIGINT)

    body = lease("one", socket=daemon.path, bound=bound, on_lost=Ear())
    monkeypatch.setattr(kind, name, interrupted)
    with pytest.raises(KeyboardInterrupt), body:
        pass
    assert daemon.in_use() == 0
    assert keepers() == 0


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
    thread = threading.Thread(target=interrupt)
    body = lease("one", socket=daemon.path, ttl=0.01, on_lost=take_long)
    body.__enter__()
    thread.start()
    is_told.wait()
    with pytest.raises(KeyboardInterrupt):
        body.__exit__(None, None, None)
    thread.join()
    assert keepers() == 0


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


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, ExceptionGroup])
async def test_what_a_kept_body_raises_comes_out_as_it_is_whatever_it_is(
    daemon: Daemon, kind: type[BaseException]
) -> None:
    problem = ExceptionGroup("two", [ValueError()]) if kind is ExceptionGroup else kind("one")
    with pytest.raises(kind) as found:
        async with aio.lease("one", socket=daemon.path, bound="connection"):
            raise problem
    assert found.value is problem
    assert found.value.__cause__ is None
    assert await run_sync(daemon.in_use) == 0


@pytest.mark.anyio
async def test_a_kept_body_that_fails_while_it_is_cancelled_says_what_failed(
    daemon: Daemon,
) -> None:
    async def fail(scope: anyio.CancelScope) -> None:
        with scope:
            async with aio.lease("one", socket=daemon.path, bound="connection"):
                scope.cancel()
                try:
                    await anyio.sleep_forever()
                finally:
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail(anyio.CancelScope())
    assert daemon.in_use() == 0
