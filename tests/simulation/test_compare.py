from dataclasses import replace
from math import isnan

import pytest

from admission.core.governor import Throttle
from admission.core.sample import Sample
from admission.simulation.day import SHAPES, Day
from admission.simulation.others import Fixed, Memoryless
from admission.simulation.ours import Ours
from admission.simulation.plant import Plant
from admission.simulation.plants import PLANTS, day_of
from admission.simulation.report import as_maps, ratios, side_by_side, table
from admission.simulation.run import run
from admission.simulation.score import estimate, score
from admission.simulation.sensor import Sensor
from admission.simulation.trial import DOCUMENT, OTHERS, Contender, Trial, compare, ours

SHAPE = SHAPES["16/8"]
SHORT = Trial(hours=0.5, seeds=range(2000, 2002))


def short_day(plant: str = "mix", seed: int = 2000, seconds: int = 1800) -> Day:
    return day_of(plant, SHAPE, seconds, seed)


def test_the_same_rule_on_the_same_day_has_the_same_outcome() -> None:
    assert run(short_day(), Ours()) == run(short_day(), Ours())


@pytest.mark.parametrize("contender", [*OTHERS, ours("ours", Throttle())], ids=lambda one: one.name)
def test_every_rule_gets_some_work_done(contender: Contender) -> None:
    outcome = run(short_day(), contender.make(SHAPE))
    assert outcome.cycles > 0
    assert outcome.hours == 0.5


def test_where_tasks_yield_more_of_them_are_begun_than_there_are_units() -> None:
    day = day_of("mix", SHAPES["32/12"], 3600, 2000)
    held, yielding = run(day, Ours()), run(day, Ours(yields=True))
    assert yielding.cycles > held.cycles
    assert sum(yielding.waits_s) < sum(held.waits_s)


@pytest.mark.parametrize("plant", PLANTS)
def test_the_core_lives_through_every_plant(plant: str) -> None:
    rule = Ours()
    outcome = run(short_day(plant), rule)
    assert outcome.cycles >= 0
    assert rule.core.ledger.granted >= 1


def test_more_agents_do_more_until_the_memory_is_full() -> None:
    day = short_day(seconds=7200)
    one, three = run(day, Fixed(1)), run(day, Fixed(3))
    bound = run(day, Fixed(10), has_endless_memory=True)
    assert one.cycles < three.cycles < bound.cycles
    assert run(day, Fixed(10)).kills > three.kills
    assert bound.kills == 0


def test_the_document_read_more_often_changes_its_mind_more_often() -> None:
    day = short_day(seconds=7200)
    assert run(day, Memoryless(5)).changes > run(day, Memoryless(30)).changes


def test_the_core_changes_its_level_less_often_than_the_document() -> None:
    day = short_day(seconds=7200)
    assert run(day, Ours()).changes < run(day, Memoryless()).changes


def test_with_throttling_disabled_nothing_is_held_back() -> None:
    rule = Ours(Throttle(is_on=False))
    outcome = run(short_day("herd", seconds=90), rule)
    assert outcome.changes == 0
    assert len(rule.core.pools["agents"].leases) == 5


def test_two_processes_say_what_one_says() -> None:
    contenders = (DOCUMENT, ours("table", Throttle()))
    alone, together = compare(SHORT, contenders), compare(SHORT, contenders, processes=2)
    assert as_maps(alone) == as_maps(together)


def test_the_report_shows_every_rule_and_whether_the_targets_are_met() -> None:
    results = compare(SHORT, (DOCUMENT, ours("table", Throttle())))
    lines = table(results).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert all(
        line.endswith(("met", "missed")) or "none" in line for line in ratios(results, "table")
    )
    assert set(as_maps(results)) == set(results)
    assert "cycles/h" in side_by_side(results)


def test_a_score_counts_harm_against_work() -> None:
    outcome = run(short_day(), Fixed(3))
    bound = run(short_day(), Fixed(10), has_endless_memory=True)
    clean = replace(outcome, kills=0, above_95_s=0, changes=0)
    harmed = replace(clean, kills=1)
    assert score(clean, bound).worth == score(clean, bound).cycles_per_hour
    assert score(harmed, bound).worth == score(clean, bound).worth - 20
    assert isnan(score(outcome, bound).reaction_s)


def test_an_estimate_has_the_standard_error_of_its_mean() -> None:
    assert str(estimate([1.0, 3.0])) == "2.00 ±1.00"
    assert estimate([5.0]).error == 0.0


# --- sensors ---


def test_a_sensor_says_the_mean_since_it_was_last_asked() -> None:
    plant = Plant(replace(short_day(), desktop_cores=[0.0] * 10 + [8.0] * 1790))
    sensor = Sensor(plant)
    for _ in range(10):
        plant.step()
    assert sensor.read(10.0).cpu_used_pct == 0.0
    for _ in range(10):
        plant.step()
    assert sensor.read(20.0).cpu_used_pct == 100.0


def test_a_sensor_that_hangs_says_what_it_said_and_one_that_fails_says_nothing() -> None:
    day = replace(short_day(), stale=frozenset({1}), memory_missing=frozenset({2}))
    plant = Plant(day)
    sensor = Sensor(plant)
    first = sensor.read(0.0)
    plant.step()
    assert sensor.read(1.0) is first
    plant.step()
    missing = sensor.read(2.0)
    assert isinstance(missing, Sample)
    assert missing.memory_used_pct is None
    assert missing.cpu_stall_pct is not None


def test_a_mac_has_no_word_of_stalls_and_a_scale_of_its_own() -> None:
    sample = Sensor(Plant(replace(short_day("macos"), desktop_gib=[5.2] * 1800))).read(0.0)
    assert sample.memory_used_pct == pytest.approx(70.0)
    assert sample.cpu_stall_pct is None
    assert sample.memory_pressure == 1
