"""The clock on the wall jumps an hour or two, either way, while leases are out and others wait."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from admission_client.granted import whole, words_of
from tests.system.stage import Stage, end_process

JUMP_S = 7200
OWNS = "ADMISSION_TEST_OWNS_THE_MACHINE"

# Loaded by Python before anything else: the daemon's own clock is set by a file.
FAKED = """
import os, time
honest = time.time
def jumped():
    with open({path!r}) as file:
        return honest() + float(file.read())
time.time = jumped
time.time_ns = lambda: int(jumped() * 1e9)
"""

Set = Callable[[int], None]


@contextmanager
def faked(stage: Stage) -> Iterator[Set]:
    """The daemons that are started from now on have a clock that can be set."""
    path = stage.folder / "jumped"
    path.write_text("0")
    code = stage.folder / "faked"
    code.mkdir()
    (code / "sitecustomize.py").write_text(FAKED.format(path=str(path)))
    stage.env["PYTHONPATH"] = str(code)

    def set_clock(offset_s: int) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_text(str(offset_s))
        fresh.replace(path)

    yield set_clock


@contextmanager
def real(stage: Stage) -> Iterator[Set]:
    """The machine's own. It is set back to where it would be."""
    if os.environ.get(OWNS) != "1" or os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip(f"the clock is set by root on Linux only, and where {OWNS}=1 says so")
    wall, begun = time.time(), time.monotonic()

    def set_clock(offset_s: int) -> None:
        time.clock_settime(time.CLOCK_REALTIME, wall + time.monotonic() - begun + offset_s)

    try:
        yield set_clock
    finally:
        set_clock(0)


@pytest.mark.parametrize("clock", [faked, real])
def test_a_wall_clock_that_jumps_ends_no_lease_early_or_late(
    empty_stage: Stage, clock: Callable[[Stage], object]
) -> None:
    stage = empty_stage
    stage.env["ADMISSION_AUTOSTART"] = "0"
    with clock(stage) as set_clock:  # type: ignore[attr-defined]
        stage.serve()
        assert stage.run("level", "2", "--for", "1h").returncode == 0
        long, other = stage.hold("--ttl", "1h"), stage.hold()
        stage.until(lambda view: view.holders == {long.pid, other.pid})
        waiter = stage.hold("--wait", "1h")
        stage.until(lambda view: view.waiters == [waiter.pid])
        for offset_s in (JUMP_S, -JUMP_S, JUMP_S):
            set_clock(offset_s)
            assert_that_time_goes_on(stage)
            stage.kill_daemon()
            set_clock(-offset_s)  # and while there is none
            stage.serve()
            view = stage.until(lambda view: view.waiters == [waiter.pid])
            assert view.holders == {long.pid, other.pid}
            assert whole(view.status, "level") == 2
        end_process(long.pid, signal.SIGKILL)
        view = stage.until(lambda view: view.holders == {waiter.pid, other.pid})
        assert not [one for one in words_of(view.status, "degraded") if "sensors" in one]


def assert_that_time_goes_on(stage: Stage) -> None:
    """What is to end soon ends: a lease with a time of its own, and a wait."""
    with stage.client() as client:
        client.ask("acquire", {"pool": "operations", "ttl_s": 0.05, "bound": "process"})
    stage.until(lambda view: view.in_use("operations") == 0)
    assert stage.run("run", "--wait", "50ms", "--", "true").returncode == 75
