"""The autopilot, with real tasks: what it runs, what it says, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from admission.protocol import Frame
from tests.system.stage import RECORDER, Stage, intervals, most_at_once

# A task that lives until it is ended, and says in a named pipe that it has begun.
LASTS = "echo $$ > begun; exec sleep 600"


def _tasks(stage: Stage, *lines: str) -> str:
    path = stage.folder / "tasks.txt"
    path.write_text("\n".join(lines))
    return str(path)


def _results(stage: Stage) -> list[Frame]:
    return [json.loads(line) for line in (stage.folder / "results.jsonl").read_text().splitlines()]


def _recorders(stage: Stage, count: int, work_s: float) -> list[str]:
    (stage.folder / "record.py").write_text(RECORDER)
    command = f"{sys.executable} record.py {{}}.ran {work_s}"
    return [
        json.dumps({"task": f"record {number}", "command": command.format(number)})
        for number in range(count)
    ]


def _autopilot(stage: Stage, *options: str) -> "subprocess.CompletedProcess[str]":
    return stage.run("autopilot", "--results", "results.jsonl", *options)


def _begin(stage: Stage, *options: str, tasks: int) -> "subprocess.Popen[bytes]":
    """An autopilot whose tasks all last; returns when as many as may have begun."""
    begun = stage.folder / "begun"
    os.mkfifo(begun)
    process = stage.spawn("autopilot", *options, _tasks(stage, *[LASTS] * tasks))
    with os.fdopen(os.open(begun, os.O_RDWR), "rb") as pipe:
        for _ in range(min(tasks, 2)):
            pipe.readline()
    return process


def test_every_task_runs_once_and_never_more_than_the_level_allows(stage: Stage) -> None:
    stage.set_level(1)
    done = _autopilot(stage, "--agents", "8", _tasks(stage, *_recorders(stage, 8, 0.2)))
    assert done.returncode == 0, done.stderr
    assert most_at_once(list(intervals(stage.folder))) == 3
    results = _results(stage)
    assert sorted(str(one["task"]) for one in results) == [f"record {n}" for n in range(8)]
    assert len({one["lease"] for one in results}) == 8
    assert all(one["exit_status"] == 0 for one in results)
    assert "8 of 8 tasks done" in done.stderr


def test_agents_bound_what_runs_where_the_level_allows_more(stage: Stage) -> None:
    done = _autopilot(stage, "--agents", "2", _tasks(stage, *_recorders(stage, 5, 0.2)))
    assert done.returncode == 0
    assert most_at_once(list(intervals(stage.folder))) == 2


def test_a_task_that_fails_is_shown_with_its_last_words_and_the_rest_goes_on(stage: Stage) -> None:
    tasks = _tasks(stage, "echo out of luck >&2; exit 3", "kill -KILL $$", "true")
    done = _autopilot(stage, tasks)
    assert done.returncode == 1
    assert "exit status 3" in done.stderr
    assert "    out of luck" in done.stderr
    assert sorted(int(str(one["exit_status"])) for one in _results(stage)) == [0, 3, 137]
    assert "1 of 3 tasks done, 2 failed" in done.stderr


def test_a_task_has_its_folder_its_environment_and_the_levels_parameters(stage: Stage) -> None:
    (stage.folder / "below").mkdir()
    stage.set_level(2)
    show = 'printf "%s " "$PWD" "$COLOUR" "$ADMISSION_BATCH_SIZE" "$ADMISSION_REASONING_EFFORT"'
    line = {"task": "show", "command": show, "cwd": "below", "env": {"COLOUR": "blue"}}
    done = _autopilot(stage, _tasks(stage, json.dumps(line)))
    assert done.returncode == 0
    (result,) = _results(stage)
    shown = Path(str(result["log"])).read_text().split()
    assert shown == [str(stage.folder / "below"), "blue", "25", "medium"]


def test_a_folder_that_is_not_there_fails_its_task_and_no_other(stage: Stage) -> None:
    tasks = _tasks(stage, json.dumps({"command": "true", "cwd": "nowhere"}), "true")
    done = _autopilot(stage, tasks)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "1 of 2 tasks done, 1 failed" in done.stderr


def test_tasks_come_from_standard_input_too(stage: Stage) -> None:
    process = stage.spawn("autopilot")
    out, said = process.communicate(b"# two tasks\n\ntrue\ntrue\n")
    assert process.returncode == 0
    assert out == b""
    assert b"2 of 2 tasks done" in said


def test_a_change_of_level_is_told_in_the_documents_words_and_the_recovery_likewise(
    stage: Stage,
) -> None:
    process = _begin(stage, tasks=1)
    assert process.stderr is not None
    told = []
    for level in ("2", "1", "auto"):
        assert stage.run("level", level).returncode == 0
        told.append(process.stderr.readline().decode().strip())
    assert told[0].startswith("⚡ Resource pressure detected: medium throttle (level 2)")
    assert told[1].startswith("✅ Resource pressure eased: light throttle (level 1)")
    assert told[2].startswith("✅ Resource pressure gone: normal (level 0)")
    for pid in stage.look().holders:  # it is in a group of its own, and would outlive the test
        os.kill(pid, signal.SIGTERM)
    assert process.wait() is not None


def test_ctrl_c_once_lets_what_runs_finish_and_takes_no_more(stage: Stage) -> None:
    process = _begin(stage, "--agents", "2", tasks=4)
    assert process.stderr is not None
    os.killpg(process.pid, signal.SIGINT)
    assert b"2 still run, Ctrl-C again ends them" in process.stderr.readline()
    assert process.poll() is None
    for pid in stage.look().holders:
        os.kill(pid, signal.SIGTERM)
    said = process.communicate()[1].decode()
    assert process.returncode == 130
    assert "2 not begun" in said


def test_ctrl_c_twice_ends_what_runs(stage: Stage) -> None:
    process = _begin(stage, "--agents", "2", tasks=3)
    assert process.stderr is not None
    os.killpg(process.pid, signal.SIGINT)
    process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate()[1].decode()
    assert process.returncode == 130
    assert "Traceback" not in said
    stage.until(lambda view: view.in_use() == 0)


def test_tasks_that_wait_are_taken_back_by_ctrl_c(stage: Stage) -> None:
    stage.set_level(3)
    holder = stage.hold()
    stage.until(lambda view: view.in_use() == 1)
    process = stage.spawn("autopilot", _tasks(stage, "touch ran"))
    stage.until(lambda view: len(view.waiting) == 1)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate()[1].decode()
    assert process.returncode == 130
    assert "1 not begun" in said
    assert stage.look().waiting == []
    assert stage.look().holders == {holder.pid}
    assert not (stage.folder / "ran").exists()


def test_tasks_keep_their_leases_when_the_autopilot_is_killed(stage: Stage) -> None:
    process = _begin(stage, "--agents", "2", tasks=3)
    holders = stage.look().holders
    process.kill()
    process.wait()
    assert stage.look().holders == holders
    for pid in holders:
        os.kill(pid, signal.SIGKILL)
    stage.until(lambda view: view.in_use() == 0)


def test_many_agents_and_a_second_autopilot_are_warned_about(stage: Stage) -> None:
    first = _begin(stage, tasks=1)
    done = stage.run("autopilot", "--agents", "11", _tasks(stage, "true"))
    assert done.returncode == 0
    assert "warning: 11 agents are more than a machine likes to bear" in done.stderr
    assert f"another autopilot runs on this machine (process {first.pid})" in done.stderr
    for pid in stage.look().holders:
        os.kill(pid, signal.SIGKILL)
    assert "warning" not in first.communicate()[1].decode()
