"""Bound `tree`, on real processes: what a holder has started keeps its slot, and nobody else."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.system.stage import CALM, Stage, View, stopped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the evidence is Linux's")

FAMILY = str(Path(__file__).with_name("family.py"))
# Found by what they carry, without anybody having looked while their holder lived.
MARKED = ["plain", "session", "daemon", "other_program"]
UNIFIED = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


class Holder:
    """A process with a lease, and what it starts. All of it ends with the test."""

    def __init__(self, stage: Stage, bound: str, stack: ExitStack) -> None:
        leash, self._leash = os.pipe()
        stack.callback(self._let_go)
        self.process = stage.start(sys.executable, FAMILY, bound, str(leash), pass_fds=(leash,))
        os.close(leash)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"has it\n"
        self.pid = self.process.pid

    def _let_go(self) -> None:
        with suppress(OSError):
            os.close(self._leash)

    def heard(self) -> int:
        """The PID that is said next."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def start(self, kind: str) -> int:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{kind}\n".encode())
        self.process.stdin.flush()
        return self.heard()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def family(stage: Stage) -> Iterator[Callable[[str], Holder]]:
    with ExitStack() as stack:
        yield lambda bound: Holder(stage, bound, stack)


@pytest.fixture
def empty_stage(folder: Path) -> Iterator[Stage]:
    with Stage(folder) as stage:
        stage.config.write_text(f"[throttle]\nfast_interval_s = 0.25\n{CALM}")
        yield stage


def follows(view: View, *pids: int) -> bool:
    """Whether there is one lease, without its holder, that follows just these."""
    return [row.get("left") for row in view.leases] == [list(pids)]


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def be_seen(stage: Stage) -> None:
    """Returns when the daemon has noted whoever lives now."""
    with stage.client() as client:
        # A reading may have begun already, so the second one is the first that is sure to see all.
        news = client.watch(["sample"])
        for _ in range(2):
            while next(news)["event"] != "sample":
                pass


@pytest.mark.parametrize("bound", ["process", "connection"])
def test_whatever_outlives_its_holder_keeps_no_slot_that_is_bound_to_one_process(
    stage: Stage, family: Callable[[str], Holder], bound: str
) -> None:
    holder = family(bound)
    children = [holder.start(kind) for kind in (*MARKED, "bare")]
    be_seen(stage)
    assert stage.look().in_use() == 1
    holder.kill()
    view = stage.until(lambda view: view.in_use() == 0)
    assert view.leases == []
    assert all(map(is_alive, children))


@pytest.mark.parametrize("kind", [*MARKED, "bare"])
def test_a_tree_follows_what_outlives_its_holder_until_that_ends_too(
    stage: Stage, family: Callable[[str], Holder], kind: str
) -> None:
    holder = family("tree")
    child = holder.start(kind)
    if kind == "bare":
        be_seen(stage)
    holder.kill()
    view = stage.until(lambda view: follows(view, child))
    assert view.in_use() == 1
    assert f"left by its holder: {child}" in stage.run("leases").stdout
    os.kill(child, signal.SIGKILL)
    stage.until(lambda view: view.in_use() == 0)


def test_a_holder_that_leaves_nobody_frees_its_slot(
    stage: Stage, family: Callable[[str], Holder]
) -> None:
    holder = family("tree")
    child = holder.start("plain")
    os.kill(child, signal.SIGKILL)
    holder.kill()
    stage.until(lambda view: view.in_use() == 0)


def test_a_grandchild_that_was_started_after_the_holders_end_is_followed(
    stage: Stage, family: Callable[[str], Holder]
) -> None:
    holder = family("tree")
    child = holder.start("breeder")
    holder.kill()
    stage.until(lambda view: follows(view, child))
    os.kill(child, signal.SIGUSR1)
    grandchild = holder.heard()
    stage.until(lambda view: follows(view, grandchild))
    os.kill(grandchild, signal.SIGKILL)
    stage.until(lambda view: view.in_use() == 0)


def test_a_tree_that_is_killed_as_a_whole_lets_the_next_waiter_in(
    stage: Stage, family: Callable[[str], Holder]
) -> None:
    holders = [family("tree") for _ in range(5)]
    doomed = [holders[0].pid, *(holders[0].start(kind) for kind in MARKED)]
    waiter = stage.hold()
    stage.until(lambda view: view.waiters == [waiter.pid])
    for pid in doomed:
        os.kill(pid, signal.SIGKILL)
    view = stage.until(lambda view: waiter.pid in view.holders)
    assert view.in_use() == 5
    assert holders[0].pid not in view.holders


@pytest.mark.parametrize("dies_first", ["holder", "daemon"])
def test_a_daemon_that_is_killed_and_restarted_finds_the_tree_of_a_dead_holder(
    stage: Stage, family: Callable[[str], Holder], dies_first: str
) -> None:
    holder = family("tree")
    children = [holder.start("daemon"), holder.start("bare")]
    be_seen(stage)
    if dies_first == "holder":
        holder.kill()
        stage.until(lambda view: follows(view, *children))
        stage.kill_daemon()
    else:
        stage.kill_daemon()
        holder.kill()
        # Nobody was there to see whose child it is: without an environment, it is nobody's.
        os.kill(children.pop(), signal.SIGKILL)
    stage.serve()
    view = stage.until(lambda view: follows(view, *children))
    assert view.in_use() == 1
    for child in children:
        os.kill(child, signal.SIGKILL)
    stage.until(lambda view: view.in_use() == 0)


def test_a_tree_that_dies_while_no_daemon_runs_keeps_no_slot(
    stage: Stage, family: Callable[[str], Holder]
) -> None:
    holder = family("tree")
    child = holder.start("daemon")
    holder.kill()
    stage.until(lambda view: follows(view, child))
    stage.kill_daemon()
    os.kill(child, signal.SIGKILL)
    stage.serve()
    stage.until(lambda view: view.in_use() == 0)


def test_a_survivor_gives_back_what_its_holder_left_it(
    stage: Stage, family: Callable[[str], Holder]
) -> None:
    holder = family("tree")
    child = holder.start("giver")
    holder.kill()
    stage.until(lambda view: follows(view, child))
    with stage.client() as client:
        news = client.watch(["lease"])
        os.kill(child, signal.SIGUSR1)
        ended = next(event for event in news if event["event"] == "ended")
    assert ended["reason"] == "released"  # and not "revoked", as by a stranger
    assert stage.look().in_use() == 0


@contextmanager
def own_cgroup(folder: Path) -> Iterator[Path]:
    """A cgroup of version 2, with nobody in it; skips where none can be made."""
    for root in UNIFIED:
        group = root / f"admission-test-{os.getpid()}-{folder.name}"
        if (root / "cgroup.controllers").exists():
            with suppress(OSError):
                group.mkdir()
                break
    else:
        pytest.skip("no cgroup of version 2 can be made on this machine")
    try:
        yield group
    finally:
        while pids := (group / "cgroup.procs").read_text().split():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        group.rmdir()


def test_what_hides_from_all_but_its_cgroup_is_found_by_that(
    stage: Stage, family: Callable[[str], Holder]
) -> None:
    with own_cgroup(stage.folder) as group:
        holder = family("tree")
        (group / "cgroup.procs").write_text(str(holder.pid))
        be_seen(stage)
        # No reading between the two: a cgroup with a stranger in it would be none of its own.
        with stopped(stage.daemon_pid):
            child = holder.start("bare_daemon")
            holder.kill()
        stage.until(lambda view: follows(view, child))
        os.kill(child, signal.SIGKILL)
        stage.until(lambda view: view.in_use() == 0)
