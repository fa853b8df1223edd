"""What an operator does with the queue: as `operating`, with `await`."""

import time
from collections.abc import Callable

import anyio

from admission.protocol import Frame
from admission_client.aio import Client
from admission_client.blocking import FAREWELL_S, RECONNECT_S
from admission_client.dialogue import Disconnected
from admission_client.granted import rows, whole
from admission_client.operating import NEWS, TOPICS, Drained, given, still_out, too_long

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self


class Operator(Client):
    """A `Client` for whoever rules the queue; all is as with `admission_client.Operator`."""

    async def __aenter__(self) -> "Self":
        return self

    async def leases(self, pool: str | None = None) -> list[Frame]:
        """Who holds what, as rows of the daemon's answer."""
        return (await self._all(given(pool=pool)))["leases"]

    async def queue(self, pool: str | None = None) -> list[Frame]:
        """Who waits, in order within each pool, as rows of the daemon's answer."""
        return (await self._all(given(pool=pool)))["waiting"]

    async def move(self, ticket: int, to: str = "front") -> bool:
        """Has a waiter stand at the `front` or the `back` of its class; False: no such ticket."""
        return bool((await self.ask("move", {"ticket": ticket, "to": to})).get("found"))

    async def cancel_ticket(self, ticket: int) -> bool:
        """Takes a waiter out of the queue, who is told so; False: no such ticket."""
        return bool((await self.ask("cancel", {"ticket": ticket})).get("found"))

    async def _all(self, wanted: Frame) -> dict[str, list[Frame]]:
        found: dict[str, list[Frame]] = {"leases": [], "waiting": []}
        after: object = [0, 0]
        while after is not None:
            part = await self.ask("leases", {**wanted, "after": after})
            for name, all_ in found.items():
                all_ += rows(part, name)
            after = part.get("more")
        return found

    async def recommendations(self) -> list[Frame]:
        """What is worth doing, the weightiest first: `rule`, `what`, `why`, `command`."""
        return rows(await self.ask("recommendations"), "recommendations")

    async def pause(self, pool: str | None = None, for_s: float | None = None) -> None:
        """Has nothing granted in a pool, or in all; for so long, or until `unpause`."""
        await self.ask("pause", given(pool=pool, for_s=for_s))

    async def unpause(self, pool: str | None = None) -> bool:
        """Has leases granted again; False where nothing was paused."""
        return bool((await self.ask("unpause", given(pool=pool))).get("found"))

    async def reserve(
        self,
        units: int,
        for_s: float,
        *,
        pool: str = "agents",
        class_: str | None = None,
        group: str = "",
        from_s: float = 0.0,
        is_whole: bool = False,
    ) -> int:
        """Keeps units free for a class, a group or both, and gives the reservation's number."""
        asked = {"units": units, "for_s": for_s, "pool": pool, "from_s": from_s}
        asked |= {"whole": is_whole, "class": class_, "group": group}
        return whole(await self.ask("reserve", asked), "reservation")

    async def unreserve(self, reservation: int) -> bool:
        """Ends a reservation; False where there is none of this number."""
        return bool((await self.ask("unreserve", {"reservation": reservation})).get("found"))

    async def drain(
        self,
        pool: str | None = None,
        wait_s: float | None = None,
        on_left: Callable[[list[Frame]], None] | None = None,
        *,
        then_unpause: bool = False,
    ) -> None:
        """Has nothing granted any more in a pool, or in all, and waits until nothing is out there.
        Where it is cancelled, or the wait is over, all is as it was found. See
        `admission_client.Operator.drain`.
        """
        drained = Drained(await self.ask("status"), pool)
        give_up_at = None if wait_s is None else time.monotonic() + wait_s
        try:
            for one in drained.pools:
                await self.ask("pause", drained.begin(one))
                await self._await_empty(drained, one, wait_s, give_up_at, on_left)
        except BaseException:
            with anyio.move_on_after(FAREWELL_S, shield=True):
                await self._undo(drained)
            raise
        if then_unpause:
            for one in drained.pools:
                await self.unpause(one)

    async def _undo(self, drained: Drained) -> None:
        """On a connection of its own: an answer may be under way on this one."""
        await self.aclose()
        for op, fields in drained.undone():
            await self.ask(op, fields)

    async def _await_empty(
        self,
        drained: Drained,
        pool: str,
        wait_s: float | None,
        give_up_at: float | None,
        on_left: Callable[[list[Frame]], None] | None,
    ) -> None:
        async with Operator(self.path) as news:
            while True:
                try:
                    await news.ask("watch", {"topics": TOPICS})
                    while left := still_out(await self.leases(pool)):
                        drained.check(pool, await self.ask("status"))
                        if on_left is not None:
                            on_left(left)
                        if not await news.has_news(give_up_at):
                            raise too_long(pool, left, wait_s or 0.0)
                    return
                except Disconnected:
                    await news.aclose()
                    await self._reconnect(RECONNECT_S)

    async def has_news(self, give_up_at: float | None) -> bool:
        """Waits for news of what is watched here after which to look again; False: it is over."""
        left_s = None if give_up_at is None else max(0.0, give_up_at - time.monotonic())
        with anyio.move_on_after(left_s):
            while not any(one.get("event") in NEWS for one in self._dialogue.take_events()):
                await self._receive()
            return True
        return False
