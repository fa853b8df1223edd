"""Serves the page with a story in the place of a daemon: what it is fed is as docs/dashboard.md has
it, and the history is a real one.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import admission_client
from admission import __version__
from admission.service.history.tasks import Wanted, habits
from admission_client.dashboard.door import HEADERS
from admission_client.dashboard.past import past
from scripts.page.keep import memory_bytes, sample
from scripts.page.story import CAPACITIES, CPU_PCT, MEMORY_PCT, NAMES, Story, Work

STATIC = Path(admission_client.__file__).parent / "dashboard" / "static"
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
PLACES = ("claude in ~/shop", "codex in ~/shop", "claude in ~/api", "gemini in ~/infra")
SAMPLES_TOLD = 60
GIB = 1 << 30
THRESHOLDS = {"memory_pct": MEMORY_PCT, "cpu_pct": CPU_PCT}
RECOMMENDATIONS = [
    {
        "rule": "orphans",
        "what": "End 2 processes that outlived their leases",
        "why": "They have held 909 MB for 3 h: room for one more agent.",
        "command": "admission orphans --stop",
    },
    {
        "rule": "heavy task",
        "what": "Give “nightly benchmarks” two slots",
        "why": "Its runs take 2.1 GB at the median; those of other tasks take 0.9 GB.",
        "command": "admission run --weight 2 --task 'nightly benchmarks' -- make bench",
    },
]


class Handler(BaseHTTPRequestHandler):
    """Answers a browser. What is shown is set on a subclass, as `http.server` makes one of them
    for each connection.
    """

    protocol_version = "HTTP/1.1"
    told: Story
    history: Path

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the browser says what it misses."""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/events":
            self._events()
        elif asked.path == "/history":
            fields = {name: float(one[0]) for name, one in parse_qs(asked.query).items()}
            now = time.time()
            found = past(self.history, now - fields["from_s"], now, int(fields["points"]))
            self._answer(json.dumps({**found, "thresholds": THRESHOLDS}).encode())
        elif asked.path == "/fleet":
            self._answer(b'{"nodes": []}')
        elif asked.path == "/tasks":
            self._answer(json.dumps(_tasks(self.history)).encode())
        else:
            path = STATIC / (asked.path.removeprefix("/static/").strip("/") or "index.html")
            self._answer(path.read_bytes(), KINDS.get(path.suffix, "text/html; charset=utf-8"))

    def _answer(self, body: bytes, kind: str = "application/json") -> None:
        self._head({"content-type": kind, "content-length": str(len(body))})
        self.wfile.write(body)

    def _head(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in (headers | {a.decode(): b.decode() for a, b in HEADERS}).items():
            self.send_header(name, value)
        self.end_headers()

    def _events(self) -> None:
        self._head({"content-type": "text/event-stream"})
        for name, value in _parts(self.told):
            self.wfile.write(f"event: {name}\ndata: {json.dumps(value)}\n\n".encode())
        self.wfile.flush()
        self.rfile.read(1)  # until the browser goes away


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def served(told: Story, history: Path) -> Iterator[str]:
    """The address of the page, for as long as the body lasts."""
    mine = type("Mine", (Handler,), {"told": told, "history": history})
    with Server(("127.0.0.1", 0), mine) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/#token=made-up"
        server.shutdown()


def _tasks(history: Path) -> dict[str, object]:
    now = time.time()
    rows = [
        {name: getattr(one, name) for name in one.__slots__ if name not in ("uid", "last_at")}
        | {"last_seen_s": now - one.last_at}
        for one in habits(history, Wanted())
    ]
    return {"tasks": rows, "left_out": 0}


def _parts(told: Story) -> Iterator[tuple[str, object]]:
    now = time.time()
    level = told.seen[-1].level
    since = told.changes[-1][0]
    yield "hello", {"version": __version__, "read_only": False}
    yield "back", {"since": now}
    yield "state", _state(told, level, since, now)
    yield "leases", {"leases": [_held(told, one) for one in told.running]}
    yield "queue", {"at": now, "waiting": list(_waiting(told))}
    yield "why", _why()
    yield "orphans", _orphans(now)
    yield "recommendations", {"recommendations": RECOMMENDATIONS}
    for seen in told.seen[-SAMPLES_TOLD:]:
        yield "sample", {"at": seen.at, **sample(seen), "failed": []}


def _state(told: Story, level: int, since: float, now: float) -> dict[str, object]:
    agents = {"pool": "agents", "capacity": CAPACITIES[level], "in_use": len(told.running)}
    agents |= {"waiting": len(told.waiting), "paused": False, "paused_until": None}
    agents["overcommitted"] = max(len(told.running) - CAPACITIES[level], 0)
    builds = {"pool": "operations", "capacity": 2, "in_use": 1, "waiting": 0}
    builds |= {"overcommitted": 0, "paused": False, "paused_until": None}
    return {
        "level": level,
        "name": NAMES[level],
        "since": since,
        "reasons": [told.changes[-1][2]],
        "by_hand": None,
        "params": {
            "max_agents": CAPACITIES[level],
            "batch_size": 50,
            "delay_ms": 500,
            "max_concurrent": 2,
            "reasoning_effort": "medium",
        },
        "forecast": "memory 73 % in 60 s (71 to 76); in shadow",
        "pools": [agents, builds],
        "reservations": [
            {
                "reservation": 3,
                "pool": "agents",
                "units": 1,
                "class": "critical",
                "group": None,
                "from": now - 60,
                "until": now + 1620,
                "whole": False,
            }
        ],
        "alarms": [],
        "shed": {
            "policy": [],
            "advice": None,
            "frozen": [],
            "parking": [],
            "parked": [],
            "acts": [],
        },
        "degraded": [],
        "granted": len(told.ended) + len(told.running),
        "ended": len(told.ended),
        "held": len(told.running),
        "version": __version__,
        "pid": 4700,
        "up_since": now - 86_400 * 2.9,
    }


def _about(one: Work) -> dict[str, object]:
    return {
        "pool": "agents",
        "weight": 1,
        "task": one.task,
        "class": one.class_,
        "group": "",
        "pid": 40_000 + 7 * one.number % 9_000,
        "bound": "process",
    }


def _held(told: Story, one: Work) -> dict[str, object]:
    granted_at = one.granted_at or told.until
    return {
        "lease": one.number,
        **_about(one),
        "waited_s": granted_at - one.queued_at,
        "state": "held",
        "since": granted_at,
        "from": PLACES[one.number % len(PLACES)],
        "stopped_since": None,
        "max_hold_s": None,
        "memory_bytes": memory_bytes(one),
    }


def _waiting(told: Story) -> Iterator[dict[str, object]]:
    ends = sorted((one.granted_at or told.until) + one.lasts_s for one in told.running)
    for place, one in enumerate(told.waiting):
        eta_s = max(ends[place] - told.until, 1.0) if place < len(ends) else None
        reason = f"{len(told.running)} of {CAPACITIES[told.seen[-1].level]} agents run"
        about = {"ticket": one.number, "position": place + 1, "reason": reason, "eta_s": eta_s}
        yield {**about, **_about(one), "since": one.queued_at, "moved": "", "climbed": 0}


def _why() -> dict[str, object]:
    chrome = {"name": "chrome", "lease": None, "pid": 3300, "processes": 31, "cpus": 0.2}
    node = {"name": "node in ~/shop", "lease": None, "pid": 4711, "processes": 1, "cpus": 0.3}
    return {
        "thresholds": THRESHOLDS,
        "sources": [],
        "to_fall": ["memory below 68 % for 2 min"],
        "forecasts": [],
        "by_cpu": [],
        "by_memory": [{**chrome, "rss_bytes": int(3.1 * GIB)}, {**node, "rss_bytes": 812 << 20}],
    }


def _orphans(now: float) -> dict[str, object]:
    def survivor(pid: int, name: str, mib: int) -> dict[str, object]:
        evidence = "started under lease 3102 (docs: tutorial), which ended 3 h ago"
        about = {"pid": pid, "start_ticks": 1, "name": name, "command": f"{name} in ~/shop"}
        return {**about, "memory_bytes": mib << 20, "since": now - 11_000, "evidence": evidence}

    survivors = [survivor(4711, "node", 812), survivor(4790, "esbuild", 97)]
    return {"survivors": survivors, "agents": [], "left_out": 0}
