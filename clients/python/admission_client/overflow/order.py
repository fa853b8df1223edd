"""What one node asks another to run, as it crosses the line: checked where it arrives."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from admission.protocol import Frame
from admission_client.options import Options
from admission_client.overflow import terminal
from admission_client.overflow.line import CHUNK_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from admission_client.overflow.nodes import Node, Settings

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


def order_of(
    options: Options, fields: Frame, waited_s: float, node: "Node", settings: "Settings", cwd: str
) -> Order:
    """What the node is asked to run, of what we were asked, after so long a wait."""
    table = settings.table
    names = [*table.pass_env, *filter(None, options.pass_env.split(","))]
    names += ["TERM"] * options.tty
    rows, columns = terminal.size() if options.tty else (0, 0)
    return Order(
        words=options.words,
        options=_run_options(options, fields, waited_s),
        folder=node.folder_for(cwd),
        env={name: os.environ[name] for name in names if name in os.environ},
        on_disconnect=table.on_disconnect,
        silence_s=table.silence_s,
        rows=rows,
        columns=columns,
    )


def _run_options(options: Options, fields: Frame, waited_s: float) -> list[str]:
    """Those of the `run` there. What only holds here, as who runs under whom, is left out."""
    given = {
        "--pool": options.pool,
        "--weight": str(options.weight),
        "--task": options.task,
        "--class": options.class_,
        "--group": options.group,
        "--agent": options.agent,
        "--workspace": fields.get("workspace"),
        "--hold": options.hold,
        "--ttl": _seconds(options.ttl_s),
        "--by": None if options.by_s is None else _seconds(max(0.0, options.by_s - waited_s)),
        "--max-hold": _seconds(options.max_hold_s),
        "--park-signal": None if options.park_signal == "none" else options.park_signal,
        "--jobserver-style": options.jobserver_style,
    }
    words = [f"{name}={value}" for name, value in given.items() if value]
    words += ["--end-after-max"] * options.end_after_max
    words += ["--keep-effort"] * options.keeps_effort
    return words + ["--jobserver"] * options.jobserver


def _seconds(duration_s: float | None) -> str | None:
    return None if duration_s is None else f"{duration_s:.3f}"
