"""What a run comes to: figures for people, and everything as JSON."""

import statistics
from collections import Counter

from scripts.torture.conductor import Conductor, Plan
from scripts.torture.judge_of_hands import WISHES
from scripts.torture.reading import Violation, asks_of
from scripts.torture.records import Record

EVIDENCE_SHOWN = 5


def as_map(
    plan: Plan, plant: str, conductor: Conductor, records: list[Record]
) -> dict[str, object]:
    """The report; whoever finds something wants the seed and the evidence."""
    return {
        "seed": plan.seed,
        "plant": plant or None,
        "seconds": plan.seconds,
        "rounds": conductor.rounds,
        "daemon": conductor.keeper.counts,
        "actors": dict(conductor.played),
        "signals": dict(conductor.signals),
        **_figures(records),
        "violations": [
            {"kind": one.kind, "what": one.what, "evidence": one.evidence}
            for one in conductor.violations
        ],
    }


def _figures(records: list[Record]) -> dict[str, object]:
    asks = list(asks_of(records))
    told = [ask for ask in asks if ask.is_told]
    kinds = Counter(str(record["kind"]) for record in records)
    # By how much the judge is unsure of the moment of a grant: less is sharper.
    unsure_s = sorted(ask.told_at - ask.free_until for ask in told)
    return {
        "asked": len(asks),
        "granted": len(told),
        "waited": sum(ask.queued_at < ask.told_at for ask in told),
        "answered_after_a_restart": kinds["again"],
        "taken_up_again": kinds["back"],
        "asked_twice": kinds["repeated"],
        "killed_while_holding_or_waiting": kinds["killing"],
        "refused": dict(Counter(str(one["code"]) for one in records if one["kind"] == "refused")),
        "level_changes": kinds["level"],
        "by_hand": {kind: kinds[kind] for kind in WISHES},
        "asked_to_end": kinds["told to end"],
        "probes": kinds["probe"],
        "unsure_of_a_grant_median_s": statistics.median(unsure_s) if unsure_s else None,
        "records": len(records),
    }


def verdict(violations: list[Violation], figures: dict[str, object], kills: int) -> str:
    """One line."""
    seen = f"{figures['asked']} requests, {figures['granted']} leases, {kills} daemons killed"
    if not violations:
        return f"nothing found: {seen}, seed {figures['seed']}"
    kinds = Counter(one.kind for one in violations)
    found = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"FOUND {found}: {seen}, seed {figures['seed']}"
