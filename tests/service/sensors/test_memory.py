"""Memory of recorded machines, and what limits it."""

from pathlib import Path

import pytest

from admission.service.sensors.cgroup import Mount, folders, parse_mounts, parse_own
from tests.service.sensors.machine import (
    MEMINFO,
    MOUNTS_HYBRID,
    MOUNTS_V2,
    OWN_HYBRID,
    OWN_V2,
    UNLIMITED_V1,
    Machine,
)

MIB = 1024 * 1024
TOTAL_BYTES = 8132924 * 1024


def test_a_recorded_machine_reads_as_it_did(machine: Machine) -> None:
    sample = machine.sensors().read_fast(7.0)
    assert sample.failed == ()
    # A quarter is in use though only 2 % is free: the rest is cache.
    assert sample.memory_used_pct == pytest.approx(25.0, abs=0.01)
    assert sample.memory_total_bytes == TOTAL_BYTES
    assert sample.memory_available_bytes == 6099693 * 1024
    assert sample.swap_used_pct == 25.0
    assert sample.memory_pressure is None


def test_a_machine_without_swap_has_no_reading_of_it_and_that_is_no_failure(
    machine: Machine,
) -> None:
    text = MEMINFO.replace("SwapTotal:       4000000", "SwapTotal:             0")
    machine.write("proc/meminfo", text.replace("SwapFree:        3000000", "SwapFree: 0"))
    sample = machine.sensors().read_fast(0.0)
    assert (sample.swap_used_pct, sample.failed) == (None, ())


def test_swap_that_is_nonsense_fails_alone(machine: Machine) -> None:
    machine.write("proc/meminfo", MEMINFO.replace("3000000", "9000000"))
    sample = machine.sensors().read_fast(0.0)
    assert sample.memory_used_pct is not None
    assert sample.failed == ("swap: -125 is no percentage",)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "\n\n",
        "MemTotal: 5\n",
        "MemTotal: 5 kB\n",
        "MemTotal: 0 kB\nMemAvailable: 0 kB\n",
        "MemTotal: 8 kB\nMemAvailable: 9 kB\n",
        "MemTotal: 8 kB\nMemAvailable: -1 kB\n",
        "MemTotal: 8 kB\nMemAvailable: ٣ kB\n",
        "MemTotal: 8 kB\nMemAvailable: nan kB\n",
    ],
)
def test_a_meminfo_that_is_damaged_fails_by_itself(machine: Machine, text: str | None) -> None:
    if text is None:
        machine.remove("proc/meminfo")
    else:
        machine.write("proc/meminfo", text)
    sensors = machine.sensors()
    sensors.read_fast(0.0)
    machine.write("proc/stat", "cpu  30413 310 8125 621204 902 0 417 0 0 0\n")
    sample = sensors.read_fast(1.0)
    assert (sample.memory_used_pct, sample.memory_total_bytes) == (None, None)
    assert sample.cpu_used_pct == 50.0
    assert {line.partition(":")[0] for line in sample.failed} == {"memory", "swap"}


# --- limits -------------------------------------------------------------------------------------


def test_the_smallest_limit_of_all_ancestors_counts_where_it_is_lower_than_the_machine(
    machine: Machine,
) -> None:
    machine.mount(MOUNTS_V2, OWN_V2)
    machine.limit_v2("user.slice/user-1000.slice/app.slice/admission.service", "max", 50 * MIB)
    machine.limit_v2("user.slice/user-1000.slice/app.slice", str(4096 * MIB), 1024 * MIB)
    machine.limit_v2("user.slice/user-1000.slice", str(2048 * MIB), 1600 * MIB, 64 * MIB)
    machine.limit_v2("user.slice", str(10**12), 1600 * MIB)
    sample = machine.sensors().read_fast(0.0)
    assert sample.failed == ()
    assert sample.memory_used_pct == 75.0
    assert sample.memory_total_bytes == 2048 * MIB
    assert sample.memory_available_bytes == 512 * MIB


def test_the_worst_counts_though_another_has_less_left(machine: Machine) -> None:
    """A small group that is half empty has less left than a machine that is nearly full."""
    machine.write("proc/meminfo", MEMINFO.replace("6099693", " 813292"))
    machine.mount(MOUNTS_V2, OWN_V2)
    machine.limit_v2("user.slice", str(512 * MIB), 256 * MIB)
    sample = machine.sensors().read_fast(0.0)
    assert sample.memory_used_pct == pytest.approx(90.0, abs=0.01)
    assert sample.memory_available_bytes == 256 * MIB
    assert sample.memory_total_bytes == 512 * MIB


def test_a_group_above_a_limit_that_was_lowered_is_full(machine: Machine) -> None:
    machine.mount(MOUNTS_V2, OWN_V2)
    machine.limit_v2("user.slice", str(512 * MIB), 600 * MIB)
    sample = machine.sensors().read_fast(0.0)
    assert (sample.memory_used_pct, sample.memory_available_bytes) == (100.0, 0)


def limit_v1(machine: Machine, group: str, limit: str, usage: int, inactive_file: int) -> None:
    place = f"cgroups/memory/{group}".rstrip("/")
    machine.write(f"{place}/memory.limit_in_bytes", limit)
    machine.write(f"{place}/memory.usage_in_bytes", f"{usage}\n")
    stat = f"cache 5000\ninactive_file 1\ntotal_inactive_file {inactive_file}\n"
    machine.write(f"{place}/memory.stat", stat)


def test_a_hybrid_machine_is_limited_by_version_1(machine: Machine) -> None:
    machine.mount(MOUNTS_HYBRID, OWN_HYBRID)
    limit_v1(machine, "", UNLIMITED_V1, 9000 * MIB, 0)
    limit_v1(machine, "user.slice", f"{1000 * MIB}\n", 700 * MIB, 200 * MIB)
    limit_v1(machine, "user.slice/agents", UNLIMITED_V1, 700 * MIB, 200 * MIB)
    sample = machine.sensors().read_fast(0.0)
    assert sample.failed == ()
    assert sample.memory_used_pct == 50.0
    assert sample.memory_total_bytes == 1000 * MIB


def test_groups_without_limits_change_nothing(machine: Machine) -> None:
    bare = machine.sensors().read_fast(0.0)
    machine.mount(MOUNTS_HYBRID, OWN_HYBRID)
    limit_v1(machine, "user.slice/agents", UNLIMITED_V1, 700 * MIB, 200 * MIB)
    assert machine.sensors().read_fast(0.0) == bare


@pytest.mark.parametrize("limit", ["", "-5", "nan", "0", "1e9", "1\n2"])
def test_a_limit_that_is_nonsense_is_named_and_the_machine_is_read_all_the_same(
    machine: Machine, limit: str
) -> None:
    machine.mount(MOUNTS_V2, OWN_V2)
    machine.limit_v2("user.slice", limit, 5 * MIB)
    sample = machine.sensors().read_fast(0.0)
    assert sample.memory_used_pct == pytest.approx(25.0, abs=0.01)
    (failed,) = sample.failed
    assert failed.startswith("memory limit: ")


def test_a_limit_whose_use_can_t_be_read_is_named(machine: Machine) -> None:
    machine.mount(MOUNTS_V2, OWN_V2)
    machine.limit_v2("user.slice", str(512 * MIB))
    machine.remove("cgroups/user.slice/memory.current")
    (failed,) = machine.sensors().read_fast(0.0).failed
    assert failed.startswith("memory limit: [Errno 2]")


def test_a_daemon_that_is_moved_lives_under_the_other_limit(machine: Machine) -> None:
    machine.mount(MOUNTS_V2, "0::/a\n")
    machine.limit_v2("a", str(1000 * MIB), 500 * MIB)
    machine.limit_v2("b", str(1000 * MIB), 900 * MIB)
    sensors = machine.sensors()
    assert sensors.read_fast(0.0).memory_used_pct == 50.0
    machine.write("proc/self/cgroup", "0::/b\n")
    assert sensors.read_fast(1.0).memory_used_pct == pytest.approx(90.0)


# --- where groups are ---------------------------------------------------------------------------


def test_a_blank_in_a_mount_point_is_read() -> None:
    text = r"1 2 0:3 / /a\040b rw - cgroup2 none rw" + "\n"
    assert parse_mounts(text) == {"": Mount("/", "/a b")}


def test_of_several_mounts_of_one_hierarchy_the_first_counts() -> None:
    text = "1 2 0:3 / /first rw - cgroup2 none rw\n1 2 0:3 /x /second rw - cgroup2 none rw\n"
    assert parse_mounts(text) == {"": Mount("/", "/first")}


def test_a_group_may_have_colons_in_its_name() -> None:
    own = parse_own("2:cpu,cpuacct:/a:b\n0::/c::d\n")
    assert own == {"cpu": "/a:b", "cpuacct": "/a:b", "": "/c::d"}


@pytest.mark.parametrize(
    ("path", "root", "found"),
    [
        ("/", "/", ("/m",)),
        ("/a/b", "/", ("/m/a/b", "/m/a", "/m")),
        # In a container: what is mounted is the container's own group, or lies beside it.
        ("/docker/1", "/docker/1", ("/m",)),
        ("/docker/1/a", "/docker/1", ("/m/a", "/m")),
        ("/docker/12", "/docker/1", ("/m",)),
        ("/../b", "/", ("/m",)),
    ],
)
def test_a_group_s_folders_go_up_to_the_mount(path: str, root: str, found: tuple[str, ...]) -> None:
    assert folders(path, Mount(root, "/m")) == found


def test_a_kernel_without_groups_is_no_failure(machine: Machine) -> None:
    assert not Path(machine.proc / "self").exists()
    assert machine.sensors().read_fast(0.0).failed == ()
