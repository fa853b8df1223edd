"""A lease that is kept while its body runs: over restarts of the daemon, and until it is lost.

What is one client's alone is in test_keepers.py.
"""

import threading
from itertools import islice
from pathlib import Path
from threading import Event, main_thread

import pytest

from admission.protocol import LeaseLost, NoSlot, Unreachable
from admission_client import aio, autostart, dialogue
from admission_client.dialogue import RECONNECT_PAUSES_S, pauses_s
from tests.clients.answers import GRANTED
from tests.clients.daemons import Daemon
from tests.clients.fronts import Ear, Front, Holder, holding
from tests.clients.impostors import Impostor, Reply, answers, hangs_up, refuses

# --- over restarts ------------------------------------------------------------------------------


def test_a_lease_bound_to_the_connection_is_taken_up_again_after_each_restart(
    daemon: Daemon, front: Front
) -> None:
    with front.lease("one", daemon.path, bound="connection"):
        for _ in range(2):
            daemon.kill()
            daemon.start()
            with pytest.raises(NoSlot):  # a newcomer, whether or not it has been taken up yet
                front.lease("one", daemon.path, wait=0).__enter__()
            daemon.await_resumed()
            assert daemon.states() == ["held"]
    assert daemon.in_use() == 0


def test_a_body_that_ends_while_the_daemon_is_away_gives_back_once_it_is_there(
    daemon: Daemon, front: Front
) -> None:
    ear = Ear()
    body = front.lease("one", daemon.path, bound="connection", on_lost=ear)
    body.__enter__()
    daemon.kill()
    starting = threading.Thread(target=daemon.start)
    starting.start()
    body.__exit__(None, None, None)
    starting.join()
    assert daemon.in_use() == 0
    assert ear.told == []


def test_a_daemon_that_stays_away_takes_no_lease_but_the_end_says_that_it_is_gone(
    daemon: Daemon, front: Front
) -> None:
    ear = Ear()
    body = front.lease("one", daemon.path, bound="connection", on_lost=ear)
    body.__enter__()
    daemon.kill()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(front.module, "RECONNECT_S", 0.05)
        with pytest.raises(Unreachable, match=f"^no daemon answers at {daemon.path}"):
            body.__exit__(None, None, None)
    assert ear.told == []
    daemon.forget()


def test_a_lease_of_which_nobody_knows_once_the_daemon_is_back_is_lost(
    daemon: Daemon, front: Front
) -> None:
    body = front.lease("one", daemon.path)
    body.__enter__()
    daemon.forget()
    starting = threading.Thread(target=daemon.start)
    starting.start()
    with pytest.raises(LeaseLost, match="there is no lease"):
        body.__exit__(None, None, None)
    starting.join()


# --- until it is lost ---------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["process", "connection"])
def test_who_wants_to_know_is_told_at_once_and_once_that_the_lease_is_lost(
    daemon: Daemon, front: Front, bound: str
) -> None:
    ear = Ear()
    with front.lease("one", daemon.path, bound=bound, ttl=0.01, on_lost=ear) as granted:
        assert ear.wait() == f"lease {granted.id} has ended: ttl passed; renew it in time"
        assert ear.told[0].exit_status == 75
    assert len(ear.told) == 1
    assert main_thread() not in ear.by


def test_without_anybody_to_tell_the_end_of_the_body_raises(daemon: Daemon, front: Front) -> None:
    body = front.lease("one", daemon.path, bound="connection", ttl=0.01)
    body.__enter__()
    daemon.wait_until(daemon.is_idle)
    with pytest.raises(LeaseLost):
        body.__exit__(None, None, None)


@pytest.mark.parametrize("bound", ["process", "connection"])
def test_a_daemon_that_knows_nothing_of_the_lease_any_more_has_lost_it(
    daemon: Daemon, front: Front, bound: str
) -> None:
    ear = Ear()
    with front.lease("one", daemon.path, bound=bound, on_lost=ear) as granted:
        daemon.forget()
        daemon.start()
        assert ear.wait().startswith(f"there is no lease {granted.id}: it has ended, or ")
    assert len(ear.told) == 1


def test_what_turns_out_only_at_the_end_is_told_there(daemon: Daemon, front: Front) -> None:
    """The holder's own process gave it back; of that the daemon tells nobody."""
    ear = Ear()
    with front.lease("one", daemon.path, on_lost=ear) as granted:
        daemon.ask("release", lease=granted.id)
        assert ear.told == []
    assert str(ear.told[0]).startswith(f"there is no lease {granted.id}")


def test_what_fails_in_being_told_fails_at_the_end_of_the_body(
    daemon: Daemon, front: Front
) -> None:
    has_come = Event()

    def fail(_: LeaseLost) -> None:
        has_come.set()
        raise ZeroDivisionError

    body = front.lease("one", daemon.path, ttl=0.01, on_lost=fail)
    body.__enter__()
    has_come.wait()
    with pytest.raises(ZeroDivisionError):
        body.__exit__(None, None, None)


def test_what_fails_in_a_kept_body_comes_out_as_it_is(daemon: Daemon, front: Front) -> None:
    for bound in ("process", "connection"):
        ear = Ear()
        body = front.lease("one", daemon.path, bound=bound, on_lost=ear)
        with pytest.raises(ZeroDivisionError), body:
            raise ZeroDivisionError
        assert ear.told == []
    assert daemon.in_use() == 0


def test_a_lease_that_is_shared_is_its_holders_to_keep(
    daemon: Daemon, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    ear = Ear()
    with front.lease("one", daemon.path) as outer:
        monkeypatch.setenv("ADMISSION_LEASE", str(outer.id))
        with front.lease("one", daemon.path, bound="connection", on_lost=ear) as inner:
            assert inner.is_shared
        assert daemon.in_use() == 1
    assert ear.told == []


def test_it_asks_again_until_it_is_taken_up_or_refused(front: Front, folder: Path) -> None:
    ear = Ear()
    path = str(folder / "a.sock")
    script: list[list[Reply]] = [
        [answers({**GRANTED, "secret": "00ff"})],
        [hangs_up],
        [refuses("shutting_down", "the daemon is ending")],
        [answers({})],
        [refuses("not_permitted", "lease 42 has another secret")],
    ]
    with Impostor(path, script) as impostor:
        with front.lease("one", path, bound="connection", on_lost=ear):
            said = ear.wait()
        assert said == "lease 42 could not be taken up again: lease 42 has another secret"
        assert impostor.asked == [["acquire"], ["resume"], ["resume"], ["resume"], ["resume"]]


# --- coming back --------------------------------------------------------------------------------


def test_many_who_lost_the_same_daemon_do_not_come_back_at_the_same_moments() -> None:
    many = [list(islice(pauses_s(), 20)) for _ in range(64)]
    for longest_s, *found in zip([*RECONNECT_PAUSES_S, *[0.5] * 14], *many, strict=True):
        assert len({*found}) > 16
        assert all(longest_s / 2 <= pause_s <= longest_s for pause_s in found)


def test_a_waiter_looks_for_its_daemon_before_it_starts_one(
    daemon: Daemon, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def refuse(path: str) -> None:
        started.append(path)
        raise Unreachable("none may be started")

    monkeypatch.setattr(autostart, "start_daemon", refuse)
    monkeypatch.setattr(aio, "start_daemon", refuse)
    monkeypatch.setattr(dialogue, "RECONNECT_PAUSES_S", (0.001,) * len(RECONNECT_PAUSES_S))
    for limit_s, tries in ((0.0, 0), (0.5, 1)):
        with holding(front.lease("one", daemon.path)) as first:
            with Holder(front.lease("one", daemon.path, task="second")) as second:
                daemon.wait_for_waiting("second")
                monkeypatch.setattr(front.module, "RECONNECT_S", limit_s)
                daemon.kill()
                with pytest.raises(Unreachable):
                    second.lease.result()
                assert bool(started) == bool(tries)
            daemon.forget()
            daemon.start()
            first.leave()
