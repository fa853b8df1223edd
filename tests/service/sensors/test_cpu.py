"""CPU of recorded machines, and the quotas on it."""

import pytest

from admission.service.sensors.cpu import available_cpus
from admission.service.sensors.source import Nonsense, Share
from tests.service.sensors.machine import (
    MOUNTS_HYBRID,
    MOUNTS_V2,
    OWN_HYBRID,
    OWN_V2,
    STAT,
    STAT_LATER,
    Machine,
)


@pytest.mark.parametrize(
    ("before", "after", "pct"),
    [
        ((0.0, 0.0), (30.0, 100.0), 30.0),
        ((1000.0, 4000.0), (1003.0, 4004.0), 75.0),
        ((1000.0, 4000.0), (1000.0, 4004.0), 0.0),
        ((1000.0, 4000.0), (1004.0, 4004.0), 100.0),
        ((1000.0, 4000.0), (1000.0, 4000.0), None),  # asked twice within a tick
    ],
)
def test_a_share_comes_from_two_readings(
    before: tuple[float, float], after: tuple[float, float], pct: float | None
) -> None:
    share = Share()
    assert share.pct(*before) is None
    assert share.pct(*after) == pct


def test_counters_that_began_anew_are_nonsense_once() -> None:
    share = Share()
    share.pct(1000.0, 4000.0)
    with pytest.raises(Nonsense, match="backwards"):
        share.pct(10.0, 40.0)
    assert share.pct(13.0, 44.0) == 75.0


@pytest.mark.parametrize("part", [-3.0, 12.0])
def test_a_part_that_shrinks_or_outgrows_the_whole_is_nonsense(part: float) -> None:
    share = Share()
    share.pct(0.0, 0.0)
    with pytest.raises(Nonsense, match="is no percentage"):
        share.pct(part, 10.0)


def test_a_recorded_machine_reads_as_it_did(machine: Machine) -> None:
    sensors = machine.sensors()
    first = sensors.read_fast(0.0)
    assert (first.cpu_used_pct, first.failed) == (None, ())
    machine.write("proc/stat", STAT_LATER)
    sample = sensors.read_fast(30.0)
    # 3000 ticks of work in 6000; 104 more waited for a disk.
    assert sample.cpu_used_pct == 50.0
    assert sample.load_1min == 3.75
    assert sample.cpus == available_cpus()
    assert sample.failed == ()


@pytest.mark.parametrize("text", [None, "", "\n\n", "cpu 1\n", "cpu x y z a\n", "cpu0 1 2 3 4\n"])
def test_a_stat_that_is_damaged_fails_by_itself(machine: Machine, text: str | None) -> None:
    if text is None:
        machine.remove("proc/stat")
    else:
        machine.write("proc/stat", text)
    sample = machine.sensors().read_fast(0.0)
    assert (sample.cpu_used_pct, sample.load_1min) == (None, 3.75)
    assert [line.partition(":")[0] for line in sample.failed] == ["CPU"]


def test_counters_that_go_backwards_are_named_and_then_forgotten(machine: Machine) -> None:
    sensors = machine.sensors()
    machine.write("proc/stat", STAT_LATER)
    sensors.read_fast(0.0)
    machine.write("proc/stat", STAT)
    assert sensors.read_fast(1.0).failed == ("CPU: its counters went backwards",)
    machine.write("proc/stat", STAT_LATER)
    sample = sensors.read_fast(2.0)
    assert (sample.cpu_used_pct, sample.failed) == (50.0, ())


@pytest.mark.parametrize("text", [None, "", "high\n", "-1 0 0\n", "nan 0 0\n", "inf 1 1\n"])
def test_a_load_that_is_nonsense_fails_by_itself(machine: Machine, text: str | None) -> None:
    if text is None:
        machine.remove("proc/loadavg")
    else:
        machine.write("proc/loadavg", text)
    sample = machine.sensors().read_fast(0.0)
    assert sample.load_1min is None
    assert [line.partition(":")[0] for line in sample.failed] == ["load"]


# --- quotas -------------------------------------------------------------------------------------


def quota_v2(machine: Machine, group: str, quota: str, used_s: float) -> None:
    machine.write(f"cgroups/{group}/cpu.max", f"{quota}\n")
    stat = f"usage_usec {round(used_s * 1e6)}\nuser_usec 5\nsystem_usec 5\nnr_periods 0\n"
    machine.write(f"cgroups/{group}/cpu.stat", stat)


def test_under_a_quota_its_use_counts_where_it_is_worse_than_the_machine_s(
    machine: Machine,
) -> None:
    machine.mount(MOUNTS_V2, OWN_V2)
    quota_v2(machine, "user.slice", "50000 100000", 100.0)
    quota_v2(machine, "user.slice/user-1000.slice", "max 100000", 50.0)
    sensors = machine.sensors()
    first = sensors.read_fast(0.0)
    assert (first.cpus, first.cpu_used_pct, first.failed) == (0.5, None, ())
    machine.now += 10
    machine.write("proc/stat", STAT_LATER)
    quota_v2(machine, "user.slice", "50000 100000", 104.5)
    assert sensors.read_fast(10.0).cpu_used_pct == pytest.approx(90.0)
    machine.now += 10
    machine.write("proc/stat", STAT_LATER.replace("23113", "29113"))
    quota_v2(machine, "user.slice", "50000 100000", 105.5)
    sample = sensors.read_fast(20.0)
    assert (sample.cpu_used_pct, sample.failed) == (100.0, ())  # the machine, by now


@pytest.mark.parametrize("used_s", [-50.0, 12.0])
def test_a_quota_s_use_that_is_nonsense_is_named_and_the_machine_is_read_all_the_same(
    machine: Machine, used_s: float
) -> None:
    machine.mount(MOUNTS_V2, OWN_V2)
    quota_v2(machine, "user.slice", "50000 100000", 100.0)
    sensors = machine.sensors()
    sensors.read_fast(0.0)
    machine.now += 10
    machine.write("proc/stat", STAT_LATER)
    quota_v2(machine, "user.slice", "50000 100000", 100.0 + used_s)
    sample = sensors.read_fast(10.0)
    assert sample.cpu_used_pct == 50.0
    assert [line.partition(":")[0] for line in sample.failed] == ["CPU limit"]


def test_a_group_may_run_on_beyond_its_quota_for_a_moment(machine: Machine) -> None:
    machine.mount(MOUNTS_V2, OWN_V2)
    quota_v2(machine, "user.slice", "50000 100000", 100.0)
    sensors = machine.sensors()
    sensors.read_fast(0.0)
    machine.now += 0.1
    quota_v2(machine, "user.slice", "50000 100000", 100.06)
    assert sensors.read_fast(0.1).cpu_used_pct == 100.0


@pytest.mark.parametrize("quota", ["0 100000", "5 0", "-5 100000", "5", "much 5"])
def test_a_quota_that_is_nonsense_is_named(machine: Machine, quota: str) -> None:
    machine.mount(MOUNTS_V2, OWN_V2)
    quota_v2(machine, "user.slice", quota, 1.0)
    sample = machine.sensors().read_fast(0.0)
    assert [line.partition(":")[0] for line in sample.failed] == ["CPU limit"]
    assert sample.cpus is not None


def quota_v1(machine: Machine, group: str, quota_us: int, used_ns: int) -> None:
    place = f"cgroups/cpu,cpuacct/{group}".rstrip("/")
    machine.write(f"{place}/cpu.cfs_quota_us", f"{quota_us}\n")
    machine.write(f"{place}/cpu.cfs_period_us", "100000\n")
    machine.write(f"{place}/cpuacct.usage", f"{used_ns}\n")


def test_version_1_has_quotas_too(machine: Machine) -> None:
    machine.mount(MOUNTS_HYBRID, OWN_HYBRID)
    quota_v1(machine, "", -1, 5)
    quota_v1(machine, "user.slice", 25_000, 10**9)
    sensors = machine.sensors()
    assert sensors.read_fast(0.0).cpus == 0.25
    machine.now += 2
    quota_v1(machine, "user.slice", 25_000, 10**9 + 3 * 10**8)
    sample = sensors.read_fast(2.0)
    assert sample.cpu_used_pct == pytest.approx(60.0)
    assert sample.failed == ()


def test_a_quota_whose_use_is_counted_elsewhere_still_bounds_the_cpus(machine: Machine) -> None:
    machine.mount(MOUNTS_HYBRID, OWN_HYBRID.replace("cpu,cpuacct:/user.slice", "cpu:/user.slice"))
    quota_v1(machine, "user.slice", 25_000, 10**9)
    sample = machine.sensors().read_fast(0.0)
    assert (sample.cpus, sample.failed) == (0.25, ())


def test_a_reading_that_was_held_up_is_measured_by_when_it_was_made(machine: Machine) -> None:
    """Whoever asked may have done so a minute before the counters were read."""
    machine.mount(MOUNTS_V2, OWN_V2)
    quota_v2(machine, "user.slice", "100000 100000", 0.0)
    sensors = machine.sensors()
    sensors.read_fast(0.0)
    machine.now += 60
    quota_v2(machine, "user.slice", "100000 100000", 30.0)
    assert sensors.read_fast(0.1).cpu_used_pct == 50.0
