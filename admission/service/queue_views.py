"""What crosses the socket outwards of what a hand did with the queue, and of alarms."""

from itertools import takewhile
from math import inf

from admission.core import by_hand
from admission.core.admission import Admission
from admission.core.alarm import Alarm
from admission.core.reserving import Reservation
from admission.protocol import FRAME_BYTES_MAX, Frame, encode
from admission.service.access import OPERATOR, Viewer, name_of

# What reservations and alarms may take of the frame of a `status`.
ROWS_BYTES_MAX = FRAME_BYTES_MAX // 2


class Room:
    """What is left of an answer. Once a row did not fit, none does."""

    def __init__(self, size_bytes: int) -> None:
        self._left_bytes = size_bytes

    def takes(self, row: Frame) -> bool:
        self._left_bytes -= len(encode(row))
        return self._left_bytes >= 0


def finite(seconds: float) -> float | None:
    """Whole milliseconds; None for ever."""
    return None if seconds == inf else round(seconds, 3)


def reservation_map(one: Reservation, now: float) -> Frame:
    """`from_s`: in how long it begins, 0 where it has; `left_s`: in how long it ends."""
    return {
        "reservation": one.id,
        "pool": one.pool,
        "units": one.units,
        "class": None if one.rank is None else one.rank.name.lower(),
        "group": one.group,
        "from_s": round(max(one.from_at - now, 0.0), 3),
        "left_s": round(one.until_at - now, 3),
        "whole": one.is_whole,
    }


def _row(one: Reservation, now: float, viewer: Viewer) -> Frame:
    """With whose wish it was, where there are several users."""
    row = reservation_map(one, now)
    return {**row, "user": name_of(one.uid)} if viewer.is_shared else row


def news_of_hand(record: by_hand.Record, now: float) -> Frame:
    """What watchers are told of this."""
    match record:
        case by_hand.Reserved(reservation):
            return {"event": "reserved", **reservation_map(reservation, now)}
        case by_hand.Unreserved(number, why):
            return {"event": "unreserved", "reservation": number, "why": why}
        case by_hand.Paused(pool, until_at):
            return {"event": "paused", "pool": pool, "left_s": finite(until_at - now)}
        case by_hand.Unpaused(pool):
            return {"event": "unpaused", "pool": pool}
        case by_hand.Moved(ticket):
            return {"event": "moved", "ticket": ticket}


def alarm_map(alarm: Alarm) -> Frame:
    """A waiter has a `ticket` and `waited_s`, a lease that is held a `lease` and `held_s`."""
    of, for_s = ("lease", "held_s") if alarm.is_held else ("ticket", "waited_s")
    return {
        "kind": "held" if alarm.is_held else "waiting",
        of: alarm.number,
        "pool": alarm.claim.pool,
        "class": alarm.claim.rank.name.lower(),
        "task": alarm.claim.task,
        for_s: round(alarm.for_s, 3),
        "reason": alarm.reason,
    }


def shed_map(core: Admission, now: float) -> Frame:
    """What `status` and `explain` say of what is done against pressure that remains. `parked`: the
    leases for which somebody may come back; `acts`: what was done last, the newest first.
    """
    ladder, frozen = core.ladder, sorted(core.ledger.frozen)
    leases = [lease for pool in core.pools.values() for lease in pool.leases.values()]
    acts = [
        {"rung": act.rung, "lease": act.lease, "ago_s": round(now - act.at, 3), "why": act.reason}
        for act in reversed(ladder.acts)
    ]
    return {
        "policy": list(core.governor.throttle.shed.policy),
        "advice": ladder.advice,
        "frozen": frozen,
        "parking": [lease.id for lease in leases if lease.is_parking],
        "parked": list(core.ledger.parked),
        "acts": acts,
    }


def hand_map(core: Admission, now: float, viewer: Viewer = OPERATOR) -> Frame:
    """What `status` says of reservations, pauses and alarms: of the latter as many as there is room
    for, the oldest first.
    """
    pools, room = core.pools.values(), Room(ROWS_BYTES_MAX)
    reservations = [one for pool in pools for one in pool.reservations.all.values()]
    reserved_rows = (_row(one, now, viewer) for one in reservations)
    alarm_rows = (
        viewer.row(alarm.claim, alarm_map(alarm))
        for alarm in core.alarms.all(core.ledger, core.governor, now)
    )
    return {
        "reservations": list(takewhile(room.takes, reserved_rows)),
        "paused": {
            pool.spec.name: finite(pool.paused_until - now)
            for pool in pools
            if pool.paused_until is not None
        },
        "alarms": list(takewhile(room.takes, alarm_rows)),
    }
