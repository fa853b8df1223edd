"""From permits to leases and back, in a daemon that is a node of a fleet; without an etcd."""

import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from admission.core.levels import PoolSpec
from admission.service.config import Config, FleetConfig
from admission.service.fleet.etcd import Entry, Found, News
from admission.service.fleet.fleet import Fleet, offer_every_s
from admission.service.fleet.keys import Offer
from admission.service.fleet.membership import boot_clock
from admission.service.holders import identify
from tests.service.conftest import Start
from tests.service.stage import Recorder, Stage, map_of, number_of, rows_of

CONFIG = Config(
    pools=(*Config().pools, PoolSpec("api", (3,) * 4, is_fleet=True)),
    fleet=FleetConfig(("http://127.0.0.1:1",), "here"),
)


class Scene:
    """A node that has joined; the test says what stands in etcd."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        daemon = stage.daemon
        self.fleet = Fleet(
            stage.config.fleet,
            daemon.core,
            daemon.clock,
            daemon.feed,
            daemon.tell_holder,
            folder / "f",
        )
        daemon.fleet = self.fleet
        self.revision = 0
        self.fleet.membership.surely_until = boot_clock() + 1000
        self.join()

    def join(self, *entries: Entry) -> None:
        self.fleet._begin(self.fleet.view.begin_anew(Found(entries, 1)))

    def permit(self, *, is_ours: bool = True) -> Entry:
        self.revision += 1
        value = self.fleet.view.instance if is_ours else "theirs"
        key = self.fleet.view.keys.permit("api", "here", str(self.revision))
        return Entry(key, value.encode(), self.revision, 0)

    def hear(self, *events: Entry | str) -> None:
        self.fleet._hear(News(events, self.revision))

    def ask(self, line: Recorder) -> int:
        return self.stage.send(line, "acquire", pool="api")

    def grant(self, line: Recorder) -> tuple[int, Entry]:
        """A request, and the permit that it is granted by."""
        asked, permit = self.ask(line), self.permit()
        self.hear(permit)
        return asked, permit

    def asked(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """What is asked for next and given back."""
        ((_, _, plan),) = self.fleet.lending.plans()
        return plan.ask, plan.give_back


Scenes = Callable[[], Awaitable[Scene]]


@pytest.fixture
def scenes(start: Start, tmp_path: Path) -> Scenes:
    async def begin() -> Scene:
        return Scene(await start(CONFIG), tmp_path)

    return begin


@pytest.mark.trio
async def test_a_lease_has_its_permits_revision_as_its_token(
    scenes: Scenes, autojump_clock: MockClock
) -> None:
    scene = await scenes()
    line = scene.stage.connect()
    first, second = scene.ask(line), scene.ask(line)
    assert scene.asked() == ((1, 1), ())
    theirs, permit = scene.permit(is_ours=False), scene.permit()
    scene.hear(theirs, permit)
    assert line.answer(first)["fence"] == 2
    assert not line.answers(second)
    (row,) = rows_of(scene.stage.ask(line, "leases"), "leases")
    assert (row["fence"], row["state"]) == (2, "held")
    scene.stage.ask(line, "release", lease=number_of(line.answer(first)))
    assert scene.asked() == ((1,), (permit.key,)), "another one is asked for, as it is its turn"


@pytest.mark.trio
async def test_what_is_yielded_goes_back_and_is_regained_by_another(
    scenes: Scenes, autojump_clock: MockClock
) -> None:
    scene = await scenes()
    line = scene.stage.connect()
    asked, permit = scene.grant(line)
    lease = number_of(line.answer(asked))
    scene.stage.ask(line, "yield", lease=lease)
    assert scene.asked() == ((), (permit.key,))
    regained = scene.stage.send(line, "regain", lease=lease)
    scene.hear(permit.key, scene.permit())
    assert line.answer(regained)["fence"] == 2


@pytest.mark.trio
async def test_a_permit_that_is_gone_is_told_to_its_holder(
    scenes: Scenes, autojump_clock: MockClock
) -> None:
    scene = await scenes()
    line = scene.stage.connect()
    asked, permit = scene.grant(line)
    scene.hear(permit.key)
    (event,) = line.events("revoked")
    assert event["id"] == asked
    assert "lost to the fleet: its permit in etcd is gone" in str(event["reason"])
    assert "whose holders go on: 1" in str(scene.stage.ask(line, "status")["degraded"])
    (row,) = rows_of(scene.stage.ask(line, "leases"), "leases")
    assert row["state"] == "lost"
    (pool,) = rows_of(scene.stage.ask(line, "fleet"), "pools")
    assert (pool["lost"], pool["own_held"]) == ([1], 1)
    scene.stage.ask(line, "release", lease=1)
    assert scene.fleet.lending.lost == {}


@pytest.mark.trio
async def test_a_holder_that_can_not_hear_of_it_is_asked_to_end(
    start: Start, autojump_clock: MockClock, tmp_path: Path
) -> None:
    config = replace(CONFIG, fleet=replace(CONFIG.fleet, when_lost="end"))
    scene = Scene(await start(config), tmp_path)
    child = subprocess.Popen(["sleep", "600"])  # noqa: ASYNC220 -- it returns at once
    try:
        holder = identify(child.pid)
        assert holder is not None
        scene.ask(scene.stage.connect(holder))
        permit = scene.permit()
        scene.hear(permit)
        assert child.poll() is None
        scene.hear(permit.key)
        assert child.wait() == -signal.SIGTERM
    finally:
        child.kill()
        child.wait()


@pytest.mark.trio
async def test_after_too_long_nothing_is_lent_before_anybody_is_answered(
    scenes: Scenes, autojump_clock: MockClock
) -> None:
    scene = await scenes()
    line = scene.stage.connect()
    held = scene.ask(line)
    spare = scene.permit()
    scene.hear(scene.permit(), spare)
    assert line.answers(held)
    scene.fleet.membership.surely_until = boot_clock() - 1
    session = scene.fleet._session = trio.CancelScope()
    late = scene.ask(line)
    assert not line.answers(late), "by a permit that is surely ours no more"
    assert len(line.events("revoked")) == 1
    assert session.cancel_called, "the next one looks at all anew"
    scene.fleet.membership.surely_until = boot_clock() + 1000
    scene.join(scene.permit())
    assert line.answers(late)
    assert len(line.events("revoked")) == 1, "what was lost is not found again"


@pytest.mark.trio
async def test_permits_are_found_again_after_a_restart(
    scenes: Scenes, autojump_clock: MockClock
) -> None:
    scene = await scenes()
    lines = [scene.stage.connect() for _ in range(3)]
    for line in lines:
        scene.ask(line)
    permits = [scene.permit() for _ in lines]
    scene.hear(*permits)
    heir = Fleet(
        CONFIG.fleet, scene.stage.core, scene.stage.daemon.clock, scene.stage.daemon.feed,
        scene.stage.daemon.tell_holder, scene.fleet._path,
    )  # fmt: skip
    heir.membership.surely_until = boot_clock() + 1000
    scene.stage.daemon.fleet = heir
    heir._begin(heir.view.begin_anew(Found((*permits[:2],), 9)))
    assert heir.view.share("api").lease_of == {permits[0].key: 1, permits[1].key: 2}
    assert [len(line.events("revoked")) for line in lines] == [0, 0, 1]


@pytest.mark.trio
async def test_who_is_drained_grants_nothing_until_it_is_not(
    scenes: Scenes, autojump_clock: MockClock
) -> None:
    scene = await scenes()
    line, order = scene.stage.connect(), scene.fleet.view.keys.order("here")
    scene.hear(Entry(order, b"drain", 1, 0))
    assert map_of(scene.stage.ask(line, "status"), "paused").keys() == {*scene.stage.core.pools}
    scene.ask(line)
    assert scene.asked() == ((), ())
    scene.hear(Entry(order, b"cordon", 1, 0))
    assert map_of(scene.stage.ask(line, "status"), "paused") == {}
    assert scene.fleet._offer().state == "cordoned"
    scene.stage.ask(line, "pause")
    scene.hear(order)
    assert map_of(scene.stage.ask(line, "status"), "paused") != {}, "by hand, and not by order"


@pytest.mark.trio
async def test_a_pool_that_is_made_smaller_is_so_at_once_and_the_others_are_told(
    scenes: Scenes, autojump_clock: MockClock
) -> None:
    scene = await scenes()
    scene.stage.config = replace(CONFIG, pools=(PoolSpec("api", (1,) * 4, is_fleet=True),))
    line = scene.stage.connect()
    scene.stage.ask(line, "reload")
    assert scene.fleet.view.share("api").capacity == 1
    assert scene.fleet._offer().pools == {"api": 1}
    assert scene.fleet._offer_changed.is_set()


@pytest.mark.trio
async def test_of_a_large_fleet_as_much_is_told_as_fits_an_answer(
    scenes: Scenes, autojump_clock: MockClock
) -> None:
    scene = await scenes()
    keys = scene.fleet.view.keys
    many = [f"node-{number:04}-{'x' * 50}" for number in range(1000)]
    offers = [msgspec.json.encode(Offer(node, labels=["gpu"] * 9)) for node in many]
    scene.hear(*(Entry(keys.node(n), o, 1, 0) for n, o in zip(many, offers, strict=True)))
    scene.hear(*(Entry(keys.permit("api", node, "1"), b"x", 1, 0) for node in many))
    said = scene.stage.ask(scene.stage.connect(), "fleet")
    (pool,) = rows_of(said, "pools")
    assert len(map_of(pool, "nodes")) == 64
    assert len(rows_of(said, "nodes")) > 50
    assert number_of(said, "left_out") == 1000 - len(rows_of(said, "nodes"))


def test_offers_are_fewer_the_more_hear_of_them() -> None:
    assert [offer_every_s(nodes) for nodes in (1, 20, 1000)] == [1.0, 1.0, 50.0]


@pytest.mark.trio
async def test_orders_are_refused_while_etcd_is_away(
    scenes: Scenes, autojump_clock: MockClock
) -> None:
    scene = await scenes()
    line = scene.stage.connect()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.fleet._give_orders)
        asked = [scene.stage.send(line, "fleet", node="a", set="drain") for _ in range(17)]
        assert map_of(line.answer(asked[16]), "error")["code"] == "too_many_connections"
        with trio.fail_after(60):
            while not line.answers(asked[0]):
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert map_of(line.answer(asked[0]), "error")["code"] == "fleet_away"


@pytest.mark.trio
async def test_who_is_alone_is_told_that_there_is_no_fleet(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    line = stage.connect()
    for fields in ({}, {"node": "a", "set": "drain"}):
        refused = map_of(stage.ask(line, "fleet", **fields), "error")
        assert refused["code"] == "no_fleet"
