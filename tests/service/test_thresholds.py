"""The thresholds by the names of the user's document, in the file and in the environment."""

from pathlib import Path

import pytest

from admission.core.levels import LEVELS, Levels
from admission.protocol import BadConfiguration, throttle_disabled_by
from admission.service.config import load, parse
from admission.service.thresholds import (
    THRESHOLD_VARIABLES,
    levels_by_environment,
)
from tests.service.stage import is_one_short_line

# Name, the row whose bound it is, the bound, and what the document says it is by default.
THRESHOLDS = [
    ("MEMORY_MEDIUM_PCT", 0, "memory_below_pct", 70),
    ("MEMORY_HIGH_PCT", 1, "memory_below_pct", 80),
    ("MEMORY_CRITICAL_PCT", 2, "memory_below_pct", 90),
    ("CPU_MEDIUM_PCT", 0, "cpu_below_pct", 60),
    ("CPU_HIGH_PCT", 1, "cpu_below_pct", 75),
    ("CPU_CRITICAL_PCT", 2, "cpu_below_pct", 90),
]


def bounds(levels: Levels) -> list[tuple[float, float]]:
    return [(row.memory_below_pct, row.cpu_below_pct) for row in levels]


def mistake(**environ: str) -> str:
    with pytest.raises(BadConfiguration) as problem:
        levels_by_environment(LEVELS, environ)
    message = str(problem.value)
    assert is_one_short_line(message), message
    return message


def mistake_in_file(text: str) -> str:
    with pytest.raises(BadConfiguration) as problem:
        parse(text, "c.toml")
    return str(problem.value)


@pytest.mark.parametrize(("name", "row", "bound", "default"), THRESHOLDS)
def test_each_threshold_is_one_bound_of_the_table(
    name: str, row: int, bound: str, default: int
) -> None:
    assert getattr(LEVELS[row], bound) == default
    by_environment = levels_by_environment(LEVELS, {name: str(default - 1)})
    by_file = parse(f"[throttle]\n{name.lower()} = {default - 1}\n", "c.toml").levels
    assert by_environment == by_file
    changed = {(index, at) for index, at in differing(LEVELS, by_file)}
    assert changed == {(row, bound)}
    assert getattr(by_file[row], bound) == default - 1


def differing(one: Levels, other: Levels) -> list[tuple[int, str]]:
    return [
        (index, name)
        for index in range(4)
        for name in one[index].__slots__
        if getattr(one[index], name) != getattr(other[index], name)
    ]


def test_there_are_no_other_variables() -> None:
    assert set(THRESHOLD_VARIABLES) == {name for name, *_ in THRESHOLDS}


def test_the_documents_own_example_lowers_level_2_to_where_level_1_began() -> None:
    levels = levels_by_environment(LEVELS, {"MEMORY_HIGH_PCT": "70", "CPU_HIGH_PCT": "60"})
    assert bounds(levels) == [(70, 60), (70, 60), (90, 90), (100, 100)]


def test_nothing_set_and_empty_change_nothing() -> None:
    assert levels_by_environment(LEVELS, {}) == LEVELS
    assert levels_by_environment(LEVELS, {"MEMORY_HIGH_PCT": ""}) == LEVELS


def test_the_environment_goes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in THRESHOLD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "c.toml"
    path.write_text("[throttle]\nmemory_high_pct = 75\ncpu_high_pct = 70.5\n")
    monkeypatch.setenv("MEMORY_HIGH_PCT", "77.5")
    assert bounds(load(str(path)).levels)[1] == (77.5, 70.5)


def test_without_a_file_the_environment_counts_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADMISSION_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("CPU_CRITICAL_PCT", "95")
    assert bounds(load().levels)[2][1] == 95


@pytest.mark.parametrize("written", ["eighty", "80%", "-1", "0", "nan", "inf", "1001", "\x1b[1m"])
def test_what_is_no_percentage_is_refused_by_name(written: str) -> None:
    message = mistake(MEMORY_HIGH_PCT=written)
    assert message.startswith("MEMORY_HIGH_PCT is ")
    assert message.endswith("which is no percentage; write a number above 0, such as 80")


def test_one_below_the_level_before_is_refused_by_name() -> None:
    assert mistake(MEMORY_HIGH_PCT="60") == (
        "MEMORY_HIGH_PCT is 60, below MEMORY_MEDIUM_PCT (70); bounds grow with the level"
    )
    assert mistake(CPU_MEDIUM_PCT="80") == (
        "CPU_MEDIUM_PCT is 80, above CPU_HIGH_PCT (75); bounds grow with the level"
    )
    assert mistake_in_file("[throttle]\ncpu_critical_pct = 70\n") == (
        "c.toml, [throttle]: cpu_critical_pct is 70, below cpu_high_pct (75); "
        "bounds grow with the level"
    )


def test_a_bound_that_is_given_twice_in_the_file_is_refused() -> None:
    text = "[throttle]\nmemory_high_pct = 75\n[[throttle.levels]]\nlevel = 1\n"
    assert parse(text, "c.toml").levels[1].memory_below_pct == 75
    assert mistake_in_file(f"{text}memory_below_pct = 76\n") == (
        "c.toml, [throttle]: memory_high_pct is the same bound as memory_below_pct of level 1; "
        "leave one of them out"
    )


@pytest.mark.parametrize("name", ["WVO_DISABLE_THROTTLE", "ADMISSION_DISABLE_THROTTLE"])
def test_either_variable_switches_throttling_off(name: str) -> None:
    assert throttle_disabled_by({name: "1"}) == name
    assert throttle_disabled_by({name: "0"}) is None
    assert throttle_disabled_by({name: ""}) is None
    assert throttle_disabled_by({}) is None
