"""Once everybody is gone: what the daemon says is out, and what fresh clients can get."""

import time
from contextlib import suppress
from typing import cast

from scripts.torture.stage import CAPACITY, Stage
from scripts.torture.wire import Gone, Line, answer_to, request

# A place whose client hung up is kept for 10 s.
REST_S = 14.0
LOOK_S = 0.1
# An answer that comes at once is there by then; one that does not come has had this long.
ADMITTED_S = 5.0
WAITS_S = 0.3


def check_rest(stage: Stage) -> None:
    """Writes down what is left, and for each pool how many fresh clients are admitted."""
    _note_what_is_left(stage)
    for pool in CAPACITY:
        _probe(stage, pool)


def _note_what_is_left(stage: Stage) -> None:
    give_up_at = time.monotonic() + REST_S
    line = Line(str(stage.socket))
    while True:
        status = request(line, {"id": 1, "op": "status"})
        in_use, waiting = (cast(dict[str, int], status[name]) for name in ("in_use", "waiting"))
        if not any(in_use.values()) and not any(waiting.values()):
            break
        if time.monotonic() > give_up_at:
            break
        time.sleep(LOOK_S)
    shown = request(line, {"id": 2, "op": "leases"})
    line.close()
    stage.book.note(
        "rest",
        in_use={pool: units for pool, units in in_use.items() if units},
        waiting={pool: waiters for pool, waiters in waiting.items() if waiters},
        leases=shown["leases"],
    )


def _probe(stage: Stage, pool: str) -> None:
    """As many fresh clients as there are units, and one more, who waits until one leaves."""
    capacity = CAPACITY[pool][0]
    lines = [Line(str(stage.socket)) for _ in range(capacity + 1)]
    asked = {"id": 1, "op": "acquire", "pool": pool, "wait_s": ADMITTED_S}
    answers = [request(line, dict(asked)) for line in lines[:-1]]
    lines[-1].send({**asked, "wait_s": 6 * ADMITTED_S})
    frames = lines[-1].poll(WAITS_S)
    waited = all("event" in frame for frame in frames)
    admitted = False
    if waited:
        lines[0].close()
        with suppress(Gone):
            admitted = bool(answer_to(lines[-1], 1)["ok"])
    for line in lines:
        line.close()
    stage.book.note(
        "probe",
        pool=pool,
        capacity=capacity,
        admitted=sum(bool(answer["ok"]) for answer in answers),
        next_waited=waited,
        next_admitted=admitted,
    )
