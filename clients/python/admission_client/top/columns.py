"""The columns of the two tables: what each shows of a row, how rows are ordered by it, and which of
them a terminal has room for.
"""

from admission.protocol import Frame
from admission_client.durations import said
from admission_client.granted import number, text, whole
from admission_client.output import printable
from admission_client.top.readings import as_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Order = tuple[bool, float, str]

GAP = 1
LEAST = 4
CUT = "…"
UNITS = (("G", 2**30), ("M", 2**20), ("K", 2**10))


class Column:
    """One of them.

    Attributes:
        head: its heading.
        shown: what it shows of a row that is so many seconds old.
        order: by what rows are sorted.
        least, most: as wide as it has to be, if its content is; as it may become.
        rank: 0 is always there; the others as far as there is room, the lowest first.
    """

    __slots__ = ("head", "is_number", "least", "most", "order", "rank", "shown")

    def __init__(
        self,
        head: str,
        shown: "Callable[[Frame, float], str]",
        order: "Callable[[Frame], float | str | None]",
        *,
        least: int = 99,
        most: int = 99,
        rank: int = 0,
        is_number: bool = False,
    ) -> None:
        self.head = head
        self.shown = shown
        self.order = order
        self.least = least
        self.most = most
        self.rank = rank
        self.is_number = is_number

    def key(self, row: Frame) -> "Order":
        """Numbers by size, words by the alphabet, nothing last."""
        value = self.order(row)
        if isinstance(value, str):
            return (not value, 0.0, value.casefold())
        return (value is None, value or 0.0, "")


def _label(head: str, name: str, least: int = 6, most: int = 24, rank: int = 0) -> Column:
    return Column(
        head,
        lambda row, _: printable(text(row, name)) or "-",
        lambda row: text(row, name),
        least=least,
        most=most,
        rank=rank,
    )


def _count(head: str, name: str, rank: int = 0) -> Column:
    return Column(
        head,
        lambda row, _: str(whole(row, name) or "-"),
        lambda row: whole(row, name),
        rank=rank,
        is_number=True,
    )


def _time(head: str, name: str) -> Column:
    return Column(
        head,
        lambda row, old_s: said(number(row, name) + old_s).rjust(6),  # it does not jump
        lambda row: number(row, name),
        is_number=True,
    )


def state_of(row: Frame) -> str:
    """What a lease is in, for a person."""
    if row.get("left") is not None:
        return "left"  # its holder has exited, and what that left goes on
    return "stopped" if row.get("stopped_s") is not None else text(row, "state")


def size(bytes_: object) -> str:
    """For a person: `173K`, `1.2G`; `-` where it is not known."""
    amount = as_number(bytes_)
    if amount is None:
        return "-"
    for unit, worth in UNITS:
        if amount >= worth:
            return (
                f"{amount / worth:.1f}{unit}"
                if amount < 10 * worth
                else f"{amount / worth:.0f}{unit}"
            )
    return f"{amount:.0f}B"


def about(row: Frame, old_s: float) -> str:
    """How long a waiter still waits, as far as anybody knows."""
    eta_s = as_number(row.get("eta_s"))
    return "-" if eta_s is None else said(max(eta_s - old_s, 0.0))


USER = Column(
    "USER", lambda row, _: printable(row.get("user", "-")), lambda row: str(row.get("user", "")),
    least=6, most=12,
)  # fmt: skip
LEASES = (
    _count("LEASE", "lease"),
    _label("POOL", "pool", most=12),
    _label("TASK", "task", least=20, most=40),
    _label("AGENT", "agent", most=10, rank=5),
    _count("PID", "pid"),
    Column("STATE", lambda row, _: state_of(row), state_of, rank=2),
    _label("CLASS", "class", least=8, rank=3),
    _count("UNITS", "weight", rank=4),
    _time("AGE", "age_s"),
    Column(
        "MEMORY",
        lambda row, _: size(row.get("memory_bytes")),
        lambda row: as_number(row.get("memory_bytes")),
        rank=1,
        is_number=True,
    ),
    _label("FROM", "from", least=12, most=60, rank=6),
)
WAITING = (
    # Of each pool by itself, as it is served.
    Column(
        "PLACE",
        lambda row, _: str(whole(row, "position")),
        lambda row: f"{text(row, 'pool')} {whole(row, 'position'):09}",
        is_number=True,
    ),
    _count("TICKET", "ticket"),
    _label("POOL", "pool", most=12),
    _label("TASK", "task", least=16, most=30),
    _label("CLASS", "class", least=8, rank=1),
    _count("UNITS", "weight", rank=2),
    _time("WAITED", "waiting_s"),
    Column("ABOUT", about, lambda row: as_number(row.get("eta_s")), is_number=True),
    _label("WHY", "reason", least=20, most=80),
)


class Fitted:
    """A column as it is drawn: `width` cells, and `cells` that are no wider."""

    __slots__ = ("cells", "column", "head", "width")

    def __init__(self, column: Column, head: str, cells: "list[str]") -> None:
        self.column = column
        self.head = head
        self.cells = cells
        self.width = self.natural

    @property
    def natural(self) -> int:
        """As wide as it would be if there were room."""
        wide = max([len(self.head), *map(len, self.cells)])
        return max(min(wide, self.column.most), len(self.head))

    @property
    def least(self) -> int:
        return min(self.natural, max(self.column.least, len(self.head)))

    def cut(self) -> "Fitted":
        """To its width, numbers to the right."""
        self.head, *self.cells = (self._cell(one) for one in (self.head, *self.cells))
        return self

    def _cell(self, written: str) -> str:
        if len(written) > self.width:
            return written[: self.width - 1] + CUT
        return written.rjust(self.width) if self.column.is_number else written.ljust(self.width)


def fit(columns: "Sequence[Fitted]", width: int) -> list[Fitted]:
    """Those that fit a width, as wide as they may be; words at the end take what is left."""
    kept = list(columns)

    def room() -> int:
        return width - sum(one.width + GAP for one in kept) + GAP

    for one in kept:
        one.width = one.least
    while room() < 0 and (rank := max(one.column.rank for one in kept)):
        kept = [one for one in kept if one.column.rank < rank]
    while room() < 0 and (widest := max(kept, key=lambda one: one.width)).width > LEAST:
        widest.width -= 1
    for one in sorted(kept, key=lambda one: one.column.rank):
        one.width += min(max(room(), 0), one.natural - one.width)
    if kept and not kept[-1].column.is_number:
        kept[-1].width += max(room(), 0)
    return [one.cut() for one in kept]
