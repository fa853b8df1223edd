"""Orphans among real processes, asked for over a real socket."""

import os
import sys
from contextlib import AbstractContextManager
from threading import Event

import pytest

from admission.core.leases import Holder
from admission.protocol import AdmissionError, Frame
from admission.service import desk, survey
from admission.service.evidence import (
    Probe,
    age_s,
    mark_in,
    now_ticks,
    parse_pss,
)
from admission.service.orphans import Mark
from admission.service.sensors.processes import Processes
from admission.service.traces import parse_environ
from admission.service.trees import Trees
from tests.service.children import Child, child, end, holder_of
from tests.service.client import until
from tests.service.house import House, Open
from tests.service.stage import SOCKET, code_of, rows_of

ROLLUP = """\
55d0c8e6f000-7ffd3b5f2000 ---p 00000000 00:00 0                          [rollup]
Rss:                1536 kB
Pss:                 381 kB
Pss_Dirty:           104 kB
"""
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")


def marked(lease: int, socket: str = SOCKET) -> AbstractContextManager[Child]:
    """A process that has the mark of this lease."""
    return child(env={"ADMISSION_LEASE": str(lease), "ADMISSION_SOCKET": socket})


async def ended_lease(house: House) -> int:
    """A lease that its holder left by ending."""
    client = await house.connect()
    with child() as holder:
        gone = holder_of(holder)
        fields = {"pid": holder.pid, "bound": "process", "task": "refactor"}
        lease = (await client.ask("acquire", **fields))["lease"]
        end(holder, reap=True)
    house.stage.processes.end(gone)
    await until(lambda: not house.held)
    return whole(lease)


def only(frame: Frame, process: Child) -> Frame:
    (found,) = [one for one in rows_of(frame, "survivors") if one["pid"] == process.pid]
    return found


# --- over the socket ----------------------------------------------------------------------------


@only_linux
@pytest.mark.trio
async def test_a_process_that_outlived_its_lease_is_found_with_what_it_takes(serve: Open) -> None:
    house = await serve()
    client, lease = await house.connect(), await ended_lease(house)
    with marked(lease) as orphan:
        found = only(await client.ask("orphans"), orphan)
        assert found["start_ticks"] == holder_of(orphan).start_ticks
    assert (found["lease"], found["task"], found["uid"]) == (lease, "refactor", os.getuid())
    assert found["memory"] == "pss"
    assert 0 < whole(found["memory_bytes"]) < 100 * 1024**2
    assert str(found["evidence"]).startswith(f"started under lease {lease} (refactor), which ended")
    assert str(found["command"]).startswith("sleep in ")


@only_linux
@pytest.mark.trio
async def test_the_mark_of_a_living_lease_of_none_and_of_anothers_is_no_proof(serve: Open) -> None:
    house = await serve()
    client, ended = await house.connect(), await ended_lease(house)
    held = whole((await client.ask("acquire"))["lease"])
    with marked(held) as at_work, marked(99) as never, marked(ended, "/else/a.sock") as theirs:
        pids = [at_work.pid, never.pid, theirs.pid]
        found = await client.ask("orphans", pids=pids)
    assert (found["survivors"], found["agents"]) == ([], [])
    assert [one["pid"] for one in rows_of(found, "none")] == pids
    assert "runs under a lease" in str(rows_of(found, "none")[0]["why"])  # we are its holder


@only_linux
@pytest.mark.trio
async def test_another_user_sees_nothing_of_ours(serve: Open) -> None:
    house = await serve()
    lease = await ended_lease(house)
    told: list[object] = []
    with marked(lease) as orphan:
        for uid in (os.getuid(), os.getuid() + 12345):
            house.stage.daemon.survey.wish((orphan.pid,), uid, told.append)
        await until(lambda: len(told) == 2)
    mine, others = told
    assert isinstance(mine, dict)
    assert isinstance(others, dict)
    assert (len(mine["survivors"]), len(others["survivors"])) == (1, 0)


class Remembering(Trees):
    """What was seen below leases, as the test says."""

    def __init__(self, seen: dict[int, frozenset[Holder]], former: dict[Holder, int]) -> None:
        super().__init__()
        self._told = seen, former

    def seen(self) -> dict[int, frozenset[Holder]]:
        return self._told[0]

    def former(self) -> dict[Holder, int]:
        return dict(self._told[1])


@pytest.mark.trio
async def test_what_the_daemon_saw_below_a_holder_counts(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await serve()
    ended, client = await ended_lease(house), await house.connect()
    with child() as other:
        # Else we, who started them all, were a holder ourselves.
        fields = {"pid": other.pid, "bound": "process"}
        held = whole((await client.ask("acquire", **fields))["lease"])
        with marked(ended) as at_work, child() as just_now, child() as long_ago:
            below = {held: at_work, ended: just_now}
            seen = {number: frozenset({holder_of(one)}) for number, one in below.items()}
            trees = Remembering(seen, {holder_of(long_ago): ended})
            monkeypatch.setattr(house.stage.daemon.survey, "_trees", trees)
            found = await client.ask("orphans")
    # Whoever was seen below a lease that is out belongs to it, wherever it has gone.
    survivors = {whole(one["pid"]): str(one["evidence"]) for one in rows_of(found, "survivors")}
    assert set(survivors) & {at_work.pid, just_now.pid, long_ago.pid} == {
        just_now.pid,
        long_ago.pid,
    }
    assert survivors[long_ago.pid].startswith(f"descends from the holder of lease {ended}")


class StuckProbe(Probe):
    """A process table that can't be read before the test says so, and then breaks."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = Event()

    def rows(self) -> Processes:
        self.goes_on.wait()
        raise OSError(5, "Input/output error")


@pytest.mark.trio
async def test_a_look_that_hangs_or_fails_is_an_answer_and_holds_nobody_up(
    serve: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await serve()
    client = await house.connect()
    probe = StuckProbe()
    monkeypatch.setattr(house.stage.daemon.survey, "_probe", probe)
    monkeypatch.setattr(desk, "ANSWER_S", 0.01)
    first = await client.request("orphans")
    assert (await client.ask("hello"))["ok"]
    assert code_of(await client.answer(first)) == "too_many_connections"
    probe.goes_on.set()
    monkeypatch.setattr(desk, "ANSWER_S", 60.0)
    answer = await client.ask("orphans")
    assert code_of(answer) == "too_many_connections"
    assert "Input/output error" in str(answer["error"])


@pytest.mark.trio
async def test_a_flood_of_questions_is_answered_by_few_looks_and_bounded(serve: Open) -> None:
    house = await serve()
    told: list[object] = []
    for _ in range(survey.WISHES_MAX + 5):
        house.stage.daemon.survey.wish((), os.getuid(), told.append)
    refused = [one for one in told if isinstance(one, AdmissionError)]
    assert (len(told), len(refused)) == (5, 5)
    await until(lambda: len(told) == survey.WISHES_MAX + 5)
    assert sum(isinstance(one, dict) for one in told) == survey.WISHES_MAX


def test_marks_without_a_socket_are_ours_at_the_usual_place_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(survey, "usual_socket_path", lambda: "/usual.sock")
    assert survey._sockets("/usual.sock") == {"/usual.sock", None}
    assert survey._sockets("/other.sock") == {"/other.sock"}


# --- what is read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "mark"),
    [
        (b"A=1\0ADMISSION_LEASE=12\0B=2\0", Mark(12)),
        (b"ADMISSION_LEASE=12\0ADMISSION_SOCKET=/run//a.sock\0", Mark(12, "/run/a.sock")),
        (b"ADMISSION_LEASE=12\0ADMISSION_SOCKET=\0", Mark(12)),
        (b"ADMISSION_LEASE=12\0ADMISSION_SOCKET=a.sock\0", Mark(12, "")),  # in which folder?
        (b"ADMISSION_LEASE=12\0ADMISSION_LEASE=13\0", Mark(12)),
        (b"X=ADMISSION_LEASE=12\0XADMISSION_LEASE=12\0ADMISSION_LEASE\0", None),
        (b"ADMISSION_LEASE=\0", None),
        (b"ADMISSION_LEASE=-3\0", None),
        (b"ADMISSION_LEASE=\xd9\xa1\0", None),
        (b"ADMISSION_LEASE=" + b"9" * 5000 + b"\0", None),
        (b"\xff\xfe=\xff\0ADMISSION_LEASE=7", Mark(7)),
        (b"", None),
    ],
)
def test_the_mark_in_an_environment(environ: bytes, mark: Mark | None) -> None:
    assert mark_in(parse_environ(environ)) == mark


@pytest.mark.parametrize(
    ("text", "share"), [(ROLLUP, 381 * 1024), ("", None), ("Pss: many kB\n", None), ("Pss:", None)]
)
def test_the_proportional_share(text: str, share: int | None) -> None:
    assert parse_pss(text) == share


def test_a_process_that_starts_now_is_young() -> None:
    before = now_ticks()
    with child() as process:
        start_ticks = holder_of(process).start_ticks
    assert before <= start_ticks <= now_ticks()
    assert 0 <= age_s(start_ticks) < 60


def test_what_has_ended_or_hides_has_no_mark_and_no_share() -> None:
    probe = Probe()
    assert (probe.mark(2**30), probe.pss_bytes(2**30), probe.uid(2**30)) == (None, None, None)


def whole(value: object) -> int:
    assert isinstance(value, int)
    return value
