"""What the commands print: JSON, tables, and colours where a terminal shows them."""

import os
import sys

from admission.protocol import Frame
from admission_client.options import Options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

_COLOURS = {"green": 32, "yellow": 33, "red": 31, "dim": 2, "bold": 1}
LEVEL_COLOURS = ("green", "yellow", "yellow", "red")


def as_json(reply: Frame, indent: int | None = None) -> str:
    """A reply as it stands, less what only the connection needed."""
    import json  # late: `run` comes through this module and wants none of it

    about = {name: value for name, value in reply.items() if name not in ("id", "ok")}
    written = json.dumps(about, indent=indent, ensure_ascii=False, default=bytes.hex)
    # JSON leaves a few that a terminal obeys, above all U+009B, which begins its commands.
    return "".join(
        char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in written
    )


def print_reply(reply: Frame, line: str, options: Options) -> None:
    """The reply as JSON where that was asked for, else the line."""
    if options.json:
        print(as_json(reply))
    elif not options.quiet:
        print(line)


def coloured(text: str, colour: str, stream: "TextIO | None" = None) -> str:
    """The text in this colour where the stream is a terminal and nobody minds; `NO_COLOR` does."""
    stream = sys.stdout if stream is None else stream
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def table(head: "Sequence[str]", rows: "Sequence[Sequence[object]]") -> str:
    """Columns as wide as they must be; numbers to the right, and no space at the end of a line."""
    cells = [[printable(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    is_number = [
        bool(rows) and all(isinstance(row[index], (int, float)) for row in rows)
        for index in range(len(head))
    ]

    def line(row: "Sequence[str]") -> str:
        parts = zip(row, widths, is_number, strict=True)
        return "  ".join(t.rjust(w) if right else t.ljust(w) for t, w, right in parts).rstrip()

    return "\n".join([coloured(line(head), "bold"), *map(line, cells)])


def printable(value: object) -> str:
    """On one line, whatever a label holds: it may not draw on the terminal."""
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value)
    )
