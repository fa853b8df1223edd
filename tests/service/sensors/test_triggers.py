"""Pressure triggers that can't be had; tests/system has those that can."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from admission.service.sensors.triggers import NoTriggers, open_triggers
from tests.service.children import open_descriptors

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has triggers")


def test_a_kernel_without_them_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(NoTriggers, match="No such file or directory"):
        open_triggers(str(tmp_path))


def test_a_file_that_is_no_trigger_is_told_of_and_nothing_stays_open(tmp_path: Path) -> None:
    (tmp_path / "pressure").mkdir()
    for name in ("cpu", "memory"):
        (tmp_path / "pressure" / name).write_text("some total=0\n")
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises(NoTriggers, match="Operation not permitted"):
            open_triggers(str(tmp_path))
    assert open_descriptors() == before


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """The other ends of what is opened: sockets, which can hang up as a trigger can."""
    pairs = [socket.socketpair() for _ in range(2)]
    opened: list[str] = []

    def open_socket(path: str, flags: int) -> int:
        opened.append(path)
        return pairs[len(opened) - 1][0].detach()

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", open_socket)
        yield [theirs for _, theirs in pairs]
    assert opened == ["/p/pressure/cpu", "/p/pressure/memory"]
    for _, theirs in pairs:
        theirs.close()


def test_the_kernel_is_told_in_its_own_words(kernel: list[socket.socket]) -> None:
    """Windows of 2 s, as anybody may have them, and a NUL for the kernel to overwrite."""
    triggers = open_triggers("/p")
    assert triggers is not None
    triggers.close()
    assert [one.recv(100) for one in kernel] == [
        b"some 400000 2000000\0",
        b"some 100000 2000000\0",
    ]


@pytest.mark.trio
async def test_triggers_that_the_kernel_takes_back_end_the_wait_rather_than_wake_for_ever(
    kernel: list[socket.socket],
) -> None:
    triggers = open_triggers("/p")
    assert triggers is not None
    kernel[0].close()
    with triggers, trio.fail_after(30), pytest.raises(NoTriggers, match="taken them back"):
        await triggers.wait()
