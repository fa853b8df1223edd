"""Finds what hands wished and did not get: reservations, pauses, who is put ahead or taken out.

As in `scripts.torture.judge`, every judgement is certain, or not made. A wish came into force
between the instants before its request and after its answer. Where no answer came, it did before
the connection was gone, or never: so others may have to reckon with it, and it proves nothing.

What begins or ends by the clock is another matter than what is answered: a daemon may be stopped
between a grant and its answer. So it is only certain that a grant came after some moment where a
request that was sent after it was answered before somebody looked and still had nothing.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import Self, cast

from scripts.torture.reading import (
    Ask,
    Change,
    Rules,
    Violation,
    at_of,
    levels_between,
    outs_at_grants,
)
from scripts.torture.records import Record

WISHES = ("reserve", "unreserve", "pause", "unpause", "move", "cancel", "looked")


@dataclass(frozen=True)
class Span:
    """From when until when, by two instants of one clock."""

    since: float
    until: float

    def covers(self, since: float, until: float) -> bool:
        return self.since <= since and until < self.until

    def touches(self, since: float, until: float) -> bool:
        return self.since <= until and since <= self.until


@dataclass(frozen=True)
class Kept:
    """A reservation: when it was certainly active, if ever, and when it may have been."""

    number: int
    pool: str
    units: int
    rank: str | None
    group: str
    certain: Span | None
    begins_later: bool
    possible: Span
    # From the answer until somebody may have taken it back: listed, whether or not it has begun.
    listed: Span | None
    records: list[Record] = field(default_factory=list)

    def is_for(self, ask: Ask) -> bool:
        return self.rank in (None, ask.rank) and self.group in ("", ask.group)

    def is_certain_for(self, ask: Ask, reached: float) -> bool:
        """Whether it lasted through all moments at which this one can have been granted, the first
        of which was after `reached`.
        """
        if self.certain is None or (self.begins_later and reached < self.certain.since):
            return False
        return self.certain.covers(ask.free_until, ask.told_at)


@dataclass
class Hands:
    """All that hands did."""

    kept: list[Kept] = field(default_factory=list)
    paused: dict[str, list[Span]] = field(default_factory=dict)
    by_ask: dict[str, list[Record]] = field(default_factory=dict)
    unreserved: list[Record] = field(default_factory=list)
    # By when they were answered: the latest instant after which any of these was sent.
    _answered_at: list[float] = field(default_factory=list)
    _sent_at: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, records: list[Record]) -> Self:
        by_kind: dict[str, list[Record]] = {kind: [] for kind in WISHES}
        for record in records:
            if record["kind"] in by_kind:
                by_kind[str(record["kind"])].append(record)
        found = cls(unreserved=by_kind["unreserve"])
        found.kept = [_kept(one, found.unreserved) for one in by_kind["reserve"] if _may_hold(one)]
        found.paused = _paused(by_kind["pause"], by_kind["unpause"])
        for one in by_kind["move"] + by_kind["cancel"]:
            found.by_ask.setdefault(str(one["ask_of"]), []).append(one)
        answered = [one for ones in by_kind.values() for one in ones if one["answered"]]
        answered += [one for one in records if one["kind"] == "level" and one["after"] is not None]
        answered.sort(key=_after)
        found._answered_at = [_after(one) for one in answered]
        found._sent_at = list(accumulate((at_of(one) for one in answered), max))
        return found

    def reached(self, by: float) -> float:
        """Whoever had no answer by then was granted nothing before this moment."""
        place = bisect_right(self._answered_at, by)
        return self._sent_at[place - 1] if place else -inf

    def may_reserve(self, pool: str, since: float, until: float) -> list[Kept]:
        """What may have been reserved at some moment between these two."""
        return [one for one in self.kept if one.pool == pool and one.possible.touches(since, until)]

    def may_move(self, ask: str) -> bool:
        return any(one["kind"] == "move" for one in self.by_ask.get(ask, ()))

    def acts(self, kind: str) -> Iterator[tuple[str, Record]]:
        """What a hand did to whom, where the answer was that it was there."""
        for ask, records in self.by_ask.items():
            yield from ((ask, one) for one in records if one["kind"] == kind and one["found"])


# --- reading ------------------------------------------------------------------------------------


def _may_hold(record: Record) -> bool:
    return not record["answered"] or bool(record["number"])


def _after(record: Record) -> float:
    return cast(float, record["after"])


def _kept(record: Record, unreserved: list[Record]) -> Kept:
    number = cast(int, record["number"])
    from_s, for_s = cast(float, record["from_s"]), cast(float, record["for_s"])
    ends = [one for one in unreserved if number and one["number"] == number]
    earliest_end = min([at_of(record) + from_s + for_s, *(at_of(one) for one in ends)])
    taken_back = [_after(one) for one in ends if one["answered"]]
    latest_end = min([_after(record) + from_s + for_s, *taken_back])
    since = _after(record) + from_s
    is_certain, is_listed = since < earliest_end, _after(record) < earliest_end
    return Kept(
        number,
        pool=str(record["pool"]),
        units=cast(int, record["units"]),
        rank=cast(str | None, record["rank"]),
        group=str(record["group"]),
        certain=Span(since, earliest_end) if number and is_certain else None,
        begins_later=from_s > 0,
        possible=Span(at_of(record) + from_s, latest_end),
        listed=Span(_after(record), earliest_end) if number and is_listed else None,
        records=[record, *ends],
    )


def _paused(pauses: list[Record], unpauses: list[Record]) -> dict[str, list[Span]]:
    """When each pool was certainly paused: until anybody may have said anything else of it."""
    found: dict[str, list[Span]] = defaultdict(list)
    for pause in pauses:
        if not pause["answered"]:
            continue
        for pool in cast(list[str], pause["pools"]):
            others = [
                at_of(one)
                for one in pauses + unpauses
                if one is not pause
                and pool in cast(list[str], one["pools"])
                and _after(one) >= at_of(pause)
            ]
            for_s = cast(float | None, pause["for_s"])
            until = min([inf if for_s is None else at_of(pause) + for_s, *others])
            if until > _after(pause):
                found[pool].append(Span(_after(pause), until))
    return found


# --- judging ------------------------------------------------------------------------------------


def wrongs_of_hands(
    hands: Hands, records: list[Record], asks: list[Ask], changes: list[Change], rules: Rules
) -> Iterator[Violation]:
    """All that goes against a hand's word, and against what waiters and holders set themselves."""
    yield from _taken_from_the_kept(hands, asks, changes, rules)
    yield from _granted_while_paused(hands, asks)
    yield from _not_put_ahead(hands, asks, rules)
    yield from _not_taken_out(hands, asks)
    yield from _words_lost(hands, records)
    yield from _too_late(hands, asks)
    yield from _badly_ended(hands, records, asks)


def _taken_from_the_kept(
    hands: Hands, asks: list[Ask], changes: list[Change], rules: Rules
) -> Iterator[Violation]:
    """Others have more than the capacity less what is reserved, and one of them got it just now.

    Whoever is among those meant by any reservation that may be active is not judged.
    """
    for pool, by_level in rules.capacity.items():
        for ask, out in outs_at_grants(asks, pool):
            reached = hands.reached(ask.free_until)
            may_be = hands.may_reserve(pool, max(ask.asked_at, reached), ask.told_at)
            kept = [one for one in may_be if one.is_certain_for(ask, reached)]
            if not kept or any(one.is_for(ask) for one in may_be):
                continue
            others = [one for one in out if not any(each.is_for(one) for each in kept)]
            units, reserved = sum(o.weight for o in others), sum(one.units for one in kept)
            levels = levels_between(changes, ask.free_until, ask.told_at)
            most = max(by_level[level] for level in levels) - reserved
            if units > most:
                what = (
                    f"{units} units of {pool} were out at {ask.told_at:.6f} with others than those "
                    f"for whom {reserved} are reserved, and {most} is the most"
                )
                evidence = [record for each in kept for record in each.records]
                evidence += [record for one in others for record in one.records]
                yield Violation("reservation", what, evidence)


def _granted_while_paused(hands: Hands, asks: list[Ask]) -> Iterator[Violation]:
    for ask in asks:
        spans = hands.paused.get(ask.pool, ()) if ask.is_told else ()
        if any(span.covers(ask.free_until, ask.told_at) for span in spans):
            what = f"{ask.name} was granted units of {ask.pool} while it was paused"
            yield Violation("pause", what, ask.records)


def _not_put_ahead(hands: Hands, asks: list[Ask], rules: Rules) -> Iterator[Violation]:
    """One of its class whom no hand moved was granted after the move, and before the moved one."""
    by_name = {ask.name: ask for ask in asks}
    for name, move in hands.acts("move"):
        ask = by_name[name]
        # A larger one may be passed, as may one who is away.
        if ask.weight > 1 or ask.has_dropped or ask.away_s > rules.grace_s:
            continue
        for other in asks:
            if (other.pool, other.rank) == (ask.pool, ask.rank) and _passed(other, ask, move):
                reserved = hands.may_reserve(ask.pool, at_of(move), other.told_at)
                if hands.may_move(other.name) or any(one.is_for(other) for one in reserved):
                    continue
                what = f"{name} was put ahead, and {other.name} was served before it"
                yield Violation("move", what, [move, *ask.records, *other.records])


def _passed(other: Ask, moved: Ask, move: Record) -> bool:
    """Whether it was granted after the move for certain, and before the moved one."""
    if not other.is_told or other.has_dropped or other.free_until < _after(move):
        return False
    by_fence = moved.is_told and other.fence < moved.fence
    return by_fence or other.told_at <= moved.free_until


def _not_taken_out(hands: Hands, asks: list[Ask]) -> Iterator[Violation]:
    """One that was cancelled while it waited, never asked again, and was granted all the same."""
    by_name = {ask.name: ask for ask in asks}
    for name, cancel in hands.acts("cancel"):
        ask = by_name[name]
        if ask.is_told and not ask.away_s:
            what = f"{name} was taken out of the queue by hand, and got lease {ask.fence}"
            yield Violation("cancel", what, [cancel, *ask.records])


def _words_lost(hands: Hands, records: list[Record]) -> Iterator[Violation]:
    """What `status` should have said of reservations and pauses, over any number of restarts."""
    for look in (one for one in records if one["kind"] == "looked"):
        since, until = at_of(look), _after(look)
        listed, paused = (cast(list[object], look[name]) for name in ("reservations", "paused"))
        for one in hands.kept:
            lasts = one.listed is not None and one.listed.covers(since, until)
            if lasts and one.number not in listed:
                what = f"reservation {one.number} lasts, and is not known any more"
                yield Violation("word lost", what, [look, *one.records])
        for pool, spans in hands.paused.items():
            if pool not in paused and any(span.covers(since, until) for span in spans):
                yield Violation("word lost", f"{pool} is paused, and not by its status", [look])
        for gone in hands.unreserved:
            if gone["found"] and _after(gone) <= since and gone["number"] in listed:
                what = f"reservation {gone['number']} was taken back, and is there again"
                yield Violation("word lost", what, [look, gone])


# --- what one sets oneself ----------------------------------------------------------------------


def _too_late(hands: Hands, asks: list[Ask]) -> Iterator[Violation]:
    """One that had to start by a moment, still had nothing after it, and was granted then."""
    for ask in asks:
        if ask.by_s is None or not ask.is_told or ask.away_s or ask.has_dropped:
            continue
        if hands.reached(ask.free_until) > ask.queued_at + ask.by_s:
            what = f"{ask.name} had to start within {ask.by_s:g} s, and was granted after that"
            yield Violation("deadline", what, ask.records)


def _badly_ended(hands: Hands, records: list[Record], asks: list[Ask]) -> Iterator[Violation]:
    """One that was asked to end too early; or never, however long it held."""
    overdue = {record["who"] for record in records if record["kind"] == "overdue"}
    for ask in asks:
        if not ask.ends_after_max or ask.max_hold_s is None or not ask.is_told:
            continue
        granted_after = max(ask.asked_at, hands.reached(ask.free_until))
        if ask.told_to_end_at < granted_after + ask.max_hold_s:
            what = f"{ask.name} was asked to end before it had held for {ask.max_hold_s:g} s"
            yield Violation("end", what, ask.records)
        elif ask.told_to_end_at == inf and ask.who in overdue:
            what = f"{ask.name} holds for much more than {ask.max_hold_s:g} s, and is not told"
            yield Violation("end", what, ask.records)
