"""The keys of `admission top`, on a terminal that isn't there and a daemon that is."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from textual.pilot import Pilot

from admission.protocol import Frame
from admission_client import Client, Operator, lease
from admission_client.granted import mapping, whole
from admission_client.top.app import Top
from admission_client.top.dialogs import Help
from admission_client.top.rows import Lines, Rows
from admission_client.top.scene import Scene
from tests.clients.daemons import Daemon

Play = Callable[["Seen"], Awaitable[None]]


class Seen:
    """What somebody sees and does who sits before it."""

    def __init__(self, app: Top, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def resize(self, width: int, height: int) -> None:
        await self._pilot.resize_terminal(width, height)
        await self._pilot.pause()

    async def until(self, *texts: str) -> None:
        """Until all of these are on the screen."""
        while not all(one in self.text for one in texts):
            await self._pilot.pause(0.03)

    async def until_so(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self._pilot.pause(0.03)

    @property
    def text(self) -> str:
        main = self.app.main
        lines = [
            "".join(part for line in one.lines for part, _ in line) for one in main.query(Lines)
        ]
        for table in main.query(Rows):
            for index in range(table.row_count):
                lines.append(" ".join(cell.plain for cell in table.get_row_at(index)))
        return "\n".join(lines)


def play(daemon: Daemon, scene: Play, size: tuple[int, int] = (80, 24)) -> None:
    async def run() -> None:
        app = Top(daemon.path, Scene(daemon.ask("status"), 0.0), interval_s=0.05)
        async with app.run_test(size=size) as pilot:
            await scene(Seen(app, pilot))

    asyncio.run(run())


@contextmanager
def waiting(daemon: Daemon, *tasks: str) -> Iterator[None]:
    """While these wait in the pool `one`, in this order."""
    with ExitStack() as stack:
        for index, task in enumerate(tasks):
            client = stack.enter_context(Operator(daemon.path))
            fields: Frame = {"pool": "one", "task": task}
            client._send(client._dialogue.ask("acquire", fields))
            daemon.wait_for_waiting(*tasks[: index + 1])
        yield


@pytest.fixture(autouse=True)
def hands_off(daemon: Daemon) -> Iterator[None]:
    """Others use this daemon as well."""
    yield
    daemon.start()
    daemon.ask("unpause")


def test_the_chosen_row_is_moved_cancelled_or_released_once_that_is_confirmed(
    daemon: Daemon,
) -> None:
    with waiting_behind(daemon, "[red]a[/red]", "b", "c") as held:

        async def scene(seen: Seen) -> None:
            await seen.until("LEASES 1", "QUEUE 3", "[red]a[/red]")
            await seen.press("f")
            await seen.until("choose a waiter to move")
            await seen.press("tab", "down", "f")
            await seen.until_so(lambda: daemon.waiting()[0] == "b")
            await seen.until("is at the front of its class")
            await seen.press("x", "p", "x", "n")
            assert len(daemon.waiting()) == 3
            assert daemon.ask("status")["paused"] == {}, "a key that answers does nothing else"
            await seen.press("x")
            await seen.until("cancel ticket", "(b)?  y yes, any other key no")
            await seen.press("y")
            await seen.until_so(lambda: daemon.waiting() == ["[red]a[/red]", "c"])
            await seen.until("QUEUE 2", "(b) is cancelled")
            await seen.press("shift+tab", "x", "y")
            await seen.until_so(lambda: daemon.waiting() == ["c"])
            await seen.until(f"lease {held} (first) is released", "QUEUE 1")

        play(daemon, scene)


@contextmanager
def waiting_behind(daemon: Daemon, *tasks: str) -> Iterator[int]:
    """While these wait behind a lease, whose number this is."""
    with Client(daemon.path) as client:
        held = client.acquire({"pool": "one", "task": "first", "bound": "connection"})
        with waiting(daemon, *tasks):
            yield held.id


def test_grants_are_paused_and_the_level_is_set(daemon: Daemon) -> None:
    async def scene(seen: Seen) -> None:
        await seen.press("p")
        await seen.until(
            "paused: nothing is granted", "paused, nothing is granted: agents, operations"
        )
        await seen.press("p")
        await seen.until_so(lambda: not daemon.ask("status")["paused"])
        await seen.until("grants go on")
        await seen.press("l")
        await seen.until("level: 0 normal")
        await seen.press("3")
        await seen.until("level 3 for", "by hand")
        await seen.press("l", "escape", "l", "a")
        await seen.until_so(lambda: daemon.ask("status")["by_hand"] is None)
        assert whole(daemon.ask("status"), "level") >= 0

    play(daemon, scene)


def test_rows_are_found_and_sorted_and_the_chosen_one_stays_chosen(daemon: Daemon) -> None:
    with (
        lease("many", task="docs", socket=daemon.path),
        lease("many", task="a b", socket=daemon.path, agent="z"),
    ):

        async def scene(seen: Seen) -> None:
            await seen.until("LEASES 2", "docs", "a b")
            table = seen.app.main.query_one("#leases", Rows)
            first = table.chosen
            await seen.press("s", "s")
            await seen.until("by task")
            assert table.chosen == first
            assert [row.plain.strip() for row in table.get_column("TASK")] == ["a b", "docs"]
            await seen.press("S")
            await seen.until("the other way round")
            await seen.press("slash", *"DOCs", "enter")
            await seen.until("1 with DOCs")
            assert table.row_count == 1
            assert table.has_focus
            await seen.press("escape", "question_mark")
            await seen.until_so(lambda: isinstance(seen.app.screen, Help))
            await seen.press("x", "x")
            await seen.until_so(lambda: not isinstance(seen.app.screen, Help))
            await seen.until_so(lambda: table.row_count == 2)
            await seen.press("ctrl+l", "j", "k")
            for size in ((8, 3), (1, 1)):
                await seen.resize(*size)
            await seen.press("slash", "ctrl+c")
            await seen.until_so(lambda: not seen.app.is_running)

        play(daemon, scene)


def test_a_daemon_that_goes_away_and_comes_back_is_shown_as_that(daemon: Daemon) -> None:
    async def scene(seen: Seen) -> None:
        await seen.until("level 0 for")
        daemon.kill()
        await seen.until("no daemon for")
        await seen.press("p")
        await seen.until("start one with")
        assert mapping(seen.app.scene.status, "capacity"), "what it said last stays"
        await asyncio.to_thread(daemon.start)
        await seen.until("level 0 for")

    play(daemon, scene, (60, 12))
