"""Workspaces: registered, remembered, written to, and forgotten; on real folders."""

import json
from pathlib import Path

import pytest
import trio

from admission.core.levels import LEVELS
from admission.core.sample import Sample
from admission.protocol import AdmissionError, Frame
from admission.service.metrics import METRICS_PATH, metrics_map
from admission.service.workspaces import WORKSPACES_MAX, Workspaces

pytestmark = pytest.mark.trio
LIMIT_S = 20.0


def metrics(level: int = 0) -> Frame:
    return metrics_map(Sample(0.0, 50.0, 10.0), LEVELS[level], 0.0)


async def ask(
    workspaces: Workspaces, path: Path | str, *, forget: bool = False
) -> AdmissionError | None:
    """A wish and its answer."""
    send, receive = trio.open_memory_channel[AdmissionError | None](1)
    workspaces.wish(str(path), send.send_nowait, forget=forget)
    with trio.fail_after(LIMIT_S):
        return await receive.receive()


async def level_in(workspaces: Workspaces, folder: Path) -> int:
    """What stands in the folder's file, after all that was noted before was written."""
    await ask(workspaces, "/", forget=True)
    await ask(workspaces, "/", forget=True)
    found: int = json.loads((folder / METRICS_PATH).read_text())["throttle_level"]
    return found


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


async def test_a_registered_workspace_has_each_sample_and_the_last_one_at_once(
    nursery: trio.Nursery, shop: Path
) -> None:
    workspaces = Workspaces()
    nursery.start_soon(workspaces.run)
    workspaces.note(metrics(1))
    assert await ask(workspaces, shop) is None
    assert await level_in(workspaces, shop) == 1
    workspaces.note(metrics(2))
    assert await level_in(workspaces, shop) == 2


async def test_one_that_is_configured_needs_no_registration(
    nursery: trio.Nursery, shop: Path
) -> None:
    workspaces = Workspaces((str(shop),))
    nursery.start_soon(workspaces.run)
    workspaces.note(metrics())
    assert await level_in(workspaces, shop) == 0


async def test_they_are_remembered_until_they_are_forgotten(
    nursery: trio.Nursery, tmp_path: Path, shop: Path
) -> None:
    listing = tmp_path / "state" / "workspaces.json"
    first = Workspaces(listing=listing)
    nursery.start_soon(first.run)
    await ask(first, shop)
    second = Workspaces(listing=listing)
    nursery.start_soon(second.run)
    second.note(metrics(3))
    assert await level_in(second, shop) == 3
    await ask(second, shop, forget=True)
    assert json.loads(listing.read_text()) == []


async def test_a_listing_that_is_noise_is_an_empty_one(
    nursery: trio.Nursery, tmp_path: Path, shop: Path
) -> None:
    listing = tmp_path / "workspaces.json"
    listing.write_bytes(b"\xff{")
    workspaces = Workspaces(listing=listing)
    nursery.start_soon(workspaces.run)
    assert await ask(workspaces, shop) is None


@pytest.mark.parametrize("path", ["shop", "/no/such/folder", "/etc/hostname"])
async def test_what_is_no_folder_of_one_s_own_is_refused(nursery: trio.Nursery, path: str) -> None:
    workspaces = Workspaces()
    nursery.start_soon(workspaces.run)
    problem = await ask(workspaces, path)
    assert problem is not None
    assert problem.code == "bad_request"


async def test_there_is_an_end_to_how_many(nursery: trio.Nursery, tmp_path: Path) -> None:
    workspaces = Workspaces()
    nursery.start_soon(workspaces.run)
    folders = [tmp_path / str(number) for number in range(WORKSPACES_MAX + 1)]
    for folder in folders:
        folder.mkdir()
    for folder in folders[:-1]:
        assert await ask(workspaces, folder) is None
    assert "forget one first" in str(await ask(workspaces, folders[-1]))


async def test_one_that_vanishes_is_dropped_and_the_others_go_on(
    nursery: trio.Nursery, tmp_path: Path, shop: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    workspaces = Workspaces()
    nursery.start_soon(workspaces.run)
    await ask(workspaces, gone)
    await ask(workspaces, shop)
    gone.rmdir()
    workspaces.note(metrics(2))
    assert await level_in(workspaces, shop) == 2
    assert workspaces.problems() == []


async def test_one_that_can_t_be_written_is_named_until_it_can(
    nursery: trio.Nursery, tmp_path: Path, shop: Path
) -> None:
    (shop / "state").symlink_to(tmp_path)
    workspaces = Workspaces()
    nursery.start_soon(workspaces.run)
    await ask(workspaces, shop)
    workspaces.note(metrics())
    await ask(workspaces, "/", forget=True)
    await ask(workspaces, "/", forget=True)
    (problem,) = workspaces.problems()
    assert str(shop) in problem
    (shop / "state").unlink()
    workspaces.note(metrics(1))
    assert await level_in(workspaces, shop) == 1
    assert workspaces.problems() == []
