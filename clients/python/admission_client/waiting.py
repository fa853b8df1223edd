"""What a person, or the agent that reads our standard error, sees of waiting.

Nothing for half a second. Then, on a terminal, one line redrawn at most twice a second. Elsewhere,
and where an agent or a CI machine says that it is there: one line when queued, one when admitted,
and at most one in 30 s between, since every line costs its reader.
"""

import os
import sys
import time

from admission.protocol import Frame
from admission_client.durations import said
from admission_client.granted import Lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self, TextIO

SILENT_S = 0.5
REDRAW_S = 0.5
REPEAT_S = 30.0
READER_VARIABLES = (
    "AGENT",
    "CI",
    "CLAUDECODE",
    "CLINE_ACTIVE",
    "CODEX_SANDBOX",
    "GEMINI_CLI",
    "OPENCODE",
)
CLEAR_LINE = "\r\x1b[K"


def is_live(stream: "TextIO") -> bool:
    """Whether a line may be drawn again and again."""
    return stream.isatty() and not any(os.environ.get(name) for name in READER_VARIABLES)


class Waiting:
    """To be called with each `queued` event, and with None when the time it asked for has passed;
    see `Client.acquire`. As a context manager it leaves the line clear.
    """

    def __init__(
        self,
        stream: "TextIO | None" = None,
        *,
        quiet: bool = False,
        clock: "Callable[[], float]" = time.monotonic,
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._clock = clock
        self._is_live = is_live(self._stream)
        self._since = clock()
        self._due_at = self._since + SILENT_S
        self._news: Frame | None = None
        self._shown = ""

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown and self._is_live:
            self._write(CLEAR_LINE)

    def __call__(self, event: Frame | None) -> float | None:
        if self._quiet:
            return None
        self._news = self._news if event is None else event
        left_s = self._due_at - self._clock()
        if left_s > 0:
            return left_s
        if self._news is None:
            return SILENT_S
        self._show(self._news)
        pause_s = REDRAW_S if self._is_live else REPEAT_S
        self._due_at = self._clock() + pause_s
        return pause_s

    def admitted(self, lease: Lease) -> None:
        """Says so, if anybody was told of the waiting."""
        if self._shown:
            start = CLEAR_LINE if self._is_live else ""
            waited = said(self._clock() - self._since)
            self._write(f"{start}admission: admitted after {waited} (lease {lease.id})\n")
            self._shown = ""

    def say(self, what: str) -> None:
        """A line that stays, whatever is drawn."""
        if not self._quiet:
            start = CLEAR_LINE if self._shown and self._is_live else ""
            self._write(f"{start}admission: {what}\n")

    def _show(self, news: Frame) -> None:
        line = self.describe(news)
        if self._is_live:
            since = said(self._clock() - self._since)
            self._write(f"{CLEAR_LINE}waiting {since}: {line}; Ctrl-C gives up")
        elif line != self._shown:
            self._write(f"admission: waiting: {line}\n")
        self._shown = line

    def describe(self, news: Frame) -> str:
        """The news in words."""
        return describe_place(news)

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._quiet = True  # nobody reads it; the command is still to be run


def describe_place(news: Frame) -> str:
    """A place in the queue in words: `place 3 of 7, 5 of 5 agents run, about 40 s`."""
    place = f"place {news.get('position')} of {news.get('of', '?')}"
    eta_s = news.get("eta_s")
    eta = f", about {said(eta_s)}" if isinstance(eta_s, (int, float)) and eta_s >= 1 else ""
    return f"{place}, {news.get('reason')}{eta}"
