"""Whatever comes in: one clear sentence, the exit status of the table, and the daemon goes on."""

import socket

import msgpack
import pytest

from admission.protocol import Frames
from tests.system.stage import Stage


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("run", "--weight", "0", "--", "true"), 2, '"0" is no whole number from 1 up'),
        (("run", "--weight", "-1", "--", "true"), 2, '"-1" is no whole number from 1 up'),
        (("run", "--weight", "1.5", "--", "true"), 2, '"1.5" is no whole number from 1 up'),
        (("run", "--weight", str(10**30), "--", "true"), 64, "use smaller numbers"),
        (("run", "--weight", "6", "--", "true"), 64, "weight 6 can never be granted"),
        (("run", "--pool", "nosuch", "--", "true"), 64, "the pools are agents, operations"),
        (("run", "--task", "x" * 201, "--", "true"), 64, "task is"),
        (("run", "--class", "urgent", "--", "true"), 2, "write critical, normal, batch"),
        (("run", "--wait", "soon", "--", "true"), 2, "write 500ms, 30s, 10m, 2h"),
        (("run", "--wat", "5", "--", "true"), 2, "admission run"),
        (("run",), 2, "name a command"),
        (("run", "--", "no-such-command"), 127, "was not found"),
        (("run", "--", "./config.toml"), 126, "is not executable"),
        (("release", "12345"), 75, "there is no lease 12345"),
        (("release", "x"), 2, "a lease is named by its number"),
        (("release",), 2, "name a lease"),
        (("level", "4"), 2, "write 0, 1, 2, 3, off or auto"),
        (("level", "--for", "5m"), 2, "--for goes with a level"),
        (("watch", "--topics", "weather"), 2, 'there is no topic "weather"'),
        (("acquire", "--pid", "4194304"), 75, "there is no process 4194304"),
        (("leases", "extra"), 2, "one word too many"),
        (("flee",), 2, "there is no command"),
    ],
)
def test_a_command_line_that_is_wrong(
    stage: Stage, words: tuple[str, ...], status: int, message: str
) -> None:
    # What is only found out by becoming the command needs a process to become it.
    refused = (stage.run if status in (126, 127) else stage.call)(*words)
    assert refused.returncode == status
    assert message in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
    said = [line for line in refused.stderr.splitlines() if not line.startswith(("usage:", " "))]
    assert len(said) == 1
    with stage.client() as client:
        assert client.ask("acquire", {"wait_s": 0})["lease"]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"\xff\xff\xff\xff", "1 to 65536 bytes long, not 4294967295"),
        (b"\x00\x00\x00\x00", "1 to 65536 bytes long, not 0"),
        (b"GET / HTTP/1.1\r\n\r\n", "bytes long, not 1195725856"),
        (b"\x00\x00\x00\x03\xc1\xc1\xc1", "does not hold one msgpack value"),
        (b"\x00\x00\x00\x03\x93\x01\x02", "does not hold one msgpack value"),
        (b"\x00\x00\x00\x03\x92\x01\x02", "a frame holds a map, not a list"),
    ],
)
def test_bytes_that_are_no_frame_end_their_connection_only(
    stage: Stage, sent: bytes, message: str
) -> None:
    with stage.client() as bystander:
        bystander.ask("status")
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(stage.socket))
            raw.sendall(sent)
            answer = b""
            while data := raw.recv(4096):
                answer += data
        (frame,) = Frames().feed(answer)
        assert frame["ok"] is False
        error = frame["error"]
        assert isinstance(error, dict)
        assert error["code"] == "bad_frame"
        assert message in str(error["message"])
        bystander.ask("status")


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        ({"id": 1, "op": "acquire", "weight": 0}, "bad_request", "weight is 0"),
        ({"id": 1, "op": "acquire", "weight": -1}, "bad_request", "weight is -1"),
        ({"id": 1, "op": "acquire", "weight": 2**63}, "bad_request", "weight is"),
        ({"id": 1, "op": "acquire", "weight": "two"}, "bad_request", "weight is 'two'"),
        ({"id": 1, "op": "acquire", "task": "x" * 60_000}, "bad_request", "task is"),
        ({"id": 1, "op": "acquire", "pool": "nosuch"}, "unknown_pool", "there is no pool"),
        ({"id": 1, "op": "release"}, "bad_request", "lease"),
        ({"id": 1, "op": "dance"}, "unknown_op", "there is no op"),
        ({"id": 1}, "bad_request", 'has an "op"'),
        ({"id": -1, "op": "status"}, "bad_request", 'has an "id"'),
        ({"op": "status"}, "bad_request", 'has an "id"'),
    ],
)
def test_a_request_that_is_wrong_changes_nothing_and_leaves_its_connection_open(
    stage: Stage, request_: dict[str, object], code: str, message: str
) -> None:
    body = msgpack.packb(request_)
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(stage.socket))
        frames = Frames()
        for sent in (body, msgpack.packb({"id": 7, "op": "status"})):
            raw.sendall(len(sent).to_bytes(4, "big") + sent)
        found = frames.feed(raw.recv(65_536))
        while len(found) < 2:
            found += frames.feed(raw.recv(65_536))
    refused, answered = found
    error = refused["error"]
    assert isinstance(error, dict)
    assert error["code"] == code
    assert message in str(error["message"])
    assert len(str(error["message"])) < 300
    assert answered["id"] == 7
    assert answered["ok"] is True
    assert answered["granted"] == 0


def test_a_label_of_a_megabyte_is_no_frame(stage: Stage) -> None:
    body = msgpack.packb({"id": 1, "op": "acquire", "task": "x" * 1_000_000})
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(stage.socket))
        raw.send(len(body).to_bytes(4, "big") + body[:4096])
        (frame,) = Frames().feed(raw.recv(65_536))
    assert "not 1000026" in str(frame["error"])
    assert stage.run("status").returncode == 0


def test_a_socket_path_that_is_too_long(empty_stage: Stage) -> None:
    path = "/tmp/" + "x" * 120
    for words in (("status",), ("run", "--", "true"), ("serve",)):
        refused = empty_stage.run(*words, ADMISSION_SOCKET=path)
        assert refused.returncode == 78
        assert "103 is the most" in refused.stderr
        assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('[throttle]\ninterval_s = "often"\n', "[throttle]: interval_s: Expected float, got str"),
        ("[pools.agents]\ncapacty = 3\n", 'unknown key "capacty"; did you mean "capacity"?'),
        ("[throttle\n", "is not valid TOML"),
        ("[[throttle.levels]]\nlevel = 7\n", "level"),
    ],
)
def test_a_configuration_that_is_wrong(empty_stage: Stage, written: str, message: str) -> None:
    empty_stage.config.write_text(written)
    refused = empty_stage.run("serve")
    assert refused.returncode == 78
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1
    # Whoever wanted the daemon to be started hears why it was not.
    refused = empty_stage.run("run", "--", "true")
    assert refused.returncode == 69
    assert message in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_tasks_file_with_a_broken_line_starts_nothing(stage: Stage) -> None:
    tasks = stage.folder / "tasks.txt"
    tasks.write_text(f'touch {stage.folder}/ran\n{{"command": 7}}\n')
    refused = stage.run("autopilot", str(tasks))
    assert refused.returncode == 2
    assert f"{tasks}, line 2:" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not (stage.folder / "ran").exists()


def test_a_second_daemon_leaves_the_first_alone(stage: Stage) -> None:
    holder = stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    refused = stage.run("serve")
    assert refused.returncode == 75
    assert f"process {stage.daemon_pid}" in refused.stderr
    assert stage.look().holders == {holder.pid}


def test_errors_are_json_where_json_was_asked_for(stage: Stage) -> None:
    refused = stage.run("release", "--json", "12345")
    assert refused.returncode == 75
    assert '"code": "unknown_lease"' in refused.stdout


def test_a_reader_that_goes_away_ends_a_watch_quietly(stage: Stage) -> None:
    watch = stage.spawn("watch")
    assert watch.stdout is not None
    watch.stdout.readline()
    watch.stdout.close()
    stage.set_level(2)
    assert watch.stderr is not None
    assert watch.stderr.read() == b""
    assert watch.wait() == 141
