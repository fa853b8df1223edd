"""Who is at the other end of a socket, as `service/holders.py` asks the kernel."""

import errno
import os
import pwd
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from admission.core.leases import UNSEEN
from admission.service import peers
from admission.service.holders import Gone, identify
from admission.service.peers import groups_by_database, parse_xucred, peer_of
from tests.service.children import holder_of, open_descriptors, python, wait_for_end


class Stub(socket.socket):
    """One end of a pair whose kernel answers a question with an error, or as the test says."""

    option = peers.SO_PEERPIDFD
    problem = 0
    answer: bytes | None = None

    def getsockopt(self, *words: int) -> int | bytes:  # type: ignore[override]
        if words[1] == self.option:
            if self.answer is not None:
                return self.answer
            raise OSError(self.problem, os.strerror(self.problem))
        return super().getsockopt(*words)


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("s")
        sock.listen()
        sock.settimeout(20)
        yield sock


CONNECT = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('s'); "


def test_the_peer_of_a_pair_is_oneself() -> None:
    before = open_descriptors()
    one, other = socket.socketpair()
    with one, other:
        peer = peer_of(one)
        assert (peer.holder, peer.uid) == (identify(os.getpid()), os.getuid())
    assert open_descriptors() == before


def test_the_peer_is_the_process_that_connected(listener: socket.socket) -> None:
    with python(CONNECT + "s.recv(1)") as process, listener.accept()[0] as sock:
        assert peer_of(sock).holder == holder_of(process)


@pytest.mark.parametrize("reap", [False, True])
def test_a_peer_that_has_ended_is_gone_even_if_a_child_kept_its_socket(
    listener: socket.socket, reap: bool
) -> None:
    keep = "import os; os.fork() or s.recv(1)"
    with python(CONNECT + keep) as process, listener.accept()[0] as sock:
        wait_for_end(process, reap=reap)
        with pytest.raises(Gone):
            peer_of(sock)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has SO_PEERPIDFD")
@pytest.mark.parametrize(
    ("problem", "outcome"),
    [
        (errno.ENOPROTOOPT, None),  # a kernel before 6.5: the PID has to do
        (errno.ESRCH, Gone),  # the peer has ended and was reaped; its PID may be another's
        (errno.EINVAL, Gone),  # the same, from 6.5 to 6.12
        (errno.EMFILE, OSError),  # it can't be told just now
    ],
)
def test_a_kernel_that_can_not_name_the_peer_is_understood(
    problem: int, outcome: type[Exception] | None
) -> None:
    one, other = socket.socketpair()
    with Stub(fileno=one.detach()) as stub, other:
        stub.problem = problem
        if outcome is None:
            assert peer_of(stub).holder == identify(os.getpid())
        else:
            with pytest.raises(outcome):
                peer_of(stub)


def test_the_groups_of_a_peer_are_those_of_its_process() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert peer_of(one).gids == frozenset((os.getgid(), *os.getgroups()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has SO_PEERGROUPS")
def test_a_kernel_that_does_not_tell_the_groups_is_not_taken_to_say_none() -> None:
    one, other = socket.socketpair()
    with Stub(fileno=one.detach()) as stub, other:
        stub.option, stub.problem = peers.SO_PEERGROUPS, errno.ENOPROTOOPT
        assert peer_of(stub).gids is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has PID namespaces")
def test_a_peer_without_a_number_here_can_not_be_seen() -> None:
    one, other = socket.socketpair()
    with Stub(fileno=one.detach()) as stub, other:
        stub.option, stub.answer = (
            getattr(socket, "SO_PEERCRED", 17),
            struct.pack("iII", 0, 4711, 4712),
        )
        assert peer_of(stub).holder == UNSEEN
        assert peer_of(stub).uid == 4711


def test_the_database_knows_a_users_groups_and_none_of_a_stranger() -> None:
    assert pwd.getpwuid(os.getuid()).pw_gid in groups_by_database(os.getuid())
    assert groups_by_database(3_999_999_999) == frozenset()


# struct xucred as macOS has it: version, uid, how many groups, room, the groups.
XUCRED = struct.pack("=IIhh16I", 0, 501, 3, 0, 20, 12, 61, *[0] * 13)


def test_the_credentials_of_macos_are_read() -> None:
    assert len(XUCRED) == peers.XUCRED_BYTES
    assert parse_xucred(XUCRED) == (501, frozenset({20, 12, 61}))
    full = struct.pack("=IIhh16I", 0, 501, 16, 0, *range(16))
    assert parse_xucred(full) == (501, None), "there may be more"
