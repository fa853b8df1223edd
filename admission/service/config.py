"""The configuration: a TOML file, read and checked once into frozen values."""

import difflib
import os
import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, structs

from admission.core.governor import Patience
from admission.core.levels import LEVELS, Level, Levels, PoolSpec, pools_of
from admission.core.limits import Limits
from admission.protocol import LABEL_CHARS_MAX, BadConfiguration

Percent = Annotated[float, Meta(gt=0, le=1000)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=1e6)]


class LevelTable(Struct, forbid_unknown_fields=True):
    """One `[[throttle.levels]]`: the row `level`, with only what differs from the default."""

    level: Annotated[int, Meta(ge=0, le=3)]
    name: str | None = None
    max_agents: Positive | None = None
    max_concurrent: Positive | None = None
    batch_size: Positive | None = None
    delay_ms: Annotated[int, Meta(ge=0, le=3_600_000)] | None = None
    reasoning_effort: str | None = None
    memory_below_pct: Percent | None = None
    cpu_below_pct: Percent | None = None


class ThrottleTable(Struct, forbid_unknown_fields=True):
    policy: Literal["table"] = "table"
    interval_s: Seconds = 30.0
    fast_interval_s: Seconds = 2.0
    margin_pct: Annotated[float, Meta(ge=0, le=50)] = 5.0
    dwell_s: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    cpu_smoothing_s: Seconds = 10.0
    levels: list[LevelTable] = []


class PoolTable(Struct, forbid_unknown_fields=True):
    capacity: (
        Positive
        | Literal["max_agents", "max_concurrent"]
        | Annotated[list[Positive], Meta(min_length=4, max_length=4)]
    )


class LimitsTable(Struct, forbid_unknown_fields=True):
    connections: Positive = 1024
    waiters: Positive = 10_000
    waiters_per_connection: Positive = 64
    unanswered_bytes: Annotated[int, Meta(ge=65_540)] = 256 * 1024
    first_frame_s: Seconds = 10.0
    grace_s: Seconds = 10.0


class File(Struct, forbid_unknown_fields=True):
    throttle: ThrottleTable = msgspec.field(default_factory=ThrottleTable)
    pools: dict[str, PoolTable] = {}
    limits: LimitsTable = msgspec.field(default_factory=LimitsTable)


@dataclass(frozen=True, slots=True)
class Config:
    """What the daemon goes by. Durations in seconds, percents of the machine."""

    levels: Levels = LEVELS
    pools: tuple[PoolSpec, ...] = pools_of(LEVELS)
    patience: Patience = field(default_factory=Patience)
    core_limits: Limits = field(default_factory=Limits)
    interval_s: float = 30.0
    fast_interval_s: float = 2.0
    connections_max: int = 1024
    unanswered_bytes_max: int = 256 * 1024
    first_frame_s: float = 10.0


def default_path() -> Path:
    given = os.environ.get("ADMISSION_CONFIG")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home) / "admission" / "config.toml"


def load(given: str | None = None) -> Config:
    """The configuration from `given`, else `$ADMISSION_CONFIG`, else the user's, else defaults.

    Raises:
        BadConfiguration: it can't be read, is no TOML, or holds what does not belong there. A file
            that was asked for by name has to be there.
    """
    path = Path(given) if given else default_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if given or os.environ.get("ADMISSION_CONFIG"):
            message = f"{path}: there is no such file; create it, or leave it out for the defaults"
            raise BadConfiguration(message) from None
        return Config()
    except (OSError, UnicodeDecodeError) as problem:
        raise BadConfiguration(f"{path} can't be read: {problem}") from None
    return parse(text, str(path))


def parse(text: str, path: str) -> Config:
    """The configuration in this TOML text; `path` is for messages."""
    try:
        file = msgspec.toml.decode(text, type=File)
    except msgspec.ValidationError as problem:
        raise BadConfiguration(f"{path}{_readable(str(problem))}") from None
    except msgspec.DecodeError as problem:
        raise BadConfiguration(f"{path} is not valid TOML: {problem}") from None
    levels = _levels(file.throttle.levels, path)
    throttle, limits = file.throttle, file.limits
    return Config(
        levels=levels,
        pools=_pools(file.pools, levels, path),
        patience=Patience(throttle.margin_pct, throttle.dwell_s, throttle.cpu_smoothing_s),
        core_limits=Limits(limits.waiters, limits.waiters_per_connection, limits.grace_s),
        interval_s=throttle.interval_s,
        fast_interval_s=min(throttle.fast_interval_s, throttle.interval_s),
        connections_max=limits.connections,
        unanswered_bytes_max=limits.unanswered_bytes,
        first_frame_s=limits.first_frame_s,
    )


def _levels(tables: list[LevelTable], path: str) -> Levels:
    rows = list(LEVELS)
    for table in tables:
        given = {key: value for key, value in structs.asdict(table).items() if value is not None}
        rows[table.level] = Level(**{**_row(rows[table.level]), **given})
    for lower, upper in pairwise(rows[:3]):
        for bound in ("memory_below_pct", "cpu_below_pct"):
            if getattr(lower, bound) > getattr(upper, bound):
                raise BadConfiguration(
                    f"{path}, [[throttle.levels]]: {bound} of level {lower.level} "
                    f"({getattr(lower, bound):g}) is above that of level {upper.level} "
                    f"({getattr(upper, bound):g}); bounds grow with the level"
                )
    first, second, third, last = rows
    return first, second, third, last


def _row(level: Level) -> dict[str, object]:
    return {name: getattr(level, name) for name in Level.__slots__}


def _pools(tables: dict[str, PoolTable], levels: Levels, path: str) -> tuple[PoolSpec, ...]:
    agents, operations = pools_of(levels)
    by_word = {"max_agents": agents.capacity, "max_concurrent": operations.capacity}
    specs = {spec.name: spec for spec in (agents, operations)}
    for name, table in tables.items():
        if not name or len(name) > LABEL_CHARS_MAX:
            raise BadConfiguration(f"{path}, [pools]: a name has 1 to {LABEL_CHARS_MAX} characters")
        capacity = table.capacity
        if isinstance(capacity, str):
            specs[name] = PoolSpec(name, by_word[capacity])
        elif isinstance(capacity, int):
            specs[name] = PoolSpec(name, (capacity,) * 4)
        else:
            first, second, third, last = capacity
            specs[name] = PoolSpec(name, (first, second, third, last))
    return tuple(specs.values())


_UNKNOWN = re.compile(
    r"Object contains unknown field `(?P<key>.*)`(?: - at `\$(?P<at>.*)`)?$", re.S
)
_WRONG = re.compile(r"(?P<what>.*) - at `\$(?P<at>.*)`$", re.S)


def _readable(problem: str) -> str:
    """msgspec's message in the words of the file: its table, its key, and what to write instead."""
    if match := _UNKNOWN.match(problem):
        table, key = _table(match["at"] or ""), match["key"]
        close = difflib.get_close_matches(key, _known_keys(match["at"] or ""), n=1)
        hint = f'; did you mean "{close[0]}"?' if close else "; remove it"
        return f'{table}: unknown key "{key}"{hint}'
    if match := _WRONG.match(problem):
        above, _, key = match["at"].rpartition(".")
        return f"{_table(above)}: {key}: {match['what'].replace('`', '')}"
    return f": {problem.replace('`', '')}"


def _table(at: str) -> str:
    name = re.sub(r"\[.*?\]", "", at).strip(".")
    return f", [{name}]" if name else ""


def _known_keys(at: str) -> list[str]:
    by_place: list[tuple[str, type[Struct]]] = [
        (r"", File),
        (r"\.throttle", ThrottleTable),
        (r"\.throttle\.levels\[.*\]", LevelTable),
        (r"\.pools\..*|\.pools\[.*\]", PoolTable),
        (r"\.limits", LimitsTable),
    ]
    return [
        key for place, kind in by_place if re.fullmatch(place, at) for key in kind.__struct_fields__
    ]
