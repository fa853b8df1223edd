"""A real daemon tells a person, by a command of his own."""

import json
import sys

from tests.service.test_notifying import RECORD
from tests.system.stage import Stage


def test_a_change_of_the_level_reaches_the_command_that_was_asked_for(empty_stage: Stage) -> None:
    stage = empty_stage
    program = json.dumps([sys.executable, "-c", RECORD, str(stage.folder)])
    with stage.config.open("a") as file:
        file.write(f"[notify]\ncommand = {program}\n")
    stage.serve()
    stage.run("level", "2")
    stage.look_until(lambda _: (stage.folder / "told").exists())
    found = json.loads((stage.folder / "told").read_text())
    title, text = found["words"]
    assert title == "admission: level 2 (medium)"
    assert text.startswith("set by hand")
    assert found["env"]["ADMISSION_LEVEL"] == "2"
    assert found["held"] == []  # no signal is kept from it that was kept from the daemon
