"""What the records say, read once: requests and what became of them, and changes of the level."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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
    group: str = ""
    by_s: float | None = None
    max_hold_s: float | None = None
    ends_after_max: bool = False
    queued_at: float = inf
    free_until: float = 0.0
    told_at: float = inf
    ended_at: float = inf
    fence: int = 0
    is_answered: bool = False
    # It went away by itself: others may pass it.
    has_dropped: bool = False
    away_s: float = 0.0
    # When it was first asked to end, as it held for too long.
    told_to_end_at: float = inf
    records: list[Record] = field(default_factory=list)

    @property
    def is_told(self) -> bool:
        return self.told_at < inf

    @property
    def is_out_until(self) -> float:
        """Until when its units were out for certain; where nobody knows, no longer than begun."""
        return self.told_at if self.ended_at == inf else self.ended_at


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
        asked_at=at_of(record),
        group=str(record.get("group", "")),
        by_s=cast(float | None, record.get("by_s")),
        max_hold_s=cast(float | None, record.get("max_hold_s")),
        ends_after_max=bool(record.get("end_after_max")),
        free_until=at_of(record),
        records=[record],
    )


def _note(ask: Ask, record: Record) -> None:
    ask.records.append(record)
    match record["kind"]:
        case "queued":
            ask.queued_at = min(ask.queued_at, at_of(record))
        case "told":
            ask.told_at, ask.fence = at_of(record), cast(int, record["fence"])
            ask.free_until = cast(float, record["free_until"])
            ask.is_answered = True
        case "refused":
            ask.free_until = cast(float, record["free_until"])
            ask.is_answered = True
        case "ending" | "killing" | "gone":
            ask.ended_at = min(ask.ended_at, at_of(record))
        case "back":
            # It was only the connection: the units were out all the while.
            ask.ended_at = inf if ask.ended_at == record["gone_at"] else ask.ended_at
        case "told to end":
            ask.told_to_end_at = min(ask.told_to_end_at, at_of(record))
        case "dropped":
            ask.has_dropped = True
        case "again":
            ask.away_s = max(ask.away_s, cast(float, record["away_s"]))
        case _:
            pass


def at_of(record: Record) -> float:
    return cast(float, record["at"])


def changes_of(records: list[Record], rules: Rules) -> Iterator[Change]:
    yield Change(-inf, -inf, rules.level)
    for record in records:
        if record["kind"] == "level":
            after = cast(float | None, record["after"])
            level = cast(int, record["level"])
            yield Change(at_of(record), inf if after is None else after, level)


def levels_between(changes: list[Change], since: float, until: float) -> set[int]:
    """Every level that can have been in force at some moment between these two."""
    settled = max((index for index, one in enumerate(changes) if one.after <= since), default=0)
    return {one.level for one in changes[settled:] if one.before <= until}


def outs_at_grants(asks: Iterable[Ask], pool: str) -> Iterator[tuple[Ask, list[Ask]]]:
    """Each who was told of a lease in this pool, with all whose units were certainly out then:
    itself, where it held at all, is the last of them.
    """
    mine = [ask for ask in asks if ask.pool == pool and ask.is_told]
    # An end at the very instant of a beginning came first.
    steps = [(ask.told_at, 1, ask) for ask in mine if ask.is_out_until > ask.told_at]
    steps += [(ask.is_out_until, 0, ask) for ask in mine if ask.is_out_until > ask.told_at]
    steps.sort(key=lambda step: step[:2])
    out: dict[str, Ask] = {}
    for _, is_begin, ask in steps:
        if is_begin:
            out[ask.name] = ask
            yield ask, list(out.values())
        else:
            del out[ask.name]
