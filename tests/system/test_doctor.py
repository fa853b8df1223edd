"""The doctor beside real daemons: it finds what is wrong, mends what is safe, starts nothing."""

import json
import os
import signal
import sys
from pathlib import Path

import psutil

from admission.protocol import Frame
from admission_client.granted import rows, text
from tests.system.stage import Stage, stopped

# What depends on the machine that runs this, and not on the daemon.
OF_THE_MACHINE = ("sensors", "limits", "clock")


def examine(stage: Stage, *options: str) -> tuple[int, Frame]:
    """Exit status and report, with the command of this interpreter on the PATH."""
    folder = str(Path(sys.executable).parent)
    seen = stage.run("doctor", "--json", *options, PATH=f"{folder}:{stage.env['PATH']}")
    assert seen.stderr == ""
    return seen.returncode, json.loads(seen.stdout)


def unwell(report: Frame) -> dict[str, str]:
    """What is not well, less what only this machine is to blame for."""
    return {
        text(one, "name"): text(one, "says")
        for one in rows(report, "findings")
        if one["state"] != "ok"
        and one["name"] not in OF_THE_MACHINE
        and not text(one, "says").startswith("pressure triggers")
    }


def test_all_is_well_with_a_daemon_and_without_one(empty_stage: Stage) -> None:
    stage = empty_stage
    for _ in range(2):
        status, report = examine(stage)
        assert unwell(report) == {}
        all_is_well = all(one["state"] == "ok" for one in rows(report, "findings"))
        assert status == (0 if all_is_well else 1)
        if not stage.socket.exists():  # it started none
            assert not stage.socket.with_suffix(".lock").exists()
            stage.serve()
    last = stage.run("doctor").stdout.splitlines()[-1]
    assert "problem" not in last
    assert stage.run("doctor", "--fix").stdout.splitlines()[-1] == last


def test_what_a_killed_daemon_leaves_is_removed_when_told_to(stage: Stage) -> None:
    stage.kill_daemon()
    status, report = examine(stage)
    assert status == 1
    assert set(unwell(report)) == {"socket"}
    assert [one["name"] for one in rows(report, "findings") if one["can_fix"]] == ["socket"]
    _, report = examine(stage, "--fix")
    assert unwell(report) == {}
    removed = f"removed the socket {stage.socket}, at which nobody listened"
    assert report["fixed"] == [removed]
    assert not stage.socket.exists()
    assert stage.socket.with_suffix(".journal").exists()
    stage.serve()


def test_a_folder_that_is_open_is_closed_and_a_daemon_can_serve_again(stage: Stage) -> None:
    stage.kill_daemon(signal.SIGTERM)
    stage.socket.parent.chmod(0o755)
    assert stage.run("serve", "--detach").returncode == 77
    assert "closed" in stage.run("doctor", "--fix").stdout
    stage.serve()


def test_a_daemon_that_is_stopped_is_told_with_how_to_resume_it(stage: Stage) -> None:
    with stopped(stage.daemon_pid):
        status, report = examine(stage)
    assert status == 1
    assert f"(process {stage.daemon_pid}) is stopped" in unwell(report)["socket"]
    assert f"kill -CONT {stage.daemon_pid}" in json.dumps(report)


def test_what_outlived_its_lease_and_what_waits_in_vain_is_told(stage: Stage) -> None:
    starter = stage.spawn("run", "--", "sh", "-c", 'sleep 600 & echo "$!"')
    assert starter.stdout is not None
    left = int(starter.stdout.readline())
    starter.wait()
    stage.until(lambda view: view.in_use() == 0)
    stage.set_level(2)
    waiter = stage.hold("--weight", "3")
    stage.until(lambda view: view.waiters == [waiter.pid])
    while psutil.Process(left).name() != "sleep":
        pass  # it becomes that in this moment
    found = unwell(examine(stage)[1])
    assert set(found) == {"orphans", "leases"}
    assert "1 process outlived a lease" in found["orphans"]
    assert f"process {waiter.pid} waits for 3 of agents, which holds 2" in found["leases"]
    os.kill(left, signal.SIGKILL)


def test_mistakes_in_the_configuration_and_the_environment_are_told(stage: Stage) -> None:
    stage.config.write_text("[throttle]\npolicy = 7\n")
    stage.env["ADMISSION_AUTOSTRAT"] = "0"
    status, report = examine(stage)
    assert status == 1
    found = unwell(report)
    assert set(found) == {"configuration", "environment"}
    assert str(stage.config) in found["configuration"]
    assert "ADMISSION_AUTOSTRAT" in found["environment"]
    shown = stage.run("doctor")
    assert shown.returncode == 1
    assert " x  configuration" in shown.stdout
    assert "did you mean ADMISSION_AUTOSTART?" in shown.stdout
    assert shown.stdout.isascii()
