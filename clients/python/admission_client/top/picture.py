"""Draws all but the tables: lines of text, each in parts with a tone. Knows nothing of the terminal
but its width. What the daemon says is made printable here, as labels may hold anything.
"""

import textwrap

from admission.protocol import Frame
from admission_client.by_hand import reserved
from admission_client.durations import said
from admission_client.granted import mapping, number, rows, text, whole, words_of
from admission_client.look import alarm_text, shed_lines
from admission_client.output import LEVEL_COLOURS, printable
from admission_client.top.letters import LINES, large
from admission_client.top.readings import FIGURES, as_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from admission_client.top.scene import Scene, Table

    # A tone is "" or a word of `output.coloured`: bold, dim, green, yellow, red.
    Line = list[tuple[str, str]]

BARS = " ▁▂▃▄▅▆▇█"
GAUGE_CELLS = 10
NAMES = ("memory", "CPU", "stalls")
# Beside the columns of a figure: its name, the figure, and what more there is to say of it.
NAME_CHARS, FIGURE_CHARS, MORE_CHARS = 8, 6, 26
COLUMNS_MIN, COLUMNS_MAX = 10, 120
NOTICES_SHOWN = 3
# Of a terminal that can draw nothing else.
_PLAIN = str.maketrans("▁▂▃▄▅▆▇█▀▄■□▲▼…·→", '..:-=+*#".#.^v~->')


def plain(written: str) -> str:
    """The same in ASCII."""
    return written.translate(_PLAIN).encode("ascii", "replace").decode()


# --- the level ----------------------------------------------------------------------------------


def head(scene: "Scene", now: float, width: int, *, is_large: bool) -> "list[Line]":
    """The level and why, in three lines beside a large word; in two without it."""
    word = "away" if scene.away else text(scene.status, "name")
    tone = "red" if scene.away else LEVEL_COLOURS[whole(scene.status, "level")]
    drawn = large(word) if is_large else None
    if drawn is None:
        first, *rest = _about_level(scene, now, width, LINES - 1)
        return [
            [(printable(word).upper(), f"bold {tone}"), ("  ", ""), first],
            *([one] for one in rest),
        ]
    beside = _about_level(scene, now, width - len(drawn[0]) - 2, LINES)
    return [[(line, tone), ("  ", ""), one] for line, one in zip(drawn, beside, strict=True)]


def _about_level(scene: "Scene", now: float, width: int, lines: int) -> "Line":
    """One part a line."""
    status, old_s = scene.status, now - scene.as_of
    if scene.away:
        for_s = said(now - scene.away_since)
        first = f"no daemon for {for_s}; below is what was {said(old_s)} ago"
        why = f"trying again: {scene.away}"
    else:
        level_s = number(status, "level_since_s") + old_s
        first = f"level {whole(status, 'level')} for {said(level_s)}{_by_hand(status, old_s)}"
        why = printable("; ".join(words_of(status, "reasons"))) or "all calm"
    wrapped = textwrap.wrap(
        why, max(width, COLUMNS_MIN), max_lines=lines - 1, placeholder=" …", break_on_hyphens=False
    )
    padded = [*wrapped, *[""] * (lines - 1 - len(wrapped))]
    return [(first, "bold"), *((one, "") for one in padded)]


def _by_hand(status: Frame, old_s: float) -> str:
    hand = status.get("by_hand")
    if not isinstance(hand, dict):
        return ""
    left_s = as_number(hand.get("until_s"))
    off = ", and the budget off" if hand.get("off") else ""
    until = "" if left_s is None else f" for another {said(max(left_s - old_s, 0.0))}"
    return f", by hand{until}{off}"


# --- the machine --------------------------------------------------------------------------------


def figures(scene: "Scene", now: float, width: int) -> "list[Line]":
    """Memory, CPU and stalls: the figure, the last minutes, and what it is of."""
    sample = scene.status.get("sample")
    known: Frame = sample if isinstance(sample, dict) else {}
    spare = width - NAME_CHARS - FIGURE_CHARS - MORE_CHARS - 2
    count = min(max(spare, COLUMNS_MIN), COLUMNS_MAX)
    lines: list[Line] = []
    for name, figure, more in zip(NAMES, FIGURES, _more(known), strict=True):
        columns = scene.readings.columns(figure, now, count)
        value = scene.readings.latest(figure)
        shown = "?" if value is None else f"{value:.0f} %"
        lines.append(
            [
                (name.ljust(NAME_CHARS), "bold"),
                (shown.rjust(FIGURE_CHARS - 1) + " ", ""),
                ("".join(map(bar, columns)), "dim" if scene.away else "green"),
                ("  " + more, ""),
            ]
        )
    return lines


def bar(value: float | None) -> str:
    """One column. What was seen is never drawn as nothing."""
    if value is None:
        return BARS[0]
    steps = len(BARS) - 1
    return BARS[min(max(round(value / 100 * steps), 1), steps)]


def _more(sample: Frame) -> list[str]:
    def percent(name: str) -> str:
        value = as_number(sample.get(name))
        return "?" if value is None else f"{value:.0f}"

    total, cpus = as_number(sample.get("memory_total_bytes")), as_number(sample.get("cpus"))
    load, swap = as_number(sample.get("load_1min")), as_number(sample.get("swap_used_pct"))
    memory = "" if total is None else f"of {total / 2**30:.1f} GiB"
    if swap is not None:
        memory += f", swap {swap:.0f} %"
    cpu = "" if cpus is None else f"of {cpus:g} CPUs"
    if load is not None:
        cpu += f", load {load:.1f}"
    stalls = [percent(f"{name}_stall_pct") for name in ("cpu", "memory", "io")]
    word = {1: "normal", 2: "warning", 4: "critical"}.get(sample.get("memory_pressure"))  # type: ignore[call-overload]
    by = "CPU {}, memory {}, disk {}".format(*stalls) if any(s != "?" for s in stalls) else ""
    return [memory, cpu, f"memory pressure {word}" if word else by]


# --- the pools, and what else there is to know --------------------------------------------------


def waiting_of(status: Frame) -> dict[str, int]:
    """How many wait, by pool."""
    return {pool: whole(mapping(status, "waiting"), pool) for pool in mapping(status, "capacity")}


def pools(status: Frame, width: int) -> "list[Line]":
    """Units out of how many, with a gauge, and how many wait; as many pools a line as fit."""
    lines: list[Line] = [[]]
    used = 0
    for pool in mapping(status, "capacity"):
        parts = _pool(status, pool)
        long = sum(len(part) for part, _ in parts) + 3
        if used and used + long > width + 3:
            lines.append([])
            used = 0
        lines[-1] += [*parts, ("   ", "")]
        used += long
    return lines


def _pool(status: Frame, pool: str) -> "Line":
    capacity = whole(mapping(status, "capacity"), pool)
    in_use = whole(mapping(status, "in_use"), pool)
    over = whole(mapping(status, "overcommitted"), pool)
    waiting = waiting_of(status)[pool]
    cells = min(capacity, GAUGE_CELLS)
    full = min(-(-in_use * cells // capacity), cells) if capacity else 0
    tone = "yellow" if over or in_use >= capacity else "green"
    parts: Line = [
        (f"{printable(pool)} ", "bold"),
        (f"{in_use}/{capacity} ", ""),
        ("■" * full, tone),
        ("□" * (cells - full), "dim"),
    ]
    if waiting:
        parts.append((f" {waiting} waiting", "yellow"))
    if over:
        parts.append((f" {over} over", "yellow"))
    if pool in mapping(status, "paused"):
        parts.append((" paused", "bold yellow"))
    return parts


def notices(scene: "Scene", limit: int = NOTICES_SHOWN) -> "list[Line]":
    """What somebody should know, the worst first; then what to do about it."""
    found = _warnings(scene.status)
    lines: list[Line] = [[(printable(one), tone)] for one, tone in found[:limit]]
    if len(found) > limit:
        more = f'and {len(found) - limit + 1} more; "admission status" has all'
        lines[-1:] = [[(more, "yellow")]]
    for one in scene.advice[:limit]:
        lines.append([("→ ", "bold"), (f"{advice_text(one)}", "")])
    return lines


def _warnings(status: Frame) -> "Line":
    found: Line = [(f"! {one}", "red") for one in words_of(status, "degraded")]
    found += [(f"alarm: {alarm_text(one)}", "yellow") for one in rows(status, "alarms")]
    found += [(one, "yellow") for one in shed_lines(status)]
    for one in rows(status, "reservations"):
        found.append((f"reservation {whole(one, 'reservation')}: {reserved(one)}", ""))
    if paused := mapping(status, "paused"):
        which = ", ".join(f"{pool}{_until(left_s)}" for pool, left_s in paused.items())
        found.append((f"paused, nothing is granted: {which}", "yellow"))
    return found


def _until(left_s: object) -> str:
    seconds = as_number(left_s)
    return "" if seconds is None else f" for another {said(seconds)}"


def advice_text(row: Frame) -> str:
    """One recommendation: what, why, and the command."""
    what, why, command = (printable(row.get(name) or "") for name in ("what", "why", "command"))
    return f"{what}: {command}" if command else f"{what}: {why}"


def check(status: Frame) -> None:
    """Draws what an answer is drawn as.

    Raises:
        Unreachable: it can't be; what answers is no daemon that we understand.
    """
    pools(status, 80)
    _warnings(status)
    whole(status, "held"), whole(status, "level"), text(status, "name")
    number(status, "level_since_s"), words_of(status, "reasons")


# --- beside the tables --------------------------------------------------------------------------


def title(name: str, table: "Table", shown: int, wanted: str) -> "Line":
    """Above a table: how many rows there are, how they are sorted, and what is hidden."""
    everything = len(table.rows) + table.more
    parts: Line = [(f"{name} {everything}", "bold")]
    way = ", the other way round" if table.is_reversed else ""
    parts.append((f"  by {table.sorted_by.lower()}{way}", "dim"))
    if wanted:
        parts.append((f"  {shown} with ", "dim"))
        parts.append((printable(wanted), "bold"))
    if table.more:
        parts.append((f"  the first {len(table.rows)} are here", "dim"))
    return parts


def fitting(words: "Sequence[str]", width: int) -> str:
    """As many of the first as fit a line."""
    line = ""
    for word in words:
        longer = f"{line}  {word}" if line else word
        if len(longer) > width:
            break
        line = longer
    return line


def detail(row: Frame | None) -> str:
    """All of the chosen row that its table may have had no room for."""
    if row is None:
        return ""
    if "ticket" in row:
        parts = [f"ticket {whole(row, 'ticket')}", text(row, "reason"), text(row, "task")]
        parts += [f"group {row['group']}" if row.get("group") else ""]
        parts += [f"moved to the {row['moved']} by hand" if row.get("moved") else ""]
        return printable(" · ".join(filter(None, parts)))
    parts = [f"lease {whole(row, 'lease')}", text(row, "task"), str(row.get("from") or "")]
    bound_s = as_number(row.get("max_hold_s"))
    parts += [f"group {row['group']}" if row.get("group") else ""]
    parts += [f"at most {said(bound_s)}" if bound_s else "", str(row.get("workspace") or "")]
    return printable(" · ".join(filter(None, parts)))
