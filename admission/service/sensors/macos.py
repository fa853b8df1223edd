"""What macOS says of its memory, by sysctl.

psutil's `available` leaves compressed pages out, so a Mac at rest reads 70 % used. The kernel's own
figure, by which it decides whom to end, is `kern.memorystatus_level`: the percent that is free.
"""

import ctypes
import os

import psutil

from admission.service.sensors.memory import PsutilMemory, Room
from admission.service.sensors.source import Nonsense, percent

VALUE_BYTES_MAX = 64


def parse_int(raw: bytes) -> int:
    """A number as sysctl gives it: 4 or 8 bytes, signed, the lowest first."""
    if len(raw) not in (4, 8):
        raise Nonsense(f"{len(raw)} bytes are no number")
    return int.from_bytes(raw, "little", signed=True)


def parse_level(raw: bytes) -> float:
    """The percent that is free, from kern.memorystatus_level."""
    return percent(parse_int(raw))


def parse_pressure(raw: bytes) -> int:
    """1 normal, 2 warning, 4 critical, from kern.memorystatus_vm_pressure_level."""
    pressure = parse_int(raw)
    if pressure not in (1, 2, 4):
        raise Nonsense(f"{pressure} is no pressure level")
    return pressure


def sysctl(name: str) -> bytes:
    """The value of this name.

    Raises:
        OSError: the kernel does not have it, or does not tell.
    """
    value = ctypes.create_string_buffer(VALUE_BYTES_MAX)
    length = ctypes.c_size_t(VALUE_BYTES_MAX)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sysctlbyname(name.encode(), value, ctypes.byref(length), None, ctypes.c_size_t(0)):
        problem = ctypes.get_errno()
        raise OSError(problem, os.strerror(problem), name)
    return value.raw[: length.value]


class MacMemory(PsutilMemory):
    """By the kernel's own figures; total and swap by psutil."""

    def machine(self) -> Room:
        total_bytes = psutil.virtual_memory().total
        free_pct = parse_level(sysctl("kern.memorystatus_level"))
        return Room(total_bytes, round(total_bytes * free_pct / 100))

    def pressure(self) -> int | None:
        return parse_pressure(sysctl("kern.memorystatus_vm_pressure_level"))
