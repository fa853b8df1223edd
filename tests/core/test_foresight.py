"""What is foreseen and the level: it may raise it while it is proven, and never lowers it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.explanation import sources, to_fall
from admission.core.foresight import Foresight, Remembered
from admission.core.governor import Governor, Patience, Throttle
from admission.core.levels import LEVELS, pools_of
from admission.core.outlook import Outlook, line, outlooks
from admission.core.profile import HOURS, Hour
from admission.core.sample import Sample

# Trends that act on any warning, so that what they do can be seen.
EAGER = Foresight(warnings_min=0, right_min=0.0)
PROMPT = Patience(dwell_s=30.0, step_s=15.0, cpu_smoothing_s=1e-9)
RISE_S = 100


def governor_of(foresight: Foresight, patience: Patience = PROMPT) -> Governor:
    return Governor(throttle=Throttle(patience=patience, foresight=foresight))


def rise(governor: Governor, *, from_at: float = 0.0, to_pct: float = 69.0) -> list[int]:
    """Memory rises by 0.3 points a second to this, and the level with it."""
    levels = []
    for step in range(0, int((to_pct - 45) / 0.3) + 1, 5):
        governor.take(Sample(from_at + step, 45 + 0.3 * step, 10.0))
        levels.append(governor.row.level)
    return levels


def teach(governor: Governor, *, begin: int = 0) -> float:
    """Lets ten rises go on to 95 %, each of which falls back at once; when the last is over."""
    at = float(begin)
    for _ in range(10):
        rise(governor, from_at=at, to_pct=95.0)
        at += 400.0
        for calm in range(-200, 0, 50):
            governor.take(Sample(at + calm, 45.0, 10.0))
    return at


def rhythm(weeks: int) -> tuple[Hour, ...]:
    """At nine each morning memory is at 75 %, else at 40 %."""
    numbers = range(weeks * HOURS)
    means = (75.0 if number % 24 == 9 else 40.0 for number in numbers)
    return tuple(Hour(number, mean, mean + 7) for number, mean in zip(numbers, means, strict=True))


def of(governor: Governor, what: str, kind: str) -> Outlook:
    (found,) = [o for o in outlooks(governor.forecasts) if (o.what, o.kind) == (what, kind)]
    return found


# --- the trend ----------------------------------------------------------------------------------


def test_a_proven_trend_raises_the_level_before_the_bound_is_reached() -> None:
    governor = governor_of(Foresight())
    at = teach(governor)
    assert governor.row.level == 0
    levels = rise(governor, from_at=at)
    assert levels[-1] == 2  # 69 % rises to 87 % within the minute
    assert governor.reasons == (
        "memory will reach 80 % in about 37 s: rising 0.3 points/s, right in 20 of the last 20 "
        "times, for 5 s",
    )


def test_a_trend_that_has_proven_nothing_raises_nothing() -> None:
    governor = governor_of(Foresight())
    assert set(rise(governor)) == {0}
    assert of(governor, "memory", "trend").why == (
        "0 of its warnings were judged so far, 10 are wanted"
    )


def test_a_trend_that_is_mostly_wrong_turns_itself_off() -> None:
    governor = governor_of(Foresight())
    at = teach(governor)
    assert of(governor, "memory", "trend").is_on
    for _ in range(30):
        rise(governor, from_at=at, to_pct=66.0)
        at += 400.0
        for calm in range(-300, 0, 50):
            governor.take(Sample(at + calm, 45.0, 10.0))
    found = of(governor, "memory", "trend")
    assert not found.is_on
    assert "70% are wanted" in found.why
    assert set(rise(governor, from_at=at)) == {0}


def test_in_shadow_it_is_scored_and_raises_nothing() -> None:
    governor = governor_of(Foresight(on="shadow"))
    at = teach(governor)
    assert set(rise(governor, from_at=at)) == {0}
    found = of(governor, "memory", "trend")
    assert found.record is not None
    assert (found.record.hits, found.is_on, found.why) == (20, False, "in shadow, as configured")


def test_off_nothing_is_foreseen() -> None:
    governor = governor_of(Foresight(on="off"))
    rise(governor)
    assert (outlooks(governor.forecasts), line(governor.forecasts)) == ([], "off")


def test_what_was_switched_off_begins_anew_and_remembers_what_is_usual() -> None:
    governor = governor_of(Foresight(on="off"))
    governor.forecasts.remember(Remembered(rhythm(3)))
    governor.adopt(replace(governor.throttle, foresight=Foresight()))
    assert of(governor, "memory", "profile").is_on
    teach(governor)
    assert of(governor, "memory", "trend").is_on
    governor.adopt(replace(governor.throttle, foresight=Foresight(on="off")))
    governor.adopt(replace(governor.throttle, foresight=Foresight()))
    assert not of(governor, "memory", "trend").is_on


def test_what_rose_by_a_forecast_falls_with_the_usual_patience() -> None:
    governor = governor_of(EAGER)
    rise(governor)
    assert governor.row.level == 2
    levels = []
    for at in range(85, 160, 5):
        governor.take(Sample(float(at), 45.0, 10.0))
        levels.append((at, governor.row.level))
    assert [at for at, level in levels if level == 2][-1] >= 110
    assert levels[-1][1] == 0


def test_explain_shows_it_as_any_other_source() -> None:
    governor = governor_of(EAGER)
    rise(governor)
    (source,) = [one for one in sources(governor, 80.0) if one.what == "memory trend"]
    assert (source.level, source.value_pct) == (2, None)
    assert to_fall(governor, 80.0) == [f"this must end: {source.reason}"]


def test_a_machine_that_slept_foresees_nothing_until_it_has_looked_again() -> None:
    governor = governor_of(EAGER)
    rise(governor)
    governor.wake(1000.0)
    governor.take(Sample(1000.0, 69.0, 10.0))
    assert governor.forecasts.legs == ()
    found = of(governor, "memory", "trend")
    assert found.value_pct is None
    assert found.record is not None
    assert found.record.judged == 0, "what was warned of may have come while nobody looked"


def test_another_horizon_must_prove_itself_and_the_profile_stays() -> None:
    governor = governor_of(Foresight())
    teach(governor)
    governor.forecasts.remember(Remembered(rhythm(3)))
    governor.adopt(replace(governor.throttle, foresight=Foresight(horizon_s=30.0)))
    assert not of(governor, "memory", "trend").is_on
    assert of(governor, "memory", "profile").is_on
    governor.adopt(replace(governor.throttle, foresight=Foresight(on="shadow")))
    assert not of(governor, "memory", "profile").is_on


def test_who_fills_the_levels_with_other_bounds_is_warned_of_those() -> None:
    first, *rest = LEVELS
    levels = (replace(first, memory_below_pct=60.0), *rest)
    throttle = Throttle(levels, PROMPT, foresight=EAGER)  # type: ignore[arg-type]
    governor = Governor(throttle=throttle)
    assert rise(governor, to_pct=55.0)[-1] == 1  # 73 %, and not yet 80


# --- the profile --------------------------------------------------------------------------------


def at_nine(weeks: int, foresight: Foresight | None = None, used_pct: float = 40.0) -> Governor:
    """It is nine o'clock on the Monday after these weeks."""
    governor = governor_of(foresight or Foresight())
    governor.forecasts.remember(Remembered(rhythm(weeks)))
    for step in range(10 * 60):
        governor.take(Sample(step * 60.0, 40.0, 10.0), local_h=weeks * HOURS + step / 60)
    return governor if used_pct == 40.0 else after(governor, used_pct, weeks * HOURS + 9.99)


def after(governor: Governor, used_pct: float, local_h: float) -> Governor:
    governor.take(Sample(10 * 3600.0, used_pct, 10.0), local_h=local_h)
    return governor


def test_a_proven_profile_raises_the_level_in_the_hour_in_which_it_is_usually_reached() -> None:
    governor = at_nine(3)
    assert governor.row.level == 1
    assert governor.reasons[0].startswith(
        "memory is usually at or above 70 % in this hour of the week: 75 % is foreseen, 82 % for a "
        "tenth of it"
    )


def test_after_that_hour_the_level_falls() -> None:
    governor = after(at_nine(3), 40.0, 3 * HOURS + 10.01)
    governor.take(Sample(11 * 3600.0, 40.0, 10.0), local_h=3 * HOURS + 10.5)
    for at in range(0, 120, 10):
        governor.take(Sample(11 * 3600.0 + at, 40.0, 10.0), local_h=3 * HOURS + 10.6)
    assert governor.row.level == 0


@pytest.mark.parametrize("foresight", [Foresight(on="shadow"), Foresight(on="off")])
def test_unless_it_is_only_to_be_watched(foresight: Foresight) -> None:
    assert at_nine(3, foresight).row.level == 0


def test_a_profile_that_is_too_young_raises_nothing() -> None:
    governor = at_nine(1)
    assert governor.row.level == 0
    assert of(governor, "memory", "profile").why == "1.1 weeks were seen so far, 2 are wanted"


def test_it_raises_by_one_level_and_no_more() -> None:
    governor = governor_of(Foresight())
    past = tuple(replace(one, mean_pct=one.mean_pct + 20) for one in rhythm(3))
    governor.forecasts.remember(Remembered(past))
    for step in range(10 * 60):
        governor.take(Sample(step * 60.0, 60.0, 10.0), local_h=3 * HOURS + step / 60)
    foreseen = governor.forecasts.profiles["memory"].foreseen
    assert foreseen is not None
    assert foreseen.mean_pct > 90
    assert governor.row.level == 1


def test_the_profile_says_how_it_stands() -> None:
    found = of(at_nine(3), "memory", "profile")
    assert (found.is_on, found.value_pct, found.low_pct) == (True, 75.0, 75.0)
    assert found.why == "its error is 0.00 of that of no forecast, over 336 hours"
    governor = governor_of(Foresight())
    noise = tuple(replace(one, mean_pct=(one.number * 7919 % 97) * 1.0) for one in rhythm(4))
    governor.forecasts.remember(Remembered(noise, rhythm(4)))
    assert of(governor, "memory", "profile").why.endswith("less than 0.8 is wanted")
    assert line(governor.forecasts) == "memory: too few readings yet; acts on CPU profile"


def test_what_was_remembered_comes_as_an_event_and_changes_no_lease() -> None:
    core = Admission(pools_of(LEVELS), governor_of(Foresight()))
    assert core.handle(0.0, Remembered(rhythm(3))) == []
    effects = core.handle(1.0, ev.Sampled(Sample(1.0, 40.0, 10.0), 3 * HOURS + 9.5))
    assert core.level.level == 0  # it is nine, but nobody saw the hour before
    assert effects == []


def test_the_line_of_status_says_what_comes_and_who_acts() -> None:
    governor = governor_of(EAGER)
    rise(governor)
    assert line(governor.forecasts).startswith("memory 87 % in 60 s (87 to 87); acts on memory")
    governor = governor_of(Foresight(on="shadow"))
    rise(governor)
    assert line(governor.forecasts).endswith("; in shadow, as configured")


# --- whatever comes -----------------------------------------------------------------------------

PCTS = st.one_of(st.none(), st.floats(0, 100), st.sampled_from([59.0, 69.0, 79.0, 89.0]))
PAST = rhythm(2)
STEPS = st.tuples(
    st.sampled_from([0.5, 2.0, 5.0, 5.0, 5.0, 30.0, 150.0, 3600.0]),
    st.one_of(PCTS, st.tuples(st.floats(-1, 2), st.integers(3, 12))),
    st.sampled_from([5.0, 5.0, 65.0, 95.0, None]),
)


@given(st.lists(STEPS, max_size=25), st.integers(0, 24), st.booleans())
def test_a_forecast_never_lowers_the_level(
    story: list[tuple[float, float | tuple[float, int] | None, float | None]],
    hour: int,
    is_asleep: bool,
) -> None:
    """Readings at random and ramps, on the same clock, with forecasts that act and without any.

    As by default, `dwell_s` is no less than `step_s`: with a shorter one, whoever rose later may
    rest on a level for longer.
    """
    with_it, without = governor_of(EAGER), governor_of(Foresight(on="off"))
    with_it.forecasts.remember(Remembered(PAST))
    now, pct = 0.0, 50.0
    for wait_s, shape, cpu_pct in story:
        per_s, times = shape if isinstance(shape, tuple) else (0.0, 1)
        for _ in range(times):
            now += wait_s
            pct = min(max(pct + per_s * wait_s, 0.0), 100.0)
            reading = pct if isinstance(shape, tuple) else shape
            sample = Sample(now, reading, cpu_pct)
            for governor in (with_it, without):
                governor.take(sample, local_h=2 * HOURS + hour + now / 3600)
                if is_asleep and wait_s == 150.0:
                    governor.wake(now)
            assert with_it.row.level >= without.row.level
            assert with_it.hold_until == without.hold_until
