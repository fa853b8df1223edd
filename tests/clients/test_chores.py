import json
from pathlib import Path

import pytest

from admission_client import chores
from admission_client.chores import parse_points
from admission_client.cli import main

SHORT = ["simulate", "--hours", "1", "--seeds", "1"]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration and no history but the test's own."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("ADMISSION_CONFIG", raising=False)


def rules(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, dict[str, object]]:
    assert main([*SHORT, "--json", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_without_a_proposal_the_current_settings_stand_beside_the_plain_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert list(rules(capsys)) == ["current", "document, every 30 s"]


def test_a_proposed_configuration_is_run_on_the_same_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proposed = tmp_path / "proposed.toml"
    proposed.write_text("[throttle]\ndwell_s = 5.0\nmargin_pct = 0.0\n")
    found = rules(capsys, "--config", str(proposed))
    assert list(found) == ["current", "proposed", "document, every 30 s"]
    assert found["current"] != found["proposed"]


def test_a_proposed_policy_needs_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert "proposed" in rules(capsys, "--policy", "budget")
    assert "proposed" not in rules(capsys, "--policy", "table")


def test_for_people_the_scores_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SHORT, "--plant", "herd", "--shape", "32/12"]) == 0
    heading, head, first, *_ = capsys.readouterr().out.splitlines()
    assert heading == "herd on 32/12 (GiB/cores), days of 1 h: 1"
    assert head.split()[0] == "current"
    assert first.startswith("cycles/h")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--plant", "rice"], '--plant "rice" is none of mix, '),
        (["--shape", "1/1"], '--shape "1/1" is none of 16/8, '),
        (["--policy", "hope"], '--policy "hope" is none of table, budget'),
    ],
)
def test_what_it_does_not_know_it_refuses_with_what_there_is(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SHORT, *words]) == 2
    assert message in capsys.readouterr().err


def test_without_a_recorded_history_there_is_nothing_to_replay(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*SHORT, "--since", "2h"]) == 69
    assert capsys.readouterr().err.startswith("admission: ")


def test_intervals_become_whole_seconds() -> None:
    assert [chores.whole_seconds(interval_s) for interval_s in (0.2, 2.0, 4.6)] == [1, 2, 5]


def test_other_bounds_and_more_agents_can_be_proposed(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(rules(capsys, "--bounds", "0", "--agents", "5")) == {
        "current",
        "document, every 30 s",
    }
    found = rules(capsys, "--bounds=+20", "--agents", "9")
    assert set(found) == {"current", "proposed", "document, every 30 s"}
    assert found["proposed"] != found["current"]


@pytest.mark.parametrize("points", ["much", "nan", "100"])
def test_points_that_are_none_are_told_so(points: str) -> None:
    with pytest.raises(ValueError, match=f'"{points}" is no number of points; write 5, or -5'):
        parse_points(points)
