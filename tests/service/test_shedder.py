"""What becomes of the ladder's wishes in the daemon: advice, who is asked to end, what is told."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
from trio.testing import MockClock

from admission.core import events as ev
from admission.core import shedding
from admission.core.governor import Throttle
from admission.core.leases import Lease
from admission.core.sample import Sample
from admission.core.shedding import Shed
from admission.protocol import Frame
from admission.service.config import Config
from admission.service.shedder import Shedder
from tests.service.children import holder_of, python
from tests.service.conftest import Start
from tests.service.stage import Stage, map_of, rest, rows_of
from tests.service.test_ending import lease_of
from tests.service.test_views import OF_PRESSURE, shape
from tests.wire.goldens import load

LADDER = Config(throttle=Throttle(shed=Shed(("advise", "freeze", "park"))))


def feel(stage: Stage, memory_pct: float, stall_pct: float | None = None) -> None:
    sample = Sample(stage.daemon.clock(), memory_pct, 10.0, cpu_stall_pct=stall_pct)
    stage.daemon.feed(ev.Sampled(sample))


@pytest.mark.trio
async def test_each_rung_is_told_to_watchers_and_shown_by_status(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(LADDER)
    line, watcher = stage.connect(), stage.connect()
    stage.ask(watcher, "watch", topics=["shed"])
    kept = stage.hold(line, parkable=True)
    parked = stage.hold(line, parkable=True)
    await rest(11)  # nobody is asked right after a start
    feel(stage, 50.0, 97.0)
    status = map_of(stage.ask(line, "status"), "shed")
    assert status["frozen"] == [parked]
    feel(stage, 95.0)
    status = map_of(stage.ask(line, "status"), "shed")
    assert (status["parking"], status["frozen"], status["parked"]) == ([parked], [], [])
    assert status["advice"] == "memory 95 % is at or above 90 %"
    assert [(one["rung"], one["lease"]) for one in rows_of(status, "acts")] == [
        ("park", parked),
        ("advise", None),
        ("freeze", parked),
    ]
    explained = map_of(stage.ask(line, "explain"), "shed")
    assert explained == status
    stage.ask(line, "release", lease=parked)
    assert map_of(stage.ask(line, "status"), "shed")["parked"] == [parked]
    feel(stage, 50.0)
    (told,) = line.events("park")
    assert (told["lease"], told["reason"]) == (parked, "memory 95 % is at or above 94 %")
    news = [*line.events("park"), *reversed(watcher.events(*OF_PRESSURE))]
    sent = {str(one["event"]): one for one in news}
    goldens = {str(one.message["event"]): one.message for one in load("events.json")}
    assert {name: shape(sent[name]) for name in OF_PRESSURE} == {
        name: shape(goldens[name]) for name in OF_PRESSURE
    }
    assert [one["level"] for one in watcher.events("advice")] == [1, 0]
    assert kept not in [one["lease"] for one in watcher.events("parking", "frozen")]


@pytest.mark.trio
async def test_who_may_not_have_heard_is_told_again(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(LADDER)
    line = stage.connect()
    stage.hold(line, bound="process")
    told = stage.ask(line, "acquire", bound="process", parkable=True)
    await rest(11)
    feel(stage, 95.0)
    again = stage.connect()
    stage.ask(again, "resume", lease=told["lease"], secret=told["secret"])
    (news,) = again.events("park")
    assert (news["lease"], news["reason"]) == (told["lease"], "memory was short")


@pytest.mark.trio
async def test_who_comes_back_for_a_parked_lease_goes_before_others(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(LADDER)
    line = stage.connect()
    first, second = (stage.hold(line, parkable=True, weight=2) for _ in range(2))
    await rest(11)
    feel(stage, 95.0)
    stage.ask(line, "release", lease=second)
    waits = stage.send(line, "acquire", weight=2)
    back = stage.send(line, "acquire", weight=2, resumes=second)
    assert [one["position"] for one in rows_of(stage.ask(line, "leases"), "waiting")] == [1, 2]
    stage.ask(line, "level", set=0)
    stage.ask(line, "release", lease=first)
    await rest(60)
    assert len(line.answers(back)) == 1
    assert line.answer(back)["lease"] == second + 1
    assert line.answer(waits)["lease"] == second + 2


@pytest.mark.trio
async def test_a_signal_is_for_whoever_can_be_parked(
    start: Start, autojump_clock: MockClock
) -> None:
    stage = await start(LADDER)
    answer = stage.ask(stage.connect(), "acquire", park_signal="TERM")
    assert map_of(answer, "error")["code"] == "bad_request"


def shedder(folder: Path, told: list[Frame]) -> Shedder:
    return Shedder(
        folder / "a.sock",
        lambda lease: ((), (), None),
        told.append,
        lambda lease, news: told.append(news),
    )


def test_advice_stands_in_a_file_as_long_as_it_lasts(tmp_path: Path) -> None:
    told: list[Frame] = []
    one = shedder(tmp_path, told)
    (tmp_path / "a.advice").write_text("of an earlier daemon")
    one.begin()
    assert not (tmp_path / "a.advice").exists()
    one.do(shedding.Advised(1, "memory 91 % is at or above 90 %"))
    (said,) = (tmp_path / "a.advice").read_text().splitlines()
    assert said.startswith("memory 91 % is at or above 90 %: finish what you do")
    one.do(shedding.Advised(0, ""))
    assert list(tmp_path.iterdir()) == []
    assert [news["level"] for news in told] == [1, 0]


@pytest.mark.parametrize("name", ["USR1", ""])
def test_a_holder_is_asked_by_its_signal_and_told_by_word(tmp_path: Path, name: str) -> None:
    told: list[Frame] = []
    with python("import sys; sys.stdin.read()") as child:
        lease = _with_signal(lease_of(holder_of(child)), name)
        shedder(tmp_path, told).do(shedding.Park(lease, "memory is short"))
        if name:
            assert child.wait() == -signal.SIGUSR1
        else:
            assert child.poll() is None
    assert told == [{"event": "park", "lease": 7, "reason": "memory is short"}]


def _with_signal(lease: Lease, name: str) -> Lease:
    return replace(lease, claim=replace(lease.claim, parkable=True, park_signal=name))
