"""What macOS says, as recorded; the calls themselves only work there."""

import ctypes
import errno
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from admission.service.sensors import Sensors, macos
from admission.service.sensors.macos import parse_int, parse_level, parse_pressure, sysctl
from admission.service.sensors.source import Nonsense

GIB = 1024**3
# As sysctlbyname gives them on a Mac of 16 GB: both are 4 bytes.
RECORDED = {
    "kern.memorystatus_level": b"\x31\x00\x00\x00",
    "kern.memorystatus_vm_pressure_level": b"\x01\x00\x00\x00",
}


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"\x31\x00\x00\x00", 49),
        (b"\xff\xff\xff\xff", -1),
        (b"\x00\x00\x00\x00\x04\x00\x00\x00", 16 * GIB),
    ],
)
def test_numbers_are_read_in_either_width(raw: bytes, value: int) -> None:
    assert parse_int(raw) == value


@pytest.mark.parametrize("raw", [b"", b"\x31", b"\x31\x00\x00\x00\x00", b"49"])
def test_what_is_no_number_is_refused(raw: bytes) -> None:
    with pytest.raises(Nonsense):
        parse_level(raw)


@pytest.mark.parametrize("value", [-1, 101, 2**31 - 1])
def test_a_level_that_is_no_percentage_is_refused(value: int) -> None:
    with pytest.raises(Nonsense, match="percentage"):
        parse_level(value.to_bytes(4, "little", signed=True))


@pytest.mark.parametrize("value", [1, 2, 4])
def test_the_kernel_s_word_is_one_of_three(value: int) -> None:
    assert parse_pressure(value.to_bytes(4, "little")) == value


@pytest.mark.parametrize("value", [-1, 0, 3, 5])
def test_any_other_word_is_refused(value: int) -> None:
    with pytest.raises(Nonsense, match="pressure level"):
        parse_pressure(value.to_bytes(4, "little", signed=True))


class FakeLibc:
    """Answers as macOS's does."""

    def __init__(self, *_: object, use_errno: bool) -> None:
        assert use_errno

    def sysctlbyname(self, name: bytes, value: Any, length: Any, new: None, size: Any) -> int:
        if name.decode() not in RECORDED:
            ctypes.set_errno(errno.ENOENT)
            return -1
        raw = RECORDED[name.decode()]
        assert length._obj.value >= len(raw)
        ctypes.memmove(value, raw, len(raw))
        length._obj.value = len(raw)
        return 0


def test_the_kernel_is_asked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", FakeLibc)
    assert sysctl("kern.memorystatus_level") == b"\x31\x00\x00\x00"
    with pytest.raises(FileNotFoundError, match=r"kern\.nothing"):
        sysctl("kern.nothing")


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    says = dict(RECORDED)

    def sysctl(name: str) -> bytes:
        if name not in says:
            raise OSError(2, "No such file or directory", name)
        return says[name]

    # psutil's `available` of that moment: 70 % would be in use.
    memory = SimpleNamespace(total=16 * GIB, available=5 * GIB)
    monkeypatch.setattr(macos, "sysctl", sysctl)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    return says


def test_memory_is_the_kernel_s_own_figure_and_not_psutil_s(recorded: dict[str, bytes]) -> None:
    sample = Sensors(platform="darwin").read_fast(3.0)
    assert sample.memory_used_pct == pytest.approx(51.0)
    assert sample.memory_total_bytes == 16 * GIB
    assert sample.memory_available_bytes == round(16 * GIB * 0.49)
    assert sample.memory_pressure == 1
    assert (sample.cpu_stall_pct, sample.failed) == (None, ())


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("kern.memorystatus_level", "memory"),
        ("kern.memorystatus_vm_pressure_level", "memory pressure level"),
    ],
)
@pytest.mark.parametrize("raw", [None, b"", b"\xff\xff\xff\xff"])
def test_one_that_is_missing_or_nonsense_fails_alone(
    recorded: dict[str, bytes], name: str, source: str, raw: bytes | None
) -> None:
    if raw is None:
        del recorded[name]
    else:
        recorded[name] = raw
    sample = Sensors(platform="darwin").read_fast(3.0)
    assert [line.partition(":")[0] for line in sample.failed] == [source]
    assert (sample.memory_used_pct is None) == (source == "memory")
    assert (sample.memory_pressure is None) == (source != "memory")
