"""The command `metrics`: what Prometheus reads, read back by its own library's parser."""

import json
import re
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from admission.protocol import BadConfiguration
from admission_client import lease, metrics
from admission_client.options import WrongUsage
from tests.clients.daemons import Daemon

GRAFANA = Path(__file__).parents[2] / "docs" / "grafana" / "admission.json"


def exposed(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> str:
    assert metrics.metrics(["--socket", daemon.path]) == 0
    return capsys.readouterr().out


def samples(text: str) -> list[Sample]:
    return [one for family in text_string_to_metric_families(text) for one in family.samples]


def value(text: str, name: str, **labels: str) -> float:
    (found,) = [one.value for one in samples(text) if one.name == name and one.labels == labels]
    return found


def test_it_counts_what_happens(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    before = exposed(daemon, capsys)
    with lease("one", class_="critical", socket=daemon.path):
        during = exposed(daemon, capsys)
    after = exposed(daemon, capsys)
    of = {"pool": "one"}
    assert value(during, "admission_slots_in_use", **of) == 1
    assert value(during, "admission_slots_limit", **of) == 1
    assert value(after, "admission_slots_in_use", **of) == 0
    grants = {**of, "class": "critical"}
    assert value(during, "admission_wait_seconds_count", **grants) >= 1
    held = {**of, "le": "+Inf"}
    assert value(after, "admission_hold_seconds_bucket", **held) == value(
        after, "admission_hold_seconds_count", **of
    )
    ended = [one for one in samples(after) if one.name == "admission_leases_ended_total"]
    assert sum(one.value for one in ended) > sum(
        one.value for one in samples(before) if one.name == "admission_leases_ended_total"
    )


def test_every_name_follows_the_conventions(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    families = list(text_string_to_metric_families(exposed(daemon, capsys)))
    assert len(families) > 20
    for family in families:
        assert re.fullmatch(r"admission_[a-z]+(_[a-z]+)*", family.name)
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|s|pct|mb|kb|total|count|sum|bucket)$", family.name)
        for one in family.samples:
            assert one.name.endswith("_total") == (family.type == "counter")
            assert set(one.labels) <= {
                "pool",
                "class",
                "le",
                "reason",
                "code",
                "resource",
                "version",
            }


def test_buckets_only_grow(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> None:
    with lease("one", socket=daemon.path):
        pass
    by_series: dict[tuple[str, ...], list[float]] = {}
    for one in samples(exposed(daemon, capsys)):
        if one.name.endswith("_bucket"):
            key = (one.name, *(f"{k}={v}" for k, v in one.labels.items() if k != "le"))
            by_series.setdefault(key, []).append(one.value)
    assert by_series
    assert all(counts == sorted(counts) for counts in by_series.values())


def test_a_file_is_replaced_as_a_whole(daemon: Daemon, tmp_path: Path) -> None:
    path = tmp_path / "admission.prom"
    path.write_text("old")
    assert metrics.metrics(["--socket", daemon.path, "--output", str(path)]) == 0
    assert value(path.read_text(), "admission_journal_writable") == 1
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_can_t_be_written_is_one_sentence(daemon: Daemon, tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match=r"none/x can't be written .* name another file"):
        metrics.metrics(["--socket", daemon.path, "--output", str(tmp_path / "none" / "x")])


def test_json_is_the_answer_itself_and_goes_into_no_file(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    assert metrics.metrics(["--socket", daemon.path, "--json"]) == 0
    assert "pools" in json.loads(capsys.readouterr().out)
    with pytest.raises(WrongUsage, match="leave --json out"):
        metrics.metrics(["--socket", daemon.path, "--json", "--output", "x"])


def test_without_the_extra_it_says_what_to_install(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "admission_client.exposition", raising=False)
    with pytest.raises(BadConfiguration, match=r'pip install "admission\[metrics\]"'):
        metrics.metrics(["--socket", daemon.path])


def test_what_the_grafana_dashboard_asks_for_is_there(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    with lease("one", socket=daemon.path):
        pass
    names = {one.name for one in samples(exposed(daemon, capsys))}
    # These are there once something was refused, or a lease was waited for.
    names |= {"admission_refusals_total"}
    dashboard = json.loads(GRAFANA.read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert asked
    for expression in asked:
        found = set(re.findall(r"admission_[a-z_]+", expression))
        assert found
        assert found <= names, expression
