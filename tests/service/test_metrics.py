"""The user's document's file: its map to the letter, and its way into a workspace."""

import json
import os
import threading
from pathlib import Path

import pytest

from admission.core.levels import LEVELS
from admission.core.sample import Sample
from admission.protocol import AdmissionError, BadRequest, NotPermitted
from admission.service.metrics import METRICS_PATH, check_workspace, metrics_map, write_metrics

# 2025-10-23T16:30:00Z, and what the document shows for it.
TAKEN_AT = 1_761_237_000.0
EXAMPLE = """{
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
    "reasoning_effort": "medium"
  }
}
"""
SAMPLE = Sample(
    at=5.0, memory_used_pct=85.0, cpu_used_pct=72.0, claude_processes=3, node_processes=3
)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return check_workspace(str(tmp_path))


def refusal(workspace: Path) -> AdmissionError:
    with pytest.raises(AdmissionError) as problem:
        write_metrics(workspace, {"a": 1})
    assert "\n" not in str(problem.value)
    return problem.value


def test_the_file_is_the_documents_example_to_the_letter(workspace: Path) -> None:
    path = write_metrics(workspace, metrics_map(SAMPLE, LEVELS[2], TAKEN_AT + 0.9))
    assert path == workspace / "state" / "analytics" / "resource_metrics.json"
    assert path.read_text() == EXAMPLE


def test_percents_are_cut_so_that_they_never_reach_a_bound_that_was_not_reached() -> None:
    found = metrics_map(Sample(0.0, memory_used_pct=79.99, cpu_used_pct=0.4), LEVELS[1], TAKEN_AT)
    assert (found["memory_used_pct"], found["cpu_used_pct"]) == (79, 0)
    assert all(type(found[name]) is int for name in ("memory_used_pct", "cpu_used_pct"))


def test_what_is_not_known_is_null(workspace: Path) -> None:
    path = write_metrics(workspace, metrics_map(Sample(0.0), LEVELS[0], TAKEN_AT))
    found = json.loads(path.read_text())
    names = ("memory_used_pct", "cpu_used_pct", "claude_processes", "node_processes")
    assert [found[name] for name in names] == [None] * 4


def test_a_reader_never_sees_half_a_file(workspace: Path) -> None:
    path = write_metrics(workspace, metrics_map(SAMPLE, LEVELS[0], TAKEN_AT))
    is_over = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not is_over.is_set():
            seen.append(json.loads(path.read_text())["throttle_level"])

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1000):
        write_metrics(workspace, metrics_map(SAMPLE, LEVELS[number % 4], TAKEN_AT + number))
    is_over.set()
    reader.join()
    assert set(seen) <= {0, 1, 2, 3}
    assert len(seen) > 10
    assert os.listdir(path.parent) == ["resource_metrics.json"]


def test_several_may_write_at_once(workspace: Path) -> None:
    def write() -> None:
        for number in range(100):
            write_metrics(workspace, metrics_map(SAMPLE, LEVELS[number % 4], TAKEN_AT))

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert json.loads((workspace / METRICS_PATH).read_text())["throttle_level"] == 3
    assert os.listdir(workspace / "state" / "analytics") == ["resource_metrics.json"]


# --- workspaces that are none -------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", ".", "some/folder", "/with\0nothing"])
def test_a_path_that_is_not_absolute_is_refused(given: str) -> None:
    with pytest.raises(BadRequest, match="give the absolute path of a folder"):
        check_workspace(given)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("gone", "file", "file/below", "n" * 300):
        with pytest.raises(BadRequest, match="there is no such folder"):
            check_workspace(str(tmp_path / name))


def test_another_users_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: os.stat(tmp_path).st_uid + 1)
    with pytest.raises(NotPermitted, match="is another user's"):
        check_workspace(str(tmp_path))


def test_a_link_to_ones_own_workspace_is_followed_once_and_for_all(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    workspace = check_workspace(str(tmp_path / "link"))
    assert workspace == (tmp_path / "real").resolve()
    (tmp_path / "real").rmdir()
    (tmp_path / "real").symlink_to(tmp_path)
    assert isinstance(refusal(workspace), BadRequest)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("link", ["state", "state/analytics"])
def test_a_link_on_the_way_is_never_followed(workspace: Path, tmp_path: Path, link: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (workspace / link).parent.mkdir(exist_ok=True)
    (workspace / link).symlink_to(elsewhere)
    problem = refusal(workspace)
    assert isinstance(problem, NotPermitted)
    assert "is a link or no folder" in str(problem)
    assert os.listdir(elsewhere) == []


def test_a_link_in_the_files_place_is_replaced_and_its_target_left_alone(workspace: Path) -> None:
    (workspace / "state" / "analytics").mkdir(parents=True)
    precious = workspace / "precious"
    precious.write_text("kept")
    (workspace / METRICS_PATH).symlink_to(precious)
    write_metrics(workspace, {"a": 1})
    assert precious.read_text() == "kept"
    assert not (workspace / METRICS_PATH).is_symlink()


def test_a_folder_in_the_files_place_is_a_clear_error_and_leaves_nothing(workspace: Path) -> None:
    (workspace / METRICS_PATH).mkdir(parents=True)
    assert "can't be written there: " in str(refusal(workspace))
    assert os.listdir(workspace / "state" / "analytics") == ["resource_metrics.json"]


def test_a_workspace_that_vanished_is_a_clear_error(workspace: Path) -> None:
    workspace.rmdir()
    problem = refusal(workspace)
    assert isinstance(problem, BadRequest)
    assert str(problem) == (f"workspace {workspace}: there is no such folder; give the path of one")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_read_only_workspace_is_a_clear_error(workspace: Path) -> None:
    workspace.chmod(0o500)
    assert str(refusal(workspace)).endswith("can't be written there: Permission denied")


def test_a_disk_that_takes_nothing_is_a_clear_error_and_the_old_file_stays(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_metrics(workspace, {"a": 0})

    def replace(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", replace)
    assert str(refusal(workspace)).endswith("can't be written there: No space left on device")
    assert json.loads((workspace / METRICS_PATH).read_text()) == {"a": 0}
    assert os.listdir(workspace / "state" / "analytics") == ["resource_metrics.json"]
