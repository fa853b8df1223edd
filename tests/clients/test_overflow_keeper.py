"""`admission receive`, spoken to frame by frame: what it admits, begins, passes on and ends."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
import pytest
import trio
from trio.testing import memory_stream_pair

from admission.protocol import Frame, Frames, encode
from admission_client import lease
from admission_client.overflow import keeper as far_side
from admission_client.overflow.line import STDERR, STDIN, STDOUT, Broken, Line
from admission_client.overflow.order import Order
from tests.clients.commands import command
from tests.clients.daemons import Daemon

BANNER = b"admission-receive 1\n"


class Keeper:
    """One, and what it says but signs of life."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._heard: list[Frame] = []
        self.process = subprocess.Popen(
            command("receive"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == BANNER

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def say(self, kind: str, **fields: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(encode({"kind": kind, **fields}))

    def order(self, *words: str, pool: str = "one", on_disconnect: str = "end") -> None:
        options = [f"--pool={pool}", "--nested=new"]
        order = Order(list(words), options, "/", {"WORD": "given"}, on_disconnect)
        for part in order.parts():
            self.say("order", part=part, is_last=True)

    def hear(self) -> Frame:
        """The next frame; empty where it has ended."""
        assert self.process.stdout is not None
        while not self._heard:
            data = self.process.stdout.read(65_536)
            if not data:
                return {}
            found = self._frames.feed(data)
            self._heard += [frame for frame in found if frame["kind"] not in ("alive", "ack")]
        return self._heard.pop(0)

    def rest(self) -> tuple[bytes, Frame]:
        """What the command prints, and how it ends."""
        said = b""
        while (frame := self.hear()).get("kind") in ("data", "eof"):
            data = frame.get("data", b"")
            assert isinstance(data, bytes)
            said += data
        return said, frame


@pytest.fixture
def keeper(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    monkeypatch.setenv("ADMISSION_SOCKET", daemon.path)
    with Keeper() as made:
        yield made


def admitted(keeper: Keeper, *words: str, on_disconnect: str = "end") -> None:
    keeper.order(*words, on_disconnect=on_disconnect)
    assert keeper.hear()["kind"] == "admitted"


def test_what_is_admitted_begins_when_it_is_told_to(keeper: Keeper, daemon: Daemon) -> None:
    admitted(keeper, "sh", "-c", 'echo "$WORD"; cat; exit 3')
    assert daemon.in_use() == 1
    keeper.say("start")
    keeper.say("data", stream=0, data=b"more\n")
    keeper.say("eof", stream=0)
    assert keeper.rest() == (b"given\nmore\n", {"kind": "ended", "status": 3})
    assert keeper.process.wait() == 0


def test_what_is_never_told_to_begin_never_does(
    keeper: Keeper, daemon: Daemon, tmp_path: Path
) -> None:
    admitted(keeper, "touch", str(tmp_path / "begun"))
    keeper.hang_up()
    assert keeper.process.wait() == 0
    daemon.wait_until(daemon.is_idle)
    assert not (tmp_path / "begun").exists()


def test_a_signal_comes_through_to_all_that_was_started(keeper: Keeper) -> None:
    admitted(keeper, "sh", "-c", "sleep 600 & echo begun; wait")
    keeper.say("start")
    assert keeper.hear()["data"] == b"begun\n"
    keeper.say("signal", name="USR1")
    assert keeper.rest() == (b"", {"kind": "ended", "signal": "USR1"})


def test_who_is_stopped_may_say_nothing_and_goes_on(keeper: Keeper) -> None:
    admitted(keeper, "cat")
    keeper.say("start")
    keeper.say("signal", name="STOP")
    keeper.say("data", stream=0, data=b"late")
    keeper.say("eof", stream=0)
    keeper.say("signal", name="CONT")
    assert keeper.rest() == (b"late", {"kind": "ended", "status": 0})


def test_whose_output_nobody_wants_is_told_as_by_a_pipe(keeper: Keeper) -> None:
    admitted(keeper, "sh", "-c", "echo first; cat; exec yes")
    keeper.say("start")
    assert keeper.hear()["data"] == b"first\n"
    keeper.say("refuse", stream=1)
    keeper.say("eof", stream=0)
    assert keeper.rest()[1] == {"kind": "ended", "signal": "PIPE"}


def test_what_it_left_in_the_background_does_not_keep_its_end(keeper: Keeper) -> None:
    admitted(keeper, "sh", "-c", "sleep 600 & echo $!")
    keeper.say("start")
    said, ending = keeper.rest()
    assert ending == {"kind": "ended", "status": 0}
    subprocess.run(["kill", said.strip().decode()], check=True)


@pytest.mark.parametrize("how", ["hang up", "an unknown frame", "SIGTERM"])
def test_who_loses_the_other_side_ends_what_runs(keeper: Keeper, daemon: Daemon, how: str) -> None:
    admitted(keeper, "sh", "-c", "echo begun; cat; exec sleep 600")
    keeper.say("start")
    assert keeper.hear()["data"] == b"begun\n"
    match how:
        case "hang up":
            keeper.hang_up()
        case "an unknown frame":
            keeper.say("dance")
        case _:
            keeper.process.send_signal(signal.SIGTERM)
    assert keeper.process.wait() == 0
    daemon.wait_until(daemon.is_idle)


@pytest.mark.trio
async def test_who_is_deaf_to_sigterm_is_killed_also_where_its_parent_was_not(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMISSION_SOCKET", daemon.path)
    monkeypatch.setattr(far_side, "GENTLY_S", 0.1)
    near, far = memory_stream_pair()
    line = Line(near, near, (STDIN,), (STDOUT,), 60.0)
    said: list[bytes] = []

    async def write(data: bytes) -> bool:
        said.append(data)
        await near.aclose()  # as soon as both are there
        return True

    async def speak() -> None:
        deaf = "trap '' TERM; sh -c 'echo $PPID'; exec >&- 2>&-; while :; do sleep 1; done"
        for part in Order(
            ["sh", "-c", f"({deaf}) & exec sleep 600"], ["--pool=one"], "/", {}
        ).parts():
            line.put("order", part=part, is_last=True)
        line.put("start")
        with suppress(Broken):
            async for _ in line.frames():
                pass

    async with trio.open_nursery() as nursery:
        there = Line(far, far, (STDOUT, STDERR), (STDIN,), 60.0)
        for task in (line.send_forever, there.send_forever, speak):
            nursery.start_soon(task)
        nursery.start_soon(line.inlets[STDOUT].pour, write)
        await far_side.Keeper(there).keep()
        nursery.cancel_scope.cancel()
    while psutil.pid_exists(int(said[0])):  # noqa: ASYNC110 -- of its burial there is no news
        await trio.sleep(0.01)


def test_what_is_kept_goes_on_without_the_other_side(
    keeper: Keeper, daemon: Daemon, tmp_path: Path
) -> None:
    script = "echo begun; cat; echo alone; kill -TERM $PPID; exec sleep 600"
    admitted(keeper, "sh", "-c", script, on_disconnect="keep")
    keeper.say("start")
    assert keeper.hear()["data"] == b"begun\n"
    keeper.hang_up()
    assert keeper.process.wait() == 0  # the command asked it to end both
    (log,) = (tmp_path / "state" / "admission" / "overflow").iterdir()
    # Nobody said that the first word was passed on.
    assert log.read_text() == "begun\nalone\n"
    assert log.stat().st_mode & 0o777 == 0o600
    daemon.wait_until(daemon.is_idle)


def test_what_can_not_be_run_is_refused_as_run_does(keeper: Keeper) -> None:
    keeper.order("/nonexistent/x")
    assert keeper.hear() == {
        "kind": "refused",
        "status": 127,
        "message": 'admission run: the command "/nonexistent/x" was not found',
    }
    assert keeper.process.wait() == 0


def test_without_room_it_is_refused_at_once(keeper: Keeper, daemon: Daemon) -> None:
    with lease("one", socket=daemon.path):
        keeper.order("true")
        assert (keeper.hear() | {"message": ""}) == {
            "kind": "refused",
            "status": 75,
            "message": "",
        }


def test_what_is_no_order_is_refused(keeper: Keeper) -> None:
    keeper.say("start")
    why = "the order has to come first"
    assert keeper.hear() == {"kind": "refused", "status": 126, "message": why}


def test_a_folder_that_is_not_there_is_named(keeper: Keeper) -> None:
    order = Order(["true"], [], "/nonexistent/folder", {})
    for part in order.parts():
        keeper.say("order", part=part, is_last=True)
    found = keeper.hear()
    assert found["message"] == "it can't work in /nonexistent/folder: No such file or directory"


def test_nobody_types_it() -> None:
    """With a terminal as its standard input it says who starts it."""
    ours, theirs = os.openpty()
    done = subprocess.run(command("receive"), stdin=theirs, capture_output=True, check=False)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert b'"admission run --overflow" of another node starts this' in done.stderr
