"""Hands in the queue: they reserve, pause, put ahead and take out, and look whether it stands.

Each is a process of its own, and writes down what it did, and between which instants.
"""

import signal
import time
from collections.abc import Callable
from random import Random
from typing import cast

from admission.protocol import Frame
from scripts.torture.records import Book, now_s
from scripts.torture.stage import CAPACITY, Stage
from scripts.torture.wire import Confused, Gone, Line, code_of, request

POOLS = list(CAPACITY)
GROUPS = ("", "red", "blue")
# Others must get on as well: what is reserved and paused ends soon.
RESERVED_S, BEGINS_S = (0.3, 2.5), (0.0, 0.0, 0.3)
PAUSED_S = (0.1, 0.5)
OWN_MAX = 2


class Hand:
    """See the module. `lift` takes back all that any hand wished."""

    def __init__(self, path: str, book: Book, dice: Random) -> None:
        self._path = path
        self._book = book
        self._dice = dice
        self._own: list[int] = []
        self._line: Line | None = None

    def act(self) -> None:
        acts: dict[Callable[[], object], int] = {
            self._reserve: 4,
            self._unreserve: 2,
            self._pause: 2,
            self._move: 6,
            self._cancel: 2,
            self._look: 4,
        }
        (act,) = self._dice.choices(list(acts), list(acts.values()))
        act()

    def lift(self) -> None:
        """Nothing is reserved or paused any more; asked for until a daemon says so."""
        while (status := self._look()) is None or status["reservations"] or status["paused"]:
            self._unpause(None)
            for one in cast(list[Frame], status["reservations"]) if status else ():
                self._take_back(cast(int, one["reservation"]))

    # --- reservations and pauses ------------------------------------------------------------------

    def _reserve(self) -> None:
        dice = self._dice
        if len(self._own) >= OWN_MAX:
            self._unreserve()
        pool = dice.choice(POOLS)
        rank, group = dice.choice([None, "critical", "batch", "normal"]), dice.choice(GROUPS)
        if rank is None and not group:
            rank = "normal"
        about: Frame = {
            "pool": pool,
            "units": dice.randint(1, CAPACITY[pool][3]),
            "group": group,
            "for_s": dice.uniform(*RESERVED_S),
            "from_s": dice.choice(BEGINS_S),
        }
        asked = {"op": "reserve", "whole": True, **about, **({"class": rank} if rank else {})}
        before, answer = self._ask(asked)
        if answer is not None and not answer["ok"] and code_of(answer) != "impossible":
            raise Confused(f"an answer to reserve that is none: {answer}")
        number = cast(int, answer.get("reservation", 0)) if answer else 0
        if number:
            self._own.append(number)
        self._note("reserve", before, answer, number=number, rank=rank, **about)

    def _unreserve(self) -> None:
        if self._own:
            self._take_back(self._own.pop(self._dice.randrange(len(self._own))))

    def _take_back(self, number: int) -> None:
        before, answer = self._ask({"op": "unreserve", "reservation": number})
        found = bool(answer and answer["found"])
        self._note("unreserve", before, answer, number=number, found=found)

    def _pause(self) -> None:
        dice = self._dice
        pool = dice.choice([*POOLS, None])
        for_s = dice.choice([None, dice.uniform(*PAUSED_S)])
        asked: Frame = {"op": "pause", **({"pool": pool} if pool else {})}
        before, answer = self._ask(asked if for_s is None else {**asked, "for_s": for_s})
        self._note("pause", before, answer, pools=[pool] if pool else POOLS, for_s=for_s)
        time.sleep(dice.uniform(*PAUSED_S))
        if dice.random() < 0.5:
            self._look()
        self._unpause(pool)

    def _unpause(self, pool: str | None) -> None:
        before, answer = self._ask({"op": "unpause", **({"pool": pool} if pool else {})})
        self._note("unpause", before, answer, pools=[pool] if pool else POOLS)

    # --- the queue --------------------------------------------------------------------------------

    def _move(self) -> None:
        self._do_to_one("move", lambda ticket: {"op": "move", "ticket": ticket})

    def _cancel(self) -> None:
        self._do_to_one("cancel", lambda ticket: {"op": "cancel", "ticket": ticket})

    def _do_to_one(self, kind: str, asked: Callable[[int], Frame]) -> None:
        """Does it to one of those who wait, whose name its task says; mostly to one far behind."""
        _, shown = self._ask({"op": "leases"})
        waiting = cast(list[Frame], shown["waiting"]) if shown else []
        ours = [one for one in waiting if str(one["task"]).startswith("torture ")]
        if not ours:
            return
        one = self._dice.choice(ours[len(ours) // 2 :])
        before, answer = self._ask(asked(cast(int, one["ticket"])))
        name = str(one["task"]).removeprefix("torture ")
        found = bool(answer and answer["found"])
        self._note(kind, before, answer, ask_of=name, ticket=one["ticket"], found=found)

    def _look(self) -> Frame | None:
        """What the daemon says that stands; None where it went away meanwhile."""
        before, status = self._ask({"op": "status"})
        if status is not None:
            rows = cast(list[Frame], status["reservations"])
            numbers = [one["reservation"] for one in rows]
            paused = list(cast(Frame, status["paused"]))
            self._note("looked", before, status, reservations=numbers, paused=paused)
        return status

    # --- asking -----------------------------------------------------------------------------------

    def _ask(self, asked: Frame) -> tuple[float, Frame | None]:
        """The instant before the request was sent, and the answer; None where none came."""
        if self._line is None:
            self._line = Line(self._path)
        before = now_s()
        try:
            return before, request(self._line, {"id": 1, **asked})
        except Gone:
            self._line.close()
            self._line = None
            return before, None

    def _note(self, kind: str, before: float, answer: Frame | None, **facts: object) -> None:
        self._book.note(kind, at=before, after=now_s(), answered=answer is not None, **facts)


def meddle(stage: Stage, dice: Random) -> None:
    """Does this and that to the queue until told to end, and then takes all of it back."""
    is_told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: is_told.append(number))
    hand = Hand(str(stage.socket), stage.book, dice)
    while not is_told:
        hand.act()
        time.sleep(dice.uniform(0.02, 0.25))
    hand.lift()
