"""The forecasts beside persistence, on recorded series."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from admission.simulation.series import Series, invented, judge, main, recordings

BEGIN = datetime(2024, 1, 1)


def rhythm(hour: int) -> float:
    return 300.0 if hour % 24 in range(9, 17) else 100.0


def write_csv(path: Path, weeks: int) -> None:
    rows = [f"{BEGIN + timedelta(hours=n / 2)},{rhythm(n // 2)}" for n in range(weeks * 336)]
    path.write_text("\n".join(["timestamp,value", *rows, ""]))


def test_a_rhythm_is_believed_and_two_weeks_without_one_are_not(tmp_path: Path) -> None:
    write_csv(tmp_path / "office.csv", weeks=4)
    (found,) = recordings(tmp_path)
    assert found.name == "office"
    assert found.step_s == 1800
    assert max(pct for _, pct in found.points) == 100  # of its own greatest value
    verdict = judge(found)
    assert verdict.standing is not None
    assert verdict.standing.is_proven
    assert verdict.acts_share == pytest.approx(0.5, abs=0.01)
    flat = judge(Series("flat", tuple((n * 1800.0, n * 7 % 5 + n / 50) for n in range(1344))))
    assert flat.acts_share == 0


def test_a_history_as_it_is_printed_has_two_figures(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"at": 60.0 * n, "memory_used_pct": 40.0, "cpu_used_pct": None if n % 2 else 10.0}
        for n in range(10)
    ]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"series": rows}))
    assert [(one.name, len(one.points)) for one in recordings(path)] == [
        ("mine memory_used_pct", 10),
        ("mine cpu_used_pct", 5),
    ]


def test_the_command_prints_a_line_for_each_with_a_simulated_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(tmp_path / "office.csv", weeks=2)
    assert main([str(tmp_path), "--days", "1", "--hours", "0.3"]) == 0
    head, _, office, day = capsys.readouterr().out.splitlines()
    assert head.count("|") == office.count("|") == day.count("|")
    assert "simulated mix" in day


def test_what_is_no_recording_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.csv"
    path.write_text("when,what\n1,2\n")
    assert main([str(tmp_path)]) == 1
    assert str(path) in capsys.readouterr().err
    path.with_suffix(".json").write_text("[]")
    path.unlink()
    assert main([str(tmp_path)]) == 1


def test_a_simulated_day_is_the_same_each_time() -> None:
    assert invented("mix", 0.1, 3) == invented("mix", 0.1, 3)
