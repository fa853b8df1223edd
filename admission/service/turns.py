"""Who has sent something gets a turn, one connection after the other.

The loop wakes once for all that have, and not once for each: the connections are in a selector of
their own (epoll, kqueue), and one task waits for that. A connection therefore has no task, and a
round costs one wake-up, however many speak.
"""

import selectors
from math import inf
from typing import Protocol

import trio

# For so long one connection after the other has its turn before everything else gets one as well.
ROUND_S = 0.001


class Speaker(Protocol):
    """One connection."""

    is_over: bool
    due_at: float

    def take_turn(self, now: float) -> bool:
        """Reads and handles what there is, for a while; whether something is left over."""

    def be_late(self, now: float) -> None:
        """What had to be whole by `due_at` is not."""

    def end(self) -> None:
        """Closes; does nothing the second time."""


class Turns:
    """See the module."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._speakers: dict[int, Speaker] = {}
        self._unfinished: list[Speaker] = []
        self._has_deadline = trio.Event()

    def close(self) -> None:
        """The end of all of them."""
        for speaker in list(self._speakers.values()):
            speaker.end()
        self._selector.close()

    def add(self, descriptor: int, speaker: Speaker) -> None:
        """From now on it gets turns."""
        self._selector.register(descriptor, selectors.EVENT_READ, speaker)
        self._speakers[descriptor] = speaker
        self.note_deadline()

    def remove(self, descriptor: int) -> None:
        """It gets no more; to be called before its socket is closed."""
        self._selector.unregister(descriptor)
        del self._speakers[descriptor]

    def note_deadline(self) -> None:
        """One of them has a `due_at` that it had not."""
        self._has_deadline.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._give_turns)
            nursery.start_soon(self._keep_deadlines)

    async def _give_turns(self) -> None:
        while True:
            if self._unfinished:
                await trio.lowlevel.checkpoint()
            else:
                await trio.lowlevel.wait_readable(self._selector.fileno())
            now = trio.current_time()
            pause_at = now + ROUND_S
            for speaker in self._next_round():
                if not speaker.is_over and speaker.take_turn(now):
                    self._unfinished.append(speaker)
                now = trio.current_time()
                if now >= pause_at:
                    await trio.lowlevel.checkpoint()
                    pause_at = now + ROUND_S

    def _next_round(self) -> list[Speaker]:
        """Everybody who has something to say, and nobody twice; last those who have just spoken."""
        ready: list[Speaker] = [key.data for key, _ in self._selector.select(0)]
        if not self._unfinished:
            return ready
        unfinished, self._unfinished = self._unfinished, []
        have_spoken = set(unfinished)
        return [speaker for speaker in ready if speaker not in have_spoken] + unfinished

    async def _keep_deadlines(self) -> None:
        while True:
            due_at = min((one.due_at for one in self._speakers.values()), default=inf)
            if due_at == inf:
                self._has_deadline = trio.Event()
                await self._has_deadline.wait()
            else:
                await trio.sleep_until(due_at)
            now = trio.current_time()
            for speaker in [one for one in self._speakers.values() if one.due_at <= now]:
                speaker.be_late(now)
