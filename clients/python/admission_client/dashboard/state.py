"""What the page is fed as `state`: the daemon's `status`, with instants in the place of ages."""

from admission.protocol import Frame
from admission_client.dashboard.instants import Instants
from admission_client.dashboard.present import rows_of, without
from admission_client.granted import number, text, whole

AS_IT_STANDS = (
    "level",
    "name",
    "reasons",
    "params",
    "forecast",
    "degraded",
    "granted",
    "ended",
    "held",
    "version",
    "pid",
)


def state(status: Frame, now: float, instants: Instants) -> Frame:
    """What the page is fed as `state`, of an answer to `status`."""
    found = {
        **{name: status.get(name) for name in AS_IT_STANDS},
        "since": instants.of(now - number(status, "level_since_s"), "level"),
        "up_since": instants.of(now - number(status, "uptime_s"), "up"),
        "by_hand": _by_hand(status, now, instants),
        "pools": _pools(status, now, instants),
        "reservations": [
            _reservation(row, now, instants) for row in rows_of(status, "reservations")
        ],
        "alarms": [_alarm(row, now, instants) for row in rows_of(status, "alarms")],
        "shed": _shed(status, now, instants),
    }
    instants.turn()
    return found


def _map(found: Frame, name: str) -> Frame:
    value = found.get(name)
    return value if isinstance(value, dict) else {}


def _by_hand(status: Frame, now: float, instants: Instants) -> Frame | None:
    by_hand = status.get("by_hand")
    if not isinstance(by_hand, dict):
        return None
    until = _until(by_hand.get("until_s"), now, instants, "hand")
    return {"until": until, "off": bool(by_hand.get("off"))}


def _until(left_s: object, now: float, instants: Instants, *named: object) -> float | None:
    """None where it has no end."""
    return instants.of(now + left_s, *named) if isinstance(left_s, (int, float)) else None


def _pools(status: Frame, now: float, instants: Instants) -> list[Frame]:
    paused = _map(status, "paused")
    counts = ("capacity", "in_use", "waiting", "overcommitted")
    return [
        {
            "pool": pool,
            **{count: _map(status, count).get(pool, 0) for count in counts},
            "paused": pool in paused,
            "paused_until": _until(paused.get(pool), now, instants, "paused", pool),
        }
        for pool in _map(status, "capacity")
    ]


def _reservation(row: Frame, now: float, instants: Instants) -> Frame:
    named = whole(row, "reservation")
    begins = now + number(row, "from_s")
    is_running = number(row, "from_s") == 0
    return {
        **without(row, "from_s", "left_s"),
        # Of one that runs it is not told when it began.
        "from": None if is_running else instants.of(begins, "from", named),
        "until": instants.of(now + number(row, "left_s"), "until", named),
    }


def _alarm(row: Frame, now: float, instants: Instants) -> Frame:
    kind = text(row, "kind")
    of, for_s = ("lease", "held_s") if kind == "held" else ("ticket", "waited_s")
    since = instants.of(now - number(row, for_s), "alarm", kind, row.get(of))
    return {**without(row, for_s), "since": since}


def _shed(status: Frame, now: float, instants: Instants) -> Frame:
    shed = _map(status, "shed")
    acts = [
        {
            **without(act, "ago_s"),
            "at": instants.of(now - number(act, "ago_s"), "act"),
        }
        for act in rows_of(shed, "acts")
    ]
    return {**shed, "acts": acts}


def thresholds(explained: Frame) -> Frame:
    """From which percentage on the level is 1, 2, 3, of an answer to `explain`."""
    names = {"memory": "memory_pct", "CPU": "cpu_pct"}
    return {
        names[text(source, "what")]: source.get("below_pct")
        for source in rows_of(explained, "sources")
        if text(source, "what") in names and source.get("below_pct")
    }
