"""The screen and its keys. What is shown is drawn elsewhere, and what is done the daemon does."""

import asyncio
import os
import time
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import DataTable, Input

from admission.protocol import AdmissionError, Frame
from admission_client.aio import Client
from admission_client.granted import text, whole
from admission_client.output import printable
from admission_client.top import picture
from admission_client.top.dialogs import LEVEL_QUESTION, LEVELS, Help, Prompt
from admission_client.top.news import News
from admission_client.top.past import readings_of_the_past
from admission_client.top.rows import Lines, Rows
from admission_client.top.scene import Scene, Table
from admission_client.top.terminal import Ends, die_by, has_colours, is_unicode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from admission_client.top.picture import Line

# As many of them as fit; `?` has all.
KEYS = (
    "q quit",
    "? help",
    "/ find",
    "s sort",
    "x release",
    "f front",
    "p pause",
    "l level",
    "tab queue",
)
SAID_FOR_S = 6.0
# Below these some of it makes room for the tables.
LARGE_FROM, FIGURES_FROM, ROOMY_FROM = (60, 20), (40, 14), 30


class Top(App[None]):
    """See the module."""

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False
    CSS = """
    Screen { background: ansi_default; layout: vertical; overflow: hidden; }
    #tables { height: 1fr; }
    #filter { display: none; height: 1; border: none; padding: 0; background: ansi_default; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", show=False),
        Binding("ctrl+c", "quit", show=False, priority=True),  # whatever has the keys
        Binding("question_mark,h", "help", show=False),
        Binding("slash", "filter", show=False),
        Binding("escape", "show_all", show=False),
        Binding("s", "sort", show=False),
        Binding("S", "reverse", show=False),
        Binding("x,delete", "end", show=False),
        Binding("f", "move('front')", show=False),
        Binding("b", "move('back')", show=False),
        Binding("p", "pause", show=False),
        Binding("l", "level", show=False),
        Binding("j", "choose('down')", show=False),
        Binding("k", "choose('up')", show=False),
        Binding("ctrl+l", "redraw", show=False),
        Binding("ctrl+z", "suspend_process", show=False),
    ]

    def __init__(
        self, path: str, scene: Scene, interval_s: float, *, is_ascii: bool = False
    ) -> None:
        # The terminal's own colours, dark or not. Known from the beginning: what leaves colours out
        # is chosen by it.
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self.animation_level = "none"
        self.scene = scene
        self.news = News(path, scene, self.draw, interval_s)
        self._path = path
        self._interval_s = interval_s
        self._is_ascii = is_ascii
        self._said: tuple[str, str, float] = ("", "", 0.0)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = False

    def compose(self) -> ComposeResult:
        for name in ("head", "figures", "pools", "notices"):
            yield Lines(name, is_ascii=self._is_ascii)
        with Vertical(id="tables"):
            for name in ("leases", "waiting"):
                yield Lines(f"{name}-title", is_ascii=self._is_ascii)
                yield Rows(name, is_ascii=self._is_ascii)
        yield Lines("detail", is_ascii=self._is_ascii)
        yield Prompt("prompt", is_ascii=self._is_ascii)
        yield Lines("keys", is_ascii=self._is_ascii)
        yield Input(id="filter", placeholder="show rows with this text; enter keeps it")

    def on_mount(self) -> None:
        self._loop = asyncio.get_running_loop()
        if self._is_over:
            self.exit()
            return
        self.app_resume_signal.subscribe(self, lambda _: self.action_redraw())
        self.query_one("#leases", Rows).focus()
        self.run_worker(self._remember(), exit_on_error=True)
        self.run_worker(self.news.run(), exit_on_error=True)
        self.set_interval(max(self._interval_s, 1.0), self.draw)
        self.draw()

    async def _remember(self) -> None:
        # A thread, as the file may be on a slow disk.
        self.scene.readings.begin(await asyncio.to_thread(readings_of_the_past))
        self.draw()

    def end_soon(self) -> None:
        """Ends it; may be called by a signal's handler at any time."""
        self._is_over = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.exit)

    # --- drawing --------------------------------------------------------------------------------

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def action_redraw(self) -> None:
        """All of it, as something else has written to the terminal."""
        self.screen.refresh()
        for widget in self.screen.query("*"):
            widget.refresh()

    def draw(self) -> None:
        """Draws what has changed."""
        if self._loop is None or self._is_over:
            return
        now, scene, (width, height) = time.monotonic(), self.scene, self.size
        is_large = width >= LARGE_FROM[0] and height >= LARGE_FROM[1]
        has_figures = width >= FIGURES_FROM[0] and height >= FIGURES_FROM[1]
        limit = 3 if height >= ROOMY_FROM else 2 if is_large else 1
        self._put("head", picture.head(scene, now, width, is_large=is_large))
        self._put("figures", picture.figures(scene, now, width) if has_figures else [])
        self._put("pools", picture.pools(scene.status, width)[: limit + 1])
        self._put("notices", picture.notices(scene, limit) if has_figures else [])
        self._draw_table("leases", "LEASES", scene.leases, now)
        self._draw_table("waiting", "QUEUE", scene.waiting, now)
        self._share_height()
        self._draw_foot(now)

    def _put(self, name: str, lines: "list[Line]") -> None:
        self.main.query_one(f"#{name}", Lines).put(lines)

    @property
    def main(self) -> Screen[object]:
        """The screen with the tables, whatever is over it."""
        return self.screen_stack[0]

    @property
    def _prompt(self) -> Prompt:
        return self.main.query_one("#prompt", Prompt)

    def _draw_table(self, name: str, head: str, table: Table, now: float) -> None:
        found = table.shown(self.scene.wanted)
        arrows = ("▲", "▼")
        old_s = now - self.scene.as_of
        fitted = table.fitted(found, old_s, self.size.width, arrows)
        self.main.query_one(f"#{name}", Rows).show(
            fitted, [whole(row, table.id_name) for row in found]
        )
        self._put(f"{name}-title", [picture.title(head, table, len(found), self.scene.wanted)])

    def _share_height(self) -> None:
        """The queue has what it needs, and half of it at most where both need more."""
        room = self.main.query_one("#tables").size.height - 2
        leases, waiting = (self.main.query_one(f"#{name}", Rows) for name in ("leases", "waiting"))
        needed = waiting.row_count + 1 if waiting.row_count else 0
        height = min(needed, max(room // 2, room - leases.row_count - 1))
        waiting.display = height > 0
        if waiting.display:
            waiting.styles.height = height

    def _draw_foot(self, now: float) -> None:
        said, tone, until = self._said
        if now > until:
            said, tone = picture.detail(self._chosen()[1]), "dim"
        is_hidden = self._prompt.is_asking or (self.size.height < FIGURES_FROM[1] and now > until)
        self._put("detail", [] if is_hidden else [[(said, tone)]])
        keys = picture.fitting(KEYS, self.size.width)
        self._put("keys", [] if self.main.query_one("#filter").display else [[(keys, "bold")]])

    def say(self, what: str, tone: str = "bold") -> None:
        """In the line above the keys, for a while."""
        self._said = (printable(what), tone, time.monotonic() + SAID_FOR_S)
        self.draw()

    def on_descendant_focus(self) -> None:
        self.draw()

    def on_data_table_row_highlighted(self) -> None:
        self._draw_foot(time.monotonic())

    # --- keys that change what is shown ---------------------------------------------------------

    def _chosen(self) -> tuple[Table, Frame | None]:
        """The table that has the keys, and the chosen row of it."""
        is_queue = self.main.query_one("#waiting", Rows).has_focus
        table = self.scene.waiting if is_queue else self.scene.leases
        number = self.main.query_one("#waiting" if is_queue else "#leases", Rows).chosen
        return table, next((row for row in table.rows if row.get(table.id_name) == number), None)

    def action_choose(self, way: str) -> None:
        if isinstance(self.focused, Rows):
            move = (
                self.focused.action_cursor_down if way == "down" else self.focused.action_cursor_up
            )
            move()

    def action_sort(self) -> None:
        table, _ = self._chosen()
        name = "#waiting" if table is self.scene.waiting else "#leases"
        shown = [str(one.value) for one in self.main.query_one(name, Rows).columns]
        table.sort_by_next(shown)
        self.draw()

    def action_reverse(self) -> None:
        table, _ = self._chosen()
        table.sort_by(table.sorted_by)
        self.draw()

    def on_data_table_header_selected(self, event: DataTable.HeaderSelected) -> None:
        table = self.scene.waiting if event.data_table.id == "waiting" else self.scene.leases
        table.sort_by(str(event.column_key.value))
        self.draw()

    def action_filter(self) -> None:
        field = self.main.query_one("#filter", Input)
        field.display = True
        field.focus()
        self.draw()

    def action_show_all(self) -> None:
        self.main.query_one("#filter", Input).value = ""
        self._leave_filter()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.scene.wanted = event.value
        self.draw()

    def on_input_submitted(self) -> None:
        self._leave_filter()

    def _leave_filter(self) -> None:
        field = self.main.query_one("#filter", Input)
        if field.display:
            field.display = False
            self.main.query_one("#leases", Rows).focus()
        self.draw()

    def action_help(self) -> None:
        self.push_screen(Help())

    # --- keys that change what is -----------------------------------------------------------------

    def action_end(self) -> None:
        """Releases the lease, or cancels the waiter; asks before."""
        table, row = self._chosen()
        if row is None:
            self.say("there is no row to end")
            return
        number = whole(row, table.id_name)
        task = printable(text(row, "task"))[:40]
        what = f"{table.id_name} {number}{f' ({task})' if task else ''}"
        if table is self.scene.waiting:
            question = f"cancel {what}?"
            op, done = "cancel", f"{what} is cancelled"
        else:
            question = f"release {what}, held by process {whole(row, 'pid')}?"
            op, done = "release", f"{what} is released"
        self._prompt.ask(
            [f"{question}  y yes, any other key no"],
            "y",
            lambda _: self._wish(op, {table.id_name: number}, done),
        )
        self.draw()

    def action_move(self, end: str) -> None:
        table, row = self._chosen()
        if table is not self.scene.waiting or row is None:
            self.say("choose a waiter to move: tab goes to the queue")
            return
        ticket = whole(row, "ticket")
        self._wish(
            "move", {"ticket": ticket, "to": end}, f"ticket {ticket} is at the {end} of its class"
        )

    def action_pause(self) -> None:
        if self.scene.is_paused:
            self._wish("unpause", {}, "grants go on")
        else:
            self._wish("pause", {}, "paused: nothing is granted until p is pressed again")

    def action_level(self) -> None:
        self._prompt.ask(
            [LEVEL_QUESTION], "".join(LEVELS), lambda key: self._wish("level", *LEVELS[key])
        )
        self.draw()

    def _wish(self, op: str, fields: Frame, done: str) -> None:
        self.run_worker(self._ask(op, fields, done))

    async def _ask(self, op: str, fields: Frame, done: str) -> None:
        try:
            async with Client(self._path) as client:
                answer = await client.ask(op, fields)
        except AdmissionError as problem:
            self.say(str(problem), "red")
        else:
            self.say(done if answer.get("found", True) else "it is gone already")
        self.news.look()


def show(path: str, status: Frame, interval_s: float, *, is_ascii: bool) -> int:
    """Shows it until it is ended; the exit status."""
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)  # of a shell's that exports them: the terminal may be resized
    if has_colours():
        os.environ.pop("NO_COLOR", None)  # an empty one counts for nothing
    else:
        os.environ["NO_COLOR"] = "1"
    scene = Scene(status, time.monotonic())
    app = Top(path, scene, interval_s, is_ascii=is_ascii or not is_unicode())
    with Ends(app.end_soon) as ends:
        app.run()
    if ends.number:
        die_by(ends.number)
    return app.return_code or 0
