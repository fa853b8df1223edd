"""`python -m admission.simulation`: the table of docs/simulation.md, for one plant and machine."""

import argparse
import json
import sys
from dataclasses import replace
from functools import partial

from admission.core.budget import Budget
from admission.core.estimates import Learning
from admission.core.foresight import OFF, Foresight
from admission.core.governor import Throttle
from admission.core.growth import Growth
from admission.core.shedding import Shed
from admission.simulation.day import SHAPES
from admission.simulation.plants import EVENING, MIX, PLANTS, URGENT
from admission.simulation.report import as_maps, paired, ratios, table, urgent
from admission.simulation.trial import AGENTS_MAX, OTHERS, Contender, Trial, compare, ours

TABLE = Throttle()
# The CPU leg as a plain reading of the table has it: every instant, and all of it.
PLAIN_CPU = replace(TABLE.patience, cpu_smoothing_s=0.001, cpu_unstalled_pct=100.0)
# Trends that act without having proven anything.
UNPROVEN = Foresight(warnings_min=0, right_min=0.0)
PARKING = Shed(("park",))
BUDGET = Throttle(policy="budget")
BUDGET_10 = replace(BUDGET, growth=Growth(agents_max=AGENTS_MAX))
BUDGET_PARKING, BUDGET_10_PARKING = (replace(one, shed=PARKING) for one in (BUDGET, BUDGET_10))
# What is risked where it is known what tasks take, and those that went too far are parked early.
LOOSER = replace(
    BUDGET,
    budget=Budget(ceiling_pct=92.0),
    learning=Learning(margin=1.0, quantile=0.75),
    shed=Shed(("park",), park_pct=90.0, park_every_s=5.0),
)
LOOSER_10 = replace(LOOSER, growth=Growth(agents_max=AGENTS_MAX))


def unmixed(throttle: Throttle) -> Throttle:
    """The same where nobody passes a heavy task that waits for the memory."""
    return replace(throttle, learning=replace(throttle.learning, mixes=False))


recalling = partial(ours, learns=True, recalls=True)
OURS = (
    ours("table", TABLE),
    ours("table, every 2 s", TABLE, sample_s=2),
    ours("table, without the budget", replace(TABLE, budget=replace(TABLE.budget, is_on=False))),
    ours("table, CPU as it reads", replace(TABLE, patience=PLAIN_CPU)),
    ours("table, no forecast", replace(TABLE, foresight=OFF)),
    ours("table, unproven forecast", replace(TABLE, foresight=UNPROVEN)),
    ours("table, yielding", TABLE, yields=True),
    ours("table, deferring", TABLE, defers=True),
    ours("budget, at most 5", Throttle(policy="budget")),
    ours("budget, at most 5, yielding", Throttle(policy="budget"), yields=True),
    ours("budget, at most 10", BUDGET_10),
)
# Those that are shown what each task takes; heavy ones are passed by nobody.
LEARNT = (
    ours("table, learnt", unmixed(TABLE), learns=True),
    ours("table, learnt, deferring", unmixed(TABLE), learns=True, defers=True),
    ours("budget, learnt", unmixed(BUDGET), learns=True),
    ours("budget, learnt, parking", unmixed(BUDGET_PARKING), learns=True),
    ours("budget, known, parking", unmixed(BUDGET_PARKING), knows=True),
    ours("budget, learnt, at most 10", unmixed(BUDGET_10), learns=True),
    ours("budget, parking, at most 10", BUDGET_10_PARKING),
    ours("budget, learnt, parking, at most 10", unmixed(BUDGET_10_PARKING), learns=True),
    ours("budget, known, parking, at most 10", unmixed(BUDGET_10_PARKING), knows=True),
)
# Those that know from the first second on what the tasks of an earlier day took.
RECALLING = (
    recalling("budget, recalled, parking", BUDGET_PARKING),
    recalling("budget, recalled, parking, unmixed", unmixed(BUDGET_PARKING)),
    recalling("looser, recalled", LOOSER, sample_s=2),
    recalling("looser, recalled, unmixed", unmixed(LOOSER), sample_s=2),
    ours("looser, known", LOOSER, sample_s=2, knows=True),
    recalling("looser, recalled, at most 10", LOOSER_10, sample_s=2),
    recalling("looser, recalled, at most 10, unmixed", unmixed(LOOSER_10), sample_s=2),
    ours("looser, known, at most 10", LOOSER_10, sample_s=2, knows=True),
)
# With a unit that is kept free all day long for what is urgent.
RESERVING = (
    ours("table, one reserved", TABLE, reserves=1),
    ours("budget, one reserved", BUDGET, reserves=1),
    recalling("budget, recalled, parking, one reserved", BUDGET_PARKING, reserves=1),
)
EVERYBODY = (*OTHERS, *OURS, *LEARNT, *RECALLING, *RESERVING)


def main(words: list[str] | None = None) -> int:
    """Prints the table, or JSON."""
    options = _parser().parse_args(words)
    trial = Trial(
        plant=options.plant,
        shape=options.shape,
        hours=options.hours,
        seeds=range(options.first_seed, options.first_seed + options.seeds),
    )
    contenders = _chosen(options.policy)
    results = compare(trial, contenders, options.processes)
    out = [f"{trial.plant} on {trial.shape}: {options.seeds} seeds of {trial.hours:g} h", ""]
    if options.json:
        out = [json.dumps(as_maps(results))]
    else:
        out.append(table(results))
        for base in results if trial.plant == EVENING else ():
            if (name := f"{base}, deferring") in results:
                out += ["", f"{name}, beside the same without, day by day:", ""]
                out += [f"- {line}" for line in paired(results, name, base)]
        if trial.plant == URGENT:
            out += ["", "How long nineteen in twenty of what is urgent waited at most:", ""]
            out += [f"- {line}" for line in urgent(results)]
        if not options.policy:
            out += ["", "Policy table beside the document's rule every 30 s:", ""]
            out += [f"- {line}" for line in ratios(results, "table")]
    sys.stdout.write("\n".join(out) + "\n")
    return 0


def _chosen(names: list[str]) -> tuple[Contender, ...]:
    return tuple(one for one in EVERYBODY if not names or one.name in names)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m admission.simulation",
        description="Rules for starting agents, compared on simulated days.",
    )
    parser.add_argument("--plant", choices=PLANTS, default=MIX, help="what the day brings (mix)")
    parser.add_argument("--shape", choices=SHAPES, default="16/8", help="GiB/cores (16/8)")
    parser.add_argument("--hours", type=float, default=6.0, help="how long a day is (6)")
    parser.add_argument("--seeds", type=int, default=40, help="how many days (40)")
    parser.add_argument("--first-seed", type=int, default=0, help="seed of the first (0)")
    parser.add_argument("--processes", type=int, default=2, help="at most 2 (2)")
    parser.add_argument("--policy", action="append", default=[], help="only this rule; repeatable")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
