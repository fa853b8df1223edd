"""`admission run --jobserver`: what the command finds, what stays beside it, and how that ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from admission.protocol import Frame
from admission_client.tokenpipe import FOLDER
from tests.clients.answers import GRANTED
from tests.clients.commands import Caller, command, run
from tests.clients.daemons import Daemon
from tests.clients.impostors import Impostor, answers

# Answers each line that it is sent: what MAKEFLAGS says; how many tokens are in the pipe; what is
# taken out of it (and kept) or put into it.
HELPER = """
import fcntl, os, struct, sys, termios
auth = os.environ.get("MAKEFLAGS", "").rpartition("--jobserver-auth=")[2]
if auth.startswith("fifo:"):
    reading = writing = os.open(auth[5:], os.O_RDWR | os.O_NONBLOCK)
elif auth:
    reading, writing = map(int, auth.split(","))
for line in sys.stdin:
    word, _, number = line.strip().partition(" ")
    if word == "flags":
        said = os.environ.get("MAKEFLAGS")
    elif word == "count":
        said = struct.unpack("i", fcntl.ioctl(reading, termios.FIONREAD, bytes(4)))[0]
    elif word == "take":
        said = len(os.read(reading, int(number)))
    elif word == "give":
        said = os.write(writing, b"+" * int(number))
    elif word == "children":
        try:
            said = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            said = "none"
    elif word == "inherited":
        links = {int(one): os.path.realpath(f"/dev/fd/{one}") for one in os.listdir("/dev/fd")}
        said = [path for number, path in sorted(links.items()) if number >= 40]
    elif word == "exit":
        sys.exit(int(number))
    print(said, flush=True)
"""
STYLES = ("fifo", "pipe")


class Command:
    """The helper, as the command that `run` has become."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def ask(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def count(self) -> int:
        return int(self.ask("count"))

    def until(self, tokens: int) -> None:
        """Until so many are in the pipe. The test's limit ends what does not come."""
        while self.count() != tokens:
            pass

    @property
    def keeper(self) -> psutil.Process:
        """The process beside it: who has its pipe open, and is not below it."""
        self.count()
        (path,) = pipes()
        below = {self.process.pid, *(one.pid for one in psutil.Process().children(recursive=True))}
        (found,) = [
            one for one in psutil.process_iter() if one.pid not in below and has_open(one, path)
        ]
        return found


def pipes() -> list[Path]:
    folder = Path(os.environ["ADMISSION_SOCKET"]).parent / FOLDER
    return list(folder.iterdir()) if folder.exists() else []


def until_pipes(count: int) -> None:
    while len(pipes()) != count:
        pass


def has_open(process: psutil.Process, path: Path) -> bool:
    try:
        there = [os.readlink(fd) for fd in Path(f"/proc/{process.pid}/fd").iterdir()]
    except OSError:
        return False
    return str(path) in there


@pytest.fixture(autouse=True)
def found(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every command finds the daemon by its environment, and no outer make."""
    monkeypatch.setenv("ADMISSION_SOCKET", daemon.path)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CARGO_MAKEFLAGS"):
        monkeypatch.delenv(name, raising=False)
    yield
    until_pipes(0)  # keepers end a moment after their commands


@contextmanager
def running(
    *options: str, before: tuple[str, ...] = (), also: tuple[int, ...] = (), **env: str
) -> Iterator[Command]:
    line = command("run", "--pool", "many", *options, "--", *before, sys.executable, "-c", HELPER)
    with subprocess.Popen(
        line,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | env,
        pass_fds=also,
    ) as process:
        yield Command(process)
        assert process.stdin is not None
        process.stdin.close()


def gone(process: psutil.Process) -> None:
    """Until it has ended, whether or not anybody has buried it."""
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        pass


# --- what the command finds ---------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_there_are_as_many_tokens_as_the_lease_has_units_and_one_is_the_commands(
    style: str,
) -> None:
    with running("--weight", "7", "--jobserver-style", style) as its:
        flags = its.ask("flags")
        assert flags.startswith("-j7 --jobserver-")
        assert ("fifo:" in flags) is (style == "fifo")
        assert its.count() == 6
        assert its.ask("take 6") == "6"
        assert (its.ask("give 6"), its.count()) == ("6", 6)


def test_a_lease_of_one_unit_is_one_job_at_a_time() -> None:
    with running("--jobserver") as its:
        assert (its.ask("flags").split()[0], its.count()) == ("-j1", 0)


def test_without_the_option_there_is_none() -> None:
    with running("--weight", "7") as its:
        assert (its.ask("flags"), pipes()) == ("None", [])


def test_the_style_is_what_the_make_of_the_machine_understands(tmp_path: Path) -> None:
    for version, style in (("4.3", "-fds"), ("4.4", "fifo"), ("none", "fifo")):
        folder = tmp_path / version
        folder.mkdir()
        if version != "none":
            (folder / "make").write_text(f"#!/bin/sh\necho GNU Make {version}\n")
            (folder / "make").chmod(0o755)
        with running("--jobserver", PATH=str(folder)) as its:
            assert style in its.ask("flags")
    said = run(*command("run", "--jobserver", "--", "ninja"), PATH=str(as_ninja(tmp_path / "4.3")))
    assert "--jobserver-auth=fifo:" in said.out


def as_ninja(folder: Path) -> Path:
    (folder / "ninja").write_text('#!/bin/sh\necho "$MAKEFLAGS"\n')
    (folder / "ninja").chmod(0o755)
    return folder


def test_a_style_that_there_is_not_is_wrong_usage(call: Caller) -> None:
    said = call("run", "--jobserver-style", "socket", "--", "true")
    assert said.status == 2
    assert '"socket" is no style of jobserver; write fifo, pipe' in said.err


# --- the level ----------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_tokens_follow_the_level_down_and_up_again(style: str, daemon: Daemon) -> None:
    with running("--weight", "7", "--jobserver-style", style) as its:
        for level, left in ((1, 4), (3, 2), (0, 7)):  # 7 * 2 / 3, 7 * 1 / 3
            daemon.ask("level", set=level)
            its.until(left - 1)


def test_it_begins_with_what_the_level_leaves(daemon: Daemon) -> None:
    daemon.ask("level", set=2)
    with running("--weight", "6", "--jobserver") as its:
        assert its.count() == 1
        daemon.ask("level", set=0)
        its.until(5)


def test_it_begins_so_before_anybody_could_take_what_is_too_many(folder: Path) -> None:
    """The keeper finds nobody here who would tell it the level."""
    path = str(folder / "a.sock")
    folder.chmod(0o700)
    told: Frame = {"params": {"max_concurrent": 1}, "normal": {"max_concurrent": 3}}
    line = command("run", "--weight", "6", "--jobserver-style", "fifo", "--")
    granted = answers({**GRANTED, "weight": 6})
    with Impostor(path, [[granted], [answers(told)]]):
        said = subprocess.run(
            [*line, sys.executable, "-c", HELPER],
            input="count\n",
            env=os.environ | {"ADMISSION_SOCKET": path},
            capture_output=True,
            text=True,
            check=True,
        )
    assert said.stdout == "1\n"


def test_tokens_that_are_out_are_taken_as_they_come_free(daemon: Daemon) -> None:
    with running("--weight", "6", "--jobserver") as its:
        assert its.ask("take 5") == "5"
        daemon.ask("level", set=3)
        for _ in range(4):  # 2 are left: the command's own, and the fifth
            its.ask("give 1")
            its.until(0)
        its.ask("give 1")
        its.until(1)
        daemon.ask("level", set=0)
        its.until(5)


def test_a_restart_of_the_daemon_changes_nothing_and_its_level_is_heeded(daemon: Daemon) -> None:
    with running("--weight", "6", "--jobserver") as its:
        assert its.count() == 5
        daemon.kill()
        assert its.count() == 5
        daemon.start()
        daemon.ask("level", set=3)
        its.until(1)


# --- the process beside it ----------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="it is found by /proc")
def test_the_keeper_is_light_and_has_nothing_of_the_command() -> None:
    reading, writing = os.pipe()
    with running("--weight", "2", "--jobserver", also=(writing,)) as its:
        os.close(writing)
        assert its.ask("children") == "none"
        keeper = its.keeper
        held = {os.readlink(fd) for fd in Path(f"/proc/{keeper.pid}/fd").iterdir()}
        (path,) = map(str, pipes())
        assert {one.partition(":")[0] for one in held} == {
            *("/dev/null", path, "anon_inode", "socket")
        }
        assert keeper.cwd() == "/"
        assert os.getsid(keeper.pid) not in (os.getsid(0), its.process.pid)
        assert keeper.name() == "admission-jobs"
        assert keeper.num_threads() == 1
        its.ask("exit 0")
        assert os.read(reading, 1) == b""
    os.close(reading)


@pytest.mark.skipif(sys.platform != "linux", reason="it is found by /proc")
@pytest.mark.parametrize("how", ["exit", "kill"])
def test_the_status_is_the_commands_and_nothing_is_left(how: str, daemon: Daemon) -> None:
    with running("--weight", "2", "--jobserver") as its:
        assert its.count() == 1
        keeper = its.keeper
        if how == "exit":
            its.ask("exit 5")
        else:
            its.process.kill()
    assert its.process.returncode == (5 if how == "exit" else -signal.SIGKILL)
    gone(keeper)
    assert pipes() == []
    daemon.wait_until(daemon.is_idle)


@pytest.mark.skipif(sys.platform != "linux", reason="it is found by /proc")
def test_signals_do_not_end_the_keeper_and_without_it_tokens_stay() -> None:
    with running("--weight", "3", "--jobserver-style", "fifo") as its:
        keeper = its.keeper
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            keeper.send_signal(number)
        assert its.count() == 2
        assert keeper.status() != psutil.STATUS_ZOMBIE
        assert its.ask("inherited") == str([*map(str, pipes())])
        keeper.kill()
        gone(keeper)
        assert its.count() == 2
        assert len(pipes()) == 1
        with running("--weight", "2", "--jobserver") as another:
            assert (another.count(), len(pipes())) == (1, 2)  # it is in use, and stays
        until_pipes(1)
    assert len(pipes()) == 1
    with running("--weight", "2", "--jobserver") as its:
        assert (its.count(), len(pipes())) == (1, 1)


def test_tokens_of_what_is_killed_are_back_with_the_next_lease() -> None:
    seen = []
    for _ in range(2):
        with running("--weight", "4", "--jobserver") as its:
            seen.append((its.count(), its.ask("take 2"), its.count()))
            its.process.kill()
    assert seen == [(3, "2", 1), (3, "2", 1)]


def test_a_command_that_can_not_be_executed_leaves_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_bytes(b"\0not a program")
    script.chmod(0o755)
    said = run(*command("run", "--jobserver", "--", str(script)))
    assert said.status == 126
    until_pipes(0)


# --- an outer one -------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_inside_another_that_one_is_shared(style: str) -> None:
    inner = (*command("run", "--pool", "many", "--jobserver", "--weight", "3", "--"),)
    with running("--weight", "7", "--jobserver-style", style, before=inner) as its:
        assert its.ask("flags").startswith("-j7 ")
        assert (its.count(), len(pipes())) == (6, 1)


def test_one_that_is_not_to_be_had_is_replaced() -> None:
    for auth in ("fifo:/nonexistent/fifo", "-2,-2", "98,99"):
        with running("--weight", "2", "--jobserver", MAKEFLAGS=f"k --jobserver-auth={auth}") as its:
            assert its.ask("flags").startswith("k -j2 ")
            assert its.count() == 1


def test_cargos_is_shared_by_what_does_not_know_its_name() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"++")
    flags = f"-j --jobserver-fds={reading},{writing} --jobserver-auth={reading},{writing}"
    line = command("run", "--jobserver", "--", "sh", "-c", 'echo "$MAKEFLAGS"')
    said = subprocess.run(
        line,
        env=os.environ | {"CARGO_MAKEFLAGS": flags},
        pass_fds=(reading, writing),
        capture_output=True,
        text=True,
        check=True,
    )
    os.close(reading)
    os.close(writing)
    assert said.stdout == flags + "\n"


# --- without a daemon ---------------------------------------------------------------------------


def test_without_a_daemon_there_are_as_many_as_were_asked_for(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    path = str(tmp_path / "run" / "a.sock")
    with running(
        "--weight", "4", "--jobserver", ADMISSION_SOCKET=path, ADMISSION_FAIL="open"
    ) as its:
        assert its.count() == 3


def test_where_there_is_no_place_for_it_nothing_runs(tmp_path: Path, daemon: Daemon) -> None:
    Path(daemon.path).parent.chmod(0o770)
    try:
        said = run(
            *command("run", "--jobserver", "--", "touch", str(tmp_path / "ran")),
            XDG_RUNTIME_DIR="/nonexistent",
            HOME="/nonexistent",
        )
    finally:
        Path(daemon.path).parent.chmod(0o700)
    assert said.status == 69
    assert said.err.startswith("admission: there is no folder for a jobserver's pipe (")
    assert not (tmp_path / "ran").exists()
