"""A daemon whose machine fails it: no room on the disk, a disk that breaks, no descriptors left, no
time to run. What a machine forbids is skipped here, and has a twin in `docs/faults.md`.
"""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from admission.protocol import AdmissionError, Frame, Frames, Unavailable, encode
from admission_client.granted import rows, whole, words_of
from tests.system.stage import Stage, View, end_process, stopped
from tests.system.tracing import traced

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts, traces and limits others")

DISK_BYTES = 256 * 1024
# Less than the journal would keep for itself, and enough to start with.
LEFT_BYTES = 48 * 1024
NO_MORE = "no connection can be taken just now"
ASKED = 500
UNWRITTEN = "can't be written: no lease is granted"


def degraded(view: View) -> str:
    return "; ".join(words_of(view.status, "degraded"))


def assert_nothing_is_granted_and_releases_go_on(stage: Stage) -> None:
    """A journal that can't be written, with three holders and room for two more. Ends one."""
    refused = stage.run("run", "--no-wait", "--", "true")
    assert (refused.returncode, refused.stdout) == (69, "")
    assert "the journal can't be written" in refused.stderr
    waiter = stage.hold("--task", "waiter")
    view = stage.until(lambda view: view.waiters == [waiter.pid])
    assert UNWRITTEN in degraded(view)
    assert UNWRITTEN in stage.run("status").stdout
    end_process(min(view.holders), signal.SIGKILL)
    view = stage.until(lambda view: view.in_use() == 2)
    assert view.waiters == [waiter.pid]


def assert_it_has_recovered(stage: Stage) -> None:
    """By itself: whoever waited has its lease, and the next daemon knows who holds and who not."""
    view = stage.until(lambda view: view.in_use() == 3 and not view.waiting)
    assert UNWRITTEN not in degraded(view)
    stage.kill_daemon()
    stage.serve()
    assert stage.look().holders == view.holders


def hold_three(stage: Stage) -> None:
    stage.env["ADMISSION_AUTOSTART"] = "0"
    for number in range(3):
        stage.hold("--task", f"holder {number}")
    stage.until(lambda view: view.in_use() == 3)


# --- the disk -------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 256 KB where the stage's socket goes."""
    at = folder / "run"
    at.mkdir(mode=0o700)
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(at)]
    if shutil.which("mount") is None:
        pytest.skip("there is no mount command")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted: {done.stderr.strip()}")
    yield at
    subprocess.run(["umount", "-l", str(at)], check=True)


@pytest.fixture
def on_a_small_disk(small_disk: Path, empty_stage: Stage) -> Stage:
    """A daemon serves there, with three holders, and found no room to keep for its journal: with
    it, a disk that is full is none to the daemon, as tests/service/test_journal_writing.py shows.
    """
    fill(small_disk, leave_bytes=LEFT_BYTES)
    empty_stage.serve()
    hold_three(empty_stage)
    return empty_stage


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    """Leaves the disk with no more room than this."""
    other = folder / "somebody else's"
    with other.open("ab", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(512)):
                pass
        file.truncate(file.tell() - leave_bytes)
    return other


def fill_until_refused(stage: Stage) -> Path:
    """Fills it, and uses up what is left of the journal's last page."""
    other = fill(stage.socket.parent)
    with stage.client() as client:
        while True:
            try:
                lease = client.ask("acquire", {"wait_s": 0})["lease"]
                client.ask("release", {"lease": lease})
            except Unavailable:
                return other


def test_on_a_full_disk_nothing_is_granted_and_it_recovers_by_itself(
    on_a_small_disk: Stage,
) -> None:
    other = fill_until_refused(on_a_small_disk)
    assert_nothing_is_granted_and_releases_go_on(on_a_small_disk)
    other.unlink()
    assert_it_has_recovered(on_a_small_disk)


def test_told_to_end_while_its_journal_fails_a_daemon_ends_tidily(on_a_small_disk: Stage) -> None:
    stage = on_a_small_disk
    before = stage.look().holders
    other = fill_until_refused(stage)
    stage.kill_daemon(signal.SIGTERM)
    assert not stage.socket.exists(), "it was tidied away"
    other.unlink()
    stage.serve()
    assert stage.look().holders == before


def test_on_a_disk_that_is_read_only_no_daemon_starts_and_the_next_one_finds_all(
    on_a_small_disk: Stage, small_disk: Path
) -> None:
    """While it serves no disk can be made read-only under it: the journal is open."""
    stage = on_a_small_disk
    before = stage.look().holders
    remount = ["mount", "-o", "remount,ro", str(small_disk)]
    assert subprocess.run(remount, capture_output=True, check=False).returncode
    stage.kill_daemon()
    subprocess.run(remount, check=True)
    refused = stage.run("serve")
    assert refused.returncode == 77
    assert "Read-only file system" in refused.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    stage.serve()
    assert stage.look().holders == before


@pytest.mark.parametrize("error", ["EIO", "EROFS"])
def test_with_a_disk_that_breaks_nothing_is_granted_and_it_recovers_by_itself(
    stage: Stage, error: str
) -> None:
    """Every write and every opening of the journal fails for a while; EROFS is what a disk answers
    that the kernel made read-only after an error.
    """
    hold_three(stage)
    journal = stage.socket.with_suffix(".journal")
    places = ["-P", str(journal), "-P", str(journal.with_suffix(".journal-new"))]
    inject = f"inject=write,openat,ftruncate:error={error}"
    with traced(stage, *places, "-e", "trace=write,openat,ftruncate", "-e", inject):
        assert_nothing_is_granted_and_releases_go_on(stage)
    assert_it_has_recovered(stage)


# --- descriptors ----------------------------------------------------------------------------------


def test_without_descriptors_nobody_is_let_in_and_all_goes_on_when_there_are_some(
    stage: Stage,
) -> None:
    holder, other = stage.hold(), stage.start("sleep", "600")
    stage.until(lambda view: view.in_use() == 1)
    before = open_files(stage.daemon_pid)
    with ExitStack() as stack:
        inside = stack.enter_context(stage.client())
        inside.ask("hello")
        leave_no_descriptor(stage)
        outside = [stack.enter_context(connected(stage)) for _ in range(20)]
        while NO_MORE not in stage.log.read_text():
            assert inside.ask("status")["held"] == 1, "who is in goes on"
            leave_no_descriptor(stage)  # one may have been in use for a moment
        # It tries again after a pause, and not at every turn, of which each answer takes one.
        before_it = stage.log.read_text().count(NO_MORE)
        for _ in range(ASKED):
            inside.ask("hello")
        assert stage.log.read_text().count(NO_MORE) < before_it + ASKED / 2
        # A process that can't be looked up now holds nothing, or is looked up again later.
        with suppress(AdmissionError):
            inside.ask("acquire", {"pid": other.pid, "bound": "process", "wait_s": 0})
        end_process(holder.pid, signal.SIGKILL)
        while holder.pid in pids(inside.ask("leases")):
            pass
        other.kill()
        open_files(stage.daemon_pid, before)
        answers = [answer(sock) for sock in outside]
    assert any(one["ok"] for one in answers)
    stage.until(lambda view: view.in_use() == 0)
    assert stage.run("run", "--no-wait", "--", "true").returncode == 0


def open_files(pid: int, limits: tuple[int, int] | None = None) -> tuple[int, int]:
    """A process's limits of open files, as they were before they are set."""
    if sys.platform != "linux":
        raise NotImplementedError
    if limits is None:
        return resource.prlimit(pid, resource.RLIMIT_NOFILE)
    return resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def descriptors(stage: Stage, limits: tuple[int, int] | None = None) -> tuple[int, int]:
    """Sets how many the daemon may have; gives what it was before."""
    if sys.platform != "linux":
        raise NotImplementedError
    if limits is None:
        return resource.prlimit(stage.daemon_pid, resource.RLIMIT_NOFILE)
    return resource.prlimit(stage.daemon_pid, resource.RLIMIT_NOFILE, limits)


def leave_no_descriptor(stage: Stage) -> None:
    """Has the daemon's limit be the first number that is free."""
    taken = {int(name) for name in os.listdir(f"/proc/{stage.daemon_pid}/fd")}
    _, hard = open_files(stage.daemon_pid)
    first = next(number for number in range(len(taken) + 1) if number not in taken)
    open_files(stage.daemon_pid, (first, hard))


def pids(leases: Frame) -> set[int]:
    return {whole(lease, "pid") for lease in rows(leases, "leases")}


def connected(stage: Stage) -> socket.socket:
    """A connection on which something was asked, whoever accepts it."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(stage.socket))
    sock.sendall(encode({"id": 1, "op": "hello"}))
    return sock


def answer(sock: socket.socket) -> Frame:
    frames = Frames()
    while not (found := frames.feed(sock.recv(4096))):
        pass
    return found[0]


# --- no time to run -------------------------------------------------------------------------------


def test_a_daemon_that_was_suspended_has_missed_nothing_and_buried_nobody(stage: Stage) -> None:
    stage.set_level(2)
    dies, lives = stage.hold("--task", "dies"), stage.hold("--task", "lives")
    stage.until(lambda view: view.holders == {dies.pid, lives.pid})
    first, gone = stage.hold("--task", "first"), stage.hold("--task", "gone")
    stage.until(lambda view: sorted(view.waiters) == sorted([first.pid, gone.pid]))
    with stopped(stage.daemon_pid):
        end_process(dies.pid, signal.SIGKILL)
        end_process(gone.pid, signal.SIGKILL)
        second = stage.hold("--task", "second")
        late = stage.hold("--task", "late")
        end_process(late.pid, signal.SIGKILL)
    view = stage.until(lambda view: view.waiters == [second.pid])
    assert view.holders == {lives.pid, first.pid}
    assert "sensors" not in degraded(view)
    end_process(lives.pid, signal.SIGKILL)
    assert stage.until(lambda view: not view.waiting).holders == {first.pid, second.pid}
