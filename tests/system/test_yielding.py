"""Units that were given back for a while, over a daemon that is killed meanwhile."""

import sys

from admission_client.granted import text
from tests.system.stage import CALM, Stage, View

YIELDER = """
import sys
from admission_client import lease
with lease("one", task="yielder") as granted:
    with granted.yielded():
        print("yielded", flush=True)
        sys.stdin.readline()
    print("regained", flush=True)
    sys.stdin.readline()
"""


def _waiting(view: View) -> list[str]:
    return [text(one, "task") for one in view.waiting]


def test_a_wait_to_regain_keeps_its_place_over_a_daemon_that_is_killed(empty_stage: Stage) -> None:
    stage = empty_stage
    stage.env["ADMISSION_AUTOSTART"] = "0"
    stage.config.write_text(CALM + "[pools.one]\ncapacity = 1\n")
    stage.serve()
    yielder = stage.start(sys.executable, "-P", "-c", YIELDER)
    assert yielder.stdin is not None
    assert yielder.stdout is not None
    assert yielder.stdout.readline() == b"yielded\n"
    other = stage.hold("--pool", "one", "--task", "other")
    stage.until(lambda view: view.in_use("one") == 1)
    newcomer = stage.spawn("run", "--pool", "one", "--task", "newcomer", "--", "true")
    stage.until(lambda view: _waiting(view) == ["newcomer"])
    yielder.stdin.write(b"\n")
    yielder.stdin.flush()
    stage.until(lambda view: _waiting(view) == ["yielder", "newcomer"])

    stage.kill_daemon()
    stage.serve()
    other.communicate()
    assert yielder.stdout.readline() == b"regained\n"
    assert _waiting(stage.look()) == ["newcomer"]
    yielder.communicate(b"\n")
    assert newcomer.wait() == 0
