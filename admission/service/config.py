"""What the daemon goes by: the file, the environment and the defaults, checked once and frozen."""

import os
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Literal

from msgspec import structs

from admission.core.budget import Budget
from admission.core.deferral import Defer
from admission.core.estimates import Learning
from admission.core.foresight import Foresight
from admission.core.governor import Patience, Throttle
from admission.core.growth import Growth
from admission.core.legs import Legs
from admission.core.levels import LEVELS, Level, Levels, PoolSpec, pools_of
from admission.core.limits import Limits
from admission.core.order import Ageing
from admission.core.shedding import Shed
from admission.protocol import LABEL_CHARS_MAX, BadConfiguration, throttle_disabled_by
from admission.service.access import Access, access_for
from admission.service.config_file import (
    MIB,
    BudgetTable,
    FleetTable,
    ForecastTable,
    LearningTable,
    LevelTable,
    LimitsTable,
    NotifyTable,
    QueueTable,
    ShedTable,
    ThrottleTable,
    read_file,
    read_pool,
)
from admission.service.thresholds import (
    THRESHOLDS,
    levels_by_environment,
    row_of,
    with_bounds,
)


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """What this machine goes by among several. Without endpoints it is alone.

    `reach`: how others reach this one, in their words. `when_away`: what becomes of new grants in
    fleet pools while etcd does not answer. `when_lost`: what becomes of holders of what may be
    another machine's by now: they are told, or also asked to end.
    """

    endpoints: tuple[str, ...] = ()
    node: str = ""
    prefix: str = "/admission"
    ttl_s: float = 15.0
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    labels: tuple[str, ...] = ()
    cost: float = 0.0
    when_away: Literal["refuse", "share"] = "refuse"
    when_lost: Literal["tell", "end"] = "tell"
    reach: dict[str, str | list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Config:
    """What the daemon goes by. Durations in seconds.

    `interval_s` is how often the machine is looked at when nothing is out, `fast_interval_s` how
    often where it may matter. `workspaces`: folders in which each sample is written down.
    `stopped_s`: a holder that is stopped for longer is named in `degraded`. `measuring_share`: of
    one core, what measuring leases may take; it counts from the start on.
    """

    throttle: Throttle = field(default_factory=Throttle)
    pools: tuple[PoolSpec, ...] = pools_of(LEVELS)
    core_limits: Limits = field(default_factory=Limits)
    ageing: Ageing = field(default_factory=Ageing)
    interval_s: float = 30.0
    fast_interval_s: float = 2.0
    workspaces: tuple[str, ...] = ()
    connections_max: int = 1024
    unanswered_bytes_max: int = 256 * 1024
    first_frame_s: float = 10.0
    access: Access = field(default_factory=Access)
    stopped_s: float = 60.0
    measuring_share: float = 0.01
    notify: NotifyTable = field(default_factory=NotifyTable)
    fleet: FleetConfig = field(default_factory=FleetConfig)

    @property
    def levels(self) -> Levels:
        return self.throttle.levels


def default_path() -> Path:
    given = os.environ.get("ADMISSION_CONFIG")
    if given:
        return Path(given)
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(home) / "admission" / "config.toml"


def load(given: str | None = None) -> Config:
    """The configuration from `given`, else `$ADMISSION_CONFIG`, else the user's, else defaults.

    Thresholds in the environment go before those in the file.

    Raises:
        BadConfiguration: it can't be read, is no TOML, or holds what does not belong there. A file
            that was asked for by name has to be there. Or a threshold in the environment is wrong.
    """
    return with_environment(_load_file(given))


def with_environment(config: Config) -> Config:
    """The configuration with what the environment says: thresholds, and no throttling at all."""
    levels = levels_by_environment(config.levels, os.environ)
    is_on = throttle_disabled_by(os.environ) is None
    return replace(config, throttle=replace(config.throttle, levels=levels, is_on=is_on))


def _load_file(given: str | None) -> Config:
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
    file = read_file(text, path)
    throttle, limits = file.throttle, file.limits
    access = access_for(file.access.group, f"{path}, [access]")
    levels = _levels_by_thresholds(_levels(throttle.levels, path), throttle, path)
    return Config(
        throttle=replace(
            _throttle(throttle, levels),
            foresight=_foresight(file.forecast, path),
            shed=_shed(file.shed),
            defer=Defer(**structs.asdict(file.defer)),
        ),
        pools=_pools(file.pools, levels, path, is_fleet=bool(file.fleet.endpoints)),
        core_limits=_core_limits(limits, file.queue, access),
        ageing=_ageing(file.queue),
        interval_s=throttle.interval_s,
        fast_interval_s=min(throttle.fast_interval_s, throttle.interval_s),
        workspaces=tuple(throttle.workspaces),
        connections_max=limits.connections,
        unanswered_bytes_max=limits.unanswered_bytes,
        first_frame_s=limits.first_frame_s,
        access=access,
        stopped_s=limits.stopped_s,
        measuring_share=limits.measuring_pct / 100,
        notify=file.notify,
        fleet=_fleet(file.fleet, path),
    )


def _core_limits(table: LimitsTable, queue: QueueTable, access: Access) -> Limits:
    alarm_s = (queue.alarm_critical_s, queue.alarm_normal_s, queue.alarm_batch_s)
    limits = Limits(table.waiters, table.waiters_per_connection, table.grace_s, alarm_s=alarm_s)
    if access.gid is None:
        return limits
    return replace(limits, user_share_pct=table.user_share_pct, unshared=access.operators)


def _ageing(table: QueueTable) -> Ageing:
    normal_s, batch_s = table.ageing_normal_s or inf, table.ageing_batch_s or inf
    return Ageing(normal_s, batch_s, table.fill_in_s)


def _throttle(table: ThrottleTable, levels: Levels) -> Throttle:
    # A machine that is looked at seldom has not slept each time.
    gap_s = max(Patience().gap_s, 3 * table.interval_s)
    return Throttle(
        levels=levels,
        patience=Patience(
            margin_pct=table.margin_pct,
            dwell_s=table.dwell_s,
            step_s=table.step_s,
            cpu_smoothing_s=table.cpu_smoothing_s,
            gap_s=gap_s,
            settle_s=table.settle_s,
            cpu_unstalled_pct=table.cpu_unstalled_pct,
        ),
        budget=_budget(table.budget),
        legs=Legs(
            memory_stall_pct=table.memory_stall_pct or None,
            foreign_agents=table.foreign_agents,
            claude_processes=table.claude_processes,
            node_processes=table.node_processes,
        ),
        growth=Growth(agents_max=table.agents_max),
        learning=_learning(table.learning),
        policy=table.policy,
    )


def _foresight(table: ForecastTable, path: str) -> Foresight:
    if table.on is True:
        raise BadConfiguration(
            f'{path}, [forecast]: on is true, and no forecast acts unproven; write "auto"'
        )
    return Foresight(table.on or "off", table.horizon_s, table.window_s)


def _shed(table: ShedTable) -> Shed:
    return Shed(**{**structs.asdict(table), "policy": tuple(dict.fromkeys(table.policy))})


def _learning(table: LearningTable) -> Learning:
    given = structs.asdict(table)
    return Learning(is_on=given.pop("enabled"), mixes=given.pop("mix"), **given)


def _budget(table: BudgetTable) -> Budget:
    return Budget(
        is_on=table.enabled,
        ceiling_pct=table.ceiling_pct,
        mean_bytes=int(table.mean_mib * MIB),
        peak_bytes=int(max(table.peak_mib, table.mean_mib) * MIB),
        share_pct=table.share_pct,
        spread=table.spread,
        ramp_s=table.ramp_s,
        window_s=table.window_s,
    )


def _levels(tables: list[LevelTable], path: str) -> Levels:
    rows = list(LEVELS)
    for table in tables:
        given = {key: value for key, value in structs.asdict(table).items() if value is not None}
        rows[table.level] = Level(**{**row_of(rows[table.level]), **given})
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


def _levels_by_thresholds(levels: Levels, throttle: ThrottleTable, path: str) -> Levels:
    bounds_pct = {}
    for threshold in (one for leg in THRESHOLDS for one in leg):
        bound_pct: float | None = getattr(throttle, threshold.key)
        if bound_pct is None:
            continue
        for table in throttle.levels:
            if table.level == threshold.row and getattr(table, threshold.bound) is not None:
                raise BadConfiguration(
                    f"{path}, [throttle]: {threshold.key} is the same bound as {threshold.bound} "
                    f"of level {threshold.row}; leave one of them out"
                )
        bounds_pct[threshold.key] = bound_pct
    return with_bounds(levels, bounds_pct, str, f"{path}, [throttle]: ")


def _fleet(table: FleetTable, path: str) -> FleetConfig:
    if not table.endpoints:
        return FleetConfig()
    node = table.node or os.uname().nodename.partition(".")[0]
    password = ""
    if table.password_file:
        try:
            with open(table.password_file, encoding="utf-8") as file:
                password = file.readline().rstrip("\n")
        except (OSError, UnicodeDecodeError) as problem:
            raise BadConfiguration(
                f"{path}, [fleet]: password_file: {table.password_file} can't be read: {problem}"
            ) from None
    if bool(table.user) != bool(table.password_file):
        raise BadConfiguration(f"{path}, [fleet]: user and password_file come together, or neither")
    return FleetConfig(
        tuple(table.endpoints),
        node,
        table.prefix,
        table.ttl_s,
        table.user,
        password,
        table.ca_file,
        tuple(table.labels),
        table.cost,
        table.when_away,
        table.when_lost,
        table.reach,
    )


def _pools(
    tables: dict[str, object], levels: Levels, path: str, *, is_fleet: bool
) -> tuple[PoolSpec, ...]:
    agents, operations = pools_of(levels)
    by_word = {"max_agents": agents.capacity, "max_concurrent": operations.capacity}
    specs = {spec.name: spec for spec in (agents, operations)}
    for name, table in tables.items():
        if not name or len(name) > LABEL_CHARS_MAX:
            raise BadConfiguration(f"{path}, [pools]: a name has 1 to {LABEL_CHARS_MAX} characters")
        pool = read_pool(name, table, path)
        capacity = pool.capacity
        if pool.scope == "fleet":
            specs[name] = _fleet_pool(name, capacity, path, is_fleet=is_fleet)
        elif isinstance(capacity, str):
            specs[name] = PoolSpec(name, by_word[capacity])
        elif isinstance(capacity, int):
            specs[name] = PoolSpec(name, (capacity,) * 4)
        else:
            first, second, third, last = capacity
            specs[name] = PoolSpec(name, (first, second, third, last))
    return tuple(specs.values())


def _fleet_pool(
    name: str, capacity: int | str | list[int], path: str, *, is_fleet: bool
) -> PoolSpec:
    where = f"{path}, [pools.{name}]"
    if name in ("agents", "operations"):
        raise BadConfiguration(
            f"{where}: scope: {name} is sized by what this machine bears, and can't be the "
            "fleet's; take another name"
        )
    if not isinstance(capacity, int):
        raise BadConfiguration(
            f"{where}: capacity: that of a fleet pool is one number, the same on all machines"
        )
    if not is_fleet:
        raise BadConfiguration(
            f"{where}: scope is fleet, and no fleet is named; name etcd's endpoints in [fleet]"
        )
    return PoolSpec(name, (capacity,) * 4, is_fleet=True)
