"""The command `mcp`: a server by which an agent asks for slots itself (Model Context Protocol).

JSON-RPC 2.0, a message a line, on standard input and output. One such server runs for each
session of an agent, so it has to be small: the official package takes 70 MB, this one a fifth.
"""

import json
import os
import sys
import threading
from collections.abc import Callable

from admission import __version__
from admission.protocol import LABEL_CHARS_MAX, REQUEST_BYTES, AdmissionError, Frame, NoSlot
from admission_client.blocking import Client
from admission_client.durations import said
from admission_client.granted import (
    Lease,
    claim_fields,
    enclosing_lease,
    mapping,
    rows,
    text,
    whole,
    words_of,
)
from admission_client.hook.caller import caller
from admission_client.options import SOCKET, Options, parse, take_no_words

# Newest first. What a client asks for is spoken, if it is one of these.
VERSIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
LINE_BYTES_MAX = 1 << 20
WAIT_S, WAIT_MAX_S = 60.0, 3600.0
PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32700, -32600, -32601, -32602

INSTRUCTIONS = (
    "This machine runs several agents. Before a heavy step (a build, a test run, an install) ask "
    "for a slot with request_slot, and give it back with release_slot right after it. Where there "
    "is none, do something else first, and do not ask again right away."
)
NUMBER, TEXT = {"type": "number"}, {"type": "string"}
TOOLS: list[Frame] = [
    {
        "name": "request_slot",
        "description": "Waits for a slot for a heavy step, and takes it. Slots are few: they "
        "follow what the machine can bear. Give it back with release_slot when the step is done.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "task": {**TEXT, "description": "what it is for, in a few words"},
                "pool": {**TEXT, "description": "operations (default): builds, tests, installs"},
                "weight": {"type": "integer", "minimum": 1, "description": "how many units (1)"},
                "wait_s": {**NUMBER, "minimum": 0, "description": "wait at most so long (60)"},
            },
        },
    },
    {
        "name": "release_slot",
        "description": "Gives a slot back that request_slot took.",
        "inputSchema": {
            "type": "object",
            "properties": {"slot": {"type": "integer", "description": "its number"}},
            "required": ["slot"],
        },
    },
    {
        "name": "resource_status",
        "description": "How the machine is: the throttle level and why, and how many slots of "
        "each pool are taken.",
        "inputSchema": {"type": "object", "properties": {}},
    },
]


class Refused(Exception):
    """An error of the protocol: its code and a sentence."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def mcp(words: list[str]) -> int:
    """Serves until standard input ends."""
    options = parse(
        words,
        (SOCKET,),
        "mcp [options]",
        "A server of the Model Context Protocol on standard input and output, with the tools\n"
        "request_slot, release_slot and resource_status. It is for an agent's configuration:\n\n"
        "  claude mcp add admission -- admission mcp",
    )
    take_no_words("mcp", options)
    server = Server(options, _write_line)
    for line in iter(lambda: sys.stdin.buffer.readline(LINE_BYTES_MAX), b""):
        server.take(line)
    server.end()
    return 0


def _write_line(message: Frame) -> None:
    data = json.dumps(message, ensure_ascii=False).encode(errors="replace") + b"\n"
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


class Server:
    """One session. `send` gets the messages to the agent, one at a time."""

    def __init__(self, options: Options, send: Callable[[Frame], None]) -> None:
        self._socket = options.socket
        self._send = send
        self._sending = threading.Lock()
        # Calls that wait, by the request that the daemon knows: the agent's id of it, and the
        # thread.
        self._waiting: dict[bytes, tuple[object, threading.Thread]] = {}
        self._slots: set[int] = set()

    def take(self, line: bytes) -> None:
        """One message of the agent's; whatever is wrong with it is answered."""
        if not line.strip():
            return
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            self._fail(None, Refused(PARSE_ERROR, "this is no JSON"))
            return
        if not isinstance(message, dict) or not isinstance(message.get("method"), str):
            if isinstance(message, dict) and ("result" in message or "error" in message):
                return  # an answer, and we ask nothing
            self._fail(None, Refused(INVALID_REQUEST, "a message is a map with a method"))
            return
        params = message.get("params")
        params = params if isinstance(params, dict) else {}
        if "id" not in message:
            self._note(message["method"], params)
            return
        try:
            self._answer(message["id"], message["method"], params)
        except Refused as problem:
            self._fail(message["id"], problem)

    def end(self) -> None:
        """The session is over: nobody waits any more, and what it took is given back."""
        waiting = list(self._waiting.items())
        for request, _ in waiting:
            self._cancel(request)
        for _, (_, thread) in waiting:
            thread.join()
        for slot in list(self._slots):
            self._release(slot)

    # --- the protocol -----------------------------------------------------------------------------

    def _answer(self, number: object, method: str, params: Frame) -> None:
        match method:
            case "initialize":
                asked = params.get("protocolVersion")
                self._reply(
                    number,
                    {
                        "protocolVersion": asked if asked in VERSIONS else VERSIONS[0],
                        "capabilities": {"tools": {}},
                        "serverInfo": {"name": "admission", "version": __version__},
                        "instructions": INSTRUCTIONS,
                    },
                )
            case "ping":
                self._reply(number, {})
            case "tools/list":
                self._reply(number, {"tools": TOOLS})
            case "tools/call":
                self._call(number, params)
            case _:
                raise Refused(NO_METHOD, f'there is no method "{method[:40]}"')

    def _note(self, method: str, params: Frame) -> None:
        if method == "notifications/cancelled":
            meant = _key(params.get("requestId"))
            for request, (number, _) in list(self._waiting.items()):
                if number == meant:
                    self._cancel(request)

    def _reply(self, number: object, result: Frame) -> None:
        self._say({"jsonrpc": "2.0", "id": number, "result": result})

    def _fail(self, number: object, problem: Refused) -> None:
        error = {"code": problem.code, "message": str(problem)}
        self._say({"jsonrpc": "2.0", "id": number, "error": error})

    def _say(self, message: Frame) -> None:
        with self._sending:
            self._send(message)

    # --- the tools --------------------------------------------------------------------------------

    def _call(self, number: object, params: Frame) -> None:
        given = params.get("arguments")
        arguments = given if isinstance(given, dict) else {}
        match params.get("name"):
            case "request_slot":
                request = os.urandom(REQUEST_BYTES)
                fields, wait_s = _claim(arguments)
                meta = params.get("_meta")
                token = meta.get("progressToken") if isinstance(meta, dict) else None
                # A thread, as the agent may ask for something else while this one waits, and
                # a client waits for one answer at a time.
                work = threading.Thread(
                    target=self._request,
                    args=(number, request, fields, wait_s, token),
                    daemon=True,
                )
                self._waiting[request] = (_key(number), work)
                work.start()
            case "release_slot":
                slot = arguments.get("slot")
                if not isinstance(slot, int) or isinstance(slot, bool):
                    raise Refused(INVALID_PARAMS, "release_slot: slot is the number of one")
                self._reply(number, self._tried(lambda: self._release(slot)))
            case "resource_status":
                self._reply(number, self._tried(self._status))
            case name:
                raise Refused(INVALID_PARAMS, f"there is no tool {str(name)[:40]!r}")

    def _request(
        self, number: object, request: bytes, fields: Frame, wait_s: float, token: object
    ) -> None:
        once = {**fields, "request": request}
        try:
            self._reply(number, self._tried(lambda: self._acquire(once, wait_s, token)))
        finally:
            del self._waiting[request]

    def _acquire(self, fields: Frame, wait_s: float, token: object) -> Frame:
        told = 0

        def tell(event: Frame | None) -> float | None:
            nonlocal told
            if event is not None and token is not None:
                told += 1
                about = f"{event.get('position')} in the queue: {event.get('reason')}"
                progress = {"progressToken": token, "progress": told, "message": about}
                method = "notifications/progress"
                self._say({"jsonrpc": "2.0", "method": method, "params": progress})
            return None

        try:
            with Client(self._socket, autostart=True) as client:
                lease = client.acquire(fields, wait_s, tell)
        except NoSlot as problem:
            why = str(problem).partition("; see")[0]
            advice = "Do something else first; do not ask again in the next minute."
            return _said(f"There is {why}. {advice}", {"granted": False, "reason": why})
        return _granted(self._keep(lease))

    def _keep(self, lease: Lease) -> Lease:
        if not lease.is_shared:
            self._slots.add(lease.id)
        return lease

    def _release(self, slot: int) -> Frame:
        if slot not in self._slots:
            return _said(f"Slot {slot} is none that was taken here.", {"released": False}, True)
        self._slots.discard(slot)
        with Client(self._socket) as client:
            client.ask("release", {"lease": slot})
        return _said(f"Slot {slot} is given back.", {"released": True})

    def _status(self) -> Frame:
        with Client(self._socket, autostart=True) as client:
            status = client.ask("status")
            held = rows(client.ask("leases"), "leases")
        capacity, in_use = mapping(status, "capacity"), mapping(status, "in_use")
        waiting = mapping(status, "waiting")
        pools = [
            f"{name}: {in_use.get(name)} of {capacity[name]} taken, {waiting.get(name)} wait"
            for name in capacity
        ]
        level = f"Level {whole(status, 'level')} ({text(status, 'name')})"
        why = "; ".join(words_of(status, "reasons")) or "all calm"
        lines = [f"{level}: {why}.", *pools]
        lines += [f"slot {one['lease']} of {one['pool']}: {one['task']}" for one in held[:20]]
        about = {"level": status["level"], "name": status["name"], "reasons": status["reasons"]}
        about |= {"capacity": capacity, "in_use": in_use, "waiting": waiting}
        return _said("\n".join(lines), about)

    def _tried(self, do: Callable[[], Frame]) -> Frame:
        """The tool's result, or the error that the agent is to read."""
        try:
            return do()
        except AdmissionError as problem:
            return _said(f"This did not work: {problem}.", {"error": problem.code}, True)

    def _cancel(self, request: bytes) -> None:
        try:
            with Client(self._socket) as client:
                client.ask("cancel", {"request": request})
        except AdmissionError:
            pass  # the daemon is gone, and the wait with it


def _key(number: object) -> object:
    """By what a request is known: JSON's 1 and "1" are two."""
    return (type(number).__name__, str(number))


def _claim(arguments: Frame) -> tuple[Frame, float]:
    """What is to be asked for, and for how long to wait.

    The slot is the agent's: it ends with it, and not with this server.
    """
    pool, task = arguments.get("pool", "operations"), arguments.get("task", "")
    weight, wait_s = arguments.get("weight", 1), arguments.get("wait_s", WAIT_S)
    if not isinstance(pool, str) or not isinstance(task, str):
        raise Refused(INVALID_PARAMS, "request_slot: pool and task are text")
    if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:
        raise Refused(INVALID_PARAMS, "request_slot: weight is a whole number from 1 up")
    if not isinstance(wait_s, (int, float)) or isinstance(wait_s, bool) or not wait_s >= 0:
        raise Refused(INVALID_PARAMS, "request_slot: wait_s is a number of seconds")
    agent = caller(os.environ.get("CLAUDE_PID", ""))
    fields = claim_fields(
        pool=pool,
        weight=weight,
        task=task[:LABEL_CHARS_MAX],
        pid=None if agent is None else agent.pid,
        parent=enclosing_lease(),
        is_interactive=True,
    )
    return fields, min(float(wait_s), WAIT_MAX_S)


def _granted(lease: Lease) -> Frame:
    params = lease.params
    about: Frame = {
        "granted": True,
        "slot": lease.id,
        "pool": lease.pool,
        "shared": lease.is_shared,
    }
    about |= {"level": lease.level, "batch_size": params.batch_size, "delay_ms": params.delay_ms}
    if lease.is_shared:
        return _said(f"You run under slot {lease.id} of {lease.pool} already: go on.", about)
    waited = f" after {said(lease.waited_s)}" if lease.waited_s >= 1 else ""
    what = f"Slot {lease.id} of {lease.pool} is yours{waited}"
    return _said(f"{what}. Give it back with release_slot when the step is done.", about)


def _said(words: str, about: Frame, is_error: bool = False) -> Frame:
    content = [{"type": "text", "text": words}]
    return {"content": content, "structuredContent": about, "isError": is_error}
