"""A program with a lease: `python body.py CLIENT BOUND RECORD [on_lost]`.

Says `in` when the body begins, `lost: …` when it is told so, `out` at the end, or why not. The body
ends with a line on standard input; when it began and ended is written to the file RECORD.
"""

import sys
import time

from admission.protocol import AdmissionError, LeaseLost

CLIENT, BOUND, RECORD = sys.argv[1:4]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def tell(problem: LeaseLost) -> None:
    say(f"lost: {problem}")


ON_LOST = tell if "on_lost" in sys.argv[4:] else None


def work() -> None:
    begun = time.clock_gettime(time.CLOCK_MONOTONIC)
    say("in")
    sys.stdin.readline()
    ended = time.clock_gettime(time.CLOCK_MONOTONIC)
    with open(RECORD, "w") as file:
        file.write(f"{begun} {ended}")


def block() -> None:
    from admission_client import lease

    with lease("four", bound=BOUND, on_lost=ON_LOST, task=CLIENT):
        work()


async def wait() -> None:
    from anyio.to_thread import run_sync

    from admission_client import aio

    async with aio.lease("four", bound=BOUND, on_lost=ON_LOST, task=CLIENT):
        await run_sync(work)


try:
    if CLIENT == "blocking":
        block()
    else:
        import anyio

        anyio.run(wait, backend=CLIENT)
    say("out")
except AdmissionError as problem:
    say(f"{type(problem).__name__}: {problem}")
