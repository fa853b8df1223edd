"""The pass over all processes: recorded ones, hostile ones and real ones."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from admission.service.holders import identify
from admission.service.sensors import Sensors
from admission.service.sensors.kinds import OTHER, Kind
from admission.service.sensors.processes import LinuxPass, PsutilPass
from tests.service.children import child, end, holder_of, python
from tests.service.sensors.machine import Machine, stat_line

CLAUDE = Kind("claude")
NODE = Kind(is_node=True)
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")


def test_a_recorded_process_reads_as_it_was(machine: Machine) -> None:
    machine.start(42, 7, "claude", "claude", "-p", exe="/u/claude/versions/2.1.331")
    row = LinuxPass(str(machine.proc)).rows()[42]
    per_s = os.sysconf("SC_CLK_TCK")
    assert (row.pid, row.parent, row.start_ticks, row.name) == (42, 7, 142, "claude")
    assert row.rss_bytes == 100 * os.sysconf("SC_PAGE_SIZE")
    assert row.cpu_s == 100 / per_s  # its ended children's with it
    assert row.kind == CLAUDE


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a) R 1 (", "a) R 1 ("),
        ("two\nlines", "two?lines"),
        (") Z 1 2 3) S 9 (", ") Z 1 2 3) S 9 ("),
        ("", ""),
        (" ", " "),
        ("((((", "(((("),
        ("\x1b[2J", "?[2J"),
    ],
)
def test_a_process_may_be_called_anything(machine: Machine, name: str, shown: str) -> None:
    machine.start(42, 7, name, "claude", "x" * 16_384, exe="/usr/bin/claude")
    row = LinuxPass(str(machine.proc)).rows()[42]
    assert (row.parent, row.name, row.kind) == (7, shown, CLAUDE)


def test_names_and_words_need_not_be_text(machine: Machine) -> None:
    machine.start(42, 7, "x")
    line = stat_line(42, "x", 7).encode().replace(b"(x)", b"(\xff\xfe)")
    (machine.proc / "42" / "stat").write_bytes(line)
    (machine.proc / "42" / "cmdline").write_bytes(b"\xff\0\xfe\0")
    assert LinuxPass(str(machine.proc)).rows()[42].kind == OTHER


@pytest.mark.parametrize("state", ["Z", "X"])
def test_one_that_has_ended_is_left_out(machine: Machine, state: str) -> None:
    machine.start(42, 7, "claude", "claude")
    machine.write("proc/42/stat", stat_line(42, "claude", 7, state=state))
    assert LinuxPass(str(machine.proc)).rows() == {}


def test_one_that_ends_or_hides_while_it_is_read_is_left_out(machine: Machine) -> None:
    machine.start(42, 7, "claude", "claude")
    (machine.proc / "43").mkdir()
    machine.start(44, 7, "half gone", "claude")
    machine.remove("proc/44/cmdline")
    rows = LinuxPass(str(machine.proc)).rows()
    assert set(rows) == {42, 44}
    assert rows[44].kind == OTHER


def test_one_that_ends_between_open_and_read_is_left_out(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start(42, 7, "claude", "claude")

    def gone(file: int, size: int) -> bytes:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))

    monkeypatch.setattr(os, "read", gone)
    assert LinuxPass(str(machine.proc)).rows() == {}


def test_a_thread_of_the_kernel_runs_no_file(machine: Machine) -> None:
    machine.start(42, 2, "claude", "claude")
    machine.write("proc/42/stat", stat_line(42, "claude", 2).replace("9420800", "0"))
    assert LinuxPass(str(machine.proc)).rows()[42].kind == OTHER


def test_what_was_read_once_is_not_read_again(machine: Machine) -> None:
    machine.start(42, 7, "claude", "claude")
    looks = LinuxPass(str(machine.proc))
    assert looks.rows()[42].kind == CLAUDE
    machine.remove("proc/42/cmdline")
    assert looks.rows()[42].kind == CLAUDE


@pytest.mark.parametrize(
    ("name", "start", "place"),
    [
        ("node", 142, 1042),  # it has become another program
        ("sh", 142, 7777),  # …of the same name
        ("sh", 999, 1042),  # another process has its PID
    ],
)
def test_one_that_is_another_by_now_is_read_again(
    machine: Machine, name: str, start: int, place: int
) -> None:
    machine.start(42, 7, "sh", "sh", exe="/usr/bin/dash")
    looks = LinuxPass(str(machine.proc))
    assert looks.rows()[42].kind == OTHER
    machine.start(42, 7, name, "node", "x.js", exe="/usr/bin/node")
    machine.write("proc/42/stat", stat_line(42, name, 7, start=start, place=place))
    assert looks.rows()[42].kind == NODE


@pytest.mark.parametrize("line", ["42", "42 (x", "42 (x) S 1 2", "\n", "42 (x) S y y y"])
def test_a_line_that_is_nonsense_fails_the_pass_and_not_the_sample(
    machine: Machine, line: str
) -> None:
    machine.start(41, 7, "claude", "claude")
    sensors = machine.sensors()
    assert sensors.read(0.0).claude_processes == 1
    machine.now += 10
    machine.start(42, 7, "x")
    machine.write("proc/42/stat", line)
    sample = sensors.read(10.0)
    assert (sample.claude_processes, sample.foreign_agents) == (None, None)
    assert sensors.looks[0] is None
    assert [one.partition(":")[0] for one in sample.failed] == ["processes"]
    assert sample.memory_used_pct is not None
    machine.now += 10
    machine.start(42, 7, "x")
    sample = sensors.read(20.0)
    assert (sample.claude_processes, sample.failed) == (1, ())


def test_without_a_descriptor_the_pass_fails_rather_than_find_nobody(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.start(42, 7, "claude", "claude")
    sensors = machine.sensors()

    def refuse(path: str, flags: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), path)

    monkeypatch.setattr(os, "open", refuse)
    sample = sensors.read(0.0)
    assert (sample.claude_processes, len(sample.failed)) == (None, 1)
    assert "Too many open files" in sample.failed[0]


def test_the_pass_is_made_less_often_and_its_counts_stay(machine: Machine) -> None:
    sensors = Sensors(
        str(machine.proc), platform="linux", clock=lambda: machine.now, processes_interval_s=5.0
    )
    assert sensors.read(0.0).claude_processes == 0
    machine.start(42, 7, "claude", "claude")
    machine.now = 4.9
    assert sensors.read(4.9).claude_processes == 0
    machine.now = 5.0
    sample = sensors.read(5.0)
    assert (sample.claude_processes, sample.foreign_agents) == (1, 1)
    assert [look and look.at for look in sensors.looks] == [5.0, 0.0]
    assert machine.sensors().read_fast(0.0).claude_processes is None


# --- real ones ----------------------------------------------------------------------------------


def test_a_real_tree_is_seen_with_who_they_are() -> None:
    code = (
        "import os, sys\n"
        "if os.fork() == 0:\n"
        "    if os.fork() == 0: os.write(1, b'.')\n"
        "sys.stdin.read()\n"
    )
    with python(code) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        rows = LinuxPass("/proc").rows()
        (middle,) = [one for one in rows.values() if one.parent == process.pid]
        (lowest,) = [one for one in rows.values() if one.parent == middle.pid]
        for row in (rows[process.pid], middle, lowest):
            assert row.holder == identify(row.pid)
            assert row.rss_bytes == pytest.approx(
                psutil.Process(row.pid).memory_info().rss, rel=0.5
            )
        os.kill(middle.pid, 9)
        os.kill(lowest.pid, 9)


@contextmanager
def fake_agent(folder: Path, name: str) -> Iterator[int]:
    """A real program of that name."""
    program = folder / name
    program.write_bytes(Path(os.path.realpath("/bin/sleep")).read_bytes())
    program.chmod(0o755)
    with child(name, "60", program=program) as process:
        yield process.pid


def test_a_real_agent_is_known_by_its_file_and_one_in_an_editor_is_not(tmp_path: Path) -> None:
    with (
        fake_agent(tmp_path, "claude") as agent,
        child("vim claude", "60") as editor,
        child("a) R 1 (\n", "60") as hostile,
    ):
        rows = LinuxPass("/proc").rows()
        assert rows[agent].kind == CLAUDE
        assert rows[editor.pid].kind == OTHER
        assert rows[hostile.pid].parent == os.getpid()


def test_a_real_process_that_becomes_another_program_is_read_anew(tmp_path: Path) -> None:
    """Into one of the same name, so that only the place of its words tells."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    real = os.path.realpath("/bin/sh")
    for folder in ("a", "b"):
        (tmp_path / folder / "same").write_bytes(Path(real).read_bytes())
        (tmp_path / folder / "same").chmod(0o755)
    code = f"echo .; read x; exec -a claude {tmp_path}/b/same -c 'echo .; read x'"
    words = ("same", "-c", code)
    bash = os.path.realpath("/bin/bash")
    if not os.path.exists(bash):
        pytest.skip("there is no bash, whose exec can give a process another first word")
    (tmp_path / "a" / "same").write_bytes(Path(bash).read_bytes())
    looks = LinuxPass("/proc")
    with child(*words, program=tmp_path / "a" / "same") as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        before = looks.rows()[process.pid]
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()
        after = looks.rows()[process.pid]
    assert (before.name, before.kind) == ("same", OTHER)
    assert (after.name, after.kind) == ("same", CLAUDE)
    assert before.holder == after.holder


def test_a_real_zombie_has_ended() -> None:
    with child() as process:
        looks = LinuxPass("/proc")
        assert process.pid in looks.rows()
        end(process, reap=False)
        assert process.pid not in looks.rows()


def test_what_the_reaped_children_used_counts() -> None:
    """Compilers come and go between two looks."""
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    code = (
        "import os, sys, subprocess\n"
        f"subprocess.run([sys.executable, '-I', '-S', '-c', {burn!r}])\n"
        "os.write(1, b'.')\n"
        "sys.stdin.read()\n"
    )
    with python(code) as process:
        assert process.stdout is not None
        process.stdout.read(1)
        assert LinuxPass("/proc").rows()[process.pid].cpu_s >= 0.29


def test_psutil_sees_the_same(tmp_path: Path) -> None:
    with fake_agent(tmp_path, "claude") as agent, child() as process:
        looks = PsutilPass()
        rows = looks.rows()
        assert rows[agent].kind == CLAUDE
        assert rows[agent].parent == os.getpid()
        assert rows[process.pid].kind == OTHER
        assert rows[process.pid].rss_bytes > 0
        assert looks.rows()[agent].start_ticks == rows[agent].start_ticks
        end(process, reap=False)
        assert process.pid not in looks.rows()


def test_the_machine_that_runs_this_can_be_read() -> None:
    with child() as process:
        sensors = Sensors()
        sample = sensors.read(0.0, frozenset({holder_of(process)}))
    assert sample.failed == ()
    assert sample.memory_used_pct is not None
    assert 0 < sample.memory_used_pct < 100
    assert sample.cpus is not None
    look = sensors.looks[0]
    assert look is not None
    assert os.getpid() in look.processes
