"""Who a process is and when it ends: recorded lines of /proc, and real children."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import trio

from admission.core.leases import UNSEEN, Holder
from admission.protocol import encode
from admission.service import holders
from admission.service.holders import (
    Exit,
    Gone,
    PollingExit,
    Stat,
    ancestors,
    describe,
    exit_of,
    identify,
    is_living,
    numbers_below,
    owner_uid,
    parse_numbers,
    parse_stat,
)
from tests.service.children import SLEEP, child, end, holder_of, open_descriptors, python

if sys.platform == "linux":
    from admission.service.holders import PidfdExit as BestExit
elif sys.platform == "darwin":
    from admission.service.holders import KqueueExit as BestExit
else:
    BestExit = PollingExit

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
NOBODYS_PID = 2**31 - 1

# --- /proc/PID/stat -----------------------------------------------------------------------------

REST = "1 4711 4711 0 -1 4194560 9 0 0 0 3 1 0 0 20 0 1 0 8123456 9420800 312 18446744073709551615"


@pytest.mark.parametrize(
    "name",
    ["sleep", "a) b (c", ") R 7 7", "(sd-pam)", ")", "", " ", "two\nlines", ") Z 1 2 3) S 9 ("],
)
def test_a_line_of_the_process_table_is_read_whatever_the_process_is_called(name: str) -> None:
    assert parse_stat(f"4711 ({name}) S {REST}\n") == Stat(parent=1, start_ticks=8123456)


@pytest.mark.parametrize("state", ["R", "S", "D", "T", "t", "I"])
def test_a_process_that_runs_sleeps_or_is_stopped_is_there(state: str) -> None:
    assert parse_stat(f"4711 (sleep) {state} {REST}") == Stat(1, 8123456, state == "T")


@pytest.mark.parametrize("state", ["Z", "X"])
@pytest.mark.parametrize("name", ["sleep", "a) S (c"])
def test_a_zombie_has_ended(name: str, state: str) -> None:
    assert parse_stat(f"4711 ({name}) {state} {REST}") is None


# --- PID namespaces ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "numbers"),
    [
        ("NSpid:\t4711\n", ()),
        ("NSpid:\t4711\t1\n", (1,)),
        ("NSpid:\t4711\t33\t5\n", (33, 5)),
        ("", ()),  # Linux before 4.1
    ],
)
def test_the_numbers_in_namespaces_below_are_read(line: str, numbers: tuple[int, ...]) -> None:
    status = f"Name:\tNSpid: 1 2\nNgid:\t0\n{line}NSpgid:\t8\t9\n"
    assert parse_numbers(status) == numbers


def test_who_lives_in_our_namespace_has_no_other_numbers() -> None:
    assert numbers_below(os.getpid()) == ()
    assert numbers_below(NOBODYS_PID) == ()


@pytest.mark.trio
async def test_who_can_not_be_seen_lives_on_and_its_end_never_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    assert is_living(UNSEEN)
    exit_ = exit_of(UNSEEN)
    with trio.move_on_after(1e6) as scope:
        await exit_.wait()
    exit_.close()
    assert scope.cancelled_caught
    assert describe(UNSEEN.pid) == "another PID namespace"


# --- who ----------------------------------------------------------------------------------------


def test_a_process_is_its_pid_and_its_start() -> None:
    me = identify(os.getpid())
    assert me is not None
    assert me == identify(os.getpid())
    with child() as process:
        assert holder_of(process) == Holder(process.pid, holder_of(process).start_ticks)
        assert holder_of(process).start_ticks >= me.start_ticks
        end(process, reap=False)
        assert identify(process.pid) is None, "a zombie"
        end(process, reap=True)
        assert identify(process.pid) is None, "gone"


@linux_only
def test_the_start_is_in_ticks_since_the_boot() -> None:
    with child() as process:
        started_at_s = psutil.boot_time() + holder_of(process).start_ticks / os.sysconf(
            "SC_CLK_TCK"
        )
        assert psutil.Process(process.pid).create_time() == pytest.approx(started_at_s, abs=1.5)


@pytest.mark.parametrize("pid", [0, -1, NOBODYS_PID])
def test_a_pid_without_a_process_is_nobody(pid: int) -> None:
    assert identify(pid) is None
    assert ancestors(pid) == ()
    assert owner_uid(NOBODYS_PID) is None
    assert describe(NOBODYS_PID) == ""


@pytest.mark.parametrize("name", ["a) b (c", ") R 1 1", "two\nlines", "\udcff\x1b[2J"])
def test_a_real_process_with_a_hostile_name_is_identified(name: str, tmp_path: Path) -> None:
    program = tmp_path / name
    program.symlink_to(SLEEP)
    with child(program=program) as process:
        assert holder_of(process).start_ticks > 0
        assert ancestors(process.pid)[:2] == (holder_of(process), identify(os.getpid()))


def test_ancestors_are_the_process_and_those_above_it_nearest_first() -> None:
    me = identify(os.getpid())
    with python(f"import subprocess; subprocess.run(['{SLEEP}', '60'])") as process:
        (grandchild,) = _children_of(process.pid)
        line = ancestors(grandchild.pid)
        assert line[:3] == (grandchild, holder_of(process), me)
        assert line[2:] == ancestors(os.getpid())
        os.kill(grandchild.pid, signal.SIGKILL)


def _children_of(pid: int) -> list[Holder]:
    """Waits until there are some."""
    while True:
        found = [identify(one.pid) for one in psutil.Process(pid).children()]
        if found:
            return [one for one in found if one is not None]


def test_a_line_of_ancestors_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parent may end while one looks, and its PID come back below."""
    monkeypatch.setattr(holders, "_stat", lambda pid: Stat(parent=3 - pid, start_ticks=7))
    assert len(ancestors(1)) == holders.ANCESTORS_MAX


def test_the_owner_of_a_process_is_known() -> None:
    assert owner_uid(os.getpid()) == os.getuid()


def test_a_process_is_described_by_its_program_and_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    with child("/usr/bin/claude", "60", cwd=str(tmp_path / "project")) as process:
        _wait_for_exec(process.pid)
        assert describe(process.pid) == f"claude in {tmp_path}/project"
        monkeypatch.setenv("HOME", str(tmp_path))
        assert describe(process.pid) == "claude in ~/project"


def _wait_for_exec(pid: int) -> None:
    """Popen returns once the exec succeeded; the words may be a moment later."""
    while not psutil.Process(pid).cmdline():
        pass


@pytest.mark.parametrize(
    "name",
    [b"a\nb\x1b[2J", b"not \xff UTF-8", b"x" * 100_000, "🦆".encode() * 20_000, b""],
    ids=["control characters", "no UTF-8", "long", "long in bytes", "empty"],
)
def test_a_description_can_be_sent_and_shown_whatever_the_process_calls_itself(
    name: bytes, tmp_path: Path
) -> None:
    """Else one such process would break, or fill, every answer about leases."""
    folder = os.fsencode(tmp_path) + b"/" + (name.replace(b"/", b"")[:200] or b"x")
    os.mkdir(folder)
    with child(name, b"60", cwd=folder) as process:
        _wait_for_exec(process.pid)
        text = describe(process.pid)
        assert " in " in text
        assert text.isprintable()
        assert len(text) <= 200
        encode({"from": text})


# --- when it ends: one contract, whatever tells us -----------------------------------------------

Watch = Callable[[Holder], Exit]


@pytest.fixture(params=[BestExit, PollingExit], ids=lambda kind: kind.__name__)
def watch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setattr(holders, "POLL_INTERVAL_S", 0.005)
    before = open_descriptors()
    kind: Watch = request.param
    yield kind
    assert open_descriptors() == before


async def ended(watch: Watch, holder: Holder) -> None:
    """Returns when the watch says that it has ended: at once, or by waiting."""
    try:
        exit_ = watch(holder)
    except Gone:
        return
    try:
        with trio.fail_after(20):
            await exit_.wait()
    finally:
        exit_.close()


@pytest.mark.trio
@pytest.mark.parametrize("reap", [False, True])
async def test_a_kill_ends_the_wait_for_this_process_and_no_other(watch: Watch, reap: bool) -> None:
    seen: list[str] = []

    async def note(name: str, holder: Holder) -> None:
        await ended(watch, holder)
        seen.append(name)

    with child() as first, child() as second, child() as stopped:
        os.kill(stopped.pid, signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            for name, process in (("first", first), ("second", second), ("stopped", stopped)):
                nursery.start_soon(note, name, holder_of(process))
            for index, process in enumerate((second, first, stopped)):
                await trio.testing.wait_all_tasks_blocked(0.001)
                assert len(seen) == index
                end(process, reap=reap)
                with trio.fail_after(20):
                    while len(seen) == index:
                        await trio.lowlevel.checkpoint()
    assert seen == ["second", "first", "stopped"]


@pytest.mark.trio
async def test_an_exec_is_no_end_and_the_end_after_it_is(watch: Watch) -> None:
    reads, writes = os.pipe()
    code = f"import os; os.set_inheritable({writes}, False); os.execv('{SLEEP}', ['sleep', '60'])"
    with python(code, pass_fds=(writes,)) as process:
        os.close(writes)
        exit_ = watch(holder_of(process))
        assert os.read(reads, 1) == b"", "closed by the exec"
        os.close(reads)
        async with trio.open_nursery() as nursery:
            is_over = trio.Event()

            async def wait() -> None:
                await exit_.wait()
                is_over.set()

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked(0.001)
            assert not is_over.is_set()
            end(process, reap=False)
            with trio.fail_after(20):
                await is_over.wait()
    exit_.close()


@pytest.mark.trio
async def test_who_had_this_pid_before_has_ended(watch: Watch) -> None:
    with child() as process:
        now = holder_of(process)
        await ended(watch, Holder(now.pid, now.start_ticks - 1))
        await ended(watch, Holder(now.pid, now.start_ticks + 1))
        assert identify(now.pid) == now


@pytest.mark.trio
@pytest.mark.parametrize("reap", [False, True])
async def test_who_has_ended_before_one_looks_has_ended(watch: Watch, reap: bool) -> None:
    with child() as process:
        holder = holder_of(process)
        end(process, reap=reap)
        await ended(watch, holder)


@pytest.mark.trio
async def test_a_wait_can_be_given_up(watch: Watch) -> None:
    with child() as process:
        exit_ = watch(holder_of(process))
        with trio.CancelScope() as scope:
            scope.cancel()
            await exit_.wait()
        assert scope.cancelled_caught
        exit_.close()


def out_of_descriptors(_: int) -> None:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.trio
async def test_not_to_know_is_not_to_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While no descriptor is left, /proc can't be read; that ends no lease."""
    monkeypatch.setattr(holders, "POLL_INTERVAL_S", 0.001)
    with child() as process, trio.fail_after(20):
        holder = holder_of(process)
        real, looks = holders.identify, 0

        def failing_at_first(pid: int) -> Holder | None:
            nonlocal looks
            looks += 1
            if looks <= 3:
                out_of_descriptors(pid)
            end(process, reap=True)
            return real(pid)

        monkeypatch.setattr(holders, "identify", failing_at_first)
        await PollingExit(holder).wait()
        assert looks == 4


def test_the_best_way_is_taken_and_polling_where_it_can_not_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with child() as process:
        holder = holder_of(process)
        before = open_descriptors()
        best = exit_of(holder)
        assert type(best) is BestExit
        best.close()
        with monkeypatch.context() as patch:
            patch.setattr(holders, "identify", out_of_descriptors)
            assert type(exit_of(holder)) is PollingExit
        assert open_descriptors() == before, "what was open when it failed is closed"
        end(process, reap=True)
        with pytest.raises(Gone):
            exit_of(holder)
        assert open_descriptors() == before


@linux_only
@pytest.mark.parametrize("problem", [errno.EMFILE, errno.ENOSYS, errno.EPERM])
def test_where_there_is_no_pidfd_to_be_had_one_looks_once_a_second(
    monkeypatch: pytest.MonkeyPatch, problem: int
) -> None:
    def refuse(pid: int) -> int:
        raise OSError(problem, os.strerror(problem))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    with child() as process:
        assert type(exit_of(holder_of(process))) is PollingExit
