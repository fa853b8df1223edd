"""Finds what must not have happened, from what the actors wrote down; knows no daemon.

Every judgement is certain, or not made. A lease counts as out from when its holder was told, which
is after the grant, until its holder set out to end it, or its killer to kill it, which is before
the end. `free_until` is the last moment at which a waiter looked and had no answer: whatever was
answered to others before that came before its grant. The records are in docs/torture.md.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import cast

from scripts.torture.records import Record

# An absence longer than this may have cost the lease or the place, as the daemon's grace is over.
GRACE_S = 9.0


@dataclass(frozen=True)
class Rules:
    """What the judge has to know: the capacity of each pool by level, and the first level."""

    capacity: dict[str, tuple[int, ...]]
    level: int = 0
    grace_s: float = GRACE_S


@dataclass
class Violation:
    kind: str
    what: str
    evidence: list[Record]


@dataclass
class Change:
    """The level was asked for at `before`, and was in force at `after` at the latest; inf where no
    answer came, so that it may be in force since or never.
    """

    before: float
    after: float
    level: int


@dataclass
class Ask:
    """One request for a lease, and what became of it."""

    name: str
    who: int
    pool: str
    weight: int
    rank: str
    bound: str
    request: str
    asked_at: float
    queued_at: float = inf
    free_until: float = 0.0
    told_at: float = inf
    ended_at: float = inf
    fence: int = 0
    is_answered: bool = False
    # It went away by itself: others may pass it.
    has_dropped: bool = False
    away_s: float = 0.0
    records: list[Record] = field(default_factory=list)

    @property
    def is_told(self) -> bool:
        return self.told_at < inf

    @property
    def is_out_until(self) -> float:
        """Until when its units were out for certain; where nobody knows, no longer than begun."""
        return self.told_at if self.ended_at == inf else self.ended_at


def judge(records: list[Record], rules: Rules) -> list[Violation]:
    """All that must not have happened, by kind."""
    asks = list(asks_of(records))
    changes = list(_changes(records, rules))
    return [
        *_over_admissions(asks, changes, rules),
        *_overtakings(asks, rules),
        *_fences(asks),
        *_twice(records, asks),
        *_taken_away(records, asks, rules),
        *_forgotten(records, asks),
        *_lost_slots(records),
        *_failures(records),
    ]


# --- reading ------------------------------------------------------------------------------------


def asks_of(records: Iterable[Record]) -> Iterator[Ask]:
    """Every request, with what is known of it at the end of the records."""
    by_name: dict[str, Ask] = {}
    by_who: dict[int, list[Ask]] = {}
    for record in records:
        if record["kind"] == "asked":
            ask = _asked(record)
            by_name[ask.name] = ask
            by_who.setdefault(ask.who, []).append(ask)
        elif record["kind"] == "killing":
            for ask in by_who.get(cast(int, record["who"]), []):
                _note(ask, record)
        elif (ask_ := by_name.get(str(record.get("ask")))) is not None:
            _note(ask_, record)
    return iter(by_name.values())


def _asked(record: Record) -> Ask:
    return Ask(
        name=str(record["ask"]),
        who=cast(int, record["who"]),
        pool=str(record["pool"]),
        weight=cast(int, record["weight"]),
        rank=str(record["rank"]),
        bound=str(record["bound"]),
        request=str(record["request"]),
        asked_at=_at(record),
        free_until=_at(record),
        records=[record],
    )


def _note(ask: Ask, record: Record) -> None:
    ask.records.append(record)
    match record["kind"]:
        case "queued":
            ask.queued_at = min(ask.queued_at, _at(record))
        case "told":
            ask.told_at, ask.fence = _at(record), cast(int, record["fence"])
            ask.free_until = cast(float, record["free_until"])
            ask.is_answered = True
        case "refused":
            ask.free_until = cast(float, record["free_until"])
            ask.is_answered = True
        case "ending" | "killing" | "gone":
            ask.ended_at = min(ask.ended_at, _at(record))
        case "back":
            # It was only the connection: the units were out all the while.
            ask.ended_at = inf if ask.ended_at == record["gone_at"] else ask.ended_at
        case "dropped":
            ask.has_dropped = True
        case "again":
            ask.away_s = max(ask.away_s, cast(float, record["away_s"]))
        case _:
            pass


def _at(record: Record) -> float:
    return cast(float, record["at"])


def _changes(records: list[Record], rules: Rules) -> Iterator[Change]:
    yield Change(-inf, -inf, rules.level)
    for record in records:
        if record["kind"] == "level":
            after = cast(float | None, record["after"])
            level = cast(int, record["level"])
            yield Change(_at(record), inf if after is None else after, level)


# --- units out ----------------------------------------------------------------------------------


def _over_admissions(asks: list[Ask], changes: list[Change], rules: Rules) -> Iterator[Violation]:
    """More out at the moment of a grant than any capacity that can have been in force then."""
    for pool, by_level in rules.capacity.items():
        mine = [ask for ask in asks if ask.pool == pool and ask.is_told]
        # An end at the very instant of a beginning came first.
        steps = [(ask.told_at, 1, ask) for ask in mine if ask.is_out_until > ask.told_at]
        steps += [(ask.is_out_until, 0, ask) for ask in mine if ask.is_out_until > ask.told_at]
        steps.sort(key=lambda step: step[:2])
        out: dict[str, Ask] = {}
        for at, is_begin, ask in steps:
            if not is_begin:
                del out[ask.name]
                continue
            out[ask.name] = ask
            units = sum(one.weight for one in out.values())
            most = max(by_level[level] for level in levels_between(changes, ask.free_until, at))
            if units > most:
                found = [record for one in out.values() for record in one.records]
                what = f"{units} units of {pool} were out at {at:.6f}, and {most} is the most"
                yield Violation("over-admission", what, found)


def levels_between(changes: list[Change], since: float, until: float) -> set[int]:
    """Every level that can have been in force at some moment between these two."""
    settled = max((index for index, one in enumerate(changes) if one.after <= since), default=0)
    return {one.level for one in changes[settled:] if one.before <= until}


# --- order --------------------------------------------------------------------------------------


def _overtakings(asks: list[Ask], rules: Rules) -> Iterator[Violation]:
    """One who asked after another was known to wait, and was served before it."""
    for pool, by_level in rules.capacity.items():
        for rank in {ask.rank for ask in asks}:
            mine = [ask for ask in asks if (ask.pool, ask.rank) == (pool, rank)]
            mine.sort(key=lambda ask: ask.asked_at)
            instants = [ask.asked_at for ask in mine]
            for ask in mine:
                if ask.queued_at == inf or ask.weight > min(by_level):
                    continue  # it did not wait, or smaller ones may pass it at some levels
                if ask.has_dropped or ask.away_s > rules.grace_s:
                    continue
                until = ask.told_at if ask.is_told else ask.free_until
                later = mine[bisect_left(instants, ask.queued_at) : bisect_right(instants, until)]
                yield from (_overtaking(ask, one) for one in later if _overtook(one, ask))


def _overtook(later: Ask, ask: Ask) -> bool:
    if not later.is_told or later.has_dropped:
        return False  # one that comes back has its place from before
    by_fence = ask.is_told and later.fence < ask.fence
    return by_fence or later.told_at <= ask.free_until


def _overtaking(ask: Ask, later: Ask) -> Violation:
    what = f"{later.name} asked after {ask.name} was known to wait, and was served before it"
    return Violation("order", what, ask.records + later.records)


# --- numbers ------------------------------------------------------------------------------------


def _fences(asks: list[Ask]) -> Iterator[Violation]:
    """A fencing token that was given twice, or that is smaller than one given before."""
    told = sorted((ask for ask in asks if ask.is_told), key=lambda ask: ask.told_at)
    by_fence: dict[int, Ask] = {}
    for ask in told:
        other = by_fence.setdefault(ask.fence, ask)
        if other is not ask:
            what = f"{other.name} and {ask.name} have one fencing token, {ask.fence}"
            yield Violation("fence", what, other.records + ask.records)
    instants = [ask.told_at for ask in told]
    highest = list(accumulate((ask.fence for ask in told), max))
    for ask in told:
        before = bisect_right(instants, ask.free_until)
        if before and highest[before - 1] > ask.fence:
            what = f"{ask.name} has token {ask.fence}, and {highest[before - 1]} was given before"
            yield Violation("fence", what, ask.records)


def _twice(records: list[Record], asks: list[Ask]) -> Iterator[Violation]:
    """The same request answered with another lease while the first one was held."""
    by_name = {ask.name: ask for ask in asks}
    for record in records:
        if record["kind"] == "repeated":
            ask = by_name[str(record["ask"])]
            if record["fence"] != ask.fence:
                what = (
                    f"{ask.name} was told lease {ask.fence}, and {record['fence']} when asked again"
                )
                yield Violation("once", what, ask.records)


# --- what was lost ------------------------------------------------------------------------------


def _taken_away(records: list[Record], asks: list[Ask], rules: Rules) -> Iterator[Violation]:
    """A lease that its living holder had not given back, and no longer has."""
    by_name = {ask.name: ask for ask in asks}
    for record in records:
        if record["kind"] == "lost":
            ask = by_name[str(record["ask"])]
            away_s = cast(float, record["away_s"])
            if ask.bound == "process" or away_s <= rules.grace_s:
                what = f"{ask.name} lost lease {ask.fence} after {away_s:.3f} s without connection"
                yield Violation("lease lost", what, ask.records)


def _forgotten(records: list[Record], asks: list[Ask]) -> Iterator[Violation]:
    """A waiter that lived, and was neither admitted nor refused when all was calm again."""
    overdue = {record["who"]: record for record in records if record["kind"] == "overdue"}
    for ask in asks:
        if ask.who in overdue and not ask.is_answered:
            del overdue[ask.who]
            yield Violation("waiter forgotten", f"{ask.name} waits for ever", ask.records)
    for who, record in overdue.items():
        yield Violation("failure", f"actor {who} does not end", [record])


def _lost_slots(records: list[Record]) -> Iterator[Violation]:
    """Units that nobody has and nobody can get, once everybody is gone."""
    for record in records:
        if record["kind"] == "rest" and (record["in_use"] or record["waiting"]):
            what = f"all are gone, and the daemon says in use {record['in_use']}, waiting "
            yield Violation("lost slot", f"{what}{record['waiting']}", [record])
        elif record["kind"] == "probe":
            yield from _probed(record)


def _probed(record: Record) -> Iterator[Violation]:
    capacity, admitted = cast(int, record["capacity"]), cast(int, record["admitted"])
    pool = record["pool"]
    if admitted < capacity:
        what = f"{admitted} of {capacity} fresh clients of {pool} were admitted at rest"
        yield Violation("lost slot", what, [record])
    elif not record["next_waited"]:
        what = f"at rest one more than the {capacity} of {pool} was admitted"
        yield Violation("over-admission", what, [record])
    elif not record["next_admitted"]:
        what = f"a slot of {pool} was given back at rest, and the one who waited did not get it"
        yield Violation("waiter forgotten", what, [record])


def _failures(records: list[Record]) -> Iterator[Violation]:
    """What the actors could make no sense of; no answer that an actor can't expect is right."""
    for record in records:
        if record["kind"] == "failed":
            yield Violation("failure", str(record["what"]), [record])
