"""`admission run`: what it becomes, what that finds, and what it costs to get there."""

import json
import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from admission.protocol import Frame
from admission_client import lease
from admission_client.granted import rows
from admission_client.hold import INHERITED_FROM
from tests.clients.commands import PROGRAM, Caller, command, run
from tests.clients.daemons import Daemon
from tests.clients.fronts import holding
from tests.clients.impostors import Impostor, grants

NOT_AT_ALL = "argparse asyncio trio anyio psutil msgspec socket enum re dataclasses typing json"
NOT_AT_ALL += " subprocess shutil threading selectors contextlib"


@pytest.fixture
def found(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command finds the daemon by its environment."""
    monkeypatch.setenv("ADMISSION_SOCKET", daemon.path)


# --- what it costs ------------------------------------------------------------------------------


def imported(*line: str) -> set[str]:
    """What Python imports on the way, as it says itself."""
    said = run(sys.executable, "-P", "-X", "importtime", *line)
    assert said.status == 0
    rows = [row.split("|") for row in said.err.splitlines() if row.startswith("import time:")]
    return {row[-1].strip() for row in rows}


@pytest.mark.usefixtures("found")
def test_nothing_heavy_is_imported_on_the_way_to_the_command() -> None:
    """An installation may import by itself, so what is counted is what we add to nothing."""
    ours = imported("-c", PROGRAM, "run", "--wait", "10m", "--", "true")
    assert {"msgpack", "admission_client.options", "admission_client.waiting"} <= ours
    assert not [name for name in ours if name.startswith("admission_client.overflow")]
    extra = ours - imported("-c", "pass")
    assert sorted(extra & {*NOT_AT_ALL.split()}) == []


# --- what it becomes ----------------------------------------------------------------------------


@pytest.mark.usefixtures("found")
def test_the_command_finds_its_lease_in_its_environment(daemon: Daemon) -> None:
    daemon.ask("level", set=1)
    said = run(*command("run", "--pool", "shrinking", "--", "env"))
    assert said.status == 0
    environment = dict(line.split("=", 1) for line in said.out.splitlines() if "=" in line)
    ours = {name: value for name, value in environment.items() if name.startswith("ADMISSION_")}
    assert ours["ADMISSION_LEASE"] == ours["ADMISSION_FENCE"]
    assert int(ours["ADMISSION_LEASE"]) > 0
    assert ours["ADMISSION_LEVEL"] == "1"
    assert ours["ADMISSION_BATCH_SIZE"] == "50"
    assert ours["ADMISSION_DELAY_MS"] == "0"
    assert ours["ADMISSION_MAX_CONCURRENT"] == "2"
    assert ours["ADMISSION_REASONING_EFFORT"] == "medium"


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ([], ("sleep", "repository")),
        (["--agent", "claude", "--workspace", "elsewhere"], ("claude", "elsewhere")),
    ],
)
def test_a_lease_says_which_program_works_and_in_which_repository(
    daemon: Daemon, tmp_path: Path, options: list[str], labels: tuple[str, str]
) -> None:
    (tmp_path / "repository" / ".git").mkdir(parents=True)
    (folder := tmp_path / "repository" / "below").mkdir()
    line = command("run", "--pool", "many", *options, "--", "sleep", "60")
    with subprocess.Popen(line, cwd=folder) as process:
        daemon.wait_until(lambda: mine(daemon, process.pid) != [])
        (row,) = mine(daemon, process.pid)
        process.kill()
    assert (row["agent"], str(row["workspace"]).rpartition("/")[2]) == labels


def mine(daemon: Daemon, pid: int) -> list[Frame]:
    return rows(daemon.ask("leases", pid=pid), "leases")


@pytest.mark.usefixtures("found")
def test_the_process_is_the_holder_and_its_end_is_the_leases(daemon: Daemon) -> None:
    with subprocess.Popen(
        command("run", "--pool", "one", "--", "sh", "-c", "echo $$; read line; exit 5"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        (held,) = rows(daemon.ask("leases"), "leases")
        assert (held["pid"], held["task"]) == (process.pid, "sh")
    assert process.returncode == 5
    daemon.wait_until(daemon.is_idle)


@pytest.mark.usefixtures("found")
def test_the_lease_is_written_to_the_descriptor_asked_for() -> None:
    reading, writing = os.pipe()
    with open(reading) as pipe:
        line = command("run", f"--lease-fd={writing}", "--pool", "one", "--", "true")
        subprocess.run(line, pass_fds=(writing,), check=True)
        os.close(writing)
        granted = json.loads(pipe.read())
    assert (granted["pool"], granted["weight"]) == ("one", 1)
    assert granted["params"]["name"] == "normal"


@pytest.mark.usefixtures("found")
def test_a_descriptor_that_is_not_open_is_refused_and_nothing_runs(tmp_path: Path) -> None:
    said = run(*command("run", "--lease-fd=77", "--", "touch", str(tmp_path / "ran")))
    assert (said.status, said.out) == (64, "")
    assert said.err == "admission: --lease-fd 77: Bad file descriptor\n"
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(sys.platform == "darwin", reason="its files have text for names")
@pytest.mark.usefixtures("found")
def test_a_command_whose_name_is_no_text_runs_like_any_other(tmp_path: Path) -> None:
    script = tmp_path / os.fsdecode(b"caf\xe9")
    script.write_text("#!/bin/sh\nexit 5\n")
    script.chmod(stat.S_IRWXU)
    assert run(*command("run", "--", str(script))) == (5, "", "")


# --- what ends its lease -------------------------------------------------------------------------

CLOSES = "import os; input(); os.closerange(3, 4096); print('closed', flush=True); input()"


@pytest.mark.usefixtures("found")
def test_a_command_may_inherit_the_connection_and_its_lease_ends_with_that(daemon: Daemon) -> None:
    line = command("run", "--hold", "connection", "--pool", "one", "--")
    with subprocess.Popen(
        [*line, sys.executable, "-c", CLOSES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        daemon.wait_until(lambda: daemon.in_use() == 1)
        (held,) = rows(daemon.ask("leases"), "leases")
        assert (held["bound"], held["pid"]) == ("connection", process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "closed\n"
        daemon.wait_until(daemon.is_idle)
        assert process.poll() is None
        process.stdin.close()
    assert process.returncode == 1


@pytest.mark.usefixtures("found")
def test_what_a_command_inherits_is_no_descriptor_that_scripts_use() -> None:
    show = (sys.executable, "-c", "import os; print(*sorted(map(int, os.listdir('/dev/fd'))))")
    plain = {*map(int, run(*command("run", "--", *show)).out.split())}
    said = run(*command("run", "--hold=connection", "--", *show))
    (kept,) = {*map(int, said.out.split())} - plain
    assert kept == INHERITED_FROM
    few = f"ulimit -n {INHERITED_FROM} && exec " + shlex.join(
        command("run", "--hold=connection", "--", *show)
    )
    assert len({*map(int, run("/bin/sh", "-c", few).out.split())} - plain) == 1


@pytest.mark.parametrize("hold", ["process", "tree", "connection"])
def test_the_daemon_is_asked_for_what_is_to_end_the_lease(hold: str, folder: Path) -> None:
    asked: list[object] = []

    def note(frame: Frame) -> bytes | None:
        asked.append(frame["bound"])
        return grants(frame)

    path = str(folder / "a.sock")
    with Impostor(path, [[note]]):
        said = run(*command("run", "--hold", hold, "--", "true"), ADMISSION_SOCKET=path)
    assert (said.status, asked) == (0, [hold])


def test_what_only_acquires_has_no_connection_to_hold_by(call: Caller) -> None:
    said = call("acquire", "--hold", "connection")
    assert said.status == 2
    assert '"connection" is for "admission run": what only acquires closes its own' in said.err
    assert call("run", "--hold", "hope", "--", "true").err.endswith(
        'argument --hold: "hope" is nothing to hold a lease by; write process, tree, connection\n'
    )


# --- what it can't become -----------------------------------------------------------------------


def test_a_command_that_is_not_there_is_said_before_any_waiting(call: Caller) -> None:
    said = call("run", "--", "misspelt-command")
    assert said == (127, "", 'admission run: the command "misspelt-command" was not found\n')
    assert call("run", "--", "/nonexistent/x").status == 127
    assert call("run", "--", "").status == 127


def test_a_command_that_is_not_executable_is_said_before_any_waiting(
    call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "script").write_text("true")
    said = call("run", "--", str(tmp_path / "script"))
    assert said.status == 126
    assert said.err == f'admission run: the command "{tmp_path}/script" is not executable\n'
    monkeypatch.setenv("PATH", str(tmp_path))
    assert call("run", "--", "script").status == 126


@pytest.mark.usefixtures("found")
def test_what_can_not_be_executed_after_all_is_said_as_a_shell_says_it(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"\0not a program")
    script.chmod(stat.S_IRWXU)
    said = run(*command("run", "--", str(script)))
    assert said.status == 126
    assert said.err == f"admission run: {script}: Exec format error\n"


def test_no_command_is_wrong_usage(call: Caller) -> None:
    said = call("run", "--wait", "5")
    assert said == (2, "", "admission run: name a command: admission run -- make test\n")


# --- without a daemon ---------------------------------------------------------------------------


def test_where_no_daemon_can_be_had_nothing_runs_unless_that_is_wanted(tmp_path: Path) -> None:
    line = command("run", "--", "touch", str(tmp_path / "ran"))
    closed = run(*line)
    assert closed.status == 69
    assert closed.err.startswith("admission: no daemon answers at /nonexistent/admission.sock, ")
    assert not (tmp_path / "ran").exists()
    opened = run(*line, ADMISSION_FAIL="open")
    assert opened.status == 0
    assert opened.err.startswith("admission: running without a lease: no daemon answers at ")
    assert (tmp_path / "ran").exists()


@pytest.mark.usefixtures("found")
def test_what_the_daemon_refuses_does_not_run_however_that_is_wanted(daemon: Daemon) -> None:
    with lease("one", socket=daemon.path):
        line = command("run", "--pool", "one", "--no-wait", "--", "echo", "ran")
        said = run(*line, ADMISSION_FAIL="open")
    assert (said.status, said.out) == (75, "")


# --- while it waits -----------------------------------------------------------------------------


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize("stderr", ["a pipe nobody reads", "closed"])
def test_it_waits_and_runs_where_nobody_sees_it_wait(stderr: str, daemon: Daemon) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    line = command("run", "--pool", "one", "--task", "unseen", "--", "echo", "ran")
    if stderr == "closed":
        line = ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *line]
    with holding(lease("one", socket=daemon.path)) as first:
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=writing, text=True)
        with process:
            daemon.wait_for_waiting("unseen")
            first.let_go()
            assert process.stdout is not None
            assert process.stdout.read() == "ran\n"
    assert process.returncode == 0
    os.close(writing)
