"""What the daemon counts, as Prometheus reads it.

Names follow Prometheus' conventions: one prefix, base units, `_total` for what only grows. No
series is labelled with a lease, a process, a task or a group: their number has no bound.

https://prometheus.io/docs/practices/naming/
"""

from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from admission.protocol import Frame
from admission_client.granted import mapping, number, rows, text, whole, words_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(found: Frame) -> bytes:
    """The text format, of an answer to `metrics`."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Found(found))
    return generate_latest(registry)


def families_of(found: Frame) -> "list[Metric]":
    """Each series of an answer to `metrics`, with its name, its help and its samples."""
    return list(_Found(found).collect())


class _Found(Collector):
    def __init__(self, found: Frame) -> None:
        self._found = found

    def collect(self) -> "Iterator[Metric]":
        yield from _of_pools(rows(self._found, "pools"))
        yield from _of_times(self._found)
        yield from _of_the_daemon(self._found)


def _of_pools(pools: list[Frame]) -> "Iterator[Metric]":
    for name, key, about in (
        ("limit", "capacity", "Units of the pool that may be out now."),
        ("in_use", "in_use", "Units of the pool that are out."),
        ("reserved", "reserved", "Units of the pool that reservations keep, in use or not."),
    ):
        gauge = GaugeMetricFamily(f"admission_slots_{name}", about, labels=["pool"])
        for pool in pools:
            gauge.add_metric([text(pool, "pool")], whole(pool, key))
        yield gauge
    leases = GaugeMetricFamily(
        "admission_leases", "Leases, yielded ones included.", labels=["pool"]
    )
    paused = GaugeMetricFamily(
        "admission_paused", "1 while nothing is granted by a hand's word.", labels=["pool"]
    )
    waiting = GaugeMetricFamily(
        "admission_waiting", "Requests that wait.", labels=["pool", "class"]
    )
    for pool in pools:
        name = text(pool, "pool")
        leases.add_metric([name], whole(pool, "leases"))
        paused.add_metric([name], bool(pool.get("is_paused")))
        by_class = mapping(pool, "waiting")
        for rank in by_class:
            waiting.add_metric([name, rank], whole(by_class, rank))
    yield from (leases, paused, waiting)


def _of_times(found: Frame) -> "Iterator[Metric]":
    waits = HistogramMetricFamily(
        "admission_wait_seconds", "How long grants were waited for.", labels=["pool", "class"]
    )
    for one in rows(found, "waits"):
        labels = [text(one, "pool"), text(one, "class")]
        waits.add_metric(labels, _buckets(found, "wait_bounds_s", one), number(one, "sum_s"))
    holds = HistogramMetricFamily(
        "admission_hold_seconds", "How long leases lasted that have ended.", labels=["pool"]
    )
    for one in rows(found, "holds"):
        buckets = _buckets(found, "hold_bounds_s", one)
        holds.add_metric([text(one, "pool")], buckets, number(one, "sum_s"))
    yield from (waits, holds)


def _buckets(found: Frame, bounds: str, one: Frame) -> list[tuple[str, float]]:
    """Prometheus' buckets hold all that is below as well."""
    names = [f"{float(bound):g}" for bound in words_of(found, bounds)]
    counts = [float(count) for count in words_of(one, "counts")]
    return list(zip([*names, "+Inf"], accumulate(counts), strict=True))


def _of_the_daemon(found: Frame) -> "Iterator[Metric]":
    yield GaugeMetricFamily(
        "admission_level", "The throttle level, 0 (normal) to 3 (heavy).", whole(found, "level")
    )
    pressure = GaugeMetricFamily(
        "admission_pressure_ratio",
        "What the last sample read, 0 to 1; *_stall: the share of time in which tasks waited.",
        labels=["resource"],
    )
    by_resource = mapping(found, "pressure_pct")
    for resource, pct in by_resource.items():
        if pct is not None:
            pressure.add_metric([resource], number(by_resource, resource) / 100)
    yield pressure
    for key, name, label, about in (
        ("ended", "leases_ended", "reason", "Leases that have ended."),
        ("refused", "refusals", "code", "Requests that were refused."),
    ):
        counter = CounterMetricFamily(f"admission_{name}", about, labels=[label])
        counts = mapping(found, key)
        for why in counts:
            counter.add_metric([why], whole(counts, why))
        yield counter
    for key, about in (
        ("level_changes", "Changes of the throttle level."),
        ("alarms", "Alarms: waits and holds beyond their bounds."),
        ("samples", "Looks at the machine."),
    ):
        yield CounterMetricFamily(f"admission_{key}", about, whole(found, key))
    for name, key, about in (
        ("alarms_lasting", "alarms_lasting", "Alarms that last."),
        ("sample_age_seconds", "sample_age_s", "The age of the last look at the machine."),
        ("sources_failed", "sources_failed", "Sources that the last look could not read."),
        ("connections", "connections", "Open connections."),
        ("uptime_seconds", "uptime_s", "How long this daemon has served."),
        ("journal_size_bytes", "journal_bytes", "The size of the journal."),
        ("journal_writable", "journal_works", "0 while the journal can't be written."),
    ):
        reads = found.get(key)
        if isinstance(reads, (int, float)):  # no sample was taken yet: it has no age
            yield GaugeMetricFamily(f"admission_{name}", about, float(reads))
    build = GaugeMetricFamily("admission_build_info", "The daemon's version.", labels=["version"])
    build.add_metric([text(found, "version")], 1)
    yield build
