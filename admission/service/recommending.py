"""Says what is worth doing now, when somebody asks. What the core knows is looked up at once; what
takes a while (the processes, the history) is looked at in a thread, and stays good for a moment.
"""

import os
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Protocol

import trio

from admission.core.admission import Admission
from admission.core.advice import Facts, Recommendation
from admission.core.recommending import recommend
from admission.protocol import AdmissionError, Frame, Unavailable
from admission.service.config import Config
from admission.service.desk import ANSWER_S, Answer, Desk
from admission.service.facts import Scene, facts_of, past_of, seen_in
from admission.service.history.recorder import History
from admission.service.sensors import Sensors
from admission.service.sensors.source import SAID_CHARS_MAX, one_line
from admission.service.survey import Survey
from admission.service.trials import Trying

WISHES_MAX = 64
# For so long what was seen is not looked at again, nor what the history says.
FRESH_S, PAST_FRESH_S = 10.0, 60.0
# As many as anybody reads, and no text longer than that.
SHOWN_MAX = 20
TEXT_CHARS_MAX = 400


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody asks. `surveyed`: what was found out about orphans."""

    surveyed: Frame | AdmissionError
    answer: Answer


class Around(Protocol):
    """What of the daemon is looked at."""

    @property
    def config(self) -> Config: ...
    @property
    def survey(self) -> Survey: ...
    @property
    def sensors(self) -> Sensors: ...


class Recommendations:
    """See the module.

    Args:
        core: is only looked at.
        clock: the clock of the events, in seconds.
        around: has the configuration in force, who looks for orphans, and the processes.
        history: None where none is kept.
    """

    def __init__(
        self,
        core: Admission,
        clock: Callable[[], float],
        around: Around,
        history: History | None = None,
    ) -> None:
        self._core, self._clock = core, clock
        self._around, self._history = around, history
        self._trying = Trying(lambda: around.config, clock, history)
        self._seen, self._seen_at = Facts(), -inf
        self._past, self._past_at = Facts(), -inf
        late = f"what there is to recommend could not be found out within {ANSWER_S:g} s; try again"
        self._desk = Desk[Wish](
            self._look, WISHES_MAX, "recommendations", Unavailable(late, "too_many_connections")
        )

    def wish(self, answer: Answer) -> None:
        """Asks for recommendations, which are told now or later."""
        if self._clock() - self._seen_at < FRESH_S:
            answer(_told(recommend(self._all(self._known()))))
        else:
            self._around.survey.wish((), os.getuid(), partial(self._go_on, answer))

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._desk.run)
            nursery.start_soon(self._trying.run)

    def _go_on(self, answer: Answer, surveyed: Frame | AdmissionError) -> None:
        self._desk.wish(Wish(surveyed, partial(self._answer, answer)))

    def _answer(self, answer: Answer, found: Frame | AdmissionError) -> None:
        answer(found)
        self._trying.consider(self._past.minutes, self._core.level.level)

    def _look(self, wishes: list[Wish]) -> Callable[[], list[Frame | AdmissionError]]:
        held = [lease for pool in self._core.pools.values() for lease in pool.leases.values()]
        leases = {lease.claim.holder: lease.id for lease in held}
        scene = Scene(wishes[-1].surveyed, self._around.sensors.looks, leases)
        return partial(self._answers, len(wishes), scene, self._known(), self._clock())

    def _known(self) -> Facts:
        """What can be said on the event loop."""
        return replace(
            facts_of(self._core, self._clock()),
            journal_problem="" if self._core.journal_works else "the journal can't be written",
            history_problem=self._history.problem if self._history else "",
            trials=self._trying.found,
        )

    def _all(self, known: Facts) -> Facts:
        """With what was seen, and with the past."""
        return replace(
            known,
            survivors=self._seen.survivors,
            agents=self._seen.agents,
            foreign=self._seen.foreign,
            habits=self._past.habits,
            minutes=self._past.minutes,
            disk=self._past.disk,
        )

    # --- in the thread --------------------------------------------------------------------------

    def _answers(
        self, how_many: int, scene: Scene, known: Facts, now: float
    ) -> list[Frame | AdmissionError]:
        try:
            if now - self._past_at >= PAST_FRESH_S:
                self._past, self._past_at = past_of(self._history), now
            self._seen, self._seen_at = seen_in(scene), now
            found: Frame | AdmissionError = _told(recommend(self._all(known)))
        # It must not end the daemon: whatever it is, there is no answer.
        except Exception as problem:  # noqa: BLE001
            why = one_line(repr(problem), SAID_CHARS_MAX)
            found = Unavailable(f"nothing can be recommended: {why}", "too_many_connections")
        return [found] * how_many


def _told(found: list[Recommendation]) -> Frame:
    return {"recommendations": [recommendation_map(one) for one in found[:SHOWN_MAX]]}


def recommendation_map(one: Recommendation) -> Frame:
    """The command as it is to be typed: what stands in it of other people's words is quoted."""
    return {
        "rule": one.rule,
        "what": one_line(one.what, TEXT_CHARS_MAX),
        "why": one_line(one.why, TEXT_CHARS_MAX),
        "command": shlex.join(one.command),
    }
