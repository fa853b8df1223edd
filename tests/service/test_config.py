"""The configuration: defaults, what can be changed, and what every mistake is told."""

import grp
import os
from math import inf
from pathlib import Path

import pytest

from admission.core.budget import Budget
from admission.core.governor import Patience, Throttle
from admission.core.growth import Growth
from admission.core.legs import Legs
from admission.core.levels import PoolSpec
from admission.core.limits import Limits
from admission.core.order import Ageing
from admission.core.shedding import Shed
from admission.protocol import BadConfiguration
from admission.service.access import Access
from admission.service.config import Config, default_path, load, parse
from tests.service.stage import is_one_short_line

# docs/design.md, section 1: level, name, max_agents, max_concurrent, batch_size, delay_ms, effort,
# and the bounds within which it holds.
TABLE = [
    (0, "normal", 5, 3, 100, 0, "high", 70, 60),
    (1, "light", 3, 2, 50, 500, "medium", 80, 75),
    (2, "medium", 2, 1, 25, 1000, "medium", 90, 90),
    (3, "heavy", 1, 1, 10, 2000, "low", 100, 100),
]


def rows(config: Config) -> list[tuple[object, ...]]:
    return [tuple(getattr(level, name) for name in level.__slots__) for level in config.levels]


def mistake(text: str) -> str:
    """What is said about this file, after its name; in one line, with the status of a bad one."""
    with pytest.raises(BadConfiguration) as problem:
        parse(text, "c.toml")
    message = str(problem.value)
    assert is_one_short_line(message), message
    assert message.startswith("c.toml")
    assert "`" not in message
    return message.removeprefix("c.toml").lstrip(",: ")


# --- defaults and overrides ---------------------------------------------------------------------


def test_the_defaults_are_the_table_of_the_design() -> None:
    assert rows(Config()) == TABLE
    assert Config().pools == (
        PoolSpec("agents", (5, 3, 2, 1)),
        PoolSpec("operations", (3, 2, 1, 1)),
    )


def test_the_default_limits_are_those_of_the_design() -> None:
    config = Config()
    assert config.connections_max == 1024
    assert config.core_limits == Limits(
        waiters_max=10_000,
        waiters_per_connection_max=64,
        grace_s=10.0,
        alarm_s=(30.0, 600.0, 3600.0),
    )
    assert config.unanswered_bytes_max == 256 * 1024
    assert config.first_frame_s == 10.0
    assert (config.interval_s, config.fast_interval_s) == (30.0, 2.0)


def test_an_empty_file_means_the_defaults() -> None:
    assert parse("", "c.toml") == Config()
    assert parse("[throttle]\n[pools]\n[limits]\n[shed]\n", "c.toml") == Config()


def test_who_waits_for_too_long_is_told_by_the_bounds_of_the_file() -> None:
    text = "[queue]\nalarm_critical_s = 5\nalarm_batch_s = 7200\n"
    assert parse(text, "c.toml").core_limits.alarm_s == (5.0, 600.0, 7200.0)
    with pytest.raises(BadConfiguration, match='did you mean "alarm_normal_s"'):
        parse("[queue]\nalarm_normal = 5\n", "c.toml")


def test_what_is_done_about_pressure_that_remains_is_asked_for() -> None:
    assert parse("", "c.toml").throttle.shed.policy == ()
    text = '[shed]\npolicy = ["park", "advise", "park"]\npark_pct = 90\nfreeze_max_s = 5\n'
    shed = parse(text, "c.toml").throttle.shed
    assert shed == Shed(("park", "advise"), park_pct=90.0, freeze_max_s=5.0)


def test_one_figure_of_one_level_can_be_changed_and_its_pools_follow() -> None:
    config = parse("[[throttle.levels]]\nlevel = 1\nmax_agents = 4\ndelay_ms = 0\n", "c.toml")
    changed = (1, "light", 4, 2, 50, 0, "medium", 80, 75)
    assert rows(config) == [TABLE[0], changed, *TABLE[2:]]
    assert config.pools[0] == PoolSpec("agents", (5, 4, 2, 1))


def test_every_figure_of_a_level_can_be_changed() -> None:
    config = parse(
        '[[throttle.levels]]\nlevel = 3\nname = "molten"\nmax_agents = 2\nmax_concurrent = 3\n'
        'batch_size = 4\ndelay_ms = 5\nreasoning_effort = "none"\nmemory_below_pct = 97.5\n'
        "cpu_below_pct = 98\n",
        "c.toml",
    )
    assert rows(config) == [*TABLE[:3], (3, "molten", 2, 3, 4, 5, "none", 97.5, 98.0)]


def test_pools_can_be_added_and_the_two_that_are_there_changed() -> None:
    config = parse(
        "[pools.sqlite]\ncapacity = 1\n"
        '[pools.builds]\ncapacity = "max_concurrent"\n'
        '[pools.twins]\ncapacity = "max_agents"\n'
        "[pools.gpu]\ncapacity = [4, 2, 1, 1]\n"
        "[pools.agents]\ncapacity = [8, 4, 2, 1]\n",
        "c.toml",
    )
    assert config.pools == (
        PoolSpec("agents", (8, 4, 2, 1)),
        PoolSpec("operations", (3, 2, 1, 1)),
        PoolSpec("sqlite", (1, 1, 1, 1)),
        PoolSpec("builds", (3, 2, 1, 1)),
        PoolSpec("twins", (5, 3, 2, 1)),
        PoolSpec("gpu", (4, 2, 1, 1)),
    )


def test_every_other_figure_can_be_changed() -> None:
    config = parse(
        '[throttle]\npolicy = "budget"\ninterval_s = 60\nfast_interval_s = 0.5\nmargin_pct = 0\n'
        "dwell_s = 0\ncpu_smoothing_s = 1\nstep_s = 2\nsettle_s = 3\ncpu_unstalled_pct = 40\n"
        "memory_stall_pct = 0\nforeign_agents = [3, 5, 8]\nagents_max = 12\n"
        'workspaces = ["/home/ann/shop"]\n'
        "[throttle.budget]\nenabled = false\nceiling_pct = 80\nmean_mib = 1\npeak_mib = 2\n"
        "share_pct = 10\nspread = 2\nramp_s = 30\nwindow_s = 5\n"
        "[limits]\nconnections = 2\nwaiters = 3\nwaiters_per_connection = 4\n"
        "unanswered_bytes = 65540\nfirst_frame_s = 5\ngrace_s = 6\n",
        "c.toml",
    )
    assert config == Config(
        throttle=Throttle(
            patience=Patience(
                margin_pct=0.0,
                dwell_s=0.0,
                step_s=2.0,
                cpu_smoothing_s=1.0,
                gap_s=180.0,
                settle_s=3.0,
                cpu_unstalled_pct=40.0,
            ),
            budget=Budget(
                is_on=False,
                ceiling_pct=80.0,
                mean_bytes=1 << 20,
                peak_bytes=2 << 20,
                share_pct=10.0,
                spread=2.0,
                ramp_s=30.0,
                window_s=5.0,
            ),
            legs=Legs(memory_stall_pct=None, foreign_agents=(3, 5, 8)),
            growth=Growth(agents_max=12),
            policy="budget",
        ),
        workspaces=("/home/ann/shop",),
        core_limits=Limits(waiters_max=3, waiters_per_connection_max=4, grace_s=6.0),
        interval_s=60.0,
        fast_interval_s=0.5,
        connections_max=2,
        unanswered_bytes_max=65_540,
        first_frame_s=5.0,
    )


def test_the_fast_interval_is_never_the_slower_one() -> None:
    assert parse("[throttle]\ninterval_s = 1\n", "c.toml").fast_interval_s == 1.0


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[limit]", 'unknown key "limit"; did you mean "limits"?'),
        ("colour = 3", 'unknown key "colour"; remove it'),
        ("[limits]\nwaiter = 5", '[limits]: unknown key "waiter"; did you mean "waiters"?'),
        ("[limits]\nzzz = 5", '[limits]: unknown key "zzz"; remove it'),
        ("[throttle]\nintervals = 5", '[throttle]: unknown key "intervals"; did you mean "int'),
        (
            "[[throttle.levels]]\nlevel = 1\nmax_agent = 2",
            '[throttle.levels]: unknown key "max_agent"; did you mean "max_agents"?',
        ),
        (
            "[pools.sqlite]\ncapcity = 1",
            '[pools.sqlite]: unknown key "capcity"; did you mean "capacity"?',
        ),
        (
            '[pools."two words"]\ncapcity = 1',
            '[pools.two words]: unknown key "capcity"; did you mean "capacity"?',
        ),
        ('"two\\nlines" = 1', 'unknown key "two\\nlines"; remove it'),
    ],
)
def test_an_unknown_key_is_named_with_its_table_and_what_was_meant(text: str, says: str) -> None:
    assert mistake(text).startswith(says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[shed]\npolicy = ["kill"]', "[shed]: policy[0]: Invalid enum value 'kill'"),
        ("[shed]\nfreeze_max_s = 21", "[shed]: freeze_max_s: Expected float <= 20.0"),
        (
            "[shed]\npark_every = 21",
            '[shed]: unknown key "park_every"; did you mean "park_every_s"?',
        ),
        ('[throttle]\ninterval_s = "30"', "[throttle]: interval_s: Expected float, got str"),
        ("[throttle]\ninterval_s = nan", "[throttle]: interval_s: Expected float > 0.0"),
        ("[throttle]\ninterval_s = inf", "[throttle]: interval_s: Expected float <= 1000000.0"),
        ("[throttle]\ninterval_s = 0", "[throttle]: interval_s: Expected float > 0.0"),
        ("[throttle]\ndwell_s = -1", "[throttle]: dwell_s: Expected float >= 0.0"),
        ("[throttle]\nmargin_pct = 1979-05-27", "[throttle]: margin_pct: Expected float, got date"),
        ('[throttle]\npolicy = "tabel"', "[throttle]: policy: Invalid enum value 'tabel'"),
        ("[throttle]\nlevels = 3", "[throttle]: levels: Expected array, got int"),
        ("limits = 3", "limits: Expected object, got int"),
        ("[limits]\nconnections = 1.5", "[limits]: connections: Expected int, got float"),
        ("[limits]\nconnections = true", "[limits]: connections: Expected int, got bool"),
        ("[limits]\nconnections = 0", "[limits]: connections: Expected int >= 1"),
        ("[limits]\nuser_share_pct = 0", "[limits]: user_share_pct: Expected float > 0"),
        ("[access]\ngroup = 5", "[access]: group: Expected str | null, got int"),
        ("[access]\ngroups = 5", '[access]: unknown key "groups"; did you mean "group"?'),
        ("[limits]\nunanswered_bytes = 5", "[limits]: unanswered_bytes: Expected int >= 65540"),
        ("[[throttle.levels]]\nlevel = 4", "[throttle.levels]: level: Expected int <= 3"),
        ("[[throttle.levels]]\nlevel = -1", "[throttle.levels]: level: Expected int >= 0"),
        ("[[throttle.levels]]\nmax_agents = 2", "[throttle]: levels[0]: Object missing required"),
        (
            "[[throttle.levels]]\nlevel = 0\nmax_agents = 0",
            "[throttle.levels]: max_agents: Expected int >= 1",
        ),
        (
            '[[throttle.levels]]\nlevel = 0\nreasoning_effort = "low\\u0000"',
            "[throttle.levels]: reasoning_effort: Expected str matching",
        ),
        (
            "[[throttle.levels]]\nlevel = 0\ncpu_below_pct = nan",
            "[throttle.levels]: cpu_below_pct: Expected float > 0.0",
        ),
        ("[pools.sqlite]\ncapacity = 0", "[pools.sqlite]: capacity: Expected int >= 1"),
        ("[pools.sqlite]\ncapacity = 1.5", "[pools.sqlite]: capacity: Expected int | str | array"),
        ("[pools.sqlite]\ncapacity = [1, 2]", "[pools.sqlite]: capacity: Expected array of length"),
        ("[pools.sqlite]\ncapacity = [4, 3, 2, 0]", "[pools.sqlite]: capacity[3]: Expected int >="),
        ("[pools.sqlite]", "[pools.sqlite]: Object missing required field capacity"),
        ("[pools]\nsqlite = 1", "[pools.sqlite]: Expected object, got int"),
        (
            '[pools.sqlite]\ncapacity = "max_agent"',
            "[pools.sqlite]: capacity: Invalid enum value 'max_agent'",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_table_and_key(text: str, says: str) -> None:
    assert mistake(text).startswith(says)


def test_a_group_is_served_and_its_users_share_the_limits() -> None:
    group = grp.getgrgid(os.getgid())
    text = f'[access]\ngroup = "{group.gr_name}"\n[limits]\nuser_share_pct = 25\nwaiters = 8\n'
    config = parse(text, "c.toml")
    assert config.access == Access(group.gr_gid, frozenset({0, os.getuid()}))
    limits = config.core_limits
    assert [limits.share(uid, 8, 0) for uid in (4711, 0, os.getuid())] == [2, 8, 8]
    assert parse("[limits]\nuser_share_pct = 25", "c.toml").core_limits == Limits()


@pytest.mark.parametrize("name", ["no-such-group", "", "two\\nlines", "\\u0000"])
def test_a_group_that_is_not_there_is_named(name: str) -> None:
    message = mistake(f'[access]\ngroup = "{name}"')
    assert message.startswith("[access]: group: there is no group ")
    assert message.endswith("make it (groupadd), or leave it out for this user alone")


@pytest.mark.parametrize("bound", ["memory_below_pct", "cpu_below_pct"])
def test_bounds_that_do_not_grow_with_the_level_are_named(bound: str) -> None:
    message = mistake(f"[[throttle.levels]]\nlevel = 0\n{bound} = 95")
    assert message.startswith(
        f"[[throttle.levels]]: {bound} of level 0 (95) is above that of level"
    )
    assert message.endswith("bounds grow with the level")
    row = "[[throttle.levels]]\nlevel = {}\n{} = {}\n".format
    for lower, upper in ((0, 1), (1, 2)):
        low = row(0, bound, 10) + row(lower, bound, 50)
        parse(low + row(upper, bound, 50), "c.toml")
        with pytest.raises(BadConfiguration, match=f"{bound} of level {lower} .50. is above"):
            parse(low + row(upper, bound, 49), "c.toml")


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_a_pool_has_a_name_and_not_too_long_a_one(name: str) -> None:
    assert mistake(f'[pools."{name}"]\ncapacity = 1') == "[pools]: a name has 1 to 200 characters"
    parse(f'[pools."{"x" * 200}"]\ncapacity = 1', "c.toml")


@pytest.mark.parametrize(
    "text",
    [
        "x = ",
        "[limits\n",
        "[limits]\nconnections = 1\nconnections = 2\n",
        "\x00",
        "a = " + "[" * 5000,
        "[throttle]\nlevels = " + "[" * 5000 + "]" * 5000,
    ],
)
def test_what_is_no_toml_is_told_so(text: str) -> None:
    assert "is not valid TOML: " in mistake(text)


# --- where it is --------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ADMISSION_CONFIG", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_it_is_looked_for_in_the_variable_then_in_the_users_folder(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_path() == home / ".config" / "admission" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "elsewhere"))
    assert default_path() == home / "elsewhere" / "admission" / "config.toml"
    monkeypatch.setenv("ADMISSION_CONFIG", str(home / "mine.toml"))
    assert default_path() == home / "mine.toml"


def test_a_file_that_nobody_named_may_be_missing(home: Path) -> None:
    assert load() == Config()


def test_the_users_file_is_read_and_one_given_goes_before_it(home: Path) -> None:
    default_path().parent.mkdir(parents=True)
    default_path().write_text("[limits]\nwaiters = 7\n")
    assert load().core_limits.waiters_max == 7
    given = home / "given.toml"
    given.write_text("[limits]\nwaiters = 8\n")
    assert load(str(given)).core_limits.waiters_max == 8


def test_a_file_that_was_named_has_to_be_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadConfiguration, match=r"given\.toml: there is no such file; create it"):
        load(str(home / "given.toml"))
    monkeypatch.setenv("ADMISSION_CONFIG", str(home / "mine.toml"))
    with pytest.raises(BadConfiguration, match=r"mine\.toml: there is no such file"):
        load()


def test_a_mistake_in_a_file_is_told_with_the_files_name(home: Path) -> None:
    given = home / "given.toml"
    given.write_text("[limits]\nwaiter = 5\n")
    with pytest.raises(BadConfiguration) as problem:
        load(str(given))
    assert str(problem.value).startswith(f"{given}, [limits]: unknown key")


def test_what_cannot_be_read_is_told_so(home: Path) -> None:
    (home / "folder").mkdir()
    (home / "latin1.toml").write_bytes(b"# \xff\n")
    for name in ("folder", "latin1.toml", "latin1.toml/below"):
        with pytest.raises(BadConfiguration, match="can't be read: ") as problem:
            load(str(home / name))
        assert "\n" not in str(problem.value)


# --- who goes first -------------------------------------------------------------------------------


def test_who_waits_ages_by_the_table_queue_and_0_is_never() -> None:
    assert Config().ageing == Ageing(normal_s=600.0, batch_s=1800.0)
    given = parse("[queue]\nageing_normal_s = 90\nageing_batch_s = 0\n", "c.toml")
    assert given.ageing == Ageing(normal_s=90.0, batch_s=inf)
    assert mistake("[queue]\nageing_normal_s = -1") == (
        "[queue]: ageing_normal_s: Expected float >= 0.0"
    )
    assert mistake("[queue]\nageing_nromal_s = 1") == (
        '[queue]: unknown key "ageing_nromal_s"; did you mean "ageing_normal_s"?'
    )
