"""What is learnt of tasks, and from what."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.core import events as ev
from admission.core.estimates import (
    Ended,
    Estimate,
    Learning,
    Learnt,
    Measured,
    OutOfMemory,
    Reading,
    Recalled,
    Run,
)
from admission.core.learning import KEYS_KEPT, RUNS_KEPT, Estimates, Learner
from admission.core.leases import Claim
from admission.core.sample import Sample
from admission.core.shedding import Shed
from tests.core.worlds import ANN, BEN, World, agents, spec

LABEL = (7, "build")
ON = Learning(is_on=True)
PRIOR = Estimate(900.0, 2000.0, 1.0)
BUILD = Claim(ANN, task="build", agent="ann", workspace="/home/ann", uid=7)
RUN = Run("build", "ann", "/home/ann", 7, mean_bytes=300, peak_bytes=1000, cpu_s=30, lasted_s=60)
OOM = replace(RUN, ended=Ended.OUT_OF_MEMORY)
LABELLED = replace(RUN, agent="", workspace="")
PARKABLE = replace(BUILD, parkable=True)


def known(*runs: Run) -> Estimates:
    estimates = Estimates(ON)
    for at, run in enumerate(runs):
        estimates.learn(run, at)
    return estimates


# --- what is expected ---


def test_of_what_was_never_seen_the_prior_is_expected() -> None:
    assert Estimates().of(BUILD, PRIOR) == PRIOR
    assert known(RUN).of(Claim(BEN, task="other", uid=7), PRIOR) == PRIOR
    assert known(RUN).of(replace(BUILD, uid=8), PRIOR) == PRIOR


def test_runs_count_by_their_number_beside_the_prior() -> None:
    claim = Claim(BEN, task="build", uid=7)
    found = known(*[LABELLED] * 3).of(claim, PRIOR)
    assert found.mean_bytes == (900 + 300) / 2
    assert found.peak_bytes == pytest.approx((2000 + 1.1 * 1000) / 2)
    assert (found.cores, found.lasts_s, found.runs) == (0.75, 60.0, 3)
    assert known(*[LABELLED] * 27).of(claim, PRIOR).mean_bytes == pytest.approx(360)


def test_a_label_counts_before_the_agent_and_its_workspace() -> None:
    other = replace(RUN, task="test", mean_bytes=100)
    estimates = known(*[other] * 3, *[RUN] * 3)
    by_place = 900 + 6 / 9 * (200 - 900)
    assert estimates.of(BUILD, PRIOR).mean_bytes == pytest.approx((by_place + 300) / 2)
    new = estimates.of(replace(BUILD, task="new"), PRIOR)
    assert new.mean_bytes == pytest.approx(by_place)
    assert new.runs == 0


def test_the_peak_is_that_of_nine_in_ten_runs() -> None:
    runs = [replace(LABELLED, peak_bytes=peak) for peak in (5000, *range(100, 1000, 100))]
    found = known(*runs).figures((7, "build"))
    assert found is not None
    assert found.peak_bytes == 900


def test_what_is_expected_follows_what_is_learnt_at_once() -> None:
    estimates = known(RUN)
    one = estimates.of(BUILD, PRIOR)
    larger = replace(RUN, peak_bytes=5000)
    estimates.learn(larger)
    two = estimates.of(BUILD, PRIOR)
    estimates.amend(larger, replace(larger, ended=Ended.OUT_OF_MEMORY), 1.0)
    three = estimates.of(BUILD, PRIOR)
    estimates.adopt(Learning(is_on=True, margin=3.0))
    four = estimates.of(BUILD, PRIOR)
    assert one.peak_bytes < two.peak_bytes < three.peak_bytes < four.peak_bytes


def test_a_run_that_was_cut_short_would_have_taken_more() -> None:
    found = known(*[replace(LABELLED, peak_bytes=4000, ended=Ended.PARKED)] * 3).of(BUILD, PRIOR)
    assert found.peak_bytes == pytest.approx((2000 + 1.1 * 1.2 * 4000) / 2)
    assert found.mean_bytes == 900  # 360 would be less than the prior, and says nothing


figures = st.integers(1, 5000)
RUNS = st.builds(
    lambda mean, more, cpu_s, lasted_s, ended: replace(
        RUN, mean_bytes=mean, peak_bytes=mean + more, cpu_s=cpu_s, lasted_s=lasted_s, ended=ended
    ),
    figures, figures, figures, figures, st.sampled_from(Ended),
)  # fmt: skip


@given(st.lists(RUNS, max_size=20), RUNS)
def test_a_run_that_was_cut_short_lowers_no_estimate(runs: list[Run], cut: Run) -> None:
    cut = replace(cut, ended=Ended.OUT_OF_MEMORY)
    before, after = known(*runs).of(BUILD, PRIOR), known(*runs, cut).of(BUILD, PRIOR)
    assert after.mean_bytes >= before.mean_bytes * (1 - 1e-9)
    assert after.peak_bytes >= before.peak_bytes * (1 - 1e-9)
    assert after.cores >= before.cores * (1 - 1e-9)
    assert after.peak_bytes >= after.mean_bytes


def test_the_last_runs_and_keys_are_kept() -> None:
    estimates = known(*[replace(LABELLED, mean_bytes=9000)] * 5, *[LABELLED] * RUNS_KEPT)
    found = estimates.figures((7, "build"))
    assert found is not None
    assert (found.runs, found.mean_bytes) == (RUNS_KEPT, 300)
    for number in range(KEYS_KEPT):
        estimates.learn(replace(LABELLED, task=f"task {number}"))
    assert estimates.figures((7, "build")) is None
    assert estimates.figures((7, "task 0")) is not None


def test_a_task_that_runs_out_of_memory_again_and_again_pauses_for_ever_longer() -> None:
    until = [known(*[OOM] * count).paused_until(LABEL) for count in range(1, 9)]
    assert until == [-inf, 61, 122, 243, 484, 965, 1806, 1807]
    assert known(OOM, OOM, replace(RUN, ended=Ended.PARKED)).paused_until(LABEL) == 61
    assert known(OOM, OOM, RUN).paused_until(LABEL) == -inf


def test_without_learning_nobody_pauses_and_the_budget_does_not_go_by_it() -> None:
    learner = Learner()
    for run in (RUN, OOM, OOM):
        learner.estimates.learn(run, 0.0)
    for is_on in (True, False):
        learner.adopt(0.0, replace(learner.estimates.settings, is_on=is_on))
        assert learner.has_a_say == is_on
        assert bool(learner.paused) == is_on
    assert learner.estimates.of(BUILD, PRIOR).lasts_s is not None, "what it lasts is known anyway"


# --- in the core ---


def look(world: World, at: float, lease: int, memory: int, **more: float) -> list[ev.Effect]:
    reading = Reading(lease, memory, **more)  # type: ignore[arg-type]
    return world.feed(at, Measured(at, (reading,)))


def learnt(effects: list[ev.Effect]) -> list[Learnt]:
    return [one for one in effects if isinstance(one, Learnt)]


def one_out(pool: str = "agents", shed: Shed | None = None) -> World:
    world = World(agents(3), spec("operations", 5), shed=shed or Shed())
    world.throttle = replace(world.throttle, learning=ON)
    world.feed(9.0, ev.Configured(world.throttle, world.specs, world.ageing))
    world.acquire(10.0, replace(PARKABLE, pool=pool))
    return world


def test_a_lease_that_ends_is_a_run() -> None:
    world = one_out()
    look(world, 20.0, 1, 100, cpu_s=2.0, io_bytes=5, processes=3)
    look(world, 25.0, 1, 400, cpu_s=4.0, io_bytes=9, processes=2)
    (told,) = learnt(world.feed(30.0, ev.Release(world.caller(5), 1, (ANN,))))
    assert told == Learnt(
        1, Run("build", "ann", "/home/ann", 7, 200, 400, 4.0, 20.0, 9, 3, Ended.FINISHED)
    )
    assert world.core.learner.estimates.of(BUILD, PRIOR).runs == 1
    assert world.core.learner.tallies == {}


def test_what_was_never_measured_and_other_pools_are_no_runs() -> None:
    world = one_out()
    assert learnt(world.feed(30.0, ev.Release(world.caller(5), 1, (ANN,)))) == []
    world = one_out("operations")
    look(world, 20.0, 1, 100)
    assert learnt(world.feed(30.0, ev.Release(world.caller(5), 1, (ANN,)))) == []


def test_an_old_look_says_nothing() -> None:
    world = one_out()
    look(world, 20.0, 1, 100)
    world.feed(21.0, Measured(15.0, (Reading(1, 900),)))
    (told,) = learnt(world.feed(30.0, ev.Release(world.caller(5), 1, (ANN,))))
    assert (told.run.mean_bytes, told.run.peak_bytes) == (100, 100)


def test_one_that_was_killed_has_run_out_of_memory_whenever_that_is_heard() -> None:
    world = one_out()
    look(world, 20.0, 1, 100)
    world.feed(21.0, OutOfMemory(1))
    (told,) = learnt(world.feed(30.0, ev.Release(world.caller(5), 1, (ANN,))))
    assert told.run.ended is Ended.OUT_OF_MEMORY
    assert learnt(world.feed(31.0, OutOfMemory(1))) == []

    world = one_out()
    look(world, 20.0, 1, 100)
    (told,) = learnt(world.feed(30.0, ev.Release(world.caller(5), 1, (ANN,))))
    (again,) = learnt(world.feed(31.0, OutOfMemory(1)))
    assert again == Learnt(1, replace(told.run, ended=Ended.OUT_OF_MEMORY))
    found = world.core.learner.estimates.figures((7, "build"))
    assert found is not None
    assert (found.runs, found.whole) == (1, 0)
    assert world.feed(32.0, OutOfMemory(77)) == []


def test_one_that_was_parked_was_cut_short() -> None:
    world = one_out(shed=Shed(("park",)))
    world.acquire(11.0, replace(PARKABLE, holder=BEN))
    look(world, 20.0, 2, 100)
    world.feed(21.0, ev.Sampled(Sample(21.0, 99.0, 10.0)))
    (told,) = learnt(world.feed(22.0, ev.Release(world.caller(5), 2, (BEN,))))
    assert told.run.ended is Ended.PARKED


def test_the_history_is_recalled() -> None:
    world = one_out()
    world.feed(11.0, Recalled((RUN, RUN, OOM, OOM)))
    assert world.core.learner.estimates.of(BUILD, PRIOR).runs == 4
    assert world.core.learner.estimates.paused_until(LABEL) == -inf  # that was long ago
