"""What the autopilot shows: a line for each task that ended, and on a terminal one that moves."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from admission_client.durations import said
from admission_client.granted import Params
from admission_client.output import LEVEL_COLOURS, coloured, printable
from admission_client.waiting import CLEAR_LINE, REDRAW_S, is_live

if TYPE_CHECKING:
    from admission_client.runs import Outcome
    from admission_client.tasks import Task

TAIL_LINES = 5
TAIL_BYTES = 4096


class Screen:
    """Talk goes to standard error. As a context manager it leaves the last line clear."""

    redraw_s = REDRAW_S

    def __init__(self, tasks: int, *, quiet: bool = False) -> None:
        self._tasks = tasks
        self._quiet = quiet
        self._stream = sys.stderr
        self._is_live = is_live(self._stream) and not quiet
        self._since = time.monotonic()
        self._is_drawn = False

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *_: object) -> None:
        self._clear()

    def say(self, line: str) -> None:
        if not self._quiet:
            self._clear()
            print(line, file=self._stream, flush=True)

    def warn(self, line: str) -> None:
        self.say(coloured(f"warning: {line}", "yellow", self._stream))

    def level(self, before: int, params: Params, reasons: list[str]) -> None:
        """The level has changed; the words are those of the user's document."""
        why = f": {'; '.join(reasons)}" if reasons else ""
        name = f"{params.name} throttle (level {params.level})" if params.level else "level 0"
        if params.level > before:
            line = f"⚡ Resource pressure detected: {name}{why}"
        elif params.level:
            line = f"✅ Resource pressure eased: {name}{why}"
        else:
            line = "✅ Resource pressure gone: normal (level 0)"
        self.say(coloured(line, LEVEL_COLOURS[params.level], self._stream))

    def ended(self, outcome: "Outcome", done: int) -> None:
        place = f"{done:>{len(str(self._tasks))}}/{self._tasks}"
        name = printable(outcome.task.name[:60])
        if outcome.exit_status == 0:
            waited = f", waited {said(outcome.waited_s)}" if outcome.waited_s >= 1 else ""
            mark = coloured("✓", "green", self._stream)
            where = f" on {outcome.node}" if outcome.node else ""
            self.say(f"{mark} {place} {name}: {said(outcome.ran_s)}{where}{waited}")
            return
        mark = coloured("✗", "red", self._stream)
        self.say(
            f"{mark} {place} {name}: exit status {outcome.exit_status} after "
            f"{said(outcome.ran_s)}; {outcome.log}"
        )
        for line in _tail(outcome.log):
            self.say(f"    {line}")

    def parked(self, task: "Task") -> None:
        name = printable(task.name[:60])
        mark = coloured("⏸", "yellow", self._stream)
        self.say(f"{mark} {name}: parked, as memory is short; it goes on when there is room")

    def draw(self, done: int, running: int, waiting: int, params: Params | None) -> None:
        """The line that moves."""
        if not self._is_live:
            return
        level = "" if params is None else f" · level {params.level} ({params.name})"
        self._stream.write(
            f"{CLEAR_LINE}{done}/{self._tasks} done · {running} running · {waiting} waiting"
            f"{level} · {said(time.monotonic() - self._since)}"
        )
        self._stream.flush()
        self._is_drawn = True

    def summary(self, outcomes: "list[Outcome]", logs: Path) -> None:
        failed = sum(one.exit_status != 0 for one in outcomes)
        left = self._tasks - len(outcomes)
        ran_s = sum(one.ran_s for one in outcomes)
        waited_s = sum(one.waited_s for one in outcomes)
        self.say(
            f"{len(outcomes) - failed} of {self._tasks} tasks done"
            + (f", {failed} failed" if failed else "")
            + (f", {left} not begun" if left else "")
            + f" in {said(time.monotonic() - self._since)}"
            f" ({said(ran_s)} of work, {said(waited_s)} of waiting); output in {logs}"
        )

    def _clear(self) -> None:
        if self._is_drawn:
            self._stream.write(CLEAR_LINE)
            self._is_drawn = False


def _tail(log: Path) -> list[str]:
    """The last lines of a task's output, which may hold anything."""
    try:
        text = log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
    except OSError:
        return []
    lines = [line for line in text.splitlines() if line.strip()][-TAIL_LINES:]
    return ["".join(char for char in line if char.isprintable())[:200] for line in lines]
