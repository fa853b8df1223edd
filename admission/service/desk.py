"""Where questions wait that take a while: each look answers all who have asked by then.

A look is taken in a thread, as what it reads can hold its reader up; there is never a second one.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import trio

from admission.protocol import AdmissionError, Frame, Unavailable

ANSWER_S = 5.0

# Told of the answer, or of why there is none.
Answer = Callable[[Frame | AdmissionError], None]
Answers = list[Frame | AdmissionError]


class Asks(Protocol):
    """A question, with whom to tell."""

    @property
    def answer(self) -> Answer: ...


W = TypeVar("W", bound=Asks)


class Desk(Generic[W]):
    """See the module.

    Args:
        look: is given the questions on the event loop, and gives what the thread is to do: one
            answer to each.
        wishes_max: so many may wait.
        about: what they ask for, in words.
        late: the answer where a look takes longer than `ANSWER_S`.
    """

    def __init__(
        self,
        look: Callable[[list[W]], Callable[[], Answers]],
        wishes_max: int,
        about: str,
        late: AdmissionError,
    ) -> None:
        self._look = look
        self._wishes_max, self._about, self._late = wishes_max, about, late
        self._wishes: list[W] = []
        self._asked = trio.Event()
        # A look that hangs keeps this until it ends.
        self._limiter = trio.CapacityLimiter(1)

    def wish(self, wish: W) -> None:
        """Asks; the answer comes later, but for a refusal."""
        if len(self._wishes) >= self._wishes_max:
            message = f"{self._wishes_max} ask for {self._about} already; try again in a moment"
            wish.answer(Unavailable(message, "too_many_connections"))
            return
        self._wishes.append(wish)
        self._asked.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._asked.wait()
            self._asked = trio.Event()
            wishes, self._wishes = self._wishes, []
            answers: Answers = [self._late] * len(wishes)
            look = self._look(wishes)
            with trio.move_on_after(ANSWER_S):
                answers = await trio.to_thread.run_sync(
                    look, abandon_on_cancel=True, limiter=self._limiter
                )
            for wish, answer in zip(wishes, answers, strict=True):
                wish.answer(answer)
