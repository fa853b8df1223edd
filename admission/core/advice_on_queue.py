"""What there is to do about who asks for agents, who waits, and what a hand has left behind."""

from collections.abc import Iterator

from admission.core.advice import Facts, Group, Recommendation
from admission.core.durations import said

# The autopilot's name for the group of its tasks begins so; its PID follows.
AUTOPILOT = "autopilot-"
# So many times what a machine at rest takes is more than a queue is for.
TOO_MANY = 2
NAMED_MAX = 3


def long_waits(facts: Facts) -> Iterator[Recommendation]:
    """Who waits past its class's bound."""
    waits = [one for one in facts.alarms if not one.is_held]
    if not waits:
        return
    oldest = max(waits, key=lambda one: one.for_s)
    others = f"; {len(waits) - 1} more wait past their bounds" if len(waits) > 1 else ""
    yield Recommendation(
        "long-wait",
        f"let ticket {oldest.number} of {oldest.claim.pool} go first in its class, or see why not",
        f"it has waited for {said(oldest.for_s)}: {oldest.reason}{others}",
        ("admission", "queue", "move", str(oldest.number)),
        75.0,
    )


def long_holds(facts: Facts) -> Iterator[Recommendation]:
    """Who holds for longer than it was meant to."""
    holds = [one for one in facts.alarms if one.is_held]
    if not holds:
        return
    longest = max(holds, key=lambda one: one.for_s)
    others = f"; {len(holds) - 1} more are held past their bounds" if len(holds) > 1 else ""
    yield Recommendation(
        "long-hold",
        f"see what lease {longest.number} of {longest.claim.pool} still does",
        f"{longest.reason}{others}",
        ("admission", "leases", "--pool", longest.claim.pool),
        65.0,
    )


def too_many_agents(facts: Facts) -> Iterator[Recommendation]:
    """More are asked for than ever run at once, by one or by all together."""
    most = facts.capacity_at_rest
    asked = sum(one.asked for one in facts.groups)
    largest = max(facts.groups, key=lambda one: one.asked, default=None)
    if largest is None or not any(one.waiting for one in facts.groups):
        return
    if largest.name and largest.asked > most:
        who, asked = largest.name, largest.asked
        held, waiting = largest.held, largest.waiting
    elif asked > TOO_MANY * most:
        who = "all together"
        held = sum(one.held for one in facts.groups)
        waiting = asked - held
    else:
        return
    yield Recommendation(
        "too-many-agents",
        f"ask for at most {most} agents at once",
        f"{who} asked for {asked} ({held} run, {waiting} wait); "
        f"{facts.capacity} may run now, and {most} at rest",
        ("admission", "queue", "--pool", "agents"),
        50.0,
    )


def two_autopilots(facts: Facts) -> Iterator[Recommendation]:
    """Several autopilots, and not enough for all of them."""
    autopilots = sorted(filter(_is_autopilot, facts.groups), key=lambda one: one.name)
    waiting = sum(one.waiting for one in autopilots)
    if len(autopilots) < 2 or not waiting:
        return
    named = ", ".join(one.name for one in autopilots[:NAMED_MAX])
    more = f" and {len(autopilots) - NAMED_MAX} more" if len(autopilots) > NAMED_MAX else ""
    asked = sum(one.asked for one in autopilots)
    yield Recommendation(
        "two-autopilots",
        "run one autopilot at a time",
        f"{named}{more} asked for {asked} agents together; {facts.capacity} may run now, "
        f"so {waiting} of theirs wait{'s' * (waiting == 1)}",
        ("admission", "queue", "--pool", "agents"),
        55.0,
    )


def _is_autopilot(group: Group) -> bool:
    return group.name.startswith(AUTOPILOT) and group.name[len(AUTOPILOT) :].isdigit()


def level_by_hand(facts: Facts) -> Iterator[Recommendation]:
    """A level that nobody gives back, and that is not what the machine calls for."""
    hand = facts.by_hand
    if hand is None or hand.level == hand.called_for:
        return
    why = f": {hand.reason}" if hand.reason else ""
    yield Recommendation(
        "level-by-hand",
        "give the level back to the machine",
        f"level {hand.level} was set by hand until changed, and the machine calls for "
        f"level {hand.called_for}{why}",
        ("admission", "level", "auto"),
        90.0 if hand.level < hand.called_for else 60.0,
    )


def paused(facts: Facts) -> Iterator[Recommendation]:
    """A pool that was paused and forgotten."""
    for pool, waiting in facts.paused:
        if waiting:
            yield Recommendation(
                "paused",
                f"have {pool} granted again",
                f"{pool} was paused by hand until somebody ends that, and {waiting} "
                f"wait{'s' * (waiting == 1)}",
                ("admission", "unpause", pool),
                80.0,
            )
