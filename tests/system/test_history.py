"""The history, from a daemon that serves real leases to what the command shows of it."""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

from admission.protocol import Frame
from admission_client.granted import rows, text, whole, words_of
from tests.system.stage import Stage


def _history(stage: Stage, *words: str) -> Frame:
    shown = stage.run("history", "--json", *words)
    assert shown.returncode == 0, shown.stderr
    found: Frame = json.loads(shown.stdout)
    return found


def _path(stage: Stage) -> Path:
    return stage.folder / "state" / "admission" / "history.db"


def test_a_lease_and_a_level_are_still_known_when_the_daemon_has_ended(stage: Stage) -> None:
    stage.set_level(2)
    assert stage.run("run", "--task", "refactor", "--", "true").returncode == 0
    stage.until(lambda view: view.in_use() == 0)
    stage.kill_daemon(signal.SIGTERM)
    found = _history(stage)
    assert [whole(change, "level") for change in rows(found, "levels")][-1] == 2
    assert [text(lease, "task") for lease in rows(found, "leases")] == ["refactor"]
    assert [text(lease, "reason") for lease in rows(found, "leases")] == ["holder exited"]
    assert sum(whole(point, "samples") for point in rows(found, "series")) >= 1
    shown = stage.run("history", "--since", "10m", NO_COLOR="1", LC_ALL="C.UTF-8", COLUMNS="80")
    assert shown.returncode == 0
    assert "100 │" in shown.stdout
    assert "refactor" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def test_without_utf_8_the_drawing_is_plain(stage: Stage) -> None:
    stage.look_until(lambda view: view.status["sample"] is not None)
    stage.kill_daemon(signal.SIGTERM)
    shown = stage.run("history", PYTHONIOENCODING="ascii")
    assert shown.returncode == 0, shown.stderr
    assert "100 |" in shown.stdout


def test_a_daemon_killed_again_and_again_leaves_a_sound_file(stage: Stage) -> None:
    for number in range(3):
        assert stage.run("run", "--task", f"task {number}", "--", "true").returncode == 0
        stage.kill_daemon(signal.SIGKILL)
        stage.serve()
    stage.kill_daemon(signal.SIGTERM)
    assert not list(_path(stage).parent.glob("*.broken-*"))
    with closing(sqlite3.connect(_path(stage))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_damaged_history_costs_no_lease(empty_stage: Stage) -> None:
    path = _path(empty_stage)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"noise" * 10_000)
    empty_stage.serve()
    assert empty_stage.run("run", "--", "true").returncode == 0
    empty_stage.kill_daemon(signal.SIGTERM)
    (aside,) = path.parent.glob("history.db.broken-*")
    assert aside.read_bytes() == b"noise" * 10_000
    assert str(aside) in empty_stage.log.read_text()
    assert rows(_history(empty_stage), "leases")


def test_a_history_that_can_t_be_written_is_said_and_costs_no_lease(empty_stage: Stage) -> None:
    (empty_stage.folder / "state").write_text("no folder")
    empty_stage.serve()
    assert empty_stage.run("run", "--", "true").returncode == 0
    said: list[str] = []
    with empty_stage.client() as client:
        for _ in client.watch(["sample"]):  # the history's thread may need a moment
            degraded = words_of(client.ask("status"), "degraded")
            if said := [one for one in degraded if one.startswith("the history can't be written")]:
                break
    assert len(said) == 1


def test_no_daemon_and_no_history_is_one_sentence(empty_stage: Stage) -> None:
    shown = empty_stage.run("history")
    assert (shown.returncode, shown.stderr) == (0, "")
    where = _path(empty_stage)
    assert shown.stdout == (
        f"there is no history at {where} yet; the daemon writes it while it runs\n"
    )
    assert not empty_stage.socket.exists(), "and no daemon was started"
