"""Tells a person of changes of the level and of long waits, where `[notify]` asks for it: on the
desktop, by a command, or both.

What is told goes out as arguments and in the environment, and through no shell. One program runs at
a time, each for so long at the most; whatever becomes of it, the daemon only says so in its log.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf

import trio

from admission.core.alarm import Alarm
from admission.core.durations import said
from admission.core.levels import Level
from admission.service import starting
from admission.service.config_file import NotifyTable
from admission.service.descriptors import SOFT_AT_START
from admission.service.sensors.source import one_line

# So long a program may take, with all that it started and that did not leave its session.
LASTS_S = 10.0
TITLE_CHARS_MAX, TEXT_CHARS_MAX = 100, 400
# Argument by argument: nothing of what is told is part of the script.
OSASCRIPT = (
    "osascript",
    "-e",
    "on run argv",
    "-e",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "-e",
    "end run",
    "--",
)
NOTIFY_SEND = ("notify-send", "--app-name=admission", "--")

UNSTARTED = {
    starting.NOT_FOUND: "was not found",
    starting.NOT_EXECUTABLE: "can't be executed",
}

log = logging.getLogger(__name__)

# Runs a program with this environment; raises OSError where it can't be started.
Run = Callable[[Sequence[str], dict[str, str]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell. `kind`: a word of `[notify] on`. `level`: where it is about the level.
    `more`: how many of the kind came before it and were not told.
    """

    kind: str
    title: str
    text: str
    level: int | None = None
    more: int = 0

    @property
    def words(self) -> tuple[str, str]:
        """Title and text, as arguments; neither can be taken for an option."""
        text = f"{self.text} (and {self.more} more)" if self.more else self.text
        shown = one_line(text, TEXT_CHARS_MAX)
        return one_line(self.title, TITLE_CHARS_MAX), f" {shown}" if shown[:1] == "-" else shown


def of_level(level: Level, reasons: Sequence[str]) -> Notice:
    """The level has changed."""
    title = f"admission: level {level.level} ({level.name})"
    return Notice("level", title, "; ".join(reasons) or "all calm", level.level)


def of_alarm(alarm: Alarm) -> Notice:
    """Somebody waits, or holds, for too long."""
    of = f"{alarm.number} of {alarm.claim.pool}"
    if alarm.is_held:
        return Notice("hold", f"admission: lease {of} is held for too long", alarm.reason)
    title = f"admission: ticket {of} waits for too long"
    return Notice("wait", title, f"for {said(alarm.for_s)}: {alarm.reason}")


def programs(
    settings: NotifyTable, notice: Notice, platform: str = sys.platform
) -> list[tuple[str, ...]]:
    """What is to be run for it, each with its arguments."""
    title, text = notice.words
    found: list[tuple[str, ...]] = []
    if settings.desktop and platform == "darwin":
        found.append((*OSASCRIPT, title, text))
    elif settings.desktop:  # which takes a little markup in the text
        found.append((*NOTIFY_SEND, title, _unmarked(text)))
    if settings.command:
        found.append((*settings.command, title, text))
    return found


def _unmarked(text: str) -> str:
    for char, name in (("&", "amp"), ("<", "lt"), (">", "gt")):
        text = text.replace(char, f"&{name};")
    return text


def environment(notice: Notice) -> dict[str, str]:
    """The daemon's own, with what is told."""
    title, text = notice.words
    told = {"ADMISSION_NOTICE": notice.kind, "ADMISSION_TITLE": title, "ADMISSION_TEXT": text}
    if notice.level is not None:
        told["ADMISSION_LEVEL"] = str(notice.level)
    return {**os.environ, **told}


class Notifying:
    """See the module. What comes within `min_interval_s` of the last of its kind waits, and the
    newest of it is told then; a level that is back at what was told last is no news.

    Args:
        settings: those in force.
        clock: seconds that never go back.
        run: how a program is run.
    """

    def __init__(
        self,
        settings: Callable[[], NotifyTable],
        clock: Callable[[], float],
        run: Run | None = None,
    ) -> None:
        self._settings, self._clock = settings, clock
        self._run = run or run_program
        self._waiting: dict[str, Notice] = {}
        self._told_at: dict[str, float] = {}
        self._level: int | None = None
        self._has_come = trio.Event()

    def note(self, notice: Notice) -> None:
        """Returns at once; it is told in its turn, if this kind is to be told of."""
        settings = self._settings()
        if not (settings.desktop or settings.command) or notice.kind not in settings.on:
            return
        before = self._waiting.get(notice.kind)
        if before is not None and notice.level is None:
            notice = replace(notice, more=before.more + 1)
        self._waiting[notice.kind] = notice
        self._has_come.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._has_come = trio.Event()
            for notice in self._take_due():
                await self._tell(notice)
            due_in_s = min(map(self._due_in_s, self._waiting), default=inf)
            with trio.move_on_after(max(due_in_s, 0)) if due_in_s < inf else trio.CancelScope():
                await self._has_come.wait()

    def _due_in_s(self, kind: str) -> float:
        told_at = self._told_at.get(kind, -inf)
        return told_at + self._settings().min_interval_s - self._clock()

    def _take_due(self) -> list[Notice]:
        due = [kind for kind in self._waiting if self._due_in_s(kind) <= 0]
        found = [self._waiting.pop(kind) for kind in due]
        return [one for one in found if one.level is None or one.level != self._level]

    async def _tell(self, notice: Notice) -> None:
        self._told_at[notice.kind] = self._clock()
        if notice.level is not None:
            self._level = notice.level
        for program in programs(self._settings(), notice):
            try:
                await self._run(program, environment(notice))
            except OSError as problem:
                log.warning("nobody is notified by %s: %s", program[0], problem)


async def run_program(words: Sequence[str], env: dict[str, str]) -> None:
    """In a session of its own, all of which is killed when its time is over or the daemon ends.

    Raises:
        OSError: it can't be started.
    """
    with trio.move_on_after(LASTS_S) as scope:
        done = await trio.run_process(
            (sys.executable, "-I", "-S", starting.__file__, str(SOFT_AT_START), *words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            env=env,
            start_new_session=True,
            deliver_cancel=_kill_session,
        )
        if done.returncode in UNSTARTED:
            log.warning("%s, which is to notify, %s", words[0], UNSTARTED[done.returncode])
        elif done.returncode:
            log.warning("%s, which was to notify, ended with %d", words[0], done.returncode)
    if scope.cancelled_caught:
        log.warning("%s, which was to notify, took longer than %g s", words[0], LASTS_S)


async def _kill_session(process: trio.Process) -> None:
    if process.poll() is None:  # else its number may be another's by now
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
