"""What one node asks another to run, as it crosses the line: checked where it arrives."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from admission_client.overflow.line import CHUNK_BYTES

ORDER_BYTES_MAX = 4 << 20
END, KEEP = "end", "keep"


@dataclass(frozen=True)
class Order:
    """A command, and how it is to run.

    `options`: of the `run` that admits it. `on_disconnect`: `end` or `keep`, what becomes of it
    when nobody is there any more. `rows` and `columns`: of its terminal; 0 for none.
    """

    words: list[str]
    options: list[str]
    folder: str
    env: dict[str, str]
    on_disconnect: str = END
    silence_s: float = 60.0
    rows: int = 0
    columns: int = 0

    def parts(self) -> Iterator[bytes]:
        """In pieces that frames can carry."""
        # As ASCII, in which also what is no text (in a file's name) comes through.
        said = json.dumps(asdict(self)).encode()
        for start in range(0, len(said), CHUNK_BYTES):
            yield said[start : start + CHUNK_BYTES]

    @classmethod
    def read(cls, said: bytes) -> "Order":
        """The order that these bytes are.

        Raises:
            ValueError: they are none; says what is wrong.
        """
        try:
            found = json.loads(said)
        except (ValueError, RecursionError):
            raise ValueError("the order is no JSON") from None
        if not isinstance(found, dict):
            raise ValueError("the order is no object")
        try:
            order = cls(**found)
        except TypeError:
            raise ValueError("the order has other fields than this version knows") from None
        order._check()
        return order

    def _check(self) -> None:
        right = (
            isinstance(self.env, dict)
            and _are_texts(list(self.env), list(self.env.values()), [self.folder])
            and _are_texts(self.words, self.options)
            and self.words
            and self.on_disconnect in (END, KEEP)
            and isinstance(self.silence_s, (int, float))
            and self.silence_s > 0
            and all(type(size) is int and 0 <= size < 65_536 for size in (self.rows, self.columns))
        )
        if not right:
            raise ValueError("the order holds something that none can hold")


def _are_texts(*lists: object) -> bool:
    """Whether each is a list of what a process can be given."""
    return all(
        isinstance(some, list) and all(isinstance(one, str) and "\0" not in one for one in some)
        for some in lists
    )
