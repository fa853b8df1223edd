"""Who is at the other end of a socket, as `service/holders.py` asks the kernel."""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from admission.service import holders
from admission.service.holders import Gone, identify, peer_of
from tests.service.children import holder_of, open_descriptors, python, wait_for_end


class Stub(socket.socket):
    """One end of a pair whose kernel answers SO_PEERPIDFD with an error."""

    problem = 0

    def getsockopt(self, *words: int) -> int | bytes:  # type: ignore[override]
        if words[1] == holders.SO_PEERPIDFD:
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
