"""What is asked before something is done, and the help. Each is answered by one key."""

from collections.abc import Callable, Sequence

from textual.app import ComposeResult
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from admission.protocol import Frame
from admission_client.top.rows import Lines

HELP = """\
The level says how much the machine is throttled: normal, light, medium, heavy.
Memory, CPU and stalls (how long tasks wait for them) go back ten minutes.
LEASES are who works now, and QUEUE is who waits for that.

up down j k   choose a row              x    release the chosen lease, or
tab           the other table                cancel the chosen waiter
s             sort by the next column   f b  move the chosen waiter to the
S             the other way round            front or the back of its class
/             only rows with a text     p    pause all grants; resume them
escape        all rows again            l    set the level, or give it back
ctrl+z        to the shell; fg: back    ctrl+l  draw all of it again
q             quit

Who loses a lease goes on all the same; its slot is somebody else's then.
The command "admission" has all of these, with bounds of time.

any key leaves this"""
LEVELS: dict[str, tuple[Frame, str]] = {
    "0": ({"set": 0}, "level 0, until it is changed"),
    "1": ({"set": 1}, "level 1, until it is changed"),
    "2": ({"set": 2}, "level 2, until it is changed"),
    "3": ({"set": 3}, "level 3, until it is changed"),
    "o": ({"off": True}, "level 0 and no memory budget, until it is changed"),
    "a": ({"auto": True}, "the level follows the machine again"),
}
LEVEL_QUESTION = "level: 0 normal  1 light  2 medium  3 heavy  o off (0, no memory budget)  a auto"


class Prompt(Lines, can_focus=True):
    """A question above the keys, answered by one of them; any other one is no answer."""

    def __init__(self, id: str, *, is_ascii: bool = False) -> None:
        super().__init__(id, is_ascii=is_ascii)
        self._then: Callable[[str], None] | None = None
        self._answers = ""
        self._before: Widget | None = None

    def ask(self, lines: Sequence[str], answers: str, then: Callable[[str], None]) -> None:
        """Asks; `then` is called with the answer, once there is one of these."""
        self._before = self.screen.focused
        self._answers, self._then = answers, then
        self.put([[(line, "bold yellow")] for line in lines])
        self.focus()

    @property
    def is_asking(self) -> bool:
        return self._then is not None

    def on_key(self, event: Key) -> None:
        event.stop()
        self._end(event.character or "")

    def on_blur(self) -> None:
        self._end("")  # by the mouse

    def _end(self, pressed: str) -> None:
        then, self._then = self._then, None
        if then is None:
            return
        self.put([])
        if self._before is not None:
            self._before.focus()
        if pressed and pressed in self._answers:
            then(pressed)


class Help(ModalScreen[None]):
    """What the keys do; the next one leaves it."""

    DEFAULT_CSS = """
    Help { background: ansi_default; }
    Help > Static { width: auto; height: auto; padding: 1; background: ansi_default; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_left = False

    def compose(self) -> ComposeResult:
        yield Static(Content(HELP), markup=False)

    def on_key(self, event: Key) -> None:
        event.stop()
        if not self._is_left:  # two keys may come before it is gone
            self._is_left = True
            self.dismiss(None)
