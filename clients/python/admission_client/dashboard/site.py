"""The page's addresses."""

import time
from functools import partial
from pathlib import Path

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from admission.protocol import AdmissionError, BadRequest, Frame, Unreachable
from admission_client.aio import Client
from admission_client.dashboard.acting import act
from admission_client.dashboard.feed import Feed
from admission_client.history import document

STATIC = Path(__file__).parent / "static"
MONTH_S = 31 * 86_400.0
POINTS_MAX = 1_000
BODY_BYTES_MAX = 16 * 1024
STATUSES = {"bad_request": 400, "unknown_op": 400, "not_permitted": 403, "unknown_lease": 404}


class Site:
    """The application; `feed` is to be run beside it."""

    def __init__(self, path: str | None, feed: Feed, *, is_read_only: bool) -> None:
        self._path = path
        self._feed = feed
        self._is_read_only = is_read_only
        self.app = Starlette(
            routes=[
                Route("/", self._page),
                Route("/events", self._events),
                Route("/about", self._about),
                Route("/history", self._history),
                Route("/orphans", self._orphans),
                Route("/metrics", self._metrics),
                Route("/act", self._act, methods=["POST"]),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            exception_handlers={AdmissionError: _refused},
        )

    async def _page(self, _: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def _about(self, _: Request) -> Response:
        return JSONResponse({"read_only": self._is_read_only})

    async def _events(self, request: Request) -> Response:
        last_id = request.headers.get("last-event-id", "")
        return StreamingResponse(self._feed.events(last_id), media_type="text/event-stream")

    async def _history(self, request: Request) -> Response:
        """The last `since_s` seconds in so many `points`."""
        from admission.service.history import history_path  # late, as the command has it

        since_s = _asked(request, "since_s", 3600.0, MONTH_S)
        points = int(_asked(request, "points", 300.0, POINTS_MAX))
        # A thread: SQLite blocks.
        look = partial(document, history_path(), since_s, time.time(), points)
        return JSONResponse(await trio.to_thread.run_sync(look))

    async def _orphans(self, _: Request) -> Response:
        return JSONResponse(await self._ask("orphans"))

    async def _metrics(self, _: Request) -> Response:
        from admission_client.exposition import CONTENT_TYPE, exposition

        return Response(exposition(await self._ask("metrics")), media_type=CONTENT_TYPE)

    async def _act(self, request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                raise BadRequest(f"a request is at most {BODY_BYTES_MAX} bytes long")
        return JSONResponse(await act(self._path, _decoded(bytes(body))))

    async def _ask(self, op: str) -> Frame:
        async with Client(self._path) as client:
            return await client.ask(op)


def _asked(request: Request, name: str, usual: float, most: float) -> float:
    text = request.query_params.get(name)
    try:
        value = usual if text is None else float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= most:
        raise BadRequest(f"{name} is a number above 0, and {most:g} at most")
    return max(value, 1.0)


def _decoded(body: bytes) -> object:
    import json

    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequest("what is to be done is sent as JSON") from None


async def _refused(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, AdmissionError)
    status = 503 if isinstance(problem, Unreachable) else STATUSES.get(problem.code, 409)
    return JSONResponse({"error": {"code": problem.code, "message": str(problem)}}, status)
