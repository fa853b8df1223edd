"""When waiters are expected to start, and how that is scored."""

from math import inf

import pytest

from admission.core import by_hand
from admission.core import events as ev
from admission.core.estimates import Estimate, Recalled, Run
from admission.core.foretelling import OVERDUE_SHARE, Foretold, left_s
from admission.core.leases import Caller, Claim, Class, Waiter
from admission.core.levels import LEVELS
from admission.core.places import places_of
from tests.core.worlds import ANN, BEN, CAT, World, agents, spec

LASTS_S = {"short": 10.0, "long": 100.0}


def expects(claim: Claim) -> Estimate | None:
    lasts_s = LASTS_S.get(claim.task)
    return None if lasts_s is None else Estimate(1.0, 1.0, 1.0, lasts_s, 5)


def knowing(*specs: object, **settings: object) -> World:
    """A world in which it is known how long a task lasts, by its label."""
    world = World(*specs, **settings)  # type: ignore[arg-type]
    for pool in world.core.pools.values():
        pool.expects = expects
    return world


def etas(world: World, now: float, pool: str = "agents") -> list[float | None]:
    return [place.eta_s for place in places_of(world.core.pools[pool], now)]


def of(task: str, weight: int = 1, **fields: object) -> Claim:
    return Claim(ANN, "operations", weight, task, **fields)  # type: ignore[arg-type]


OPERATIONS = (agents(1), spec("operations", 2))


def test_each_starts_when_those_before_it_are_expected_to_end() -> None:
    world = knowing(*OPERATIONS)
    world.acquire(0.0, of("short"))
    world.acquire(0.0, of("long"))
    for task in ("long", "short", "short"):
        world.acquire(4.0, of(task))
    # The first has the short one's unit at 10, then both are long: at 100, at 110.
    assert etas(world, 4.0, "operations") == [6.0, 96.0, 106.0]


def test_one_that_asks_for_much_waits_for_all_that_it_needs_and_so_do_those_behind() -> None:
    world = knowing(*OPERATIONS)
    world.acquire(0.0, of("short"))
    world.acquire(0.0, of("long"))
    world.acquire(0.0, of("short", weight=2))
    world.acquire(0.0, of("short"))
    assert etas(world, 0.0, "operations") == [100.0, 110.0]


def test_a_lease_older_than_its_task_lasts_is_expected_for_half_of_its_age_more() -> None:
    world = knowing(*OPERATIONS)
    world.acquire(0.0, of("short", weight=2))
    world.acquire(0.0, of("short"))
    assert etas(world, 9.0, "operations") == [1.0]
    assert etas(world, 40.0, "operations") == [OVERDUE_SHARE * 40.0]
    assert left_s(10.0, 10.0) == OVERDUE_SHARE * 10.0


def test_where_nothing_is_known_of_a_task_it_lasts_what_any_does_or_nobody_knows() -> None:
    world = knowing(*OPERATIONS)
    held = world.acquire(0.0, of("?", weight=2))
    world.acquire(0.0, of("short", weight=2))
    assert etas(world, 5.0, "operations") == [None]
    world.release(20.0, held)  # so one lasts 20 s as a rule; what runs now is a short one
    world.acquire(20.0, of("?"))
    world.acquire(20.0, of("?", weight=2))
    [first, second] = etas(world, 20.0, "operations")
    assert first == 10.0
    # Of the one that lasted 20 s and of what is out since 0 s, the median.
    assert second == 20.0


def test_grants_keep_the_delay_of_the_level_between_them() -> None:
    world = knowing(agents(3, 3, 3, 1))
    world.feed(0.0, ev.SetLevel(Caller(9, 9), 1))
    for _ in range(3):
        world.acquire(0.0, Claim(BEN, task="short"))
    delay_s = LEVELS[1].delay_s
    assert etas(world, 0.0) == [delay_s, 2 * delay_s]


def test_a_pause_and_what_is_out_of_reach_count() -> None:
    world = knowing(*OPERATIONS)
    world.acquire(0.0, of("short", weight=2))
    world.acquire(0.0, of("short", weight=2))
    world.feed(0.0, by_hand.Pause(world.caller(CAT.pid), "operations", 50.0))
    assert etas(world, 0.0, "operations") == [50.0]
    world.feed(0.0, by_hand.Pause(world.caller(CAT.pid), "operations"))
    assert etas(world, 0.0, "operations") == [None]
    world.feed(0.0, by_hand.Unpause(world.caller(CAT.pid), "operations"))
    reserve = by_hand.Reserve(world.caller(CAT.pid), "operations", 1, 1000.0, Class.CRITICAL)
    world.feed(0.0, reserve)
    assert etas(world, 0.0, "operations") == [None]


def test_whoever_must_have_started_by_then_is_refused_by_what_is_foretold() -> None:
    world = knowing(*OPERATIONS)
    world.acquire(0.0, of("long", weight=2))
    asked = world.caller(CAT.pid)
    world.feed(0.0, ev.Acquire(asked, of("short"), by_s=99.0))
    assert world.refusal(asked) == "timeout"
    later = world.caller(CAT.pid)
    world.feed(0.0, ev.Acquire(later, of("short"), by_s=101.0))
    assert world.is_waiting(later)


def test_ten_thousand_are_foretold_in_one_pass() -> None:
    asked: list[str] = []
    world = knowing(*OPERATIONS)
    pool = world.core.pools["operations"]
    for number in range(1, 10_001):
        waiter = Waiter(number, of("short"), Caller(1, number), 0.0)
        pool.add(waiter)

    def noted(claim: Claim) -> Estimate | None:
        asked.append(claim.task)
        return expects(claim)

    pool.expects = noted
    last = list(places_of(pool, 0.0))[-1]
    assert last.eta_s == pytest.approx(10.0 * 4999)
    assert len(asked) == 1


def test_the_score_is_of_the_first_word_and_of_those_who_started() -> None:
    foretold = Foretold()
    assert foretold.score() is None
    for ticket, eta_s, start_at in ((1, 10.0, 20.0), (2, 10.0, 12.0), (3, 30.0, 10.0)):
        foretold.note(ticket, eta_s, 0.0)
        foretold.note(ticket, 0.5, 5.0)
        foretold.start(ticket, start_at)
    foretold.note(4, 1.0, 0.0)
    foretold.leave(4)
    foretold.start(4, inf)
    foretold.note(5, None, 0.0)
    foretold.start(5, 1.0)
    score = foretold.score()
    assert score is not None
    assert (score.waits, score.error) == (3, 0.5)
    assert score.within_two == pytest.approx(2 / 3)


def test_what_was_learnt_of_tasks_is_what_is_foretold() -> None:
    world = World(agents(1))
    runs = tuple(Run("short", "", "", 0, 1, 1, 1.0, 10.0) for _ in range(3))
    world.feed(0.0, Recalled(runs))
    world.acquire(0.0, Claim(ANN, task="short"))
    for task in ("short", "?"):
        world.acquire(0.0, Claim(BEN, task=task))
    assert etas(world, 4.0) == [6.0, 16.0]


def test_who_was_put_off_is_told_its_end_and_not_scored_by_it() -> None:
    world = knowing(agents(2))
    caller = world.caller(CAT.pid)
    world.feed(0.0, ev.Acquire(caller, Claim(CAT), by_s=50.0, defer=True))
    world.acquire(0.0, Claim(BEN, task="short"))
    assert etas(world, 1.0) == [49.0]
