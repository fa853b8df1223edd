"""Other users of the machine: kept out, or let in as members of a group and no further.

Each is a process of its own, under another user's number; only root can start those.
"""

import signal
import stat
import subprocess

import pytest

from admission.protocol import Frames
from admission_client.granted import rows, text
from tests.system.stage import CALM, Stage
from tests.system.talking import NOBODY, SOMEBODY, as_user, group, talker, why_no_other_user

pytestmark = pytest.mark.skipif(bool(why_no_other_user()), reason=why_no_other_user())

IN = (group().gr_gid,)


def as_nobody(code: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Runs this Python code as another user, to its end."""
    command = as_user(code, *words, uid=NOBODY)
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


@pytest.fixture
def alone(stage: Stage) -> Stage:
    """A daemon for its own user, in a folder that others can come to."""
    stage.folder.chmod(0o755)
    return stage


@pytest.fixture
def shared(empty_stage: Stage) -> Stage:
    """A daemon for a group."""
    empty_stage.config.write_text(f'{CALM}\n[access]\ngroup = "{group().gr_name}"\n')
    empty_stage.folder.chmod(0o755)
    empty_stage.env["ADMISSION_AUTOSTART"] = "0"
    empty_stage.serve()
    return empty_stage


# --- for one user ---------------------------------------------------------------------------------

CONNECT = """
import socket, sys
for _ in range(20):
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(sys.argv[1])
        while data := sock.recv(4096):
            sys.stdout.write(data.hex())
        sys.stdout.write(" ")
    except OSError as problem:
        sys.stdout.write(type(problem).__name__ + " ")
"""
DENIED = ["PermissionError"] * 20


def test_nobody_else_comes_as_far_as_the_socket(alone: Stage) -> None:
    assert as_nobody(CONNECT, str(alone.socket)).stdout.split() == DENIED


def test_one_who_gets_there_all_the_same_is_refused_before_anything_is_read(alone: Stage) -> None:
    """As where the folder was opened by a mistake."""
    alone.socket.parent.chmod(0o755)
    alone.socket.chmod(0o666)
    holder = alone.hold()
    alone.until(lambda view: view.holders == {holder.pid})
    said = as_nobody(CONNECT, str(alone.socket)).stdout.split()
    assert len(said) == 20
    for frame in Frames().feed(bytes.fromhex("".join(said))):
        assert frame["error"] == {
            "code": "not_permitted",
            "message": "this daemon serves the user it runs as and no other",
        }
    with talker(alone, uid=NOBODY) as other:
        for _ in range(20):  # each on a connection of its own: the last one is closed by now
            other.ask("reconnect")
            assert other.ask("release", lease=1)["code"] == "not_permitted"
    assert alone.look().holders == {holder.pid}


SIGNAL = """
import os, sys
for number in map(int, sys.argv[2:]):
    try:
        os.kill(int(sys.argv[1]), number)
        sys.stdout.write("sent ")
    except PermissionError:
        sys.stdout.write("refused ")
"""


def test_nobody_elses_signal_reaches_the_daemon(alone: Stage) -> None:
    numbers = [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGSTOP, signal.SIGINT]
    words = [str(int(number)) for number in numbers]
    done = as_nobody(SIGNAL, str(alone.daemon_pid), *words)
    assert done.stdout.split() == ["refused"] * len(numbers)
    assert alone.run("status").returncode == 0


PLANT = """
import os, socket, sys
kind, folder, target = sys.argv[1:]
if kind == "link":
    os.symlink(target, folder)
else:
    os.mkdir(folder, 0o700)
    if kind == "socket":
        socket.socket(socket.AF_UNIX).bind(f"{folder}/a.sock")
"""


@pytest.mark.parametrize("kind", ["link", "socket"])
def test_what_another_user_has_planted_where_the_socket_goes_is_not_used(
    empty_stage: Stage, kind: str
) -> None:
    """In a folder that anybody may write in, such as /tmp."""
    empty_stage.folder.chmod(0o1777)
    target = empty_stage.folder / "dear"
    target.mkdir(mode=0o700)
    planted = empty_stage.folder / "planted"
    assert as_nobody(PLANT, kind, str(planted), str(target)).returncode == 0
    refused = empty_stage.run("serve", "--socket", str(planted / "a.sock"))
    assert refused.returncode == 77
    assert refused.stderr.count("\n") == 1
    assert str(planted) in refused.stderr
    assert [*target.iterdir()] == [], "nothing was made where the link leads"


def as_member(stage: Stage, *words: str) -> "subprocess.CompletedProcess[str]":
    """`admission WORDS …` of a member, to its end."""
    code = "from admission_client.cli import main; sys.exit(main(sys.argv[1:]))"
    command = as_user(code, *words, uid=NOBODY, gids=IN)
    return subprocess.run(command, capture_output=True, text=True, env=stage.env, check=False)


# --- for a group ----------------------------------------------------------------------------------


def test_the_group_alone_comes_to_the_socket_and_to_nothing_beside_it(shared: Stage) -> None:
    folder, listening = shared.socket.parent.stat(), shared.socket.stat()
    assert (folder.st_gid, listening.st_gid) == IN * 2
    assert stat.S_IMODE(folder.st_mode) & 0o027 == 0
    assert stat.S_IMODE(listening.st_mode) == 0o660
    assert as_nobody(CONNECT, str(shared.socket)).stdout.split() == DENIED
    beside = [path for path in shared.socket.parent.iterdir() if path != shared.socket]
    assert len(beside) >= 3
    assert [path.name for path in beside if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    with talker(shared, uid=NOBODY, gids=IN) as member:
        assert member.ask("hello")["server"]


def test_a_member_sees_of_another_that_he_is_there(shared: Stage) -> None:
    with (
        talker(shared, uid=NOBODY, gids=IN) as one,
        talker(shared, uid=SOMEBODY, gids=IN) as other,
    ):
        lease = one.ask("acquire", task="merger", group="finance", bound="process")
        assert lease["pid"] == one.process.pid
        shown, everything = other.ask("leases"), shared.look().leases
        (row,) = rows(shown, "leases")
        name = everything[0]["user"]
        assert (row["lease"], row["user"], row["state"]) == (lease["lease"], name, "held")
        assert (row["task"], row["group"], row["pid"], row["from"]) == ("", "", 0, "")
        assert "python" in str(everything[0]["from"])
        assert (everything[0]["task"], everything[0]["pid"]) == ("merger", one.process.pid)
        head, line = shared.run("leases").stdout.splitlines()
        assert (head.split()[0], line.split()[0]) == ("USER", name)
        assert shared.run("explain").returncode == 0


def test_guesses_of_leases_and_secrets_and_request_ids_are_worth_nothing(shared: Stage) -> None:
    once = "cd" * 16
    with (
        talker(shared, uid=NOBODY, gids=IN) as one,
        talker(shared, uid=SOMEBODY, gids=IN) as other,
    ):
        lease = one.ask("acquire", request=once)
        for number in range(1, 20):
            for op in ("release", "renew", "yield", "regain", "resume"):
                answer = other.ask(op, lease=number, secret=lease["secret"])
                guessed = number == lease["lease"]
                assert answer["code"] == ("not_permitted" if guessed else "unknown_lease")
        assert other.ask("cancel", request=once)["found"] is False
        assert other.ask("acquire", request=once)["lease"] != lease["lease"]
        assert other.ask("acquire", pid=one.process.pid)["code"] == "not_permitted"
        rights = [row["state"] for row in shared.look().leases if row["lease"] == lease["lease"]]
        assert rights == ["held"]
        assert "secret" not in str(other.ask("leases"))


def test_what_steers_the_machine_is_not_for_members(shared: Stage) -> None:
    dear = shared.folder / "dear"
    dear.mkdir()
    with talker(shared, uid=NOBODY, gids=IN) as member:
        refused = [
            member.ask("level", set=3),
            member.ask("reload"),
            member.ask("workspace", path=str(dear)),
        ]
        assert [answer["code"] for answer in refused] == ["not_permitted"] * 3
        assert "only root may do this" in text(refused[2], "message")
        assert member.ask("level")["level"] == 0
    assert [*dear.iterdir()] == []


def test_the_operator_ends_a_members_lease_and_asks_for_one_in_his_name(shared: Stage) -> None:
    with talker(shared, uid=NOBODY, gids=IN) as member:
        lease = member.ask("acquire", bound="process")
        ended = shared.run("release", str(lease["lease"]), "--force")
        assert ended.returncode == 0, ended.stderr
        assert shared.look().leases == []
        pid = member.process.pid
        given = shared.run("acquire", "--pid", str(pid))
        assert given.returncode == 0, given.stderr
        assert member.ask("release", lease=int(given.stdout))["ok"] is True


def test_whose_a_lease_is_survives_the_daemon(shared: Stage) -> None:
    with talker(shared, uid=NOBODY, gids=IN) as one:
        lease = one.ask("acquire", bound="process")
        shared.kill_daemon()
        shared.serve()
        with talker(shared, uid=SOMEBODY, gids=IN) as other:
            assert other.ask("release", lease=lease["lease"])["code"] == "not_permitted"
        one.ask("reconnect")
        assert one.ask("release", lease=lease["lease"])["ok"] is True


def test_a_member_runs_commands_looks_and_is_told_what_is_not_his(shared: Stage) -> None:
    holder = shared.hold("--task", "merger")
    shared.until(lambda view: view.holders == {holder.pid})
    done = as_member(shared, "run", "--", "id", "-u")
    assert (done.returncode, done.stdout) == (0, f"{NOBODY}\n"), done.stderr
    for command in ("leases", "status", "explain"):
        done = as_member(shared, command)
        assert done.returncode == 0, done.stderr
        assert "merger" not in done.stdout
        assert command != "leases" or str(holder.pid) not in done.stdout.split()
    refused = as_member(shared, "level", "3")
    assert (refused.returncode, refused.stdout) == (77, "")
    assert "only root may do this" in refused.stderr


def test_a_group_that_is_not_there_is_no_reason_to_serve_everybody(empty_stage: Stage) -> None:
    empty_stage.config.write_text('[access]\ngroup = "no-such-group"\n')
    refused = empty_stage.run("serve", "--detach")
    assert refused.returncode == 78
    assert 'there is no group "no-such-group" on this machine' in refused.stderr


# --- floods ---------------------------------------------------------------------------------------

FLOOD = """
import socket, sys
open_ones = []
for _ in range(200):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(sys.argv[1])
    open_ones.append(sock)
print("connected", flush=True)
sys.stdin.read()
"""


def test_one_member_who_takes_all_connections_leaves_room_for_the_others(shared: Stage) -> None:
    shared.config.write_text(
        shared.config.read_text() + "[limits]\nconnections = 32\nfirst_frame_s = 600\n"
    )
    assert shared.run("reload").returncode == 0
    with subprocess.Popen(
        as_user(FLOOD, str(shared.socket), uid=NOBODY, gids=IN),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as flood:
        assert flood.stdout is not None
        assert flood.stdout.readline() == b"connected\n"
        with talker(shared, uid=SOMEBODY, gids=IN) as other:
            assert other.ask("acquire")["ok"] is True
        assert shared.run("status").returncode == 0
        with talker(shared, uid=NOBODY, gids=IN) as more:
            refused = more.ask("hello")
            assert refused["code"] == "too_many_connections"
            assert "16 connections open, and that is your share" in text(refused, "message")
        flood.kill()
