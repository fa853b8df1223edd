"""What processes carry: real ones, and files of /proc that a test makes up."""

import os
import sys
from pathlib import Path

import pytest

from admission.service.traces import (
    LinuxTraces,
    PsutilTraces,
    Traces,
    lease_in,
    parse_environ,
    traces_of_this_machine,
)
from tests.service.children import Child, child, end, holder_of, python

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
SOCKET = Path("/run/user/1000/admission/admission.sock")

# Says that it runs, with an environment of its own.
MARKED = """
import os, sys
os.execve(sys.executable, [sys.executable, "-I", "-S", "-c",
    "print('here', flush=True); input()"], {{"PATH": "/bin", "ADMISSION_LEASE": "{lease}"{more}}})
"""


def say_here(process: Child) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"


def test_variables_are_read_whatever_is_in_them() -> None:
    assert parse_environ(b"A=1\0B=x=y\0C=\0\0junk\0A=2\0D=a\nb") == {
        b"A": b"1",
        b"B": b"x=y",
        b"C": b"",
        b"D": b"a\nb",
    }
    assert parse_environ(b"") == {}


@pytest.mark.parametrize(
    ("environ", "number"),
    [
        ({}, None),
        ({b"ADMISSION_LEASE": b"7"}, 7),
        ({b"ADMISSION_LEASE": b""}, None),
        ({b"ADMISSION_LEASE": b"-7"}, None),
        ({b"ADMISSION_LEASE": "\u0667".encode()}, None),
        ({b"ADMISSION_LEASE": b"9" * 5000}, None),
        ({b"ADMISSION_LEASE": b"7", b"ADMISSION_SOCKET": str(SOCKET).encode()}, 7),
        ({b"ADMISSION_LEASE": b"7", b"ADMISSION_SOCKET": b"/tmp/other.sock"}, None),
        ({b"ADMISSION_LEASE": b"7", b"ADMISSION_SOCKET": b"../admission/admission.sock"}, 7),
        ({b"ADMISSION_LEASE": b"7", b"ADMISSION_SOCKET": b""}, 7),
        ({b"ADMISSION_LEASE": b"7", b"ADMISSION_SOCKET": b"\xff/a"}, None),
    ],
)
def test_a_mark_counts_where_it_is_a_number_and_of_this_daemon(
    environ: dict[bytes, bytes], number: int | None
) -> None:
    assert lease_in(environ, str(SOCKET), "/run/user/1000/admission") == number


def test_a_daemon_that_does_not_know_its_socket_takes_any_mark() -> None:
    assert lease_in({b"ADMISSION_LEASE": b"7", b"ADMISSION_SOCKET": b"/x"}, None, "/") == 7


def machines() -> list[Traces]:
    return [traces_of_this_machine(SOCKET), PsutilTraces(SOCKET)]


@pytest.mark.parametrize("traces", machines(), ids=lambda traces: type(traces).__name__)
def test_the_mark_of_a_real_process_is_read(traces: Traces) -> None:
    with python(MARKED.format(lease=41, more="")) as process:
        say_here(process)
        assert traces.lease_of(process.pid) == 41
        end(process, reap=False)
        assert traces.lease_of(process.pid) is None
    assert traces.lease_of(process.pid) is None


@pytest.mark.parametrize("traces", machines(), ids=lambda traces: type(traces).__name__)
def test_another_daemons_mark_is_not_taken_for_ones_own(traces: Traces) -> None:
    with python(MARKED.format(lease=41, more=", 'ADMISSION_SOCKET': '/tmp/other'")) as process:
        say_here(process)
        assert traces.lease_of(process.pid) is None


@pytest.mark.parametrize("traces", machines(), ids=lambda traces: type(traces).__name__)
def test_a_process_is_listed_until_it_has_ended(traces: Traces) -> None:
    with child() as process:
        row = traces.processes()[process.pid]
        if type(traces) is type(traces_of_this_machine(SOCKET)):
            assert row.holder == holder_of(process)
        assert row.parent == os.getpid()
        assert traces.session_of(process.pid) == os.getsid(0)
        end(process, reap=False)
        assert process.pid not in traces.processes()


@linux_only
def test_births_are_counted() -> None:
    traces = traces_of_this_machine(SOCKET)
    before = traces.births()
    assert before is not None
    with child():
        after = traces.births()
    assert after is not None
    assert after > before


# --- files of /proc -------------------------------------------------------------------------------


def made(folder: Path, **files: str) -> LinuxTraces:
    """A /proc with these files; two underscores stand for a slash."""
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return LinuxTraces(SOCKET, str(folder))


MOUNTINFO = "30 23 0:26 / {point} rw,nosuid - cgroup2 cgroup2 rw\n"


def test_a_cgroup_is_told_by_its_folder_and_has_members(tmp_path: Path) -> None:
    point = tmp_path / "cgroup"
    (point / "user.slice" / "a.scope" / "inner").mkdir(parents=True)
    (point / "user.slice" / "a.scope" / "cgroup.procs").write_text("10\n11\n0\n")
    (point / "user.slice" / "a.scope" / "inner" / "cgroup.procs").write_text("12\n")
    traces = made(
        tmp_path / "proc",
        self__mountinfo=MOUNTINFO.format(point=point),
        **{"10__cgroup": "1:name=systemd:/x\n0::/user.slice/a.scope\n"},
    )
    group = traces.group_of(10)
    assert group == str(point / "user.slice" / "a.scope")
    assert traces.members(group) == {10, 11, 12}
    assert traces.members(str(point / "gone")) == frozenset()


def test_the_root_is_nobodys_own(tmp_path: Path) -> None:
    traces = made(
        tmp_path,
        self__mountinfo=MOUNTINFO.format(point=tmp_path / "cgroup"),
        **{"10__cgroup": "0::/\n", "11__cgroup": "4:memory:/a\n"},
    )
    assert traces.group_of(10) is None
    assert traces.group_of(11) is None
    assert traces.group_of(12) is None


def test_a_kernel_without_cgroups_has_none(tmp_path: Path) -> None:
    traces = made(tmp_path, self__mountinfo="", **{"10__cgroup": "0::/a\n"})
    assert traces.group_of(10) is None


def test_births_that_nobody_counts_are_not_known(tmp_path: Path) -> None:
    assert made(tmp_path, stat="cpu 1 2 3\nprocesses many\n").births() is None
    assert made(tmp_path, stat="cpu 1 2 3\nprocesses 129364\n").births() == 129364


def test_a_list_that_makes_no_sense_is_a_failure_and_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="can't be read"):
        made(tmp_path, **{"10__stat": "nonsense"}).processes()
