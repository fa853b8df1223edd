"""Finds what must not have happened, from what the actors wrote down; knows no daemon.

Every judgement is certain, or not made. A lease counts as out from when its holder was told, which
is after the grant, until its holder set out to end it, or its killer to kill it, which is before
the end. `free_until` is the last moment at which a waiter looked and had no answer: whatever was
answered to others before that came before its grant. The records are in docs/torture.md.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from math import inf
from typing import cast

from scripts.torture.judge_of_hands import Hands, wrongs_of_hands
from scripts.torture.reading import (
    Ask,
    Change,
    Rules,
    Violation,
    asks_of,
    changes_of,
    levels_between,
    outs_at_grants,
)
from scripts.torture.records import Record


def judge(records: list[Record], rules: Rules) -> list[Violation]:
    """All that must not have happened, by kind."""
    asks = list(asks_of(records))
    changes = list(changes_of(records, rules))
    hands = Hands.of(records)
    return [
        *_over_admissions(asks, changes, rules),
        *_overtakings(asks, rules, hands),
        *_fences(asks),
        *_twice(records, asks),
        *_taken_away(records, asks, rules),
        *_forgotten(records, asks),
        *_lost_slots(records),
        *_failures(records),
        *wrongs_of_hands(hands, records, asks, changes, rules),
    ]


# --- units out ----------------------------------------------------------------------------------


def _over_admissions(asks: list[Ask], changes: list[Change], rules: Rules) -> Iterator[Violation]:
    """More out at the moment of a grant than any capacity that can have been in force then."""
    for pool, by_level in rules.capacity.items():
        for ask, out in outs_at_grants(asks, pool):
            at, units = ask.told_at, sum(one.weight for one in out)
            most = max(by_level[level] for level in levels_between(changes, ask.free_until, at))
            if units > most:
                found = [record for one in out for record in one.records]
                what = f"{units} units of {pool} were out at {at:.6f}, and {most} is the most"
                yield Violation("over-admission", what, found)


# --- order --------------------------------------------------------------------------------------


def _overtakings(asks: list[Ask], rules: Rules, hands: Hands) -> Iterator[Violation]:
    """One who asked after another was known to wait, and was served before it.

    Of one class and one group, so that whatever is reserved is for both or for neither.
    """
    for pool, by_level in rules.capacity.items():
        for rank, group in {(ask.rank, ask.group) for ask in asks}:
            mine = [ask for ask in asks if (ask.pool, ask.rank, ask.group) == (pool, rank, group)]
            mine.sort(key=lambda ask: ask.asked_at)
            instants = [ask.asked_at for ask in mine]
            for ask in mine:
                if ask.queued_at == inf or ask.weight > min(by_level):
                    continue  # it did not wait, or smaller ones may pass it at some levels
                if ask.has_dropped or ask.away_s > rules.grace_s:
                    continue
                until = ask.told_at if ask.is_told else ask.free_until
                if ask.weight > 1 and hands.may_reserve(pool, ask.asked_at, until):
                    continue  # what is kept may be enough for a smaller one only
                later = mine[bisect_left(instants, ask.queued_at) : bisect_right(instants, until)]
                yield from (
                    _overtaking(ask, one)
                    for one in later
                    if _overtook(one, ask) and not hands.may_move(one.name)
                )


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
