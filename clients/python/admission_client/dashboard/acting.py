"""What can be done from the page: the daemon's own ops, and ending what outlived its lease."""

from functools import partial

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
        asked: a map with an `op`, and its fields as the daemon has them; for `stop` the `pid` and
            the `start_ticks` of a survivor.

    Raises:
        AdmissionError: it can't be done; it says why.
    """
    if not isinstance(asked, dict):
        raise BadRequest('what is to be done is a map with an "op"')
    fields = {name: one for name, one in asked.items() if name not in ("op", "id")}
    op = asked.get("op")
    if op == STOP:
        pid, start_ticks = fields.get("pid"), fields.get("start_ticks")
        if type(pid) is not int or type(start_ticks) is not int:
            raise BadRequest('"stop" names a process by its "pid" and its "start_ticks"')
        # A thread: it waits for a process to end, by calls that block.
        stop = partial(_stop, path, pid, start_ticks)
        return await trio.to_thread.run_sync(stop, abandon_on_cancel=True)
    if op not in OPS:
        raise BadRequest(f"that can't be done from the page; what can: {', '.join((*OPS, STOP))}")
    async with Client(path) as client:
        answer = await client.ask(str(op), fields)
    return {name: one for name, one in answer.items() if name not in ("id", "ok")}


def _stop(path: str | None, pid: int, start_ticks: int) -> Frame:
    """Ends one process, if the daemon proves that it outlived its lease."""
    from admission_client.stopping import stop  # late: it brings the service along

    with BlockingClient(path) as client:

        def prove(pids: list[int]) -> set[tuple[int, int]]:
            again = rows(client.ask("orphans", {"pids": pids}), "survivors")
            return {(whole(one, "pid"), whole(one, "start_ticks")) for one in again}

        if (pid, start_ticks) not in prove([pid]):
            raise BadRequest(f"process {pid} is not known to have outlived a lease; it is left")
        outcomes = stop([{"pid": pid, "start_ticks": start_ticks}], prove, GRACE_S)
    return {"stopped": [{"pid": one.pid, "how": one.how, "why": one.why} for one in outcomes]}
