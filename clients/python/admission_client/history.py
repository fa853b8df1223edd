"""The command `history`: what the machine and the leases did, from the file that the daemon keeps.

It reads the file itself, so it needs no daemon and starts none.
"""

import shutil
import sys
import time

from admission.protocol import AdmissionError, Frame
from admission_client.durations import parse_duration, said
from admission_client.granted import number, rows, text, whole, words_of
from admission_client.options import JSON, Option, WrongUsage, parse, parse_count, take_no_words
from admission_client.output import as_json, printable, table
from admission_client.plot import ASCII, BLOCKS, BOUND_CHARS, MARGIN, Glyphs, axis, band, chart

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SINCE_S = 7200.0
POINTS = 120
POINTS_MAX = 10_000
COLUMNS_MIN, COLUMNS_MAX = 20, 240
CHANGES_SHOWN = 20
TASKS_SHOWN = 5
# The daemon looks at least this often, so a gap as long is drawn as what was seen before it.
SEEN_FOR_S = 90.0


def history(words: list[str]) -> int:
    """Shows it as charts and tables, or as one JSON document."""
    options = parse(
        words,
        (
            Option("--since", "since_s", "how far back (2h)", "DURATION", parse_duration),
            Option("--points", "points", "how many points in time", "N", parse_count),
            Option("--ascii", "is_ascii", "draw with plain characters"),
            JSON,
        ),
        "history [options]",
        "What the machine and the leases did: memory, CPU and the throttle level over time, the\n"
        "changes of the level with their reasons, and how long leases waited and lasted.",
    )
    take_no_words("history", options)
    if not options.since_s:
        raise WrongUsage("history: --since 0 leaves nothing to show; write 10m, 2h, 1d")
    points = _columns() if options.points is None and not options.json else options.points
    if (points := points or POINTS) > POINTS_MAX:
        raise WrongUsage(f"history: --points {points} is too many; {POINTS_MAX} at most")
    # Late, and from the service, as only `serve` is otherwise: this is of use without a daemon.
    from admission.service.history import history_path

    found = document(history_path(), options.since_s, time.time(), points)
    if options.json:
        print(as_json(found, indent=2))
    else:
        glyphs = ASCII if options.is_ascii or not _is_unicode() else BLOCKS
        print("\n".join(_drawing(found, options.since_s, points, glyphs)))
    return 0


def _columns() -> int:
    wide = shutil.get_terminal_size((80, 24)).columns - MARGIN - BOUND_CHARS
    return min(max(wide, COLUMNS_MIN), COLUMNS_MAX)


def _is_unicode() -> bool:
    try:
        BLOCKS.bars.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


# --- what was found -----------------------------------------------------------------------------


def document(path: "Path", since_s: float, now: float, points: int) -> Frame:
    """All that is known of the last `since_s` seconds, as one map; what `--json` prints.

    `series` begins where the history does, if that is later. Instants are seconds since 1970.

    Raises:
        Unavailable: the history can't be read. That there is none yet is an answer as well.
    """
    from admission.service.history import reading

    found: Frame = {"path": str(path), "since": now - since_s, "until": now, "newest": None}
    found |= {"step_s": since_s / points, "series": [], "levels": [], "leases": []}
    ends = reading.ends(path) if path.exists() else None
    if ends is not None:
        oldest, newest = ends
        since = min(max(now - since_s, oldest), now - 1)
        series = reading.series(path, since, now, points)
        changes = reading.level_changes(path, since)
        leases = reading.leases(path, since)
        found |= {"since": since, "newest": newest, "step_s": (now - since) / points}
        found["series"] = [_fields(bucket) for bucket in series]
        found["levels"] = [_fields(change) for change in changes]
        found["leases"] = [_fields(lease) for lease in leases]
    return found | {"summary": summary(rows(found, "leases"))}


def _fields(row: object) -> Frame:
    """A row of the history as a map of what JSON has."""
    names: tuple[str, ...] = type(row).__slots__  # type: ignore[attr-defined]
    return {name.removesuffix("_"): _plain(getattr(row, name)) for name in names}


def _plain(value: object) -> object:
    if isinstance(value, float):
        return round(value, 3)  # more than it is worth
    return list(value) if isinstance(value, tuple) else value


def summary(leases: "Sequence[Frame]") -> Frame:
    """How many there were and how long they waited and lasted, in all and by task (`by_task`, the
    most frequent first). Seconds; None where there is nothing to tell.
    """
    by_task: dict[str, list[Frame]] = {}
    for lease in leases:
        by_task.setdefault(text(lease, "task"), []).append(lease)
    tasks = sorted(by_task.items(), key=lambda one: (-len(one[1]), one[0]))
    top: list[Frame] = [{"task": task, **_times(mine)} for task, mine in tasks[:TASKS_SHOWN]]
    return {**_times(leases), "tasks": len(tasks), "by_task": top}


def _times(leases: "Sequence[Frame]") -> Frame:
    waited_s = sorted(number(lease, "waited_s") for lease in leases)
    held_s = sorted(number(lease, "held_s") for lease in leases if lease["held_s"] is not None)
    return {
        "leases": len(leases),
        "ended": len(held_s),
        "waited_s_median": quantile(waited_s, 0.5),
        "waited_s_p95": quantile(waited_s, 0.95),
        "held_s_median": quantile(held_s, 0.5),
    }


def quantile(ascending: "Sequence[float]", share: float) -> float | None:
    """The smallest value that at least this share of all does not exceed; one that was seen."""
    rank = -int(-share * len(ascending) // 1)
    return ascending[max(rank - 1, 0)] if ascending else None


# --- what people see ----------------------------------------------------------------------------


def _drawing(found: Frame, since_s: float, points: int, glyphs: Glyphs) -> list[str]:
    if found["newest"] is None:
        where = printable(text(found, "path"))
        return [f"there is no history at {where} yet; the daemon writes it while it runs"]
    if not any(found[name] for name in ("series", "levels", "leases")):
        newest = _local(number(found, "newest"), 86_400)
        return [f"nothing was seen in the last {said(since_s)}; the newest is of {newest}"]
    lines = _charts(found, points, glyphs) if found["series"] else ["no samples"]
    return [*lines, "", *_change_lines(found), "", *_lease_lines(found)]


def _charts(found: Frame, points: int, glyphs: Glyphs) -> list[str]:
    since, until = number(found, "since"), number(found, "until")
    columns = _spread(rows(found, "series"), since, number(found, "step_s"), points)
    memory, cpu = _bounds()
    charts = [
        "memory used, % (full: mean, light: peak; > 1: level 1)",
        *chart(*_percents(columns, "memory_used_pct"), memory, glyphs),
        "CPU used, %",
        *chart(*_percents(columns, "cpu_used_pct"), cpu, glyphs),
    ]
    levels = [
        None if one is None or one["level"] is None else whole(one, "level") for one in columns
    ]
    digits = band(levels)
    return [*charts, "lev" + digits[3:], *axis(since, until, points, glyphs)]


def _spread(
    series: "Sequence[Frame]", since: float, step_s: float, points: int
) -> list[Frame | None]:
    """One a column: what was seen then, or else a moment before."""
    columns: list[Frame | None] = [None] * points
    reach = max(int(SEEN_FOR_S / step_s), 0)
    for bucket in series:
        begin = min(round((number(bucket, "at") - since) / step_s), points - 1)
        for column in range(begin, min(begin + reach + 1, points)):
            columns[column] = bucket
    return columns


def _percents(
    columns: "Sequence[Frame | None]", name: str
) -> "tuple[list[float | None], list[float | None]]":
    def of(name: str) -> list[float | None]:
        return [None if one is None or one[name] is None else number(one, name) for one in columns]

    return of(name), of(f"{name}_max")


def _bounds() -> "tuple[list[tuple[float, str]], list[tuple[float, str]]]":
    """Above which memory and CPU mean which level, as this user's configuration has it."""
    from admission.service.config import load

    try:
        levels = load().levels
    except AdmissionError:  # the charts are of use without the bounds
        return [], []
    return (
        [(level.memory_below_pct, str(level.level + 1)) for level in levels[:3]],
        [(level.cpu_below_pct, str(level.level + 1)) for level in levels[:3]],
    )


def _change_lines(found: Frame) -> list[str]:
    changes = rows(found, "levels")
    if not changes:
        return ["the level did not change"]
    long_s = number(found, "until") - number(found, "since")
    shown = table(
        ("TIME", "LEVEL", "WHY"),
        [
            (
                _local(number(change, "at"), long_s),
                whole(change, "level"),
                "; ".join(words_of(change, "reasons"))
                or ("set by hand" if change["by_hand"] else "all calm"),
            )
            for change in changes[-CHANGES_SHOWN:]
        ],
    )
    before = len(changes) - CHANGES_SHOWN
    more = [f"and {before} changes before these; --json has all"] if before > 0 else []
    return [*shown.splitlines(), *more]


def _lease_lines(found: Frame) -> list[str]:
    about = found["summary"]
    assert isinstance(about, dict)
    if not about["leases"]:
        return ["no leases"]
    count = whole(about, "leases")
    left = count - whole(about, "ended")
    line = (
        f"{count} {'lease' if count == 1 else 'leases'}"
        + (f", {left} without an end yet" if left else "")
        + f"; waited {_said(about, 'waited_s_median')} (median), "
        f"{_said(about, 'waited_s_p95')} (19 of 20)"
    )
    shown = table(
        ("TASK", "LEASES", "WAITED", "19 OF 20", "HELD"),
        [
            (
                printable(one["task"]) or "-",
                whole(one, "leases"),
                _said(one, "waited_s_median"),
                _said(one, "waited_s_p95"),
                _said(one, "held_s_median"),
            )
            for one in rows(about, "by_task")
        ],
    )
    others = whole(about, "tasks") - len(rows(about, "by_task"))
    more = [f"and {others} other tasks"] if others > 0 else []
    return [line, *shown.splitlines(), *more]


def _said(about: Frame, name: str) -> str:
    return "-" if about[name] is None else said(number(about, name))


def _local(instant: float, long_s: float) -> str:
    """The local time, with the date where the time alone may mean two days."""
    form = "%H:%M:%S" if long_s < 43_200 else "%Y-%m-%d %H:%M"
    return time.strftime(form, time.localtime(instant))
