"""A daemon that is killed and started again with a thousand leases out, each of a living process.

It serves only once all of them are taken over and watched, so that is what is timed; and until a
client has read the list of them. Beside it: an interpreter that imports the same.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

from admission.protocol import AdmissionError
from admission_client import Client
from admission_client.granted import rows
from scripts.bench.figures import Figure, ratios
from scripts.bench.roles import HERD
from scripts.bench.run import time_command_s
from scripts.bench.stage import Broken, Stage, progress

POLL_S = 0.001
LIMIT_S = 30.0
IMPORTS = (sys.executable, "-c", "import admission.service.serve")


def bench_restart(stage: Stage, rounds: int) -> list[Figure]:
    pid = stage.serve()
    progress("restart: a thousand holders")
    stage.play("herd", stage.socket)
    time_command_s(stage, IMPORTS)
    serves_ms: list[float] = []
    shown_ms: list[float] = []
    imports_ms: list[float] = []
    for number in range(rounds):
        progress(f"restart: {number + 1} of {rounds}")
        if number % 2:
            imports_ms.append(1000 * time_command_s(stage, IMPORTS))
        os.kill(pid, signal.SIGKILL)
        begun_at = time.perf_counter()
        pid = stage.launch().pid
        _wait_for(stage, lambda client: bool(client.ask("hello")))
        serves_ms.append(1000 * (time.perf_counter() - begun_at))
        _wait_for(stage, lambda client: count_leases(client) == HERD)
        shown_ms.append(1000 * (time.perf_counter() - begun_at))
        if not number % 2:
            imports_ms.append(1000 * time_command_s(stage, IMPORTS))
    more_ms = [serves - bare for serves, bare in zip(serves_ms, imports_ms, strict=True)]
    return [
        Figure("restart: serving, 1,000 leases taken over", "ms", serves_ms),
        Figure("restart: and all of them listed", "ms", shown_ms),
        Figure("restart: an interpreter and the same imports", "ms", imports_ms),
        Figure("restart: serving, less interpreter and imports", "ms", more_ms, at_most=1000),
        Figure("restart: serving / interpreter and imports", "", ratios(serves_ms, imports_ms)),
    ]


def _wait_for(stage: Stage, holds: Callable[[Client], bool]) -> None:
    give_up_at = time.perf_counter() + LIMIT_S
    while time.perf_counter() < give_up_at:
        try:
            with Client(stage.socket) as client:
                if holds(client):
                    return
        except AdmissionError:
            pass
        time.sleep(POLL_S)
    raise Broken(f"the daemon has not taken over after {LIMIT_S:g} s")


def count_leases(client: Client) -> int:
    """How many are out, answer by answer."""
    count, after = 0, [0, 0]
    while True:
        answer = client.ask("leases", {"pool": "many", "after": after})
        count += len(rows(answer, "leases"))
        more = answer.get("more")
        if not isinstance(more, list):
            return count
        after = more
