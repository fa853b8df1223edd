"""What is to be shown, as the daemon told it last, and how: order and filter. Draws nothing."""

from admission.protocol import Frame
from admission_client.granted import mapping, whole
from admission_client.output import printable
from admission_client.top import picture
from admission_client.top.columns import LEASES, USER, WAITING, Column, Fitted, fit
from admission_client.top.readings import Reading, Readings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Table:
    """Rows in an order, some of them hidden by the filter.

    Attributes:
        id_name: the field by which a row is named: `lease`, `ticket`.
        sorted_by: the head of the column by which rows are sorted.
    """

    def __init__(self, id_name: str, columns: "tuple[Column, ...]") -> None:
        self.id_name = id_name
        self.rows: list[Frame] = []
        self.more = 0
        self.sorted_by = columns[0].head
        self.is_reversed = False
        self._columns = columns

    @property
    def columns(self) -> "tuple[Column, ...]":
        """With whose each row is, where the daemon serves several users."""
        if any("user" in one for one in self.rows):
            return (self._columns[0], USER, *self._columns[1:])
        return self._columns

    def take(self, found: "list[Frame]", more: int) -> None:
        """The rows anew; `more`: how many there are besides.

        Raises:
            Unreachable: one can't be shown; what answers is no daemon that we understand.
        """
        for column in self._columns:
            for row in found:
                column.shown(row, 0.0)
                column.key(row)
        for row in found:
            whole(row, self.id_name)
        self.rows, self.more = found, more

    def sort_by_next(self, shown: "Sequence[str]") -> None:
        """Sorts by the column behind the one that it is sorted by, of those that are shown."""
        heads = list(shown) or [self._columns[0].head]
        at = heads.index(self.sorted_by) if self.sorted_by in heads else -1
        self.sort_by(heads[(at + 1) % len(heads)])

    def sort_by(self, head: str) -> None:
        """By this column; the other way round where it is that one already."""
        self.is_reversed = head == self.sorted_by and not self.is_reversed
        self.sorted_by = head

    def shown(self, wanted: str) -> list[Frame]:
        """The rows that hold this text anywhere, in order."""
        found = [row for row in self.rows if wanted.casefold() in _all_of(row)]
        by = next((one for one in self.columns if one.head == self.sorted_by), self._columns[0])
        return sorted(found, key=by.key, reverse=self.is_reversed)

    def fitted(
        self, found: "Sequence[Frame]", old_s: float, width: int, arrows: "tuple[str, str]"
    ) -> list[Fitted]:
        """Columns for these rows, which were true so many seconds ago."""
        columns = [
            Fitted(
                one,
                one.head + (arrows[self.is_reversed] if one.head == self.sorted_by else ""),
                [one.shown(row, old_s) for row in found],
            )
            for one in self.columns
        ]
        return fit(columns, width)


def _all_of(row: Frame) -> str:
    return " ".join(printable(one) for one in row.values() if one not in ("", None)).casefold()


class Scene:
    """All of it. Instants are on the clock of whoever draws.

    Attributes:
        status: what the daemon answered last.
        as_of: when that was.
        away: why no daemon answers, since `away_since`; empty while one does.
        advice: recommendations, the most important first.
        wanted: the text that rows have to hold.
    """

    def __init__(self, status: Frame, now: float) -> None:
        self.leases = Table("lease", LEASES)
        self.waiting = Table("ticket", WAITING)
        self.readings = Readings()
        self.advice: list[Frame] = []
        self.wanted = ""
        self.away = ""
        self.away_since = now
        self.take(status, [], [], now)

    def take(
        self, status: Frame, leases: "list[Frame]", waiting: "list[Frame]", now: float
    ) -> None:
        """What the daemon answered.

        Raises:
            Unreachable: it can't be shown; what answers is no daemon that we understand.
        """
        picture.check(status)
        all_waiting = sum(picture.waiting_of(status).values())
        self.leases.take(leases, max(whole(status, "held") - len(leases), 0))
        self.waiting.take(waiting, max(all_waiting - len(waiting), 0))
        self.status, self.as_of, self.away = status, now, ""
        self._see(now)

    def hear_sample(self, sample: Frame, now: float) -> None:
        """A sample, as it is told to whoever watches."""
        self.status = {**self.status, "sample": sample}
        self._see(now)

    def _see(self, now: float) -> None:
        sample = self.status.get("sample")
        if isinstance(sample, dict):
            self.readings.add(Reading.of(sample, now))

    def lose(self, why: str, now: float) -> None:
        """No daemon answers."""
        if not self.away:
            self.away_since = now
        self.away = printable(why)

    @property
    def is_paused(self) -> bool:
        """Whether nothing is granted in some pool."""
        return bool(mapping(self.status, "paused"))
