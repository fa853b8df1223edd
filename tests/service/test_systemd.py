"""What systemd hands over and is told; whatever is wrong with it is said, and no more."""

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from admission.service import systemd
from admission.service.systemd import Notifier, path_of, take_socket


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "s"


@pytest.fixture
def listener(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
        sock.listen()
        yield sock


def environment(**more: str) -> dict[str, str]:
    return {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": "1",
        "LISTEN_FDNAMES": "a",
        "A": "b",
    } | more


# --- what it hands over -------------------------------------------------------------------------


def test_a_listening_socket_is_taken(
    listener: socket.socket, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemd, "FIRST_FD", os.dup(listener.fileno()))
    environ = environment()
    taken = take_socket(environ)
    assert environ == {"A": "b"}, "nobody else is to take it for theirs"
    assert taken is not None
    with taken:
        assert path_of(taken) == path
        assert not taken.getblocking()
        assert not taken.get_inheritable()


@pytest.mark.parametrize(
    "other", [{"LISTEN_PID": "1"}, {"LISTEN_PID": ""}, {"LISTEN_FDS": "0"}, {"LISTEN_FDS": ""}]
)
def test_what_is_another_processs_or_nothing_is_left_alone(
    other: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    environ = environment(**other)
    assert take_socket(environ) is None
    assert environ == {"A": "b"}
    assert caplog.records == []


@pytest.mark.parametrize("kind", ["two", "some", "pipe", "closed", "tcp", "datagram", "mute", "@"])
def test_what_is_no_listening_unix_stream_socket_is_of_no_use(
    kind: str, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    how = socket.SOCK_DGRAM if kind == "datagram" else socket.SOCK_STREAM
    count = {"two": "2", "some": "some"}.get(kind, "1")
    reading, writing = os.pipe()
    with socket.socket(family, how) as sock:
        if kind not in ("tcp", "datagram"):
            sock.bind("\0admission-test" if kind == "@" else str(path))
        if kind in ("@", "tcp"):
            sock.listen()
        number = {"pipe": reading, "closed": 1 << 20}.get(kind, sock.fileno())
        monkeypatch.setattr(systemd, "FIRST_FD", number)
        assert take_socket(environment(LISTEN_FDS=count)) is None
        assert "what systemd hands over is of no use" in caplog.text
        assert sock.getsockname() is not None, "it is still open"
        os.close(reading)
        os.close(writing)


# --- what it is told ----------------------------------------------------------------------------


@pytest.mark.trio
@pytest.mark.parametrize("address", ["@admission-notify", "s"])
async def test_it_is_told_that_the_daemon_serves_reads_anew_and_ends(
    address: str, path: Path
) -> None:
    environ = {"NOTIFY_SOCKET": str(path) if address == "s" else address}
    if address == "s":
        assert path.is_absolute()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(path) if address == "s" else "\0" + address[1:])
        notifier = Notifier(environ)
        assert environ == {}
        assert notifier
        await notifier.ready("5 agents at level 0")
        await notifier.reloading()
        await notifier.stopping("ending")
        heard = [told.recv(500).decode().splitlines() for _ in range(3)]
    assert heard[0] == ["READY=1", "STATUS=5 agents at level 0", f"MAINPID={os.getpid()}"]
    assert heard[1][0] == "RELOADING=1"
    assert int(heard[1][1].removeprefix("MONOTONIC_USEC=")) > 0
    assert heard[2] == ["STOPPING=1", "STATUS=ending"]


@pytest.mark.trio
@pytest.mark.parametrize("address", ["/nonexistent/notify", "vsock:2:1234", "@", "/" + "x" * 200])
async def test_where_it_can_not_be_told_the_log_says_so(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    await Notifier({"NOTIFY_SOCKET": address}).ready("5 agents at level 0")
    assert "systemd can't be told READY=1" in caplog.text


@pytest.mark.trio
async def test_one_that_does_not_listen_is_not_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(systemd, "TELL_LIMIT_S", 0.01)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(path))
        notifier = Notifier({"NOTIFY_SOCKET": str(path)})
        for _ in range(5_000):
            if "does not take STATUS=" in caplog.text:
                break
            await notifier.tell("STATUS=" + "x" * 4_000)
        else:
            raise AssertionError("it takes everything")


@pytest.mark.trio
async def test_where_nobody_wants_to_know_nothing_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    notifier = Notifier({})
    assert not notifier
    await notifier.ready("5 agents at level 0")
    assert caplog.records == []
