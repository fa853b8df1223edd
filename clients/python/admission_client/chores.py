"""Chores that need no daemon: simulate."""

import time

from admission.protocol import Unavailable
from admission_client.durations import parse_duration, said
from admission_client.options import (
    JSON,
    Option,
    WrongUsage,
    parse,
    parse_count,
    take_no_words,
)
from admission_client.output import as_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from admission.core.sample import Sample
    from admission.simulation.trial import Contender, Results, Trial
    from admission_client.options import Options

CURRENT, PROPOSED = "current", "proposed"
POLICIES = ("table", "budget")


def parse_points(written: str) -> float:
    """Percentage points, with a sign or without."""
    try:
        points = float(written)
    except ValueError:
        points = 100.0
    if -100 < points < 100:
        return points
    raise ValueError(f'"{written}" is no number of points; write 5, or -5')


def simulate(words: list[str]) -> int:
    """Runs a day through the configuration, and through another one that is proposed."""
    options = parse(
        words,
        (
            Option("--config", "config", "the configuration that is proposed", "FILE"),
            Option("--policy", "policy", "propose this policy: table or budget", "POLICY"),
            Option("--agents", "agents_at_rest", "propose so many at level 0", "N", parse_count),
            Option(
                "--bounds",
                "bounds_by",
                "propose bounds of the levels so many points higher, or lower: -5",
                "POINTS",
                parse_points,
            ),
            Option("--since", "recorded_s", "on the recorded history", "DURATION", parse_duration),
            Option("--plant", "plant", "what an invented day brings (mix)", "NAME"),
            Option("--shape", "shape", "the machine, GiB/cores (16/8)", "SHAPE"),
            Option("--hours", "hours", "how long an invented day is (6)", "N", parse_count),
            Option("--seeds", "seeds", "how many days (4)", "N", parse_count),
            JSON,
        ),
        "simulate [options]",
        "What other settings would have done, before you change them: the same days through the\n"
        "current configuration, through the proposed one, and through the plain table read every\n"
        "30 s. With --since, the machine's own use is what was recorded, less what tasks took\n"
        "that have ended; and tasks are invented.",
    )
    take_no_words("simulate", options)
    results = _compare(_trial(options), options)
    if options.json:
        from admission.simulation.report import as_maps

        print(as_json(dict(as_maps(results)), indent=2))
    else:
        from admission.simulation.report import side_by_side

        print(_heading(options))
        print(side_by_side(results))
    return 0


def _heading(options: "Options") -> str:
    if options.recorded_s is not None:
        return f"the last {said(options.recorded_s)} as recorded, {options.seeds} times"
    where = f"{options.plant} on {options.shape} (GiB/cores)"
    return f"{where}, days of {options.hours} h: {options.seeds}"


def _compare(trial: "Trial", options: "Options") -> "Results":
    from admission.simulation.trial import compare

    return compare(trial, _contenders(options), processes=2)


def _trial(options: "Options") -> "Trial":
    # Late, as everything of the service and the simulation here: other commands start sooner.
    from admission.simulation.day import SHAPES
    from admission.simulation.plants import PLANTS
    from admission.simulation.trial import Trial

    _check("--plant", options.plant, tuple(PLANTS))
    _check("--shape", options.shape, tuple(SHAPES))
    recording = () if options.recorded_s is None else _recording(options.recorded_s)
    return Trial(options.plant, options.shape, options.hours, range(options.seeds), recording)


def _check(option: str, written: str, known: tuple[str, ...]) -> None:
    if written not in known:
        raise WrongUsage(f'simulate: {option} "{written}" is none of {", ".join(known)}')


def _recording(since_s: float) -> "tuple[Sample, ...]":
    from admission.service.history import history_path
    from admission.service.history.own_use import own_samples

    samples = tuple(own_samples(history_path(), time.time() - since_s))
    if len(samples) < 2:
        raise Unavailable(
            f"there are {len(samples)} samples of the last {said(since_s)}, and a day needs two at "
            'least; see "admission history", or leave --since out for an invented day'
        )
    return samples


def _contenders(options: "Options") -> "list[Contender]":
    from dataclasses import replace

    from admission.service.config import load
    from admission.simulation.proposing import with_agents, with_bounds_moved
    from admission.simulation.trial import DOCUMENT, ours

    current = load()
    proposed = current if options.config is None else load(options.config)
    throttle, pools = proposed.throttle, proposed.pools
    if options.policy is not None:
        _check("--policy", options.policy, POLICIES)
        policy: Literal["table", "budget"] = "budget" if options.policy == "budget" else "table"
        throttle = replace(throttle, policy=policy)
    if options.bounds_by is not None:
        throttle = with_bounds_moved(throttle, options.bounds_by)
    if options.agents_at_rest is not None:
        throttle, pools = with_agents(throttle, pools, options.agents_at_rest)
    contenders = [DOCUMENT]
    if (throttle, pools) != (current.throttle, current.pools) or proposed != current:
        sample_s = whole_seconds(proposed.fast_interval_s)
        contenders.insert(0, ours(PROPOSED, throttle, pools, sample_s))
    sample_s = whole_seconds(current.fast_interval_s)
    return [ours(CURRENT, current.throttle, current.pools, sample_s), *contenders]


def whole_seconds(interval_s: float) -> int:
    """The simulated clock has steps of a second."""
    return max(1, round(interval_s))
