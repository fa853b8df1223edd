"""A real orphanage is seen, and the command that is recommended ends it."""

import json
import shlex

import psutil

from tests.system.stage import Stage

LEAVE_TEN = "for n in 1 2 3 4 5 6 7 8 9 10; do sleep 1000 >/dev/null 2>&1 & echo $!; done"


def runs(pid: str) -> bool:
    try:
        return psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_a_task_leaves_behind_is_recommended_to_be_ended_and_is(stage: Stage) -> None:
    left = stage.run("run", "--task", "leaky", "--", "sh", "-c", LEAVE_TEN).stdout.split()
    try:
        stage.look_until(lambda view: not view.leases)
        found = json.loads(stage.run("recommend", "--json").stdout)["recommendations"]
        (orphans,) = (one for one in found if one["rule"] == "orphans")
        assert orphans["what"] == "end the 10 processes that outlived a lease"
        shown = stage.run("status").stdout
        assert f"> {orphans['what']}: {orphans['why']} [{orphans['command']}]" in shown
        program, *words = shlex.split(orphans["command"])
        assert program == "admission"
        ended = stage.run(*words, "--yes")
        assert ended.returncode == 0, ended.stderr
        assert not any(map(runs, left))
    finally:
        for pid in filter(runs, left):
            psutil.Process(int(pid)).kill()


def test_two_autopilots_at_once_are_seen(empty_stage: Stage) -> None:
    stage = empty_stage
    with stage.config.open("a") as file:
        file.write("[pools.agents]\ncapacity = 1\n")
    stage.serve()
    (stage.folder / "tasks").write_text("until test -e end; do sleep 0.1; done\n")
    first, second = (
        stage.spawn("autopilot", "--results", f"results-{n}", "tasks") for n in ("a", "b")
    )
    try:
        stage.until(lambda view: len(view.leases) == len(view.waiting) == 1)
        found = json.loads(stage.run("recommend", "--json").stdout)["recommendations"]
    finally:
        (stage.folder / "end").touch()
        for one in (first, second):
            one.communicate()
    (two,) = (one for one in found if one["rule"] == "two-autopilots")
    named = ", ".join(sorted(f"autopilot-{one.pid}" for one in (first, second)))
    assert two["why"] == f"{named} asked for 2 agents together; 1 may run now, so 1 of theirs waits"
