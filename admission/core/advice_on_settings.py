"""What there is to do about the configuration: limits and bounds that the past shows to be too
tight or too loose.
"""

from collections.abc import Iterator, Sequence
from math import floor

from admission.core.advice import Facts, Minute, Recommendation, Tried
from admission.core.durations import said

# So many minutes of a day with a queue before a calm machine are worth a larger capacity.
CALM_MINUTES = 30
# Calm: so many points below the bounds of level 0.
CALM_POINTS = 15.0
# Higher bounds are worth it where they finish so much more, and harm no more.
MORE_WORK = 1.10
# Lower ones where they halve the harm, and finish nearly as much; of harm there must be some.
LESS_HARM, LESS_WORK = 0.5, 0.95
KILLS_PER_HOUR, ABOVE_95_S_PER_HOUR = 0.25, 60.0
# Other bounds are tried where so much was recorded, and so much of it not calm.
TRIED_MINUTES, RAISED_MINUTES, FULL_PCT = 120, 10, 90.0
# What kills count for in seconds above 95 %, as the score of the simulation has it.
KILL_S = 200.0


def limit_reached(facts: Facts) -> Iterator[Recommendation]:
    """The capacity is full and some wait, while the machine has much to spare."""
    calm = [one for one in facts.minutes if _is_held_back_for_nothing(one, facts)]
    if len(calm) < CALM_MINUTES:
        return
    memory_pct = max(one.memory_used_pct for one in calm)
    cpu_pct = max(one.cpu_used_pct for one in calm)
    most = facts.capacity_at_rest
    room = min(
        floor(most * (below_pct - used_pct) / used_pct) if used_pct else most
        for below_pct, used_pct in zip(facts.below_pct, (memory_pct, cpu_pct), strict=True)
    )
    more = max(1, min(room, max(one.waiting for one in calm), most))
    yield Recommendation(
        "limit-reached",
        f"let {most + more} agents run at once at level 0 (max_agents), where {most} may",
        f"in {len(calm)} of the last {len(facts.minutes)} minutes all {most} ran and others "
        f"waited, with memory at {memory_pct:.0f} % and CPU at {cpu_pct:.0f} % at most",
        ("admission", "simulate", "--since", "1d", "--agents", str(most + more)),
        40.0,
    )


def _is_held_back_for_nothing(minute: Minute, facts: Facts) -> bool:
    memory_below_pct, cpu_below_pct = facts.below_pct
    return (
        minute.level == 0
        and minute.waiting > 0
        and minute.in_use >= facts.capacity_at_rest
        and minute.memory_used_pct <= memory_below_pct - CALM_POINTS
        and minute.cpu_used_pct <= cpu_below_pct - CALM_POINTS
    )


def is_worth_trying(minutes: Sequence[Minute]) -> bool:
    """Whether other bounds could have made a difference: the level was up for a while, or memory
    nearly full.
    """
    raised = sum(one.level > 0 for one in minutes)
    full = any(one.memory_used_pct >= FULL_PCT for one in minutes)
    return len(minutes) >= TRIED_MINUTES and (raised >= RAISED_MINUTES or full)


def bounds(facts: Facts) -> Iterator[Recommendation]:
    """Bounds that the simulation found to be too tight or too loose on what was recorded."""
    trials = facts.trials
    if trials is None:
        return
    if _is_safer(trials.lower, trials.current):
        way, points, tried, word = "lower", -trials.points, trials.lower, "loose"
    elif _is_faster(trials.higher, trials.current):
        way, points, tried, word = "higher", trials.points, trials.higher, "tight"
    else:
        return
    yield Recommendation(
        f"thresholds-{word}",
        f"try bounds of the levels {abs(points):g} points {way}",
        f"on the last {said(trials.recorded_s)} as recorded, they finish "
        f"{tried.cycles_per_hour:.0f} cycles an hour in place of "
        f"{trials.current.cycles_per_hour:.0f}, with {_harm(tried)} in place of "
        f"{_harm(trials.current)} (simulated)",
        ("admission", "simulate", "--since", "1d", f"--bounds={points:+g}"),
        70.0 if word == "loose" else 35.0,
    )


def _harm(tried: Tried) -> str:
    return (
        f"{tried.kills_per_hour:.1f} out of memory and {tried.above_95_s_per_hour:.0f} s "
        "above 95 % an hour"
    )


def _harm_s(tried: Tried) -> float:
    return KILL_S * tried.kills_per_hour + tried.above_95_s_per_hour


def _is_safer(tried: Tried, current: Tried) -> bool:
    is_harmed = (
        current.kills_per_hour >= KILLS_PER_HOUR
        or current.above_95_s_per_hour >= ABOVE_95_S_PER_HOUR
    )
    return (
        is_harmed
        and _harm_s(tried) <= LESS_HARM * _harm_s(current)
        and tried.cycles_per_hour >= LESS_WORK * current.cycles_per_hour
    )


def _is_faster(tried: Tried, current: Tried) -> bool:
    return (
        tried.cycles_per_hour >= MORE_WORK * current.cycles_per_hour
        and tried.kills_per_hour <= current.kills_per_hour
        and tried.above_95_s_per_hour <= current.above_95_s_per_hour
    )
