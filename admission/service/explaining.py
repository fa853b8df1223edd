"""Why it is as it is: the level, the queue, and what takes the machine. Decides nothing."""

from admission.core.admission import Admission
from admission.core.explanation import Source, sources, to_fall
from admission.core.foretelling import Score
from admission.core.outlook import Outlook, outlooks
from admission.core.places import places_of
from admission.protocol import Frame
from admission.service.access import OPERATOR, Viewer
from admission.service.queue_views import shed_map
from admission.service.sensors.belonging import Consumer, top
from admission.service.sensors.processes import Look
from admission.service.views import level_map, sample_map, waiting_map

HEAVIEST = 5
# As many as one asks about; `leases` has them all.
WAITERS_SHOWN = 20


def explain_map(
    core: Admission,
    now: float,
    looks: tuple[Look | None, Look | None],
    viewer: Viewer = OPERATOR,
    waits: Score | None = None,
) -> Frame:
    """What `explain` answers.

    Args:
        core: which is asked.
        now: seconds on the clock of the events.
        looks: the processes as of the last pass, and of the one before.
        viewer: who asks.
        waits: how what waiters were told of their waits has done.
    """
    governor = core.governor
    places = [place for pool in core.pools.values() for place in places_of(pool, now)]
    return {
        **level_map(core.level),
        "reasons": list(governor.reasons),
        "sources": [source_map(source) for source in sources(governor, now)],
        "to_fall": to_fall(governor, now),
        "forecasts": [forecast_map(one) for one in outlooks(governor.forecasts)],
        "sample": None if governor.sample is None else sample_map(governor.sample, now),
        "waiting": [
            viewer.row(place.waiter.claim, waiting_map(place, now))
            for place in places[:WAITERS_SHOWN]
        ],
        "more_waiting": max(0, len(places) - WAITERS_SHOWN),
        "waits_foretold": None if waits is None else score_map(waits),
        "shed": shed_map(core, now),
        **heaviest_map(core, looks, viewer),
    }


def score_map(score: Score) -> Frame:
    return {
        "waits": score.waits,
        "error": round(score.error, 2),
        "within_two": round(score.within_two, 2),
    }


def source_map(source: Source) -> Frame:
    return {
        "what": source.what,
        "level": source.level,
        "reason": source.reason,
        "for_s": round(source.for_s, 1),
        "value_pct": _tenth(source.value_pct),
        "below_pct": list(source.below_pct),
    }


def forecast_map(one: Outlook) -> Frame:
    """One forecast. What became of its warnings is there only for a trend."""
    row: Frame = {
        "what": one.what,
        "kind": one.kind,
        "value_pct": _tenth(one.value_pct),
        "low_pct": _tenth(one.low_pct),
        "high_pct": _tenth(one.high_pct),
        "ahead_s": one.ahead_s,
        "on": one.is_on,
        "why": one.why,
        "mae": _tenth(one.mae),
        "persistence_mae": _tenth(one.persistence_mae),
    }
    if (record := one.record) is None:
        return row
    return {
        **row,
        "hits": record.hits,
        "false_alarms": record.false_alarms,
        "misses": record.misses,
        "reached": record.reached,
        "lead_s": _tenth(record.lead_s),
    }


def _tenth(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def heaviest_map(core: Admission, looks: tuple[Look | None, Look | None], viewer: Viewer) -> Frame:
    """What takes most CPU and memory, by what it belongs to; empty where nobody has looked yet.

    Who may not see all of it is told what runs under his own leases, and of the rest how large it
    is: whose a process is that has no lease, nobody has asked.
    """
    now, before = looks
    if now is None:
        return {"by_cpu": [], "by_memory": []}
    held = [lease for pool in core.pools.values() for lease in pool.leases.values()]
    found = top(now, before, {lease.claim.holder: lease.id for lease in held}, HEAVIEST)
    seen = {lease.id for lease in held if viewer.sees(lease.claim)}

    def row(one: Consumer) -> Frame:
        return consumer_map(one, is_seen=viewer.sees_all or one.lease in seen)

    return {"by_cpu": [*map(row, found.by_cpu)], "by_memory": [*map(row, found.by_memory)]}


def consumer_map(one: Consumer, *, is_seen: bool) -> Frame:
    return {
        "name": one.name if is_seen else "",
        "lease": one.lease,
        "pid": one.pid if is_seen else 0,
        "processes": one.processes,
        "cpus": None if one.cpus is None else round(one.cpus, 2),
        "rss_bytes": one.rss_bytes,
    }
