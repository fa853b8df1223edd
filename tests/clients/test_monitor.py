"""ResourceMonitor, blocking, on trio and on asyncio: one contract, with a daemon or without."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

import admission_client
from admission.core.levels import LEVELS
from admission.protocol import BadRequest, Frame, NotPermitted, Unreachable
from admission.service.views import params_map
from admission_client import aio, aio_monitor, monitor, reading
from admission_client.monitor import ResourceMonitor
from admission_client.reading import Metrics, Reading, reading_of
from tests.clients.daemons import Daemon
from tests.clients.monitors import (
    Heard,
    Monitor,
    OnLoop,
    overheard_async_client,
    overheard_client,
    refusing,
)

NOWHERE = "/nonexistent/admission.sock"
MODULES = (monitor, aio_monitor)
# The document's example.
EXAMPLE: Frame = {
    "timestamp": "2025-10-23T16:30:00Z",
    "memory_used_pct": 85,
    "cpu_used_pct": 72,
    "claude_processes": 3,
    "node_processes": 3,
    "throttle_level": 2,
    "throttle_params": {
        "level": 2,
        "name": "medium",
        "max_agents": 2,
        "batch_size": 25,
        "delay_ms": 1000,
        "max_concurrent": 1,
        "reasoning_effort": "medium",
    },
}
Make = Callable[[Path, str | None], Monitor]


@pytest.fixture(params=["blocking", "trio", "asyncio"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes each monitor in turn."""
    if request.param == "blocking":
        yield ResourceMonitor
        return
    with start_blocking_portal(backend=request.param) as portal:
        yield lambda workspace, socket: OnLoop(portal, workspace, socket)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Heard:
    heard = Heard()
    monkeypatch.setattr(monitor, "Client", overheard_client(heard))
    monkeypatch.setattr(aio_monitor, "Client", overheard_async_client(heard))
    return heard


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What a monitor finds that looks by itself: each level in turn, and the last one for ever.
    It looks again soon.
    """
    levels = [0]

    def look() -> Reading:
        return at_level(levels.pop(0) if len(levels) > 1 else levels[0])

    for module in MODULES:
        monkeypatch.setattr(module, "look_alone", look)
        monkeypatch.setattr(module, "LOOK_AGAIN_S", 0.01)
    return levels


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as thread:
        yield thread


def at_level(level: int) -> Reading:
    found = {**EXAMPLE, "throttle_level": level, "throttle_params": params_map(LEVELS[level])}
    return Reading(Metrics.of(found), ("a reason",) if level else ())


def file_of(workspace: Path) -> Path:
    return workspace / "state" / "analytics" / "resource_metrics.json"


# --- values ---------------------------------------------------------------------------------------


def test_the_metrics_are_the_documents_map_by_attribute_and_whole() -> None:
    metrics = Metrics.of(EXAMPLE)
    assert metrics.as_dict() == EXAMPLE
    assert list(metrics.as_dict()) == list(EXAMPLE)
    assert metrics.throttle_level == 2
    assert metrics.throttle_params.reasoning_effort == "medium"
    assert metrics == Metrics.of(EXAMPLE)
    with pytest.raises(FrozenInstanceError):
        metrics.throttle_level = 0  # type: ignore[misc]


def test_a_daemons_answer_becomes_the_same_map() -> None:
    sample = {"age_s": 2.5, "memory_used_pct": 85.9, "cpu_used_pct": None, "node_processes": 3}
    found = reading_of(
        {
            "level": 2,
            "params": EXAMPLE["throttle_params"],
            "sample": sample,
            "reasons": ["memory 85 % is at or above 80 %"],
            "degraded": ["CPU: gone"],
            "pid": 17,
        },
        now=1_761_237_002.6,
    )
    missing = {"cpu_used_pct": None, "claude_processes": None}
    assert found.metrics.as_dict() == {**EXAMPLE, **missing}
    assert found.headline() == "level 2 (medium): memory 85 % is at or above 80 %"
    assert found.degraded == ("CPU: gone",)


@pytest.mark.parametrize("missing", ["level", "params", "reasons", "degraded", "pid"])
def test_an_answer_that_is_no_daemons_is_told_from_one(missing: str) -> None:
    status: Frame = {"level": 2, "params": EXAMPLE["throttle_params"], "sample": None}
    status |= {"reasons": [], "degraded": [], "pid": 17}
    assert reading_of(status, 0.0).metrics.memory_used_pct is None
    with pytest.raises(Unreachable):
        reading_of({name: one for name, one in status.items() if name != missing}, 0.0)


def test_the_summary_says_level_why_readings_and_what_to_do() -> None:
    assert at_level(2).summary() == [
        "level 2 (medium): a reason",
        "memory 85 %, CPU 72 %, 3 Claude processes, 3 Node processes (no daemon was asked)",
        "run up to 2 agents and 1 heavy step at a time, in batches of 25, 1 s between tasks, "
        "reasoning effort medium",
    ]
    assert at_level(0).headline() == "level 0 (normal): all calm"


def test_it_is_exported_where_the_readme_says() -> None:
    assert admission_client.ResourceMonitor is monitor.ResourceMonitor
    assert aio.ResourceMonitor is aio_monitor.ResourceMonitor
    for module in (admission_client, aio):
        with pytest.raises(AttributeError, match="has no attribute 'RessourceMonitor'"):
            module.RessourceMonitor  # noqa: B018


def test_a_workspace_that_is_not_there_is_refused_at_once(make: Make, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="there is no such folder"):
        make(tmp_path / "gone", NOWHERE)


# --- without a daemon -----------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "agents"), [(0, 5), (1, 3), (2, 2), (3, 1)])
def test_each_level_gives_its_answers(
    make: Make, machine: list[int], tmp_path: Path, level: int, agents: int
) -> None:
    machine[:] = [level]
    found = make(tmp_path, NOWHERE)
    assert found.get_metrics().throttle_level == level
    assert found.is_under_pressure() is (level >= 2)
    assert found.get_recommended_agent_count() == agents
    assert found.status_message().startswith(f"level {level} ({LEVELS[level].name}): ")
    assert "\n" not in found.status_message()
    assert json.loads(file_of(tmp_path).read_text()) == found.get_metrics().as_dict()


def test_a_reading_is_kept_for_a_while_unless_forced(
    make: Make, machine: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine[:] = [1, 2, 3]
    found = make(tmp_path, NOWHERE)
    assert [found.get_metrics().throttle_level for _ in range(3)] == [1, 1, 1]
    assert found.get_metrics(force=True).throttle_level == 2
    assert found.get_metrics().throttle_level == 2
    monkeypatch.setattr(reading, "FRESH_S", 0.0)
    assert found.get_metrics().throttle_level == 3


def test_the_throttle_waits_as_long_as_the_level_says(
    make: Make, machine: list[int], tmp_path: Path
) -> None:
    machine[:] = [1]
    begun = time.monotonic()
    assert make(tmp_path, NOWHERE).apply_throttle() == 0.5
    assert time.monotonic() - begun >= 0.5
    machine[:] = [0]
    assert make(tmp_path, NOWHERE).apply_throttle() == 0.0


def test_without_a_daemon_it_looks_again_until_the_level_has_fallen(
    make: Make, machine: list[int], tmp_path: Path
) -> None:
    machine[:] = [3, 3, 2, 1, 0]
    assert make(tmp_path, NOWHERE).wait_for_resources(timeout_s=20)
    assert machine == [0]


def test_without_a_daemon_it_gives_up_in_time(
    make: Make, machine: list[int], tmp_path: Path
) -> None:
    machine[:] = [2]
    assert not make(tmp_path, NOWHERE).wait_for_resources(timeout_s=0.05)
    assert not make(tmp_path, NOWHERE).wait_for_resources(timeout_s=0)
    assert make(tmp_path, NOWHERE).wait_for_resources(timeout_s=0, level=2)


@pytest.mark.parametrize("level", [-1, 4])
def test_what_is_no_level_is_refused(make: Make, tmp_path: Path, level: int) -> None:
    with pytest.raises(ValueError, match="level is 0 to 3"):
        make(tmp_path, NOWHERE).wait_for_resources(level=level)


def test_a_file_that_cannot_be_written_is_logged_once_and_stops_nothing(
    make: Make, machine: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").symlink_to("/")
    found = make(tmp_path, NOWHERE)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert found.get_metrics(force=True).throttle_level == 0
    (record,) = caplog.records
    assert '"state" is a link or no folder' in record.getMessage()


# --- with a daemon --------------------------------------------------------------------------------


def test_the_daemons_level_is_the_monitors(make: Make, daemon: Daemon, tmp_path: Path) -> None:
    daemon.ask("level", set=2)
    found = make(tmp_path, daemon.path)
    assert found.is_under_pressure()
    assert found.get_recommended_agent_count() == 2
    assert "set by hand" in found.status_message()
    daemon.ask("level", set=0)
    assert found.get_metrics(force=True).throttle_level == 0


def test_a_level_that_is_fine_already_is_not_waited_for(
    make: Make, daemon: Daemon, tmp_path: Path
) -> None:
    daemon.ask("level", set=1)
    assert make(tmp_path, daemon.path).wait_for_resources(timeout_s=0)
    assert not make(tmp_path, daemon.path).wait_for_resources(timeout_s=0, level=0)


def test_a_wait_is_woken_by_the_daemons_word_and_asks_nothing_meanwhile(
    make: Make, daemon: Daemon, heard: Heard, tmp_path: Path, thread: ThreadPoolExecutor
) -> None:
    daemon.ask("level", set=3)
    found = make(tmp_path, daemon.path)
    assert found.is_under_pressure()
    heard.asked.clear()
    waiting: Future[bool] = thread.submit(found.wait_for_resources, 60.0, 1)
    assert heard.levels.get() == 3
    daemon.ask("level", set=2)
    assert heard.levels.get() == 2
    daemon.ask("level", set=0)
    assert waiting.result()
    assert heard.levels.get() == 0
    assert heard.asked == []
    assert found.get_metrics().throttle_level == 0  # what was known before the wait is not


def test_a_wait_with_a_daemon_gives_up_in_time(make: Make, daemon: Daemon, tmp_path: Path) -> None:
    daemon.ask("level", set=2)
    begun = time.monotonic()
    assert not make(tmp_path, daemon.path).wait_for_resources(timeout_s=0.2)
    assert time.monotonic() - begun >= 0.2


def test_a_wait_outlives_the_daemon(
    make: Make,
    daemon: Daemon,
    heard: Heard,
    machine: list[int],
    tmp_path: Path,
    thread: ThreadPoolExecutor,
) -> None:
    machine[:] = [3, 2, 1]
    daemon.ask("level", set=2)
    waiting = thread.submit(make(tmp_path, daemon.path).wait_for_resources, 60.0, 1)
    assert heard.levels.get() == 2
    daemon.kill()
    assert waiting.result()
    assert machine == [1]
    daemon.start()


def test_a_daemon_that_keeps_the_file_is_asked_once_and_then_left_to_it(
    make: Make, daemon: Daemon, heard: Heard, tmp_path: Path
) -> None:
    paths: list[object] = []

    def keep(fields: Frame) -> Frame:
        paths.append(fields["path"])
        return {"ok": True}

    heard.on_workspace = keep
    found = make(tmp_path, daemon.path)
    for _ in range(3):
        found.get_metrics(force=True)
    assert paths == [str(tmp_path)]
    assert not file_of(tmp_path).exists()


def test_where_the_daemon_knows_no_workspaces_the_monitor_writes_the_file(
    make: Make,
    daemon: Daemon,
    heard: Heard,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard.on_workspace = refusing(BadRequest("there is no such op", "unknown_op"))
    found = make(tmp_path, daemon.path).get_metrics()
    assert json.loads(file_of(tmp_path).read_text()) == found.as_dict()
    assert caplog.records == []


def test_a_workspace_that_the_daemon_refuses_is_logged(
    make: Make, daemon: Daemon, heard: Heard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard.on_workspace = refusing(NotPermitted("not this one"))
    assert make(tmp_path, daemon.path).get_metrics().throttle_level == 0
    assert [record.getMessage() for record in caplog.records] == ["not this one"]
