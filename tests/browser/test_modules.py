"""What the page's modules reckon, asked in the browser that runs them."""

from typing import Any

from tests.browser.shown import Shown

ABSENT = "\N{EN DASH}"
WORDS = """
() => import("/static/words.js").then((it) => [
  [null, 0, 0.004, 59.9, 61, 3599, 7199, 36000, 90000].map(it.duration),
  [null, 512, 1023, 1536, 700 * 1024 ** 2].map(it.bytes),
  [null, 0, 0.25, 9.94, 62.4].map(it.percent),
])
"""
LANES = """
(spans) => import("/static/timeline.js").then((it) => {
  const packed = spans.map(([from, to]) => ({ from, to }));
  return [it.pack(packed), packed.map(({ lane }) => lane)];
})
"""
PAST = """
([fetched, samples, present, from, to]) => import("/static/past.js").then((it) => {
  const past = new it.Past();
  Object.assign(past, { fetched, present });
  samples.forEach((sample) => past.addSample(sample));
  return past.between(from, to, 60);
})
"""


def fetched(levels: list[dict[str, Any]], at: list[float], level: list[int]) -> dict[str, Any]:
    """As `/history` answers, with intervals of 100 s from 1,000 on."""
    figures = {"mean": [50.0] * len(at), "max": [60.0] * len(at)}
    names = ("memory_used_pct", "cpu_used_pct", "in_use", "waiting")
    series = {"at": at, "level": level, **dict.fromkeys(names, figures)}
    about = {"since": 1000.0, "until": 2000.0, "step_s": 100.0, "oldest": 0.0, "newest": 2000.0}
    return {**about, "series": series, "level_before": 0, "levels": levels, "thresholds": None}


def test_numbers_as_people_read_them(screen: Shown) -> None:
    with screen.page() as page:
        durations, sizes, shares = page.evaluate(WORDS)
    assert durations[:5] == [ABSENT, "0 s", "4 ms", "59 s", "1 min"]
    assert durations[5:] == ["59 min", "1.9 h", "10 h", "1 d"]
    assert sizes == [ABSENT, "512 B", "1.0 kB", "1.5 kB", "700 MB"]
    assert shares == [ABSENT, "0 %", "0.3 %", "9.9 %", "62 %"]


def test_a_lease_is_drawn_in_the_first_lane_that_is_free(screen: Shown) -> None:
    with screen.page() as page:
        lanes = page.evaluate(LANES, [[0, 10], [2, 4], [3, 8], [5, 9], [10, 12]])
    assert lanes == [3, [0, 1, 2, 1, 0]]


def test_what_is_new_is_drawn_behind_the_history_and_a_gap_is_one(screen: Shown) -> None:
    history = fetched(
        [{"at": 1150.0, "level": 2, "reasons": []}], [1000.0, 1100.0, 1500.0], [0, 2, 2]
    )
    sample = {"memory_used_pct": 70.0, "cpu_used_pct": None}
    samples = [{"at": 1520.0, **sample}, {"at": 1600.0, **sample}]
    with screen.page() as page:
        seen = page.evaluate(PAST, [history, samples, None, 1000.0, 1700.0])
    # Middles of intervals; between 1150 and 1550 nothing was seen; 1520 is in the history.
    assert seen["points"]["at"] == [1050.0, 1150.0, 1240.0, 1550.0, 1600.0]
    assert seen["points"]["memory"] == [50.0, 50.0, None, 50.0, 70.0]
    assert seen["points"]["memoryMax"] == [60.0, 60.0, None, 60.0, 70.0]
    assert seen["points"]["level"][-1] == 2
    stretches = [(one["from"], one["to"], one["level"]) for one in seen["stretches"]]
    assert stretches == [(1000.0, 1150.0, 0), (1150.0, 1700.0, 2)]


def test_where_changes_are_left_out_the_level_is_that_of_the_series(screen: Shown) -> None:
    changes = [{"at": 1500.0 + i / 10, "level": i % 2, "reasons": []} for i in range(1000)]
    history = fetched(changes, [1000.0, 1100.0, 1200.0], [3, 3, 1])
    with screen.page() as page:
        seen = page.evaluate(PAST, [history, [], None, 1000.0, 1700.0])
    stretches = [(one["from"], one["to"], one["level"]) for one in seen["stretches"][:3]]
    assert stretches == [(1000.0, 1200.0, 3), (1200.0, 1300.0, 1), (1500.0, 1500.1, 0)]


def test_where_nothing_changed_the_level_is_what_it_is_now(screen: Shown) -> None:
    history = fetched([], [1000.0], [0]) | {"level_before": None}
    with screen.page() as page:
        seen = page.evaluate(PAST, [history, [], {"level": 1, "since": 1300.0}, 1000.0, 1700.0])
    assert seen["stretches"] == [{"from": 1300.0, "to": 1700.0, "level": 1}]
