"""What holds for each client, `blocking` and `aio` alike: its leases, its waits, its news.

What holds when the daemon is away is in test_away.py.
"""

import re
from itertools import islice

import pytest

from admission.protocol import BadRequest, Frame, LeaseLost, NoSlot
from admission_client.granted import Lease
from tests.clients.daemons import Daemon
from tests.clients.fronts import Front, Holder, holding

# --- holding ------------------------------------------------------------------------------------


def test_a_lease_is_held_for_the_body_and_no_longer(daemon: Daemon, front: Front) -> None:
    with front.lease("one", daemon.path, task="refactor") as granted:
        assert (granted.pool, granted.weight, granted.level) == ("one", 1, 0)
        assert granted.params.reasoning_effort == "high"
        assert not granted.is_shared
        assert daemon.in_use() == 1
    assert daemon.in_use() == 0


def test_a_body_that_fails_gives_its_lease_back(daemon: Daemon, front: Front) -> None:
    with pytest.raises(ZeroDivisionError), front.lease("one", daemon.path):
        raise ZeroDivisionError
    assert daemon.in_use() == 0


def test_a_fence_only_ever_grows(daemon: Daemon, front: Front) -> None:
    fences = []
    for _ in range(3):
        with front.lease("one", daemon.path) as granted:
            fences.append(granted.fence)
    assert fences == sorted(set(fences))


def test_a_lease_weighs_what_was_asked(daemon: Daemon, front: Front) -> None:
    with front.lease("two", daemon.path, weight=2) as granted:
        assert granted.weight == 2
        assert daemon.in_use("two") == 2


def test_leases_end_in_the_order_in_which_their_bodies_do(daemon: Daemon, front: Front) -> None:
    with front.client(daemon.path) as other:
        news = other.watch(["level", "lease"])
        assert next(news)["event"] == "level"
        with front.lease("two", daemon.path) as outer, front.lease("two", daemon.path) as inner:
            pass
        seen = [(event["event"], event["lease"]) for event in islice(news, 4)]
        news.close()
    assert seen == [
        ("granted", outer.id),
        ("granted", inner.id),
        ("ended", inner.id),
        ("ended", outer.id),
    ]


def test_a_lease_is_bound_to_the_connection_where_that_is_asked(
    daemon: Daemon, front: Front
) -> None:
    with front.lease("one", daemon.path, bound="connection"):
        assert daemon.in_use() == 1
    assert daemon.in_use() == 0


def test_what_the_level_asks_of_its_agents_comes_with_the_lease(
    daemon: Daemon, front: Front
) -> None:
    daemon.ask("level", set=2)
    with front.lease("shrinking", daemon.path) as granted:
        found = granted.params
        assert (granted.level, found.level, found.name) == (2, 2, "medium")
        assert (found.batch_size, found.reasoning_effort) == (25, "medium")


# --- waiting ------------------------------------------------------------------------------------


def test_who_will_not_wait_is_told_why_there_is_no_slot(daemon: Daemon, front: Front) -> None:
    with front.lease("one", daemon.path), pytest.raises(NoSlot) as problem:
        front.lease("one", daemon.path, wait=0).__enter__()
    assert str(problem.value).startswith("no slot now: 1 of 1 units of one are out; ")
    assert (problem.value.code, problem.value.exit_status) == ("timeout", 75)


def test_who_will_not_wait_is_served_where_there_is_room(daemon: Daemon, front: Front) -> None:
    with front.lease("two", daemon.path), front.lease("two", daemon.path, wait=0):
        assert daemon.in_use("two") == 2


def test_a_wait_that_is_over_says_how_long_why_and_at_which_place(
    daemon: Daemon, front: Front
) -> None:
    with (
        holding(front.lease("one", daemon.path)) as first,
        Holder(front.lease("one", daemon.path, task="ahead")),
    ):
        daemon.wait_for_waiting("ahead")
        with pytest.raises(NoSlot) as problem:
            front.lease("one", daemon.path, wait=0.05).__enter__()
        assert daemon.waiting() == ["ahead"]
        first.let_go()
    assert re.fullmatch(
        r"no slot within 0\.\d+ s: 1 of 1 units of one are out, you were 2nd; "
        'see "admission leases"',
        str(problem.value),
    )


def test_the_next_one_is_granted_when_the_first_gives_back(daemon: Daemon, front: Front) -> None:
    with (
        holding(front.lease("one", daemon.path)) as first,
        Holder(front.lease("one", daemon.path, task="second")) as second,
    ):
        before = first.lease.result()
        daemon.wait_for_waiting("second")
        assert not second.lease.done()
        first.let_go()
        after = second.lease.result()
        assert after.fence > before.fence
        assert daemon.in_use() == 1
        second.let_go()
    assert daemon.in_use() == 0


def test_places_are_told_while_one_waits(daemon: Daemon, front: Front) -> None:
    told: list[Frame] = []
    with (
        holding(front.lease("one", daemon.path)) as first,
        Holder(front.lease("one", daemon.path, task="second")) as second,
        front.client(daemon.path) as client,
    ):
        daemon.wait_for_waiting("second")
        steps = iter([first, second])

        def note(event: Frame) -> None:
            told.append(event)
            next(steps).leave()

        client.release(client.acquire("one", on_queued=note))
    assert [event["event"] for event in told] == ["queued", "queued"]
    assert [(event["position"], event["of"]) for event in told] == [(2, 2), (1, 1)]
    assert told[0]["reason"] == "1 of 1 units of one are out"


def test_whatever_fails_in_being_told_the_request_is_taken_back(
    daemon: Daemon, front: Front
) -> None:
    def fail(_: Frame) -> None:
        raise ZeroDivisionError

    with front.client(daemon.path) as client, front.lease("one", daemon.path):
        with pytest.raises(ZeroDivisionError):
            client.acquire("one", on_queued=fail)
        daemon.wait_for_waiting()


# --- what was taken away ------------------------------------------------------------------------


def test_who_lost_the_lease_hears_of_it_at_the_end(daemon: Daemon, front: Front) -> None:
    lease = front.lease("one", daemon.path)
    granted = lease.__enter__()
    daemon.ask("release", lease=granted.id)
    with pytest.raises(LeaseLost) as problem:
        lease.__exit__(None, None, None)
    assert str(problem.value).startswith(f"there is no lease {granted.id}: it has ended, or ")
    assert (problem.value.code, problem.value.exit_status) == ("unknown_lease", 75)


def test_a_ttl_that_passes_ends_the_lease(daemon: Daemon, front: Front) -> None:
    lease = front.lease("one", daemon.path, ttl=0.01)
    lease.__enter__()
    daemon.wait_until(lambda: daemon.in_use() == 0)
    with pytest.raises(LeaseLost):
        lease.__exit__(None, None, None)


def test_a_lease_that_is_renewed_outlives_its_ttl(daemon: Daemon, front: Front) -> None:
    with front.lease("one", daemon.path, ttl=60) as granted:
        assert daemon.ask("renew", lease=granted.id)["ttl_s"] == 60
        assert daemon.in_use() == 1


def test_what_failed_in_the_body_is_told_rather_than_that_the_lease_is_lost(
    daemon: Daemon, front: Front
) -> None:
    def body(granted: Lease) -> None:
        daemon.ask("release", lease=granted.id)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), front.lease("one", daemon.path) as granted:
        body(granted)


# --- under a lease already ----------------------------------------------------------------------


def test_who_runs_under_a_lease_shares_it_and_does_not_give_it_back(
    daemon: Daemon, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    with front.lease("one", daemon.path) as outer:
        monkeypatch.setenv("ADMISSION_LEASE", str(outer.id))
        with front.lease("one", daemon.path, wait=0) as inner:
            assert inner.is_shared
            assert (inner.id, inner.fence) == (outer.id, outer.fence)
        assert daemon.in_use() == 1
        with front.lease("two", daemon.path, wait=0) as other:
            assert not other.is_shared, "it is of another pool"
        assert (daemon.in_use("one"), daemon.in_use("two")) == (1, 0)


def test_a_lease_that_is_only_said_to_be_there_is_not_shared(
    daemon: Daemon, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMISSION_LEASE", "4711")
    with front.lease("one", daemon.path) as granted:
        assert not granted.is_shared
        assert daemon.in_use() == 1


# --- asking -------------------------------------------------------------------------------------


def test_what_can_never_be_granted_is_refused_with_what_to_do(daemon: Daemon, front: Front) -> None:
    with pytest.raises(BadRequest, match='there is no pool "none"; the pools are agents, '):
        front.lease("none", daemon.path).__enter__()
    with pytest.raises(BadRequest, match="weight 2 can never be granted") as problem:
        front.lease("one", daemon.path, weight=2).__enter__()
    assert problem.value.code == "impossible"


def test_one_connection_serves_one_request_after_the_other(daemon: Daemon, front: Front) -> None:
    with front.client(daemon.path) as client:
        with pytest.raises(BadRequest, match="there is no op 'dance'"):
            client.ask("dance")
        first = client.acquire("one")
        with pytest.raises(NoSlot):
            client.acquire("one", 0)
        assert client.ask("status")["held"] == 1
        client.release(first)
        with pytest.raises(LeaseLost):
            client.release(first)


def test_the_first_news_is_the_level_in_force_however_the_bytes_come(
    daemon: Daemon, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte by byte, the news is there before the answer to `watch` is."""
    monkeypatch.setattr(front.module, "READ_BYTES", 1)
    daemon.ask("level", set=1)
    with front.client(daemon.path) as client:
        news = client.watch(["level"])
        first = next(news)
        assert (first["event"], first["level"], first["name"]) == ("level", 1, "light")
        daemon.ask("level", set=3)
        assert next(news)["level"] == 3
        news.close()


def test_news_come_in_order_of_the_topics_asked_for(daemon: Daemon, front: Front) -> None:
    with front.client(daemon.path) as client:
        news = client.watch(["queue", "level"])
        assert next(news)["event"] == "level"
        with front.lease("one", daemon.path), pytest.raises(NoSlot):
            front.lease("one", daemon.path, wait=0.01, task="in vain").__enter__()
        waiting, left = islice(news, 2)
        assert (waiting["event"], waiting["task"]) == ("waiting", "in vain")
        assert (left["event"], left["ticket"]) == ("left", waiting["ticket"])
        news.close()


def test_a_claim_that_no_frame_can_carry_is_refused_and_nothing_is_sent(
    daemon: Daemon, front: Front
) -> None:
    with pytest.raises(BadRequest, match="this can't be sent"):
        front.lease("one", daemon.path, task="\ud800").__enter__()


def test_a_wait_may_be_of_months_but_not_of_ages(daemon: Daemon, front: Front) -> None:
    with front.lease("one", daemon.path, wait=90 * 86_400.0, ttl=90 * 86_400.0):
        assert daemon.in_use() == 1
    for ages in (1e12, float("inf")):
        with pytest.raises(BadRequest, match=r"wait_s is .*: expected `?float`? <= 1000000000"):
            front.lease("one", daemon.path, wait=ages).__enter__()


def test_whatever_fails_at_the_moment_of_the_grant_the_lease_is_given_back(
    daemon: Daemon, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Frame) -> Lease:
        raise ZeroDivisionError

    monkeypatch.setattr(front.module, "Lease", interrupted)
    with pytest.raises(ZeroDivisionError):
        front.lease("one", daemon.path).__enter__()
    assert daemon.in_use() == 0
