"""Steering a daemon that runs: levels, settings, and throttling that is switched off."""

import json
import os
import shlex
import signal

import pytest

from admission_client.granted import mapping, text, whole, words_of
from tests.system.stage import CALM, COMMAND, Stage


def _degraded(stage: Stage) -> str:
    return "\n".join(words_of(stage.look().status, "degraded"))


def test_sighup_reads_the_configuration_anew_and_loses_no_lease(stage: Stage) -> None:
    holders = [stage.hold() for _ in range(3)]
    stage.until(lambda view: view.in_use() == 3)
    waiters = [stage.hold() for _ in range(4)]
    stage.until(lambda view: view.in_use() == 5 and len(view.waiting) == 2)
    stage.config.write_text(CALM + "[pools.agents]\ncapacity = 7\n")
    os.kill(stage.daemon_pid, signal.SIGHUP)
    view = stage.until(lambda view: view.in_use() == 7)
    assert view.holders == {process.pid for process in (*holders, *waiters)}


def test_a_bad_new_configuration_is_refused_with_the_line_at_fault_and_the_old_one_stays(
    stage: Stage,
) -> None:
    stage.config.write_text("[pools.agents]\ncapacty = 7\n")
    refused = stage.run("reload")
    assert refused.returncode == 78
    assert 'unknown key "capacty"; did you mean "capacity"?' in refused.stderr
    assert stage.look().in_use() == 0
    assert mapping(stage.look().status, "capacity")["agents"] == 5
    assert "the new configuration was refused" in _degraded(stage)
    stage.config.write_text(CALM)
    assert stage.run("reload").returncode == 0
    assert "refused" not in _degraded(stage)


def test_thresholds_change_at_run_time(stage: Stage) -> None:
    stage.config.write_text(
        "[throttle]\nmemory_medium_pct = 0.0001\nmemory_high_pct = 1000\n"
        "memory_critical_pct = 1000\ncpu_medium_pct = 1000\ncpu_high_pct = 1000\n"
        "cpu_critical_pct = 1000\n"
    )
    assert stage.run("reload").returncode == 0
    view = stage.until(lambda view: whole(view.status, "level") == 1)
    (reason,) = [one for one in words_of(view.status, "reasons") if one.startswith("memory")]
    assert "is at or above 0.0001 %" in reason


def test_throttling_that_the_environment_switches_off_is_shown_loudly(empty_stage: Stage) -> None:
    empty_stage.env["ADMISSION_DISABLE_THROTTLE"] = "1"
    empty_stage.config.write_text(
        "[throttle]\nmemory_critical_pct = 0.0003\n"
        "memory_high_pct = 0.0002\nmemory_medium_pct = 0.0001\n"
    )
    empty_stage.serve()
    view = empty_stage.look()
    assert whole(view.status, "level") == 0
    assert "THROTTLING IS DISABLED" in _degraded(empty_stage)
    assert "THROTTLING IS DISABLED" in empty_stage.run("status").stdout
    assert "THROTTLING IS DISABLED" in empty_stage.log.read_text()


def test_an_autopilot_that_is_told_so_throttles_nothing_while_it_runs(stage: Stage) -> None:
    assert stage.run("level", "3").returncode == 0
    tasks = stage.folder / "tasks.txt"
    tasks.write_text(f"{shlex.join(COMMAND)} status --json > seen.json\n")
    done = stage.run("autopilot", str(tasks), WVO_DISABLE_THROTTLE="1")
    assert done.returncode == 0, done.stderr
    assert "warning: WVO_DISABLE_THROTTLE is set: NOTHING THROTTLES until this ends" in done.stderr
    seen = json.loads((stage.folder / "seen.json").read_text())
    assert (seen["level"], seen["by_hand"]["off"]) == (0, True)
    assert stage.look().status["by_hand"] is None


def test_explain_says_why_what_would_help_and_what_takes_the_machine(stage: Stage) -> None:
    assert stage.run("level", "3").returncode == 0
    holder = stage.hold("--task", "busy")
    stage.until(lambda view: view.in_use() == 1)
    waiter = stage.hold("--task", "patient")
    stage.until(lambda view: view.waiters == [waiter.pid])
    shown = stage.run("explain")
    assert shown.returncode == 0
    assert shown.stdout.startswith("level 3 (heavy)\n  set by hand")
    assert 'it was set by hand; "admission level auto" gives it back' in shown.stdout
    assert "patient" in shown.stdout
    assert "1 of 1 agents run" in shown.stdout
    assert "MOST MEMORY" in shown.stdout
    found = json.loads(stage.run("explain", "--json").stdout)
    assert {source["what"] for source in found["sources"]} >= {"memory", "CPU"}
    assert holder.poll() is None


@pytest.mark.parametrize("word", ["off", "0"])
def test_a_level_for_a_while_ends_by_itself(stage: Stage, word: str) -> None:
    assert stage.run("level", word, "--for", "300ms").returncode == 0
    assert stage.look().status["by_hand"] is not None
    stage.run("level", "1", "--for", "200ms")
    view = stage.until(lambda view: view.status["by_hand"] is None)
    assert text(view.status, "name") == "normal"
