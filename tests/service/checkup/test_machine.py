"""Clock, limits and sensors."""

import os
import re
import resource
import sys
import time
from pathlib import Path

import pytest

from admission.service.checkup import machine
from admission.service.checkup.finding import State
from admission.service.checkup.scene import Scene
from tests.service.checkup.findings import one, served
from tests.service.children import child

# --- clock, limits, sensors ---------------------------------------------------------------------


def test_a_clock_that_was_set_back_is_told(path: Path) -> None:
    assert one(machine.check_clock(Scene(path))).state is State.OK
    path.with_suffix(".lock").touch()
    later = time.time() + 7200
    os.utime(path.with_suffix(".lock"), (later, later))
    found = one(machine.check_clock(Scene(path)))
    assert (found.state, "120 min" in found.says or "2.0 h" in found.says) == (State.WARNING, True)


def test_more_connections_than_there_can_be_files_are_told(path: Path) -> None:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed == resource.RLIM_INFINITY:
        pytest.skip("there is no limit of open files here")
    found = machine._check_files(Scene(path), allowed)
    fit = max(0, (allowed - 64) // 2)
    assert found.state is State.WARNING
    assert f"about {fit} fit" in found.says
    assert f"connections = {fit}" in found.advice
    assert machine._check_files(Scene(path), 1).state is State.OK


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells another's limits")
def test_the_limits_that_count_are_the_daemons_own(path: Path) -> None:
    code = (
        "import resource,sys;resource.setrlimit(resource.RLIMIT_NOFILE,(70,70));print(flush=True)"
    )
    with child(sys.executable, "-c", f"{code};sys.stdin.read()", program=sys.executable) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        found = machine._check_files(served(path, daemon.pid), 1024)
    assert "70 open files are allowed" in found.says
    assert "about 3 fit" in found.says


def test_the_sensors_of_this_machine_can_be_read() -> None:
    findings = list(machine.check_sensors(Scene(None)))
    assert re.search(r"memory \d+ %, CPU \d+ %", findings[-1].says)
    assert State.PROBLEM not in {found.state for found in findings}
