"""Who goes first where one has asked for much and another for little."""

import os

from tests.system.stage import CALM, Stage

ONE_AGENT = "[pools.agents]\ncapacity = 1\n"
# A task that ends when it reads a line from a named pipe; only one of them runs at a time.
UNTIL_TOLD = "read line < ends"
TASKS = 8


def test_one_person_is_served_within_two_grants_of_an_autopilot_whose_tasks_were_there_first(
    empty_stage: Stage,
) -> None:
    stage = empty_stage
    stage.config.write_text(CALM + ONE_AGENT)
    stage.serve()
    os.mkfifo(stage.folder / "ends")
    (stage.folder / "tasks.txt").write_text("\n".join([UNTIL_TOLD] * TASKS))
    stage.spawn("autopilot", "--agents", str(TASKS), "tasks.txt")
    stage.until(lambda view: len(view.leases) == 1 and len(view.waiting) == TASKS - 1)
    person = stage.hold("--task", "mine")
    stage.until(lambda view: person.pid in view.waiters)
    with os.fdopen(os.open(stage.folder / "ends", os.O_RDWR), "wb", buffering=0) as ends:
        for grants in (1, 2):
            ends.write(b"end\n")
            left = TASKS - grants
            view = stage.until(lambda view, left=left: len(view.waiting) == left)  # type: ignore[misc]
            if person.pid in view.holders:
                return
    raise AssertionError("two tasks of the autopilot were served before one person's")
