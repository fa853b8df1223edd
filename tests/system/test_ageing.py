"""Work that may wait, under a stream of work that comes before it: it starts within its bound.

Judged by what the daemon says itself: for how long one waited, and for how long others held.
"""

import sys

import pytest

from admission_client.granted import whole
from tests.system.stage import CALM, Stage

BATCH_S = 0.3
# Each of these always asks again; of four, some always wait. They end by themselves some time, so
# that a daemon that never serves the last one fails.
WORKERS = 4
WORKER = """
import sys, time
from admission_client import Client
with Client(sys.argv[1]) as client:
    for _ in range(40):
        lease = client.ask("acquire", {"pool": "one", "class": sys.argv[2]})["lease"]
        time.sleep(0.02)
        client.ask("release", {"lease": lease})
"""


@pytest.mark.parametrize(("above", "bound_s"), [("normal", BATCH_S), ("critical", 2 * BATCH_S)])
def test_batch_work_starts_within_its_bound_whatever_comes(
    empty_stage: Stage, above: str, bound_s: float
) -> None:
    stage = empty_stage
    queue = f"[queue]\nageing_batch_s = {BATCH_S}\n[pools.one]\ncapacity = 1\n"
    stage.config.write_text(CALM + queue)
    stage.serve()
    for _ in range(WORKERS):
        stage.start(sys.executable, "-c", WORKER, str(stage.socket), above)
    stage.until(lambda view: len(view.waiting) == WORKERS - 1)
    with stage.client() as client, stage.client() as watcher:
        news = watcher.watch(["lease"])
        next(news)  # from here on it hears of all
        lease = client.ask("acquire", {"pool": "one", "class": "batch"})
        held_s: list[float] = []
        while (one := next(news)).get("lease") != lease["lease"]:
            assert one["event"] != "lagged"
            if one["event"] == "ended":
                held_s.append(float(str(one["held_s"])))
    # When its bound was over, at most one more had to end.
    assert whole(lease, "waited_ms") <= 1000 * (bound_s + max(held_s)) + 2
    assert len(held_s) > 1, "nobody came before it"
