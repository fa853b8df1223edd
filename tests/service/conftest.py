"""Fixtures of the service's tests: `start` is on virtual time, `serve` on real sockets."""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import trio
from trio.testing import MockClock

from admission.core import events as ev
from admission.core.leases import Holder
from admission.service.config import Config
from admission.service.connections import accept_connections
from admission.service.journal import Journal
from tests.service.children import open_descriptors
from tests.service.house import House, Open
from tests.service.stage import Stage

BOOT = "this boot"


class Start(Protocol):
    async def __call__(
        self,
        config: Config | None = None,
        *,
        records: tuple[ev.Record, ...] = (),
        living: frozenset[Holder] = frozenset(),
        reading: tuple[float | None, float | None] = (20.0, 10.0),
    ) -> Stage: ...


@pytest.fixture
def start(tmp_path: Path, nursery: trio.Nursery) -> Start:
    """Starts a daemon. The test must take `autojump_clock` itself: pytest-trio looks no deeper.

    `reading`: what memory and CPU are used, in percent, from the first sample on.
    """

    async def begin(
        config: Config | None = None,
        *,
        records: tuple[ev.Record, ...] = (),
        living: frozenset[Holder] = frozenset(),
        reading: tuple[float | None, float | None] = (20.0, 10.0),
    ) -> Stage:
        assert isinstance(trio.lowlevel.current_clock(), MockClock), "this is for virtual time"
        stage = Stage(tmp_path, config)
        stage.readings.memory_pct, stage.readings.cpu_pct = reading
        await nursery.start(stage.daemon.run, list(records), living)
        return stage

    return begin


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """One that is not written yet; it leaves no descriptor open."""
    before = open_descriptors()
    journal = Journal(tmp_path / "a.journal", BOOT)
    yield journal
    journal.close()
    assert open_descriptors() == before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a daemon's would be; it is not made yet."""
    return tmp_path / "run"


@pytest.fixture
def path(folder: Path) -> Path:
    """A socket's, in a folder as a daemon makes it."""
    folder.mkdir(mode=0o700)
    return folder / "a.sock"


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.chdir(tmp_path)  # a path as short as can be
    before = open_descriptors()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("s")
        sock.listen(64)
        sock.setblocking(False)
        yield sock
    assert open_descriptors() <= before + 4, "trio's own come with the first loop"


@pytest.fixture
async def serve(listener: socket.socket, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a house; whoever is still connected at the end is closed."""
    houses: list[House] = []
    async with trio.open_nursery() as nursery:

        async def begin(config: Config | None = None) -> House:
            stage = Stage(tmp_path, config)
            await nursery.start(stage.daemon.run, [], frozenset())
            nursery.start_soon(accept_connections, listener, stage.daemon)
            houses.append(House(stage))
            return houses[-1]

        yield begin
        for house in houses:
            for client in house.clients:
                await client.close()
        nursery.cancel_scope.cancel()
