"""Tells what tasks took before, when somebody asks. In a thread, as the history is on a disk; and
all who ask meanwhile have their turn right after.
"""

import time
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from admission.protocol import AdmissionError, Frame, Unavailable
from admission.service.access import Viewer, name_of
from admission.service.desk import ANSWER_S, Answer, Desk
from admission.service.history.recorder import History
from admission.service.history.tasks import Habits, Wanted, habits
from admission.service.queue_views import Room
from admission.service.sensors.source import SAID_CHARS_MAX, one_line
from admission.service.views import ROWS_BYTES_MAX

# For how long an answer waits for what was noted last to be written.
FLUSH_S = 1.0
WISHES_MAX = 64


@dataclass(frozen=True, slots=True)
class Wish:
    """Somebody asks. `task`: None for all; `since_s`: how far back, None for all that is kept."""

    viewer: Viewer
    task: str | None
    since_s: float | None
    answer: Answer


class Tasks:
    """See the module. `history`: None where none is kept; then no task is known."""

    def __init__(self, history: History | None) -> None:
        self._history = history
        late = f"the history could not be read within {ANSWER_S:g} s; try again later"
        self._desk = Desk[Wish](
            lambda wishes: partial(self._answers, wishes),
            WISHES_MAX,
            "tasks",
            Unavailable(late, "history_unavailable"),
        )

    def wish(self, wish: Wish) -> None:
        """Asks for tasks, which are told later."""
        self._desk.wish(wish)

    async def run(self) -> None:
        """Until cancelled."""
        await self._desk.run()

    # --- in the thread --------------------------------------------------------------------------

    def _answers(self, wishes: list[Wish]) -> list[Frame | AdmissionError]:
        if self._history is not None:
            self._history.flush(FLUSH_S)
        return [self._answer(wish) for wish in wishes]

    def _answer(self, wish: Wish) -> Frame | AdmissionError:
        now, viewer = time.time(), wish.viewer
        since = 0.0 if wish.since_s is None else now - wish.since_s
        wanted = Wanted(None if viewer.sees_all else viewer.uid, wish.task, since)
        try:
            found = [] if self._history is None else habits(self._history.path, wanted)
        except AdmissionError as problem:
            return problem
        # It must not end the daemon: whatever it is, there is no answer.
        except Exception as problem:  # noqa: BLE001
            why = one_line(repr(problem), SAID_CHARS_MAX)
            return Unavailable(f"the history can't be read: {why}", "history_unavailable")
        room = Room(ROWS_BYTES_MAX)
        rows = list(takewhile(room.takes, (_row(one, now, viewer) for one in found)))
        return {"tasks": rows, "left_out": len(found) - len(rows)}


def _row(one: Habits, now: float, viewer: Viewer) -> Frame:
    row: Frame = {"user": name_of(one.uid)} if viewer.is_shared else {}
    row |= {"task": one.task, "runs": one.runs, "failures": one.failures}
    for name in ("memory_p50_bytes", "memory_p95_bytes"):
        row[name] = getattr(one, name)
    for name in ("cpu_p50_s", "cpu_p95_s", "lasted_p50_s", "lasted_p95_s"):
        value = getattr(one, name)
        row[name] = None if value is None else round(value, 3)
    return row | {"last_seen_s": round(max(now - one.last_at, 0.0), 1)}
