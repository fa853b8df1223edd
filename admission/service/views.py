"""What crosses the socket outwards: the core's values as maps. Decides nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from math import floor

from admission.core import events as ev
from admission.core import shedding
from admission.core.admission import Admission
from admission.core.deferral import Undeferred
from admission.core.governor import Governor
from admission.core.leases import Claim, Holder, Lease, Waiter
from admission.core.levels import Level
from admission.core.outlook import line
from admission.core.places import Place, places_of
from admission.core.sample import Sample
from admission.protocol import FRAME_BYTES_MAX, Frame
from admission.service.access import OPERATOR, Viewer
from admission.service.holders import describe
from admission.service.queue_views import Room, finite, news_of_hand, reservation_map

# What an answer's rows may take of its frame.
ROWS_BYTES_MAX = FRAME_BYTES_MAX - 1024
LEFT_SHOWN_MAX = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which leases and waiters somebody asks for; None is any. `after`: the last lease and the
    number of waiters that were shown already. `viewer` is who asks.
    """

    pool: str | None = None
    task: str | None = None
    pid: int | None = None
    after: tuple[int, int] = (0, 0)
    viewer: Viewer = OPERATOR

    def includes(self, one: Lease | Waiter) -> bool:
        """Whether it is asked for. By what one may not see of it nothing is found either."""
        claim = one.claim
        if not self.viewer.sees(claim) and (self.task, self.pid) != (None, None):
            return False
        return (
            self.pool in (None, claim.pool)
            and self.task in (None, claim.task)
            and self.pid in (None, claim.holder.pid)
        )


def params_map(level: Level) -> Frame:
    """The parameters of a level, named as in the user's document."""
    return {
        "level": level.level,
        "name": level.name,
        "max_agents": level.max_agents,
        "batch_size": level.batch_size,
        "delay_ms": level.delay_ms,
        "max_concurrent": level.max_concurrent,
        "reasoning_effort": level.reasoning_effort,
    }


def level_map(level: Level) -> Frame:
    return {"level": level.level, "name": level.name, "params": params_map(level)}


def level_event(level: Level, reasons: tuple[str, ...]) -> Frame:
    return {"event": "level", **level_map(level), "reasons": list(reasons)}


def claim_map(one: Lease | Waiter) -> Frame:
    claim = one.claim
    return {
        "pool": claim.pool,
        "weight": claim.weight,
        "task": claim.task,
        "class": claim.rank.name.lower(),
        "group": claim.group,
        "pid": claim.holder.pid,
        "bound": claim.bound.value,
    }


def lease_map(lease: Lease) -> Frame:
    """A lease as those may see it who don't hold it: without its secret."""
    return {
        "lease": lease.id,
        "fence": lease.id,
        **claim_map(lease),
        "ttl_s": lease.claim.ttl_s,
        "waited_ms": round(lease.waited_s * 1000),
    }


def answer_map(answer: ev.Answer, level: Level, now: float) -> Frame:
    """The whole answer: whose request it belongs to, and what it says."""
    frame: Frame = {"id": answer.caller.id}
    if isinstance(answer, ev.Told):
        frame["ok"] = True
        frame |= told_map(answer, level)
    elif isinstance(answer, ev.Done):
        frame["ok"] = True
        if answer.found is not None:
            frame["found"] = answer.found
    elif isinstance(answer, ev.Refused):
        frame |= {"ok": False, "error": {"code": answer.code, "message": answer.message}}
    elif isinstance(answer, ev.ToldReservation):
        frame |= {"ok": True, **reservation_map(answer.reservation, now)}
    elif isinstance(answer, ev.LeaseEnded):
        frame |= {"event": "revoked", "lease": answer.lease, "reason": answer.reason.value}
    else:
        frame |= {"ok": True, **level_map(level)}
    return frame


def told_map(told: ev.Told, level: Level) -> Frame:
    """What is said of a lease to one who is given or confirmed it.

    Its secret is for the connection that holds it: not for one that shares it, nor for whoever
    else renews or yields it, as who knows the secret can take the lease over.
    """
    lease = told.lease
    by = None if lease.caller is None else lease.caller.connection
    is_own = by == told.caller.connection and not told.shared
    return {
        **lease_map(lease),
        "secret": lease.claim.secret.hex() if is_own else "",
        "shared": told.shared,
        **level_map(level),
    }


def place_map(place: Place) -> Frame:
    return {
        "ticket": place.waiter.ticket,
        "position": place.position,
        "reason": place.reason,
        "eta_s": None if place.eta_s is None else round(place.eta_s, 1),
    }


def leases_map(
    core: Admission,
    now: float,
    wanted: Wanted,
    stopped_s: Callable[[Holder], float | None] = lambda _: None,
    memory_bytes: Callable[[int], int | None] = lambda _: None,
    dress: Callable[[Frame], Frame] = lambda row: row,
) -> Frame:
    """Who holds what, and who waits. The filters leave out, they don't renumber positions.

    As much as one answer takes; where there is more, `more` is the `after` to ask again with.
    `stopped_s`: for how long a holder has been stopped; `memory_bytes`: what a lease's tree takes;
    `dress`: adds what the fleet says of it.
    """
    last_lease, skip = wanted.after
    held = [lease for pool in core.pools.values() for lease in pool.leases.values()]
    held = [lease for lease in held if lease.id > last_lease and wanted.includes(lease)]
    places = [place for pool in core.pools.values() for place in places_of(pool, now)]
    places = [place for place in places if wanted.includes(place.waiter)][skip:]
    held.sort(key=lambda lease: lease.id)
    room = Room(ROWS_BYTES_MAX)
    row = wanted.viewer.row
    held_rows = (
        row(
            lease.claim,
            dress(held_map(lease, now, stopped_s) | {"memory_bytes": memory_bytes(lease.id)}),
        )
        for lease in held
    )
    leases = list(takewhile(room.takes, held_rows))
    waiting_rows = (
        row(place.waiter.claim, waiting_map(place, now, _climbed(core, place))) for place in places
    )
    waiting = list(takewhile(room.takes, waiting_rows))
    answer: Frame = {"leases": leases, "waiting": waiting}
    if len(leases) < len(held) or len(waiting) < len(places):
        shown = held[len(leases) - 1].id if leases else last_lease
        answer["more"] = [shown, skip + len(waiting)]
    return answer


def held_map(
    lease: Lease, now: float, stopped_s: Callable[[Holder], float | None] = lambda _: None
) -> Frame:
    """`left` stands only where the holder has exited: the PIDs that the lease follows."""
    for_s = stopped_s(lease.claim.holder)
    row = {
        **lease_map(lease),
        "state": lease.state.value,
        "age_s": round(now - lease.granted_at, 3),
        "from": "" if lease.is_left else describe(lease.claim.holder.pid),
        "stopped_s": None if for_s is None else round(for_s, 3),
        "max_hold_s": lease.claim.max_hold_s,
        "agent": lease.claim.agent,
        "workspace": lease.claim.workspace,
    }
    return {**row, "left": pids_of(lease.tree)} if lease.is_left else row


def pids_of(holders: tuple[Holder, ...]) -> list[int]:
    """As many as a row can take: a tree may be larger than a frame."""
    return [one.pid for one in holders[:LEFT_SHOWN_MAX]]


def waiting_map(place: Place, now: float, climbed: int = 0) -> Frame:
    """`moved`: to where in its class a hand has moved it; `climbed`: by age, so many classes."""
    waiter = place.waiter
    return {
        **place_map(place),
        **claim_map(waiter),
        "waiting_s": round(now - waiter.queued_at, 3),
        "moved": ("back", "", "front")[(waiter.ahead > 0) - (waiter.ahead < 0) + 1],
        "climbed": climbed,
        "deferred_s": round(waiter.deferred_until - now, 3) if waiter.is_deferred else None,
    }


def _climbed(core: Admission, place: Place) -> int:
    return core.pools[place.waiter.claim.pool].order.climbed(place.waiter)


def status_map(core: Admission, now: float) -> Frame:
    """The state of everything, in numbers. What only the daemon knows is added there."""
    pools, governor, ledger = core.pools, core.governor, core.ledger
    until = governor.by_hand_until
    return {
        **level_map(core.level),
        "normal": params_map(governor.levels[0]),
        "by_hand": None if until is None else by_hand_map(governor, until - now),
        "capacity": {name: pool.capacity for name, pool in pools.items()},
        "in_use": {name: pool.in_use for name, pool in pools.items()},
        "waiting": {name: len(pool.waiters) for name, pool in pools.items()},
        "overcommitted": {name: pool.overcommitted for name, pool in pools.items()},
        "sample": None if governor.sample is None else sample_map(governor.sample, now),
        "reasons": list(governor.reasons),
        "forecast": line(governor.forecasts),
        "granted": ledger.granted,
        "ended": ledger.ended,
        "held": ledger.held,
    }


def by_hand_map(governor: Governor, left_s: float) -> Frame:
    """For how long a hand holds the level, None for ever; `off`: without the budget, too."""
    return {"until_s": finite(left_s), "off": governor.is_off_by_hand}


def sample_map(sample: Sample, now: float) -> Frame:
    """Every source by its name; None where it is not known. Percents to a tenth, cut and not
    rounded, so that none reads as if it had reached a bound.
    """
    found: Frame = {"age_s": round(now - sample.at, 3), "failed": list(sample.failed)}
    for name in Sample.__annotations__:
        value = getattr(sample, name)
        if name.endswith("_pct"):
            found[name] = None if value is None else floor(value * 10) / 10
        elif name not in ("at", "failed"):
            found[name] = value
    return found


def record_map(record: ev.Record, level: Level, now: float) -> tuple[str, Frame] | None:
    """The topic and event by which watchers are told of a record; None for what is no news."""
    match record:
        case ev.Granted(lease):
            return "lease", {"event": "granted", **lease_map(lease)}
        case ev.Ended(reason=reason, before=Lease() as lease):
            held_s = round(now - lease.granted_at, 3)
            about = {"event": "ended", "reason": reason.value, "held_s": held_s}
            return "lease", {**lease_map(lease), **about}
        case ev.Yielded() | ev.Regained() | ev.Renewed():
            return "lease", {"event": type(record).__name__.lower(), "lease": record.lease}
        case ev.Followed(number, left):
            return "lease", {"event": "followed", "lease": number, "left": pids_of(left)}
        case ev.Queued(waiter):
            return "queue", {"event": "waiting", "ticket": waiter.ticket, **claim_map(waiter)}
        case ev.Left() | Undeferred():
            what = {"why": record.why} if isinstance(record, ev.Left) else {}
            return "queue", {"event": type(record).__name__.lower(), "ticket": record.ticket} | what
        case ev.LevelChanged(reasons=reasons):
            return "level", level_event(level, reasons)
        case ev.Numbered() | ev.Ended() | shedding.Parked():
            return None
        case shedding.Frozen() | shedding.Thawed() | shedding.Parking():
            return "shed", {"event": type(record).__name__.lower(), "lease": record.lease}
        case _:
            return "queue", news_of_hand(record, now)


def claim_of(record: ev.Record) -> Claim | None:
    """Whose news a record is, where `record_map` tells more of it than that it is there."""
    match record:
        case ev.Granted(lease):
            return lease.claim
        case ev.Ended(before=Lease() as lease):
            return lease.claim
        case ev.Queued(waiter):
            return waiter.claim
        case _:
            return None
