"""Who is let in: limits of connections, other users, and a machine that has nothing left."""

import errno
import os
import socket
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from admission.core.leases import Holder
from admission.service import connections
from admission.service.config import Config
from admission.service.connections import accept_connections
from admission.service.holders import Gone
from admission.service.peers import Peer
from tests.service.client import Client, until
from tests.service.house import Open
from tests.service.stage import Stage, code_of, error_of

pytestmark = pytest.mark.trio
FULL = {"weight": 5}


async def test_so_many_connections_are_served_and_one_more_is_told_so(serve: Open) -> None:
    house = await serve(Config(connections_max=2))
    first, second = await house.connect(), await house.connect()
    await first.ask("hello")
    await second.ask("hello")
    (frame,) = await (await house.connect()).until_closed()
    assert (frame["id"], code_of(frame)) == (0, "too_many_connections")
    assert error_of(frame)[1].startswith("2 connections are open, and that is the limit")
    await first.close()
    await until(lambda: house.lines == 1)
    assert (await (await house.connect()).ask("hello"))["ok"] is True


async def test_the_limit_holds_for_those_who_come_all_at_once(serve: Open) -> None:
    house = await serve(Config(connections_max=3))
    for _ in range(5):
        clients = house.connect_at_once(8)
        await until(lambda: house.lines >= 3)
        await wait_all_tasks_blocked()
        assert house.lines == 3
        for client in clients:
            await client.close()
        await until(lambda: house.lines == 0)


async def test_another_user_is_refused_before_anything_is_read(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = Peer(Holder(4711, 1), os.getuid() + 1)
    monkeypatch.setattr(connections, "peer_of", lambda sock: stranger)
    house = await serve()
    client = await house.connect()
    (frame,) = await client.until_closed()
    assert code_of(frame) == "not_permitted"
    assert house.lines == 0


@pytest.mark.parametrize(
    ("problem", "codes"),
    [(Gone(), []), (OSError(errno.EMFILE, "Too many open files"), ["too_many_connections"])],
)
async def test_a_peer_that_can_not_be_known_is_not_served(
    serve: Open, monkeypatch: pytest.MonkeyPatch, problem: Exception, codes: list[str]
) -> None:
    def refuse(sock: socket.socket) -> Peer:
        raise problem

    house = await serve()
    with monkeypatch.context() as patch:
        patch.setattr(connections, "peer_of", refuse)
        client = await house.connect()
        assert [code_of(frame) for frame in await client.until_closed()] == codes
    assert (await (await house.connect()).ask("hello"))["ok"] is True


class Scarce(socket.socket):
    """A listener on a machine that has nothing left, for a while."""

    problems: list[int]

    def accept(self) -> tuple[socket.socket, object]:
        if self.problems:
            problem = self.problems.pop()
            raise OSError(problem, os.strerror(problem))
        return super().accept()


async def test_accepting_pauses_while_there_is_nothing_left_and_comes_back(
    listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ACCEPT_PAUSE_S", 0.001)
    stage = Stage(tmp_path)
    with Scarce(fileno=os.dup(listener.fileno())) as scarce:
        scarce.problems = [*connections.SCARCE, errno.ECONNABORTED]
        async with trio.open_nursery() as nursery:
            await nursery.start(stage.daemon.run, [], frozenset())
            nursery.start_soon(accept_connections, scarce, stage.daemon)
            client = Client(await trio.open_unix_socket("s"))
            assert (await client.ask("hello"))["ok"] is True
            assert scarce.problems == []
            await client.close()
            nursery.cancel_scope.cancel()
