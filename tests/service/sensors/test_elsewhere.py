"""By psutil, where there is no /proc: from recorded numbers and from every kind of nonsense."""

from collections.abc import Callable
from math import inf, nan
from types import SimpleNamespace
from typing import NamedTuple

import psutil
import pytest

from admission.service.sensors import Sensors


class CpuTimes(NamedTuple):
    """As psutil has them on Linux: seconds since boot; guest time is within user time."""

    user: float = 0.0
    nice: float = 0.0
    system: float = 0.0
    idle: float = 0.0
    iowait: float = 0.0
    irq: float = 0.0
    softirq: float = 0.0
    steal: float = 0.0
    guest: float = 0.0
    guest_nice: float = 0.0


class MacCpuTimes(NamedTuple):
    user: float
    nice: float
    system: float
    idle: float


Times = CpuTimes | MacCpuTimes


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets what psutil says: a value, or an exception to raise."""

    def set_(memory: object = None, cpu: object = None, swap: object = None) -> None:
        named = {"virtual_memory": memory, "cpu_times": cpu, "swap_memory": swap}
        for name, value in named.items():
            if value is not None:
                monkeypatch.setattr(psutil, name, _saying(value))

    no_swap = SimpleNamespace(total=0, used=0)
    set_(SimpleNamespace(available=6_000, total=8_000), CpuTimes(user=1, idle=1), no_swap)
    return set_


def _saying(value: object) -> Callable[[], object]:
    def say() -> object:
        if isinstance(value, Exception):
            raise value
        return value

    return say


def elsewhere() -> Sensors:
    return Sensors(platform="freebsd14")


def sources(failed: tuple[str, ...]) -> list[str]:
    return [line.partition(":")[0] for line in failed]


def test_memory_is_what_is_not_available(says: Callable[..., None]) -> None:
    says(memory=SimpleNamespace(available=2_000, total=8_000, free=100, used=1))
    sample = elsewhere().read_fast(5.0)
    assert (sample.at, sample.memory_used_pct) == (5.0, 75.0)
    assert (sample.memory_total_bytes, sample.memory_available_bytes) == (8_000, 2_000)


def test_the_first_reading_has_no_cpu_and_what_this_system_lacks_is_no_failure(
    says: Callable[..., None],
) -> None:
    sample = elsewhere().read_fast(5.0)
    assert (sample.memory_used_pct, sample.cpu_used_pct) == (25.0, None)
    assert (sample.swap_used_pct, sample.cpu_stall_pct, sample.memory_pressure) == (None,) * 3
    assert sample.failed == ()


def test_swap_is_a_share_of_what_there_is(says: Callable[..., None]) -> None:
    says(swap=SimpleNamespace(total=4_000, used=1_000))
    assert elsewhere().read_fast(0.0).swap_used_pct == 25.0


@pytest.mark.parametrize(
    ("before", "after", "pct"),
    [
        (CpuTimes(user=100, idle=900), CpuTimes(user=103, idle=901), 75.0),
        # Waiting for a disk is not working, and a guest's time is in the user's already.
        (CpuTimes(), CpuTimes(user=1, idle=1, iowait=2), 25.0),
        (CpuTimes(), CpuTimes(user=2, guest=2, idle=2), 50.0),
        (CpuTimes(), CpuTimes(user=1, nice=1, system=1, irq=1, softirq=1, steal=1, idle=2), 75.0),
        (MacCpuTimes(10, 0, 10, 20), MacCpuTimes(11, 0, 11, 22), 50.0),
    ],
)
def test_cpu_is_the_difference_to_the_last_reading(
    says: Callable[..., None], before: Times, after: Times, pct: float
) -> None:
    sensors = elsewhere()
    says(cpu=before)
    sensors.read_fast(0.0)
    says(cpu=after)
    assert sensors.read_fast(1.0).cpu_used_pct == pct


def test_two_sensors_do_not_disturb_each_other(says: Callable[..., None]) -> None:
    mine, other = elsewhere(), elsewhere()
    says(cpu=CpuTimes(user=0, idle=0))
    mine.read_fast(0.0)
    says(cpu=CpuTimes(user=5, idle=5))
    other.read_fast(1.0)
    says(cpu=CpuTimes(user=5, idle=15))
    assert mine.read_fast(2.0).cpu_used_pct == 25.0
    assert other.read_fast(2.0).cpu_used_pct == 0.0


def test_a_reading_just_beyond_the_ends_is_one_at_the_end(says: Callable[..., None]) -> None:
    says(memory=SimpleNamespace(available=-2, total=1000))
    assert elsewhere().read_fast(0.0).memory_used_pct == 100.0
    says(memory=SimpleNamespace(available=1002, total=1000))
    assert elsewhere().read_fast(0.0).memory_used_pct == 0.0


@pytest.mark.parametrize(
    "available",
    [-100, 1100, nan, inf, -inf, pytest.param(10**400, id="10**400"), "much", None, [1]],
    ids=repr,
)
def test_nonsense_is_left_out_and_named_and_the_other_source_goes_on(
    says: Callable[..., None], available: object
) -> None:
    sensors = elsewhere()
    sensors.read_fast(0.0)
    says(memory=SimpleNamespace(available=available, total=1000), cpu=CpuTimes(user=2, idle=2))
    sample = sensors.read_fast(1.0)
    assert (sample.memory_used_pct, sample.cpu_used_pct) == (None, 50.0)
    assert sample.memory_available_bytes is None
    (failed,) = sample.failed
    assert failed.startswith("memory: ")
    assert failed.isprintable()


@pytest.mark.parametrize("total", [0, -5])
def test_a_machine_without_memory_is_nonsense(says: Callable[..., None], total: int) -> None:
    says(memory=SimpleNamespace(available=0, total=total))
    assert elsewhere().read_fast(0.0).failed == (f"memory: a total of {total} bytes",)


@pytest.mark.parametrize("user", [-50.0, inf, nan])
def test_nonsense_of_the_cpu_is_never_read_as_all_is_well(
    says: Callable[..., None], user: float
) -> None:
    sensors = elsewhere()
    says(cpu=CpuTimes(user=0, idle=0))
    sensors.read_fast(0.0)
    says(cpu=CpuTimes(user=user, idle=100))
    sample = sensors.read_fast(1.0)
    assert (sample.memory_used_pct, sample.cpu_used_pct) == (25.0, None)
    assert sources(sample.failed) == ["CPU"]


@pytest.mark.parametrize(
    "problem",
    [
        OSError(5, "Input/output error"),
        psutil.AccessDenied(1),
        ValueError("no number"),
        KeyError(b"MemTotal:"),
        IndexError("list index out of range"),
        TypeError("missing 3 arguments"),
        RuntimeError("can't tell"),
        NotImplementedError("not on this machine"),
        OSError("x" * 10_000),
        OSError("two\nlines\x1b[2J"),
    ],
    ids=lambda problem: repr(problem)[:60],
)
def test_a_source_that_fails_is_left_out_and_named_however_it_fails(
    says: Callable[..., None], problem: Exception
) -> None:
    sensors = elsewhere()
    sensors.read_fast(0.0)
    says(memory=problem, cpu=CpuTimes(user=2, idle=2))
    sample = sensors.read_fast(1.0)
    assert (sample.memory_used_pct, sample.cpu_used_pct) == (None, 50.0)
    assert sources(sample.failed) == ["memory"]
    says(memory=SimpleNamespace(available=6_000, total=8_000), cpu=problem)
    sample = sensors.read_fast(2.0)
    assert (sample.memory_used_pct, sample.cpu_used_pct) == (25.0, None)
    (failed,) = sample.failed
    assert sources(sample.failed) == ["CPU"]
    assert failed.isprintable()
    assert len(failed) <= 200
