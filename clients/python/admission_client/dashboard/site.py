"""The page's addresses."""

import json
import time
from functools import partial
from math import isfinite
from pathlib import Path

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from admission.protocol import AdmissionError, BadRequest, Frame, Unreachable
from admission_client.aio import Client
from admission_client.dashboard.acting import act
from admission_client.dashboard.feed import Feed
from admission_client.dashboard.past import past
from admission_client.dashboard.stream import Stream

STATIC = Path(__file__).parent / "static"
MONTH_S = 31 * 86_400.0
POINTS_MAX = 2_000
BODY_BYTES_MAX = 16 * 1024
# Looks at the history at the same time; the others wait.
HISTORY_LOOKS_MAX = 2
NO_FLEET = ("unknown_op", "no_fleet")
STATUSES = {
    "bad_request": 400,
    "unknown_op": 400,
    "unknown_pool": 404,
    "unknown_lease": 404,
    "not_permitted": 403,
    "history_unavailable": 503,
    "queue_full": 503,
}


class Site:
    """The application; `feed` is to be run beside it."""

    def __init__(self, path: str | None, feed: Feed, *, is_read_only: bool) -> None:
        self._path = path
        self._feed = feed
        self._is_read_only = is_read_only
        self._history_looks = trio.CapacityLimiter(HISTORY_LOOKS_MAX)
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/events", self._events),
                Route("/history", self._history),
                Route("/tasks", self._tasks),
                Route("/fleet", self._fleet),
                Route("/metrics", self._metrics),
                Route("/act", self._act, methods=["POST"]),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            exception_handlers={AdmissionError: _refused, HTTPException: _no_such},
        )

    async def _page(self, _: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def _events(self, request: Request) -> Response:
        last_id = request.headers.get("last-event-id", "")
        return Stream(self._feed, last_id, is_read_only=self._is_read_only)

    async def _history(self, request: Request) -> Response:
        from admission.service.history import history_path  # late, as the command has it

        from_s = _asked(request, "from_s", 3600.0, MONTH_S)
        to_s = _asked(request, "to_s", 0.0, MONTH_S)
        points = int(_asked(request, "points", 300.0, POINTS_MAX))
        if from_s <= to_s or points < 1:
            raise BadRequest("from_s is further back than to_s, and points is 1 at least")
        now = time.time()
        look = partial(past, history_path(), now - from_s, now - to_s, points)
        # A thread: SQLite blocks.
        found = await trio.to_thread.run_sync(
            look, abandon_on_cancel=True, limiter=self._history_looks
        )
        return JSONResponse({**found, "thresholds": self._feed.thresholds})

    async def _tasks(self, request: Request) -> Response:
        since_s = _asked(request, "since_s", MONTH_S, MONTH_S)
        return JSONResponse(await self._ask("tasks", {"since_s": since_s}))

    async def _fleet(self, _: Request) -> Response:
        """No nodes where the daemon knows of no fleet, or is in none."""
        try:
            return JSONResponse(await self._ask("fleet"))
        except AdmissionError as problem:
            if problem.code not in NO_FLEET:
                raise
            return JSONResponse({"nodes": []})

    async def _metrics(self, _: Request) -> Response:
        from admission_client.exposition import CONTENT_TYPE, exposition

        return Response(exposition(await self._ask("metrics")), media_type=CONTENT_TYPE)

    async def _act(self, request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                raise BadRequest(f"a request is at most {BODY_BYTES_MAX} bytes long")
        done = await act(self._path, _decoded(bytes(body)))
        self._feed.hurry()
        return JSONResponse(done)

    async def _ask(self, op: str, fields: Frame | None = None) -> Frame:
        async with Client(self._path) as client:
            answer = await client.ask(op, fields)
        return {name: one for name, one in answer.items() if name not in ("id", "ok")}


def _asked(request: Request, name: str, usual: float, most: float) -> float:
    text = request.query_params.get(name)
    try:
        value = usual if text is None else float(text)
    except ValueError:
        value = -1.0
    if not (isfinite(value) and 0 <= value <= most):
        raise BadRequest(f"{name} is a number from 0 to {most:.0f}")
    return value


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("what is to be done is sent as JSON") from None


async def _refused(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, AdmissionError)
    status = 503 if isinstance(problem, Unreachable) else STATUSES.get(problem.code, 409)
    return JSONResponse({"error": {"code": problem.code, "message": str(problem)}}, status)


async def _no_such(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    message = f"{request.method} {request.url.path}: {problem.detail.lower()}"
    error = {"code": "bad_request", "message": message}
    return JSONResponse({"error": error}, problem.status_code, problem.headers)
