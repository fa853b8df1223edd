"""Other bounds are tried on what was recorded: by a program beside the daemon, seldom, and only
where it can make a difference.
"""

import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio

from admission.core.advice import Minute, Trials, Tried
from admission.core.governor import Throttle
from admission.core.levels import LEVELS, pools_of
from admission.core.sample import Sample
from admission.service import trials
from admission.service.config import Config
from admission.service.history.recorder import History
from admission.service.trials import Trying
from admission.service.trying import RECORDED_S_MIN, Asked, tried
from admission.simulation.proposing import with_agents, with_bounds_moved
from admission.simulation.replay import recorded_s

pytestmark = pytest.mark.trio
RAISED = (Minute(1, 75.0, 30.0, 3, 2),) * 120
FOUND = Trials(7200.0, 5.0, Tried(3.0, 0.0, 1.0), Tried(2.0, 0.0, 0.0), Tried(9.0, 0.5, 2.0))
PATIENCE_S = 120
STEP_S = 60.0


def recording(seconds: float) -> list[Sample]:
    """Memory that goes up and down around the first bound; a sample a minute."""
    steps = int(seconds / STEP_S) + 1
    return [
        Sample(STEP_S * n, 55.0 + n % 30, 30.0, memory_total_bytes=16 << 30, cpus=8.0)
        for n in range(steps)
    ]


def asked(history: str = "") -> Asked:
    return Asked(history, 0.0, Throttle(), pools_of(LEVELS), 30)


# --- what is tried --------------------------------------------------------------------------------


async def test_bounds_are_moved_within_what_a_percent_can_be() -> None:
    higher = with_bounds_moved(Throttle(), 5)
    assert [(one.memory_below_pct, one.cpu_below_pct) for one in higher.levels] == [
        (75, 65),
        (85, 80),
        (95, 95),
        (100, 100),
    ]
    assert with_bounds_moved(Throttle(), 0) == Throttle()
    assert with_bounds_moved(Throttle(), 50).levels[2].memory_below_pct == 99
    assert with_bounds_moved(Throttle(), -90).levels[0].cpu_below_pct == 1


async def test_more_agents_are_proposed_for_level_0_alone() -> None:
    throttle, pools = with_agents(Throttle(), pools_of(LEVELS), 8)
    assert [one.max_agents for one in throttle.levels] == [8, 3, 2, 1]
    assert [one.capacity for one in pools] == [(8, 3, 2, 1), (3, 2, 1, 1)]


async def test_bounds_that_are_lower_finish_less_on_the_same_day() -> None:
    found = tried(recording(RECORDED_S_MIN), asked())
    assert found is not None
    assert (found.recorded_s, found.points) == (RECORDED_S_MIN, 5.0)
    lower, current, higher = (
        one.cycles_per_hour for one in (found.lower, found.current, found.higher)
    )
    assert 0 < lower < current < higher


async def test_too_little_says_nothing() -> None:
    assert tried(recording(RECORDED_S_MIN - 60), asked()) is None
    assert tried([], asked()) is None


async def test_time_in_which_the_machine_slept_does_not_count() -> None:
    slept = [Sample(at, 50.0, 10.0) for at in (0.0, 60.0, 5000.0, 5060.0, 5000.0)]
    assert recorded_s(slept) == 120


# --- when, and by whom ----------------------------------------------------------------------------


def prints(text: str) -> tuple[str, ...]:
    return ("-c", f"import sys; sys.stdin.buffer.read(); print({text!r})")


async def done(trying: Trying) -> None:
    with trio.fail_after(PATIENCE_S):
        while trying.found is None:  # noqa: ASYNC110 -- the other side is a program
            await trio.sleep(0.02)


async def test_the_real_program_tries_the_settings_in_force_on_the_history(
    tmp_path: Path, nursery: trio.Nursery
) -> None:
    now = time.monotonic()
    history = History(tmp_path / "h.db", "this boot")
    samples = recording(RECORDED_S_MIN + 120)
    for sample in samples:
        at = now - samples[-1].at + sample.at
        history.note_sample(replace(sample, at=at), 1, in_use=1, waiting=1)
    history.end()
    history.work()
    trying = Trying(lambda: Config(fast_interval_s=30.0), time.monotonic, history)
    nursery.start_soon(trying.run)
    trying.consider(RAISED, 0)
    await done(trying)
    found = trying.found
    assert found is not None
    assert found.recorded_s == pytest.approx(RECORDED_S_MIN + 120, abs=10)
    assert found.lower.cycles_per_hour < found.higher.cycles_per_hour


@pytest.mark.parametrize(
    ("minutes", "level", "policy"),
    [
        (RAISED[:119], 0, "table"),
        ((replace(RAISED[0], level=0),) * 111 + RAISED[:9], 0, "table"),
        (RAISED, 2, "table"),
        (RAISED, 0, "budget"),
    ],
)
async def test_it_is_not_tried_where_it_makes_no_difference_or_at_a_bad_time(
    minutes: tuple[Minute, ...], level: int, policy: str, tmp_path: Path
) -> None:
    throttle = Throttle(policy="budget") if policy == "budget" else Throttle()
    history = History(tmp_path / "h.db", "boot")
    trying = Trying(lambda: Config(throttle=throttle), trio.current_time, history)
    trying.consider(minutes, level)
    assert not trying._wanted.is_set()
    trying.consider((replace(RAISED[0], level=0, memory_used_pct=90.0),) * 120, 0)
    assert trying._wanted.is_set() == (policy == "table")
    nobody = Trying(Config, trio.current_time, None)
    nobody.consider(RAISED, 0)
    assert not nobody._wanted.is_set()


async def test_what_was_found_is_good_for_a_day_and_for_these_bounds(
    tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "PROGRAM", prints(msgspec.json.encode(FOUND).decode()))
    now, config = 0.0, Config()
    trying = Trying(lambda: config, lambda: now, History(tmp_path / "h.db", "boot"))
    nursery.start_soon(trying.run)
    trying.consider(RAISED, 0)
    await done(trying)
    assert trying.found == FOUND
    now = trials.AGAIN_S - 1
    trying.consider(RAISED, 0)
    assert not trying._wanted.is_set()
    config = Config(throttle=with_bounds_moved(Throttle(), 1))
    assert trying.found is None
    trying.consider(RAISED, 0)
    assert trying._wanted.is_set()


async def test_a_program_that_fails_is_a_line_in_the_log_and_is_left_alone_for_an_hour(
    tmp_path: Path,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    trying = Trying(Config, lambda: now, History(tmp_path / "h.db", "boot"))
    nursery.start_soon(trying.run)
    for program in (prints("nonsense"), ("-c", "raise SystemExit(3)")):
        monkeypatch.setattr(trials, "PROGRAM", program)
        trying.consider(RAISED, 0)
        with trio.fail_after(PATIENCE_S):
            while not caplog.messages:  # noqa: ASYNC110 -- likewise
                await trio.sleep(0.02)
        (line,) = caplog.messages
        assert line.startswith("other bounds of the levels could not be tried: ")
        caplog.clear()
        now += trials.PAUSE_S - 1
        trying.consider(RAISED, 0)
        assert not trying._wanted.is_set()
        now += 1
    assert trying.found is None


async def test_a_program_that_hangs_is_ended(
    tmp_path: Path,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(trials, "LASTS_S", 0.05)
    monkeypatch.setattr(trials, "PROGRAM", ("-c", "import time; time.sleep(1000)"))
    trying = Trying(Config, time.monotonic, History(tmp_path / "h.db", "boot"))
    nursery.start_soon(trying.run)
    trying.consider(RAISED, 0)
    with trio.fail_after(PATIENCE_S):
        while not caplog.messages:  # noqa: ASYNC110 -- likewise
            await trio.sleep(0.02)
    assert caplog.messages == ["other bounds of the levels were not tried within 0.05 s"]
