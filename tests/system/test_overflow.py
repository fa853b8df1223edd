"""Work that finds no room here runs on another node: two daemons, and between them a real ssh, or
a runner.
"""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from admission_client.granted import rows
from tests.system.fleet import Fleet, Server
from tests.system.overflowing import Pair, paired, python, toml
from tests.system.sshd import Sshd
from tests.system.stage import COMMAND, RECORDER, end_process, intervals, most_at_once

# Lives until it is ended, and says that it has begun.
LASTS = python("import os,time; print(os.getpid(), flush=True); time.sleep(600)")
OWN = ("ADMISSION_SOCKET", "ADMISSION_CONFIG", "XDG_STATE_HOME")


@pytest.fixture
def pair(folder: Path) -> Iterator[Pair]:
    """Reached by a runner."""
    with paired(folder) as made:
        yield made


def by_ssh(
    pair: Pair,
    overflow: str = "",
    sync: Sequence[str] = (),
    fetch: Sequence[str] = (),
    command: Sequence[str] = COMMAND,
) -> Sshd:
    sshd = Sshd(pair.folder / "ssh", {name: pair.there.env[name] for name in OWN})
    overflow = f"ssh = {toml(sshd.ssh)}\n{overflow}"
    pair.configure('ssh = "there"\n', overflow, sync, fetch, command)
    return sshd


def first_line(process: "subprocess.Popen[bytes]") -> int:
    """What a command there says first: its process."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def await_end(pid: int) -> None:
    """Returns when that process has ended, and whoever is to has buried it."""
    with suppress(psutil.NoSuchProcess):
        psutil.Process(pid).wait()


# --- by ssh -------------------------------------------------------------------------------------


def test_by_ssh_output_input_folder_variables_and_status_are_as_if_it_ran_here(pair: Pair) -> None:
    fetch = ["cp", "{folder}/made", "{cwd}"]
    by_ssh(pair, 'pass_env = ["WORD"]\n', ["cp", "{cwd}/a; b", "{folder}"], fetch)
    pair.serve()
    (pair.here.folder / "a; b").write_text("brought along")
    script = 'cat; cat "a; b"; pwd; echo "$WORD $ADMISSION_SOCKET" >&2; echo new > made; exit 7'
    process = pair.spawn("--", "sh", "-c", script, "it's; $(nothing)", env={"WORD": "a  b"})
    said, told = process.communicate(b"by hand\n")
    assert said.decode() == f"by hand\nbrought along{pair.there.folder}\n", told
    assert f"a  b {pair.there.socket}\n" in told.decode()
    assert "it runs on node b (lease 1 there)" in told.decode()
    assert process.returncode == 7
    assert (pair.here.folder / "made").read_text() == "new\n"
    assert pair.there.look().in_use() == 0
    assert pair.here.look().waiters == []


def await_status(pid: int, status: str) -> None:
    while psutil.Process(pid).status() != status:
        time.sleep(0.01)


def test_by_ssh_ctrl_z_stops_it_there_and_ctrl_c_ends_it_and_leaves_no_process(
    pair: Pair,
) -> None:
    by_ssh(pair)
    pair.serve()
    process = pair.spawn("--", *LASTS)
    pid = first_line(process)
    keeper = psutil.Process(pid).ppid()
    assert pair.there.look().holders == {pid}
    process.send_signal(signal.SIGTSTP)
    await_status(process.pid, psutil.STATUS_STOPPED)
    await_status(pid, psutil.STATUS_STOPPED)
    process.send_signal(signal.SIGCONT)
    await_status(pid, psutil.STATUS_SLEEPING)
    process.send_signal(signal.SIGINT)
    assert process.wait() == -signal.SIGINT
    await_end(pid)
    pair.there.until(lambda view: view.in_use() == 0)
    await_end(keeper)


def test_by_ssh_a_connection_that_breaks_ends_it_there(pair: Pair) -> None:
    by_ssh(pair)
    pair.serve()
    # Who would go on without a lease does not run it a second time, either.
    process = pair.spawn("--", *LASTS, env={"ADMISSION_FAIL": "open"})
    pid = first_line(process)
    (ssh,) = [one for one in psutil.Process(process.pid).children() if one.name() == "ssh"]
    ssh.kill()
    said, told = process.communicate()
    assert (said, process.returncode) == (b"", 69)
    assert "the connection to node b broke (the connection was closed)" in told.decode()
    assert "the command is ended there" in told.decode()
    await_end(pid)
    pair.there.until(lambda view: view.in_use() == 0)


def test_by_ssh_what_is_wrong_is_said_in_one_sentence(pair: Pair) -> None:
    sshd = by_ssh(pair, command=["no-admission"])
    pair.here.serve()
    pair.here.set_level(3)
    pair.here.hold()
    pair.here.until(lambda view: view.in_use() == 1)
    state = pair.here.folder / "state" / "admission" / "nodes" / "b"
    spoilt: list[tuple[Callable[[], None], str]] = [
        (lambda: None, "node b has no no-admission; install it there, or say where it is"),
        (sshd.let_nobody_in, "node b does not let this user in without a question"),
        (sshd.forget_host, "node b has a host key not known here; connect once: ssh there"),
    ]
    for spoil, said in spoilt:
        spoil()
        done = pair.run("--no-wait", "--", "true")
        assert done.returncode == 75
        assert said in done.stderr.splitlines()[0], done.stderr
        assert "Traceback" not in done.stderr
        state.unlink()


# --- by a runner --------------------------------------------------------------------------------


def test_a_kept_command_outlives_its_connection_and_its_lease_with_it(pair: Pair) -> None:
    pair.configure(overflow='on_disconnect = "keep"\n')
    pair.serve()
    os.mkfifo(pair.there.folder / "go")
    process = pair.spawn("--", "sh", "-c", "echo $$; cat go; echo done; exec sleep 600")
    pid = first_line(process)
    process.kill()
    process.wait()
    with open(pair.there.folder / "go", "w"):
        pass
    (log,) = _wait_for(pair.there.folder / "state" / "admission" / "overflow")
    while not log.read_text().endswith("done\n"):
        time.sleep(0.01)
    assert pair.there.look().holders == {pid}
    end_process(pid, signal.SIGKILL)
    pair.there.until(lambda view: view.in_use() == 0)


def _wait_for(folder: Path) -> list[Path]:
    while not (found := list(folder.glob("*.log"))):
        time.sleep(0.01)
    return found


def test_with_all_nodes_full_it_waits_and_says_so_and_goes_where_there_is_room_first(
    pair: Pair,
) -> None:
    pair.serve()
    pair.there.set_level(3)
    elsewhere = pair.there.hold()
    pair.there.until(lambda view: view.in_use() == 1)
    process = pair.spawn("--", "sh", "-c", "echo $ADMISSION_SOCKET")
    assert process.stderr is not None
    while b"no other node takes it now (b: full); it waits here" not in process.stderr.readline():
        pass
    assert pair.here.look().waiters == [process.pid]
    elsewhere.kill()
    said, _ = process.communicate()
    assert said.decode() == f"{pair.there.socket}\n"
    assert pair.here.look().waiters == []


def test_the_other_nodes_own_limit_is_never_passed(pair: Pair) -> None:
    """It has one slot; who comes second waits, and is sent there again."""
    pair.serve()
    pair.there.set_level(3)
    (pair.there.folder / "record.py").write_text(RECORDER)
    record = ("--quiet", "--", sys.executable, "record.py")
    started = [pair.spawn(*record, f"{number}.ran", "0.3") for number in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    found = list(intervals(pair.there.folder))
    assert (len(found), most_at_once(found)) == (2, 1)


def test_what_is_granted_here_while_a_node_makes_ready_runs_here_alone(pair: Pair) -> None:
    """The node has admitted it, and its folder is on its way, when the slot here comes free."""
    holder_ends = ["sh", "-c", 'touch brought; kill "$(cat holder)"; exec sleep 600']
    pair.configure(sync=holder_ends)
    pair.here.serve()
    pair.there.serve()
    pair.here.set_level(3)
    holder = pair.here.hold()
    pair.here.until(lambda view: view.in_use() == 1)
    (pair.here.folder / "holder").write_text(str(holder.pid))
    process = pair.spawn("--", "sh", "-c", "echo $ADMISSION_SOCKET >> ran; cat ran")
    said, told = process.communicate()
    assert said.decode() == f"{pair.here.socket}\n", told
    assert (pair.here.folder / "brought").exists()
    pair.there.until(lambda view: view.in_use() == 0)
    assert not (pair.there.folder / "ran").exists()


def test_a_terminal_stays_one(pair: Pair) -> None:
    pair.serve()
    ours, theirs = pty.openpty()
    code = "import os,sys; print(os.isatty(0), *os.get_terminal_size(), flush=True); input()"
    process = pair.spawn("--tty", "--", *python(code), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while b"True 80 24" not in said:
        said += os.read(ours, 1024)
    os.write(ours, b"\x03")  # to the other side, whose terminal makes a signal of it
    while b"KeyboardInterrupt" not in said:
        said += os.read(ours, 1024)
    assert process.wait() == -signal.SIGINT
    os.close(ours)


def test_the_autopilot_sends_on_what_finds_no_room(pair: Pair) -> None:
    pair.serve()
    tasks = pair.here.folder / "tasks.txt"
    line = {"task": "far", "command": 'echo "$WORD" > made', "env": {"WORD": "ours"}}
    tasks.write_text(json.dumps(line))
    done = pair.here.run("autopilot", "--overflow", "--results", "results", str(tasks))
    assert done.returncode == 0, done.stderr
    assert (pair.there.folder / "made").read_text() == "ours\n"
    result = json.loads((pair.here.folder / "results").read_text())
    assert (result["exit_status"], result["lease"], result["node"]) == (0, 1, "b")


# --- in a fleet ---------------------------------------------------------------------------------


def test_a_node_of_the_fleet_is_found_by_this_machines_daemon_and_its_orders_hold(
    folder: Path,
) -> None:
    b = folder / "b"
    places = (b / "run" / "a.sock", b / "config.toml", b / "state")
    with Server(folder) as etcd:
        sshd = Sshd(folder / "ssh", dict(zip(OWN, map(str, places), strict=True)))
        overflow = (
            'labels = ["gpu"]\nreach = { ssh = "there" }\n[overflow]\nafter_s = 0.1\n'
            f"ssh = {toml(sshd.ssh)}\ncommand = {toml(COMMAND)}\nfolder = {toml(str(folder))}\n"
        )
        with Fleet(folder, [[etcd.url]] * 2, more=overflow) as fleet:
            here, other = fleet.nodes
            here.set_level(3)
            here.hold()
            here.until(lambda view: view.in_use() == 1)
            over = ("run", "--overflow", "--labels", "gpu", "--no-wait", "--", "printenv")
            done = here.run(*over, "ADMISSION_SOCKET")
            assert (done.returncode, done.stdout) == (0, f"{other.socket}\n"), done.stderr
            assert here.run("fleet", "cordon", "b").returncode == 0
            here.fleet_until(lambda said: rows(said, "nodes")[1]["state"] == "cordoned")
            done = here.run(*over, "ADMISSION_SOCKET")
            assert (done.returncode, done.stdout) == (75, "")
            assert "no other node takes it now (b: cordoned)" in done.stderr
