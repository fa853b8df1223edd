"""A table and lines on the screen. Text is never read as markup, as it may be a label."""

from rich.text import Text
from textual.content import Content
from textual.widgets import DataTable, Static

from admission_client.top.columns import GAP
from admission_client.top.picture import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from admission_client.top.columns import Fitted
    from admission_client.top.picture import Line

# The terminal's own colours, whatever it shows them as.
COLOURS = ("green", "yellow", "red")


def style(tone: str) -> str:
    """A tone as textual writes it."""
    return " ".join(f"ansi_{word}" if word in COLOURS else word for word in tone.split())


class Lines(Static):
    """Some lines, each cut where the terminal ends."""

    DEFAULT_CSS = """
    Lines { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, id: str, *, is_ascii: bool = False) -> None:
        super().__init__(id=id, markup=False)
        self._is_ascii = is_ascii
        self.lines: list[Line] = []
        self.display = False
        if is_ascii:
            self.styles.text_overflow = "clip"  # without its "…"

    def put(self, lines: "Sequence[Line]") -> None:
        """Shows these, and nothing where there are none."""
        if (new := list(lines)) == self.lines:
            return
        is_as_long = len(new) == len(self.lines)
        self.lines = new
        parts: list[tuple[str, str]] = []
        for line in new:
            parts += [("\n", "")] if parts else []
            parts += [(plain(part) if self._is_ascii else part, style(tone)) for part, tone in line]
        self.display = bool(new)
        self.update(Content.assemble(*parts), layout=not is_as_long)


class Rows(DataTable[Text]):
    """Rows named by a number, of which one is chosen; it stays so where others come and go."""

    DEFAULT_CSS = """
    Rows {
        height: 1fr; background: ansi_default; scrollbar-size: 0 0;
        & > .datatable--header, &:ansi > .datatable--header {
            background: ansi_default; text-style: underline;
        }
        & > .datatable--cursor { background: ansi_default; color: ansi_default; }
        &:focus > .datatable--cursor {
            background: ansi_default; color: ansi_default; text-style: reverse;
        }
        & > .datatable--hover, & > .datatable--header-hover { background: ansi_default; }
    }
    """

    def __init__(self, id: str, *, is_ascii: bool = False) -> None:
        super().__init__(id=id, cursor_type="row", cell_padding=0, zebra_stripes=False)
        self._is_ascii = is_ascii
        self._heads: list[tuple[str, str, int]] = []
        self._ids: list[int] = []
        self._cells: list[list[str]] = []

    @property
    def chosen(self) -> int | None:
        """The number of the chosen row."""
        is_there = 0 <= self.cursor_row < len(self._ids)  # before any row it is at -1
        return self._ids[self.cursor_row] if is_there else None

    def show(self, fitted: "Sequence[Fitted]", ids: "Sequence[int]") -> None:
        """Shows these columns, and these rows in this order."""
        heads = [(one.column.head, one.head, one.width) for one in fitted]
        cells = [list(row) for row in zip(*(one.cells for one in fitted), strict=True)]
        if heads != self._heads or list(ids) != self._ids:
            self._fill(heads, cells, list(ids))
        else:
            self._change(cells)
        self._cells = cells

    def _fill(
        self, heads: list[tuple[str, str, int]], cells: list[list[str]], ids: list[int]
    ) -> None:
        chosen, row, top = self.chosen, self.cursor_row, self.scroll_y
        if heads != self._heads:
            self.clear(columns=True)
            for key, head, width in heads:
                self.add_column(self._text(head), width=width + GAP, key=key)
        else:
            self.clear()
        self._heads, self._ids = heads, ids
        for number, row_cells in zip(ids, cells, strict=True):
            self.add_row(*map(self._text, row_cells), key=str(number))
        self.scroll_to(y=top, animate=False)
        self.move_cursor(row=ids.index(chosen) if chosen in ids else max(min(row, len(ids) - 1), 0))

    def _change(self, cells: list[list[str]]) -> None:
        for number, before, after in zip(self._ids, self._cells, cells, strict=True):
            for (key, _, _), old, new in zip(self._heads, before, after, strict=True):
                if old != new:
                    self.update_cell(str(number), key, self._text(new))

    def _text(self, written: str) -> Text:
        return Text(plain(written) if self._is_ascii else written, no_wrap=True, end="")
