"""Pressure stalls of recorded machines."""

import errno
import os

import pytest

from admission.service.sensors import pressure
from admission.service.sensors.pressure import parse_pressure
from tests.service.sensors.machine import MOUNTS_V2, OWN_V2, PRESSURE, Machine

OWN = "cgroups/user.slice/user-1000.slice/app.slice/admission.service"


def totals(some_us: int, full_us: int) -> str:
    return (
        f"some avg10=99.00 avg60=1.00 avg300=0.00 total={some_us}\n"
        f"full avg10=99.00 avg60=1.00 avg300=0.00 total={full_us}\n"
    )


def test_recorded_totals_are_read() -> None:
    assert parse_pressure(PRESSURE["memory"]) == {"some": 4195059, "full": 3025831}


def test_a_stall_is_the_growth_of_its_total_and_not_the_kernel_s_average(machine: Machine) -> None:
    sensors = machine.sensors()
    for name in PRESSURE:
        machine.write(f"proc/pressure/{name}", totals(1_000_000, 500_000))
    first = sensors.read_fast(0.0)
    assert (first.cpu_stall_pct, first.memory_stall_pct, first.io_stall_pct) == (None, None, None)
    machine.now += 2
    machine.write("proc/pressure/cpu", totals(2_500_000, 500_000))
    machine.write("proc/pressure/memory", totals(2_500_000, 600_000))
    sample = sensors.read_fast(2.0)
    assert (sample.cpu_stall_pct, sample.io_stall_pct) == (75.0, 0.0)
    assert sample.memory_stall_pct == pytest.approx(5.0)
    assert sample.failed == ()


def test_the_daemon_s_own_group_counts_where_it_is_worse(machine: Machine) -> None:
    machine.mount(MOUNTS_V2, OWN_V2)
    machine.write(f"{OWN}/memory.pressure", totals(0, 0))
    machine.write("cgroups/memory.pressure", totals(0, 0))
    machine.write(f"{OWN}/cpu.pressure", totals(0, 0))
    machine.write("proc/pressure/cpu", totals(0, 0))
    sensors = machine.sensors()
    sensors.read_fast(0.0)
    machine.now += 10
    machine.write(f"{OWN}/memory.pressure", totals(4_000_000, 3_000_000))
    machine.write("cgroups/memory.pressure", totals(9_000_000, 9_000_000))  # all groups', not ours
    machine.write(f"{OWN}/cpu.pressure", totals(1_000_000, 0))
    machine.write("proc/pressure/cpu", totals(2_000_000, 0))
    sample = sensors.read_fast(10.0)
    assert (sample.memory_stall_pct, sample.cpu_stall_pct) == (30.0, 20.0)
    assert sample.failed == ()


def test_totals_that_run_a_little_ahead_of_time_are_all_of_it(machine: Machine) -> None:
    machine.write("proc/pressure/cpu", totals(0, 0))
    sensors = machine.sensors()
    sensors.read_fast(0.0)
    machine.now += 0.01
    machine.write("proc/pressure/cpu", totals(12_000, 0))
    assert sensors.read_fast(0.01).cpu_stall_pct == 100.0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "some\n",
        "some total=\n",
        "some total=-5\n",
        "some total=nan\n",
        "full total=5\n",
        totals(0, 0),  # less than before
        totals(10**12, 0),  # a week within a second
    ],
)
def test_nonsense_is_named_and_the_other_stalls_are_read(machine: Machine, text: str) -> None:
    sensors = machine.sensors()
    sensors.read_fast(0.0)
    machine.now += 1
    machine.write("proc/pressure/cpu", text)
    sample = sensors.read_fast(1.0)
    assert (sample.cpu_stall_pct, sample.memory_stall_pct) == (None, 0.0)
    assert [line.partition(":")[0] for line in sample.failed] == ["CPU pressure"]


def test_a_kernel_that_keeps_none_is_no_failure(machine: Machine) -> None:
    machine.remove(*(f"proc/pressure/{name}" for name in PRESSURE))
    sample = machine.sensors().read_fast(0.0)
    assert (sample.cpu_stall_pct, sample.failed) == (None, ())


@pytest.mark.parametrize(
    ("number", "failed"),
    [
        (errno.EOPNOTSUPP, []),  # the kernel was told not to keep it
        (errno.EACCES, ["CPU pressure", "memory pressure", "I/O pressure"]),
        (errno.EIO, ["CPU pressure", "memory pressure", "I/O pressure"]),
    ],
)
def test_one_that_is_switched_off_is_no_failure_and_one_that_is_denied_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, number: int, failed: list[str]
) -> None:
    def refuse(path: str) -> str:
        raise OSError(number, os.strerror(number), path)

    monkeypatch.setattr(pressure, "text_of", refuse)
    sample = machine.sensors().read_fast(0.0)
    assert [line.partition(":")[0] for line in sample.failed] == failed
    assert sample.memory_used_pct is not None
