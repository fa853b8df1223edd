"""Real processes that are stopped, and that go on whatever happens."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from admission.core.leases import UNSEEN, Bound, Claim, Holder, Lease
from admission.service import stops
from admission.service.checkup.finding import State
from admission.service.checkup.scene import Scene
from admission.service.checkup.work import check_stopped
from admission.service.holders import identify, is_stopped
from admission.service.place import already_served, lock
from admission.service.standstill import CantStop, Standstill, read_record, release_all
from admission.service.traces import traces_of_this_machine
from tests.service.children import holder_of, python
from tests.system.test_trees import own_cgroup

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="stops are made on Linux only")

# Three generations, each of which says its PID; the last one lives as long as the first does.
FAMILY = """
import os, sys
for _ in range(2):
    if os.fork():
        os.wait()
        sys.exit()
    print(os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def family() -> Iterator[list[Holder]]:
    """The first, its child, and that one's child."""
    with python(FAMILY) as process:
        assert process.stdout is not None
        pids = [process.pid, *(int(process.stdout.readline()) for _ in range(2))]
        found = [identify(pid) for pid in pids]
        holders = [one for one in found if one is not None]
        assert len(holders) == 3
        yield holders
        for one in holders:
            stops.send(one.pid, one.start_ticks, signal.SIGKILL)


def until(holds: Callable[[], bool]) -> None:
    """A signal takes effect soon, and not at once."""
    while not holds():
        time.sleep(0.005)


def lease_of(holder: Holder, uid: int = os.getuid()) -> Lease:
    return Lease(7, Claim(holder, bound=Bound.PROCESS, uid=uid), 1, 0.0)


def standstill(holder: Holder, folder: Path, uid: int = os.getuid()) -> Standstill:
    return Standstill(lease_of(holder, uid), folder / "a.stopped", traces_of_this_machine(None))


def test_a_tree_of_three_is_stopped_and_goes_on(family: list[Holder], tmp_path: Path) -> None:
    one = standstill(family[0], tmp_path)
    assert one.begin((), (), None) == 3
    until(lambda: all(map(is_stopped, family)))
    written = (tmp_path / "a.stopped").read_text()
    assert written == "".join(stops.line_of(it.pid, it.start_ticks) for it in family)
    one.end()
    until(lambda: not any(map(is_stopped, family)))
    assert list(tmp_path.iterdir()) == []


def test_what_was_seen_below_it_is_stopped_wherever_it_stands(
    family: list[Holder], tmp_path: Path
) -> None:
    with python("import sys; sys.stdin.read()") as apart:
        one = standstill(family[0], tmp_path)
        assert one.begin((holder_of(apart),), (family[2],), None) == 3
        until(lambda: is_stopped(holder_of(apart)))
        assert not is_stopped(family[2])  # it holds a lease of its own
        one.end()
        until(lambda: not is_stopped(holder_of(apart)))


def test_a_tree_with_a_cgroup_of_its_own_is_stopped_by_that(
    family: list[Holder], tmp_path: Path
) -> None:
    with own_cgroup(tmp_path) as group:
        for holder in family:
            (group / "cgroup.procs").write_text(str(holder.pid))
        one = standstill(family[0], tmp_path)
        one.begin((), (), str(group))
        until(lambda: "frozen 1" in (group / "cgroup.events").read_text())
        assert (tmp_path / "a.stopped").read_text() == stops.line_of_group(str(group))
        assert not any(map(is_stopped, family))  # by the kernel, and not by a signal
        one.end()
        until(lambda: "frozen 0" in (group / "cgroup.events").read_text())
        # One with somebody else in it is not.
        one = Standstill(lease_of(family[1]), tmp_path / "a.stopped", traces_of_this_machine(None))
        one.begin((), (), str(group))
        until(lambda: is_stopped(family[1]))
        assert "frozen 0" in (group / "cgroup.events").read_text()
        one.end()


def test_who_is_in_the_foreground_of_a_terminal_is_left_alone(tmp_path: Path) -> None:
    pid, terminal = os.forkpty()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", "input()"])
    try:
        until(lambda: "input()" in Path(f"/proc/{pid}/cmdline").read_text())
        holder = identify(pid)
        assert holder is not None
        with pytest.raises(CantStop, match="foreground of a terminal"):
            standstill(holder, tmp_path).begin((), (), None)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_one_that_a_person_stopped_stays_so(family: list[Holder], tmp_path: Path) -> None:
    os.kill(family[1].pid, signal.SIGSTOP)
    until(lambda: is_stopped(family[1]))
    one = standstill(family[0], tmp_path)
    one.begin((), (), None)
    until(lambda: all(map(is_stopped, family)))
    one.end()
    until(lambda: not is_stopped(family[0]))
    assert is_stopped(family[1])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_guardian_has_all_go_on_when_the_daemon_is_gone(
    family: list[Holder], tmp_path: Path, number: int
) -> None:
    """As one that is killed, and with it all that it could have said."""
    code = (
        "import os, sys; from pathlib import Path; from admission.core.leases import Holder\n"
        "from tests.service.test_standstill import standstill\n"
        f"one = standstill({family[0]}, Path({str(tmp_path)!r}))\n"
        "one.begin((), (), None); print('stopped', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        until(lambda: all(map(is_stopped, family)))
        daemon.send_signal(number)
    until(lambda: not any(map(is_stopped, family)))
    until(lambda: read_record(tmp_path / "a.stopped") == "")


def test_the_guardian_waits_for_no_daemon_that_hangs(family: list[Holder], tmp_path: Path) -> None:
    record = tmp_path / "a.stopped"
    record.write_text("".join(stops.line_of(one.pid, one.start_ticks) for one in family))
    for one in family:
        os.kill(one.pid, signal.SIGSTOP)
    until(lambda: all(map(is_stopped, family)))
    code = "import sys; from admission.service import stops; stops.guard(int(sys.argv[1]), 0.05)"
    silent, speaks = os.pipe()
    with record.open("r+") as file:
        number = file.fileno()
        words = [sys.executable, "-c", code, str(number)]
        subprocess.run(words, stdin=silent, capture_output=True, pass_fds=(number,), check=True)
    os.close(silent)
    os.close(speaks)
    until(lambda: not any(map(is_stopped, family)))
    assert record.read_text() == ""


def test_a_record_that_was_left_has_all_go_on_and_is_gone(
    family: list[Holder], tmp_path: Path
) -> None:
    record = tmp_path / "a.stopped"
    lines = [stops.line_of(one.pid, one.start_ticks) for one in family]
    torn = ["", "nonsense", "1 x", "cgroup /nonexistent", f"{family[0].pid} 1", "99999999 1", "12"]
    record.write_text("".join(lines) + "\n".join(torn))
    for one in family:
        os.kill(one.pid, signal.SIGSTOP)
    until(lambda: all(map(is_stopped, family)))
    assert release_all(record) == 3
    until(lambda: not any(map(is_stopped, family)))
    assert not record.exists()
    assert release_all(record) == 0


def test_the_doctor_has_those_go_on_whom_nobody_was_left_for(
    family: list[Holder], tmp_path: Path
) -> None:
    scene = Scene(tmp_path / "a.sock")
    assert list(check_stopped(scene)) == []
    record = tmp_path / "a.stopped"
    record.write_text("".join(stops.line_of(one.pid, one.start_ticks) for one in family))
    for one in family:
        os.kill(one.pid, signal.SIGSTOP)
    until(lambda: all(map(is_stopped, family)))
    with lock(scene.path or tmp_path, already_served):
        assert list(check_stopped(scene)) == []  # whoever has it takes care of them
    (found,) = check_stopped(scene)
    assert found.state is State.PROBLEM
    assert found.mend is not None
    assert found.mend() == "3 processes stopped by a daemon that is gone go on"
    until(lambda: not any(map(is_stopped, family)))
    assert list(check_stopped(scene)) == []


def test_who_must_not_be_stopped_is_not(family: list[Holder], tmp_path: Path) -> None:
    ourselves = identify(os.getpid())
    assert ourselves is not None
    gone = replace(family[0], start_ticks=1)
    for holder, why in ((ourselves, "the daemon"), (gone, "is gone"), (UNSEEN, "can't be seen")):
        with pytest.raises(CantStop, match=why):
            standstill(holder, tmp_path).begin((), (), None)
    another = standstill(family[0], tmp_path, uid=os.getuid() + 1)
    another.begin((), (), None)
    assert not any(map(is_stopped, family))  # of another user
    another.end()
    assert list(tmp_path.iterdir()) == []


def test_nobody_is_stopped_where_it_can_not_be_written(
    family: list[Holder], tmp_path: Path
) -> None:
    with pytest.raises(CantStop, match="nowhere"):
        standstill(family[0], tmp_path / "nowhere").begin((), (), None)
    assert not any(map(is_stopped, family))


def test_nobody_is_stopped_without_a_guardian(
    family: list[Holder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stops, "__file__", "/nonexistent/stops.py")
    with pytest.raises(CantStop, match="guardian"):
        standstill(family[0], tmp_path).begin((), (), None)
    assert not any(map(is_stopped, family))
    assert list(tmp_path.iterdir()) == []
