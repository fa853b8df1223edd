"""Units that are given back while their holder only waits: the same for all clients."""

import threading
from contextlib import AbstractContextManager, ExitStack

import pytest

from admission.protocol import LeaseLost, NoSlot
from tests.clients.daemons import Daemon
from tests.clients.fronts import Ear, Front, Holder, holding


def test_another_one_has_the_units_meanwhile_and_they_come_back_behind_it(
    daemon: Daemon, front: Front
) -> None:
    with front.lease("one", daemon.path, task="first") as granted:
        number = granted.id
        with front.yielded(granted):
            assert daemon.states() == ["yielded"]
            with front.lease("one", daemon.path, wait=0):
                assert daemon.in_use() == 1
        assert daemon.states() == ["held"]
        assert granted.id == number
    assert daemon.is_idle()


def test_who_yielded_comes_before_newcomers(daemon: Daemon, front: Front) -> None:
    newcomer = Holder(front.lease("one", daemon.path, task="third"))
    with ExitStack() as stack:
        with front.lease("one", daemon.path, task="first") as granted:
            yielding = front.yielded(granted)
            yielding.__enter__()
            with holding(front.lease("one", daemon.path, task="second")):
                stack.enter_context(newcomer)
                daemon.wait_for_waiting("third")
                back = begin(yielding)
                daemon.wait_for_waiting("first", "third")
            back.join()
            assert daemon.waiting() == ["third"]
        newcomer.lease.result()


def begin(yielding: AbstractContextManager[None]) -> threading.Thread:
    """The end of this body, which waits for units."""
    back = threading.Thread(target=yielding.__exit__, args=(None, None, None))
    back.start()
    return back


def test_the_units_come_back_when_the_body_fails_too(daemon: Daemon, front: Front) -> None:
    with front.lease("one", daemon.path) as granted:
        with pytest.raises(KeyError), front.yielded(granted):
            raise KeyError
        assert daemon.states() == ["held"]


def test_without_room_within_the_wait_the_lease_stays_without_its_units(
    daemon: Daemon, front: Front
) -> None:
    with front.lease("one", daemon.path) as granted:
        yielding = front.yielded(granted, wait=0)
        yielding.__enter__()
        with holding(front.lease("one", daemon.path)), pytest.raises(NoSlot):
            yielding.__exit__(None, None, None)
        assert daemon.states() == ["yielded"]
        with front.yielded(granted):
            pass
        assert daemon.states() == ["held"]
    assert daemon.is_idle()


def test_a_daemon_that_is_killed_meanwhile_keeps_the_place(daemon: Daemon, front: Front) -> None:
    with front.lease("one", daemon.path, task="first") as granted:
        yielding = front.yielded(granted)
        yielding.__enter__()
        daemon.kill()
        daemon.start()
        assert daemon.states() == ["yielded"]
        with holding(front.lease("one", daemon.path, task="second")):
            back = begin(yielding)
            daemon.wait_for_waiting("first")
            daemon.kill()
            daemon.start()
            daemon.wait_for_waiting("first")
        back.join()
        assert daemon.states() == ["held"]


def test_a_lease_that_ended_meanwhile_is_lost(daemon: Daemon, front: Front) -> None:
    ear = Ear()
    with front.lease("one", daemon.path, bound="connection", on_lost=ear) as granted:
        yielding = front.yielded(granted)
        yielding.__enter__()
        daemon.ask("release", lease=granted.id)
        with pytest.raises(LeaseLost):
            yielding.__exit__(None, None, None)
    assert len(ear.told) == 1


def test_a_lease_that_is_shared_keeps_its_units(
    daemon: Daemon, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    with front.lease("one", daemon.path) as outer:
        monkeypatch.setenv("ADMISSION_LEASE", str(outer.id))
        with front.lease("one", daemon.path) as inner:
            assert inner.is_shared
            with front.yielded(inner):
                assert daemon.states() == ["held"]
