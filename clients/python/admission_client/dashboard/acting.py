"""What can be done from the page: the daemon's own ops, and ending what outlived its lease."""

import trio

from admission.protocol import BadRequest, Frame
from admission_client.aio import Client
from admission_client.blocking import Client as BlockingClient
from admission_client.granted import rows, whole

# All other ops are for programs.
OPS = ("release", "level", "reserve", "unreserve", "pause", "unpause", "cancel", "move")
STOP = "stop"
GRACE_S = 10.0


async def act(path: str | None, asked: object) -> Frame:
    """Does what the page asks for.

    Args:
        path: the daemon's socket.
        asked: a map with an `op`, and its fields as the daemon has them; for `stop` a `pid`.

    Raises:
        AdmissionError: it can't be done; it says why.
    """
    if not isinstance(asked, dict) or not all(isinstance(name, str) for name in asked):
        raise BadRequest('what is to be done is a map with an "op"')
    fields = {name: one for name, one in asked.items() if name != "op"}
    op = asked.get("op")
    if op == STOP:
        # A thread: it waits for processes to end, by calls that block.
        return await trio.to_thread.run_sync(_stop, path, whole(fields, "pid"))
    if op not in OPS:
        raise BadRequest(f'the page can\'t do "{op}"; it can: {", ".join((*OPS, STOP))}')
    async with Client(path) as client:
        return await client.ask(op, fields)


def _stop(path: str | None, pid: int) -> Frame:
    """Ends one process, if the daemon proves that it outlived its lease."""
    from admission_client.stopping import stop  # late: it brings the service along

    with BlockingClient(path) as client:

        def prove(pids: list[int]) -> set[tuple[int, int]]:
            again = rows(client.ask("orphans", {"pids": pids}), "survivors")
            return {(whole(one, "pid"), whole(one, "start_ticks")) for one in again}

        survivors = rows(client.ask("orphans", {"pids": [pid]}), "survivors")
        if not survivors:
            raise BadRequest(f"process {pid} is not known to have outlived a lease; it is left")
        outcomes = stop(survivors, prove, GRACE_S)
    return {"stopped": [{"pid": one.pid, "how": one.how, "why": one.why} for one in outcomes]}
