"""The configuration file: its tables and keys, and its mistakes in the words of who wrote it."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from admission.core.budget import Budget
from admission.core.deferral import Defer
from admission.core.estimates import Learning
from admission.core.foresight import Foresight
from admission.core.governor import Patience
from admission.core.legs import Legs
from admission.core.limits import Limits
from admission.core.order import Ageing
from admission.core.shedding import Shed
from admission.protocol import BadConfiguration

# The defaults are the core's own, and stand nowhere else.
_BUDGET, _PATIENCE, _LEGS, _AGEING = Budget(), Patience(), Legs(), Ageing()
_LIMITS, _FORESIGHT, _SHED, _LEARNING = Limits(), Foresight(), Shed(), Learning()
_DEFER = Defer()
MIB = 1 << 20

Percent = Annotated[float, Meta(gt=0, le=1000)]
Positive = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=1e6)]
# It crosses the socket, and stands in environments.
Word = Annotated[str, Meta(pattern=r"^[^\x00-\x1f]{1,64}$")]
# It is part of a key, and of commands.
NodeName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class LevelTable(Struct, forbid_unknown_fields=True):
    """One `[[throttle.levels]]`: the row `level`, with only what differs from the default."""

    level: Annotated[int, Meta(ge=0, le=3)]
    name: Word | None = None
    max_agents: Positive | None = None
    max_concurrent: Positive | None = None
    batch_size: Positive | None = None
    delay_ms: Annotated[int, Meta(ge=0, le=3_600_000)] | None = None
    reasoning_effort: Word | None = None
    memory_below_pct: Percent | None = None
    cpu_below_pct: Percent | None = None


class BudgetTable(Struct, forbid_unknown_fields=True):
    """`[throttle.budget]`: the memory budget. Sizes in MiB; `core.budget.Budget` explains them."""

    enabled: bool = True
    ceiling_pct: Annotated[float, Meta(gt=0, le=100)] = _BUDGET.ceiling_pct
    mean_mib: Annotated[float, Meta(ge=0, le=1e7)] = _BUDGET.mean_bytes / MIB
    peak_mib: Annotated[float, Meta(ge=0, le=1e7)] = _BUDGET.peak_bytes / MIB
    share_pct: Annotated[float, Meta(gt=0, le=100)] = _BUDGET.share_pct
    spread: Annotated[float, Meta(ge=0, le=10)] = _BUDGET.spread
    ramp_s: Seconds = _BUDGET.ramp_s
    window_s: Annotated[float, Meta(ge=0, le=86_400)] = _BUDGET.window_s


class LearningTable(Struct, forbid_unknown_fields=True):
    """`[throttle.learning]`: what tasks take, learnt; `core.estimates.Learning` explains it."""

    enabled: bool = _LEARNING.is_on
    margin: Annotated[float, Meta(ge=1, le=10)] = _LEARNING.margin
    prior_runs: Annotated[float, Meta(gt=0, le=1000)] = _LEARNING.prior_runs
    settled: Annotated[float, Meta(ge=0, le=1)] = _LEARNING.settled
    sure_runs: Annotated[int, Meta(ge=1, le=30)] = _LEARNING.sure_runs
    failures: Annotated[int, Meta(ge=1, le=30)] = _LEARNING.failures
    pause_s: Seconds = _LEARNING.pause_s
    pause_max_s: Seconds = _LEARNING.pause_max_s


Counts = tuple[Positive, Positive, Positive]


class ThrottleTable(Struct, forbid_unknown_fields=True):
    """`[throttle]`; `core.governor` explains the figures."""

    policy: Literal["table", "budget"] = "table"
    agents_max: Positive | None = None
    interval_s: Seconds = 30.0
    fast_interval_s: Seconds = 2.0
    margin_pct: Annotated[float, Meta(ge=0, le=50)] = _PATIENCE.margin_pct
    dwell_s: Annotated[float, Meta(ge=0, le=86_400)] = _PATIENCE.dwell_s
    step_s: Annotated[float, Meta(ge=0, le=86_400)] = _PATIENCE.step_s
    cpu_smoothing_s: Seconds = _PATIENCE.cpu_smoothing_s
    settle_s: Annotated[float, Meta(ge=0, le=86_400)] = _PATIENCE.settle_s
    cpu_unstalled_pct: Annotated[float, Meta(ge=0, le=100)] = _PATIENCE.cpu_unstalled_pct
    # 0: never.
    memory_stall_pct: Annotated[float, Meta(ge=0, le=100)] = _LEGS.memory_stall_pct or 0.0
    foreign_agents: Counts | None = None
    claude_processes: Counts | None = None
    node_processes: Counts | None = None
    workspaces: list[str] = []
    budget: BudgetTable = msgspec.field(default_factory=BudgetTable)
    learning: LearningTable = msgspec.field(default_factory=LearningTable)
    # Where levels 1, 2 and 3 begin, by the names of the user's document; see `Threshold`.
    memory_medium_pct: Percent | None = None
    memory_high_pct: Percent | None = None
    memory_critical_pct: Percent | None = None
    cpu_medium_pct: Percent | None = None
    cpu_high_pct: Percent | None = None
    cpu_critical_pct: Percent | None = None
    levels: list[LevelTable] = []


class PoolTable(Struct, forbid_unknown_fields=True):
    capacity: (
        Positive
        | Literal["max_agents", "max_concurrent"]
        | Annotated[list[Positive], Meta(min_length=4, max_length=4)]
    )
    scope: Literal["machine", "fleet"] = "machine"


class QueueTable(Struct, forbid_unknown_fields=True):
    """`[queue]`: who goes first, and who has waited for so long that it raises an alarm;
    `core.order`, `core.filling` and `core.alarms` explain it. 0, of the ageing and the filling in:
    never.
    """

    ageing_normal_s: Annotated[float, Meta(ge=0, le=1e6)] = _AGEING.normal_s
    ageing_batch_s: Annotated[float, Meta(ge=0, le=1e6)] = _AGEING.batch_s
    fill_in_s: Annotated[float, Meta(ge=0, le=1e6)] = _AGEING.fill_in_s
    alarm_critical_s: Seconds = _LIMITS.alarm_s[0]
    alarm_normal_s: Seconds = _LIMITS.alarm_s[1]
    alarm_batch_s: Seconds = _LIMITS.alarm_s[2]


class ForecastTable(Struct, forbid_unknown_fields=True):
    """`[forecast]`; `core.foresight` explains it. `on`: false for nothing at all."""

    on: Literal["auto", "shadow"] | bool = "auto"
    horizon_s: Annotated[float, Meta(ge=5, le=600)] = _FORESIGHT.horizon_s
    window_s: Annotated[float, Meta(ge=5, le=600)] = _FORESIGHT.window_s


class DeferTable(Struct, forbid_unknown_fields=True):
    """`[defer]`; `core.deferring` explains it."""

    max_s: Annotated[float, Meta(gt=0, le=1e6)] = _DEFER.max_s
    idle_cpu_pct: Annotated[float, Meta(ge=0, le=100)] = _DEFER.idle_cpu_pct
    idle_s: Annotated[float, Meta(ge=0, le=1e6)] = _DEFER.idle_s


class LimitsTable(Struct, forbid_unknown_fields=True):
    connections: Positive = 1024
    waiters: Positive = 10_000
    waiters_per_connection: Positive = 64
    unanswered_bytes: Annotated[int, Meta(ge=65_540)] = 256 * 1024
    first_frame_s: Seconds = 10.0
    grace_s: Seconds = 10.0
    stopped_s: Seconds = 60.0
    user_share_pct: Annotated[float, Meta(gt=0, le=100)] = 50.0


class AccessTable(Struct, forbid_unknown_fields=True):
    """`[access]`; `service.access` explains it."""

    group: str | None = None


class ShedTable(Struct, forbid_unknown_fields=True):
    """`[shed]`: what is done against pressure that remains; `core.shedding` explains it."""

    policy: list[Literal["advise", "freeze", "park"]] = []
    advise_pct: Annotated[float, Meta(gt=0, le=100)] = _SHED.advise_pct
    park_pct: Annotated[float, Meta(gt=0, le=100)] = _SHED.park_pct
    park_every_s: Annotated[float, Meta(ge=1, le=3600)] = _SHED.park_every_s
    freeze_cpu_stall_pct: Annotated[float, Meta(ge=0, le=100)] = _SHED.freeze_cpu_stall_pct
    freeze_max_s: Annotated[float, Meta(ge=1, le=20)] = _SHED.freeze_max_s
    freeze_rest_s: Annotated[float, Meta(ge=20, le=86_400)] = _SHED.freeze_rest_s


class NotifyTable(Struct, forbid_unknown_fields=True, frozen=True):
    """`[notify]`: who is told of what, besides the log; `service.notifying` explains it."""

    desktop: bool = False
    # A program and its arguments; no shell reads it.
    command: tuple[Annotated[str, Meta(pattern=r"^[^\x00]+$", max_length=4096)], ...] = ()
    on: tuple[Literal["level", "wait", "hold"], ...] = ("level", "wait")
    min_interval_s: Annotated[float, Meta(ge=1, le=86_400)] = 60.0


class FleetTable(Struct, forbid_unknown_fields=True):
    """`[fleet]`: several machines, by etcd; `service.fleet` explains it."""

    endpoints: list[Annotated[str, Meta(pattern=r"^https?://[^/\s]+$")]] = []
    node: NodeName | None = None
    prefix: Annotated[str, Meta(pattern=r"^/[A-Za-z0-9._/-]*[A-Za-z0-9._-]$")] = "/admission"
    ttl_s: Annotated[float, Meta(ge=2, le=3600)] = 15.0
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    labels: list[Word] = []
    cost: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    when_away: Literal["refuse", "share"] = "refuse"
    when_lost: Literal["tell", "end"] = "tell"
    reach: dict[str, str | list[str]] = {}


class AgentTable(Struct, forbid_unknown_fields=True):
    """`[agents.NAME]`: for `admission run`, which reads it itself; see its `profiles`."""

    effort_env: str | None = None
    effort_args: list[str] | None = None
    effort_own: list[str] | None = None
    efforts: dict[str, Word] = {}
    model_env: str | None = None
    model_args: list[str] | None = None
    model_own: list[str] | None = None
    models: dict[str, Word] = {}
    after: str | None = None


Argument = Annotated[str, Meta(pattern=r"^[^\x00]+$")]
Labels = list[Annotated[str, Meta(pattern=r"^[^\s,]{1,64}$")]]


class NodeTable(Struct, forbid_unknown_fields=True):
    """`[overflow.nodes.NAME]`: a machine that takes work which finds no room here."""

    ssh: str | None = None
    runner: list[Argument] | None = None
    command: list[Argument] | None = None
    sync: list[Argument] | None = None
    fetch: list[Argument] | None = None
    folder: Argument | None = None
    labels: Labels = []
    cost: Annotated[float, Meta(ge=0, le=1e9)] = 0.0


class OverflowTable(Struct, forbid_unknown_fields=True):
    """`[overflow]`: for `run --overflow`, which reads it itself; see its `overflow.nodes`."""

    after_s: Annotated[float, Meta(ge=0, le=1e6)] = 30.0
    look_s: Annotated[float, Meta(ge=0.1, le=3600)] = 2.0
    on_disconnect: Literal["end", "keep"] = "end"
    silence_s: Annotated[float, Meta(ge=2, le=3600)] = 60.0
    connect_s: Annotated[float, Meta(ge=0.1, le=600)] = 10.0
    sync_s: Annotated[float, Meta(ge=1, le=86_400)] = 600.0
    cost_max: Annotated[float, Meta(ge=0, le=1e9)] | None = None
    pass_env: list[Annotated[str, Meta(pattern=r"^[^=\x00]+$")]] = []
    ssh: Annotated[list[Argument], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["ssh"]
    )
    runner: list[Argument] = []
    command: Annotated[list[Argument], Meta(min_length=1)] = msgspec.field(
        default_factory=lambda: ["admission"]
    )
    sync: list[Argument] = []
    fetch: list[Argument] = []
    folder: Argument = "{cwd}"
    nodes: dict[str, NodeTable] = {}


class File(Struct, forbid_unknown_fields=True):
    throttle: ThrottleTable = msgspec.field(default_factory=ThrottleTable)
    # Each is a `PoolTable`, read by itself: of a wrong one, msgspec would not say which it is.
    pools: dict[str, object] = {}
    agents: dict[str, AgentTable] = {}
    overflow: OverflowTable = msgspec.field(default_factory=OverflowTable)
    queue: QueueTable = msgspec.field(default_factory=QueueTable)
    forecast: ForecastTable = msgspec.field(default_factory=ForecastTable)
    defer: DeferTable = msgspec.field(default_factory=DeferTable)
    limits: LimitsTable = msgspec.field(default_factory=LimitsTable)
    access: AccessTable = msgspec.field(default_factory=AccessTable)
    shed: ShedTable = msgspec.field(default_factory=ShedTable)
    notify: NotifyTable = NotifyTable()
    fleet: FleetTable = msgspec.field(default_factory=FleetTable)


def read_file(text: str, path: str) -> File:
    """The tables of this TOML text; `path` is for messages.

    Raises:
        BadConfiguration: it is no TOML, or holds what does not belong there.
    """
    try:
        return msgspec.toml.decode(text, type=File)
    except msgspec.ValidationError as problem:
        raise BadConfiguration(f"{path}{_readable(str(problem))}") from None
    except (msgspec.DecodeError, RecursionError) as problem:
        raise BadConfiguration(f"{path} is not valid TOML: {problem}") from None


def read_pool(name: str, table: object, path: str) -> PoolTable:
    """The table `[pools.NAME]`; likewise."""
    try:
        return msgspec.convert(table, PoolTable)
    except msgspec.ValidationError as problem:
        message = _readable(str(problem), within=f".pools.{name}")
        raise BadConfiguration(f"{path}{message}") from None


_UNKNOWN = re.compile(r"Object contains unknown field `(?P<key>.*?)`(?: - at `\$(?P<at>.*)`)?$")
_WRONG = re.compile(r"(?P<what>.*) - at `\$(?P<at>.*)`$")


def _readable(problem: str, within: str = "") -> str:
    """msgspec's message in the words of the file: its table, its key, and what to write instead.

    `within`: the place in the file that msgspec was shown, where it was not the whole of it.
    """
    problem, within = printable(problem), printable(within)
    if match := _UNKNOWN.match(problem):
        at, key = within + (match["at"] or ""), match["key"]
        import difflib  # late: only mistakes need it

        close = difflib.get_close_matches(key, _known_keys(at), n=1)
        hint = f'; did you mean "{close[0]}"?' if close else "; remove it"
        return f'{_table(at)}: unknown key "{key}"{hint}'
    if match := _WRONG.match(problem):
        above, _, key = (within + match["at"]).rpartition(".")
        return f"{_table(above)}: {key}: {match['what'].replace('`', '')}"
    return f"{_table(within)}: {problem.replace('`', '')}"


def printable(text: str) -> str:
    """The text in one line, as keys may hold anything."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _table(at: str) -> str:
    name = re.sub(r"\[.*?\]", "", at).strip(".")
    return f", [{name}]" if name else ""


def _known_keys(at: str) -> list[str]:
    by_place: list[tuple[str, type[Struct]]] = [
        (r"", File),
        (r"\.throttle", ThrottleTable),
        (r"\.throttle\.budget", BudgetTable),
        (r"\.throttle\.levels\[.*\]", LevelTable),
        (r"\.pools\..*", PoolTable),
        (r"\.agents\[.*\]", AgentTable),
        (r"\.overflow", OverflowTable),
        (r"\.overflow\.nodes\[.*\]", NodeTable),
        (r"\.queue", QueueTable),
        (r"\.forecast", ForecastTable),
        (r"\.defer", DeferTable),
        (r"\.limits", LimitsTable),
        (r"\.access", AccessTable),
        (r"\.shed", ShedTable),
        (r"\.notify", NotifyTable),
        (r"\.fleet", FleetTable),
    ]
    return [
        key for place, kind in by_place if re.fullmatch(place, at) for key in kind.__struct_fields__
    ]
