"""What is done about pressure that remains; `tests.core.books_of_shedding` has all of it, and here
are the stories that one would tell.
"""

from dataclasses import replace

from admission.core import events as ev
from admission.core import shedding
from admission.core.leases import Bound, Caller, Claim, Class, Holder, Lease, Reason
from admission.core.sample import Sample
from admission.core.shedding import Shed
from tests.core.worlds import ANN, BEN, CAT, World, agents

LADDER = Shed(("advise", "freeze", "park"))
PARKABLE = Claim(ANN, parkable=True, bound=Bound.PROCESS)


def world(shed: Shed = LADDER) -> World:
    return World(agents(3), shed=shed)


def feel(
    world: World, now: float, memory_pct: float | None = 50.0, stall_pct: float | None = None
) -> list[ev.Effect]:
    """What is done, less what is written of it."""
    sample = Sample(now, memory_pct, 10.0, cpu_stall_pct=stall_pct)
    done = world.feed(now, ev.Sampled(sample))
    return [one for one in done if not isinstance(one, ev.Persist)]


def held(world: World, now: float, *claims: Claim) -> list[Caller]:
    """A lease for each."""
    asked = [
        world.acquire(now, replace(claim, holder=holder))
        for claim, holder in zip(claims, (ANN, BEN, CAT), strict=False)
    ]
    assert all(map(world.is_held, asked))
    return asked


def parked(effects: list[ev.Effect]) -> list[int]:
    return [one.lease.id for one in effects if isinstance(one, shedding.Park)]


def frozen(effects: list[ev.Effect]) -> list[int]:
    return [one.lease.id for one in effects if isinstance(one, shedding.Freeze)]


def thawed(effects: list[ev.Effect]) -> list[int]:
    return [one.lease.id for one in effects if isinstance(one, shedding.Thaw)]


def test_nothing_is_done_unless_it_was_asked_for() -> None:
    calm = world(Shed())
    held(calm, 0, PARKABLE, PARKABLE)
    assert feel(calm, 1, 99.0, 100.0) == []


def test_advice_begins_at_its_bound_and_ends_below_its_margin() -> None:
    one = world()
    told = [feel(one, at, pct) for at, pct in enumerate([89.9, 90.0, 86.0, None, 95.0, 84.9, 20.0])]
    assert [len(each) for each in told] == [0, 1, 0, 0, 0, 1, 0]
    assert told[1] == [shedding.Advised(1, "memory 90 % is at or above 90 %")]
    assert told[5] == [shedding.Advised(0, "")]


def test_the_youngest_of_the_lowest_class_is_parked_and_one_in_ten_seconds() -> None:
    one = world()
    held(one, 0, replace(PARKABLE, rank=Class.BATCH), PARKABLE, PARKABLE)
    assert [parked(feel(one, at, 94.0)) for at in (1, 5, 11, 20, 21, 40)] == [
        [1],
        [],
        [3],
        [],
        [],  # it is the last one that runs, though the others are still there
        [],
    ]


def test_who_can_not_be_parked_or_is_interactive_is_not() -> None:
    one = world()
    held(one, 0, PARKABLE, replace(PARKABLE, parkable=False), replace(PARKABLE, interactive=True))
    assert [parked(feel(one, at, 99.0)) for at in (1, 20, 40)] == [[1], [], []]


def test_however_its_holder_ends_its_lease_is_parked_but_by_a_hand() -> None:
    for end in ("release", "exit", "revoke"):
        one = world()
        (_, younger) = held(one, 0, PARKABLE, PARKABLE)
        feel(one, 1, 95.0)
        if end == "release":
            one.release(2, younger)
        elif end == "exit":
            one.exit(2, BEN)
        else:
            one.feed(2, ev.Release(one.caller(9), 2))
        (ended,) = [record for record in one.journal if isinstance(record, ev.Ended)]
        assert ended.reason is (Reason.REVOKED if end == "revoke" else Reason.PARKED)


def test_whoever_comes_back_for_it_goes_first_once_also_after_a_restart() -> None:
    one = world()
    held(one, 0, PARKABLE, PARKABLE, PARKABLE)
    feel(one, 1, 95.0)
    one.exit(2, CAT)
    one.restart(3)
    waits = [_ask(one, 4), _ask(one, 5, 3, uid=1), _ask(one, 6, 3), _ask(one, 7, 3)]
    ahead = {waiter.caller: waiter.ahead for waiter in one.core.pools["agents"].queue()}
    assert [ahead[caller] for caller in waits] == [0, 0, 1, 0]


def _ask(world: World, now: float, resumes: int | None = None, uid: int = 0) -> Caller:
    caller = world.caller(200 + int(now))
    claim = Claim(Holder(200 + int(now), 1), weight=2, uid=uid)
    world.feed(now, ev.Acquire(caller, claim, resumes=resumes))
    return caller


def test_one_stands_still_for_a_while_and_then_not_for_minutes() -> None:
    one = world()
    held(one, 0, PARKABLE, Claim(BEN), replace(PARKABLE, interactive=True))
    assert frozen(feel(one, 1, stall_pct=95.0)) == [2]
    assert frozen(feel(one, 5, stall_pct=99.0)) == []  # one at a time
    assert one.core.wakeup() == 21
    assert thawed(one.pass_time(21)) == [2]
    assert frozen(feel(one, 22, stall_pct=95.0)) == [1]
    assert thawed(feel(one, 24, stall_pct=74.9)) == [1]
    assert frozen(feel(one, 25, stall_pct=95.0)) == []
    assert frozen(feel(one, 301, stall_pct=95.0)) == [2]


def test_one_that_would_have_to_renew_its_lease_meanwhile_does_not_stand_still() -> None:
    one = world()
    held(one, 0, Claim(ANN), Claim(BEN, ttl_s=60.0, bound=Bound.PROCESS))
    assert frozen(feel(one, 41, stall_pct=95.0)) == [1]


def test_one_that_stands_still_goes_on_when_nobody_else_runs_or_it_is_to_be_parked() -> None:
    one = world()
    older, _ = held(one, 0, Claim(ANN), PARKABLE)
    feel(one, 1, stall_pct=95.0)
    assert feel(one, 2, 95.0, 95.0) == [
        shedding.Advised(1, "memory 95 % is at or above 90 %"),
        shedding.Thaw(replace(_lease(one, 2), is_frozen=True, is_parking=False)),
        shedding.Park(_lease(one, 2), "memory 95 % is at or above 94 %"),
    ]
    other = world()
    older, _ = held(other, 0, Claim(ANN), PARKABLE)
    feel(other, 1, stall_pct=95.0)
    other.release(2, older)
    assert not _lease(other, 2).is_frozen


def _lease(world: World, number: int) -> Lease:
    lease = world.core.ledger.lease(number)
    assert lease is not None
    return lease


def test_without_a_journal_nobody_is_stopped_or_parked() -> None:
    one = world()
    held(one, 0, PARKABLE, PARKABLE)
    one.disk_room = 0
    feel(one, 1, stall_pct=95.0)
    assert not one.core.ledger.frozen
    assert parked(feel(one, 2, 99.0)) == []
    one.mend_journal(3)
    assert parked(feel(one, 4, 99.0)) == [2]


def test_a_restart_has_all_go_on_and_parks_nobody_at_once() -> None:
    one = world()
    held(one, 0, PARKABLE, PARKABLE)
    feel(one, 1, stall_pct=95.0)
    one.restart(2)
    assert not one.stops.since
    assert parked(feel(one, 3, 99.0)) == []
    assert parked(feel(one, 12, 99.0)) == [2]
