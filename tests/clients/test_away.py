"""What each client does where the daemon is away, was away, or is none."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

import pytest

from admission.protocol import LeaseLost, NoSlot, Unavailable, Unreachable
from tests.clients.answers import GRANTED, without
from tests.clients.daemons import Daemon
from tests.clients.fronts import Front, Holder, holding
from tests.clients.impostors import (
    Impostor,
    Reply,
    answers,
    grants,
    half_of,
    hangs_up,
    refuses,
    says,
)


@pytest.fixture
def path(folder: Path) -> str:
    """Where no daemon is."""
    return str(folder / "a.sock")


@contextmanager
def hurry(front: Front, *limits: str) -> Iterator[None]:
    """Makes these limits of the client short. Only where nothing is to be had within them: a
    machine that is busy may take longer than that for what is.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in limits:
            patch.setattr(front.module, name, 0.1)
        yield


ON_MAC = sys.platform == "darwin"
NO_ANSWER = ("ANSWER_TIMEOUT_S", "FAREWELL_S")


# --- nobody is there ----------------------------------------------------------------------------


def test_where_no_daemon_is_and_none_may_be_started_it_says_so(front: Front, path: str) -> None:
    with pytest.raises(Unreachable) as problem:
        front.lease("one", path).__enter__()
    assert str(problem.value) == (
        f"no daemon answers at {path}, and ADMISSION_AUTOSTART=0 forbids to start one; "
        'start one with "admission serve"'
    )
    assert problem.value.exit_status == 69


@pytest.mark.parametrize(
    ("left", "why"),
    [
        ("nothing", "No such file or directory"),
        ("a file", "Socket operation on non-socket" if ON_MAC else "Connection refused"),
        ("a dead socket", "Connection refused"),
    ],
)
def test_who_only_looks_starts_none_and_is_told_why(
    front: Front, path: str, left: str, why: str
) -> None:
    if left == "a file":
        Path(path).touch()
    elif left == "a dead socket":
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(path)
    with front.client(path) as client, pytest.raises(Unreachable) as problem:
        client.ask("status")
    assert str(problem.value) == (
        f'no daemon answers at {path} ({why}); start one with "admission serve"'
    )


# --- it is stopped ------------------------------------------------------------------------------


def test_a_daemon_that_is_stopped_is_unreachable(daemon: Daemon, front: Front) -> None:
    with daemon.stopped(), hurry(front, *NO_ANSWER), pytest.raises(Unreachable) as problem:
        front.lease("one", daemon.path, wait=0).__enter__()
    assert str(problem.value) == f"the daemon at {daemon.path} does not answer; is it stopped?"
    daemon.forget()


def test_a_request_that_nobody_answers_is_taken_back_before_one_leaves(
    front: Front, path: str
) -> None:
    """The daemon may run again later, and reads both."""
    script: list[list[Reply]] = [[says(b""), says(b"")]]
    unreachable = pytest.raises(Unreachable, match="is it stopped")
    with Impostor(path, script) as impostor, hurry(front, *NO_ANSWER), unreachable:
        front.lease("one", path, wait=0).__enter__()
    assert impostor.asked == [["acquire", "cancel"]]


def test_what_comes_too_late_is_no_answer_to_the_next_question(
    daemon: Daemon, front: Front
) -> None:
    with front.client(daemon.path) as client:
        with (
            daemon.stopped(),
            hurry(front, *NO_ANSWER),
            pytest.raises(Unreachable, match="is it stopped"),
        ):
            client.ask("status")
        assert client.ask("level")["params"]


def test_a_lease_that_could_not_be_given_back_in_time_is_given_back_later(
    daemon: Daemon, front: Front
) -> None:
    lease = front.lease("one", daemon.path)
    lease.__enter__()
    with (
        daemon.stopped(),
        hurry(front, *NO_ANSWER),
        pytest.raises(Unreachable, match="is it stopped"),
    ):
        lease.__exit__(None, None, None)
    daemon.wait_until(daemon.is_idle)


# --- it was away --------------------------------------------------------------------------------


def test_a_waiter_keeps_its_place_over_a_restart_and_gets_its_lease(
    daemon: Daemon, front: Front
) -> None:
    with (
        holding(front.lease("one", daemon.path)) as first,
        Holder(front.lease("one", daemon.path, task="second")) as second,
    ):
        daemon.wait_for_waiting("second")
        with Holder(front.lease("one", daemon.path, task="third")) as third:
            daemon.wait_for_waiting("second", "third")
            daemon.kill()
            daemon.start()
            first.let_go()
            granted = second.lease.result()
            assert granted.fence > first.lease.result().fence
            daemon.wait_for_waiting("third")
            second.let_go()
            third.lease.result()
            third.let_go()


def test_the_wait_goes_on_over_a_restart_and_is_no_longer_for_it(
    daemon: Daemon, front: Front
) -> None:
    with (
        holding(front.lease("one", daemon.path)),
        Holder(front.lease("one", daemon.path, task="second", wait=0.5)) as second,
    ):
        daemon.wait_for_waiting("second")
        daemon.kill()
        daemon.start()
        with pytest.raises(NoSlot, match="no slot"):
            second.lease.result()
        daemon.wait_for_waiting()


def test_the_body_notices_no_restart_and_the_slot_stays_taken(daemon: Daemon, front: Front) -> None:
    with front.lease("one", daemon.path) as granted:
        daemon.kill()
        daemon.start()
        assert daemon.in_use() == 1
        with pytest.raises(NoSlot, match="1 of 1 units of one are out"):
            front.lease("one", daemon.path, wait=0).__enter__()
    with front.lease("one", daemon.path, wait=0) as after:
        assert after.fence > granted.fence


def test_a_daemon_that_stays_away_is_unreachable_at_the_end_of_the_body(
    daemon: Daemon, front: Front
) -> None:
    lease = front.lease("one", daemon.path)
    granted = lease.__enter__()
    daemon.kill()
    gone = pytest.raises(Unreachable, match=f"^no daemon answers at {daemon.path}")
    with hurry(front, "RECONNECT_S"), gone:
        lease.__exit__(None, None, None)
    daemon.start()
    daemon.ask("release", lease=granted.id)


def test_a_daemon_that_stays_away_is_unreachable_for_who_waits(
    daemon: Daemon, front: Front
) -> None:
    with holding(front.lease("one", daemon.path)) as first:
        with Holder(front.lease("one", daemon.path, task="second")) as second:
            daemon.wait_for_waiting("second")
            gone = pytest.raises(Unreachable, match=f"^no daemon answers at {daemon.path}")
            with hurry(front, "RECONNECT_S"), gone:
                daemon.kill()
                second.lease.result()
        daemon.forget()
        daemon.start()
        with pytest.raises(LeaseLost):
            first.let_go()


def test_the_news_end_with_the_daemon(daemon: Daemon, front: Front) -> None:
    with front.client(daemon.path) as client:
        news = client.watch(["level"])
        next(news)
        daemon.kill()
        with pytest.raises(Unreachable, match=r"^the daemon closed the connection; see "):
            next(news)
        news.close()


def test_a_client_connects_again_by_itself(daemon: Daemon, front: Front) -> None:
    with front.client(daemon.path) as client:
        before = client.ask("status")["pid"]
        daemon.kill()
        daemon.start()
        assert client.ask("status")["pid"] != before


# --- it is none ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        (
            [says(b"HTTP/1.1 400 Bad Request\r\n\r\n")],
            "what answers is no admission daemon: a frame",
        ),
        (
            [says(b"\0\0\0\2\xc1\xc1")],
            "what answers is no admission daemon: the frame does not hold",
        ),
        ([answers({})], 'what answers has no usable "lease" in its answer: it is no admission'),
        (
            [answers(without(GRANTED, "params"))],
            'what answers has no usable "params" in its answer',
        ),
        ([], 'the daemon closed the connection; see "admission status"'),
        ([hangs_up], 'the daemon closed the connection; see "admission status"'),
        (half_of(grants), 'the daemon closed the connection; see "admission status"'),
    ],
    ids=["http", "garbage", "empty", "no params", "closes", "hangs up", "half a frame"],
)
def test_nonsense_is_unreachable_and_said_in_one_sentence(
    front: Front, path: str, replies: list[Reply], message: str
) -> None:
    unreachable = pytest.raises(Unreachable)
    with Impostor(path, repeat(replies)), hurry(front, "RECONNECT_S"), unreachable as problem:
        front.lease("one", path).__enter__()
    assert str(problem.value).startswith(message)
    assert str(problem.value).isprintable()


def test_a_grant_that_can_not_be_understood_is_taken_back(front: Front, path: str) -> None:
    script: list[list[Reply]] = [[answers({"lease": 42}), answers({"found": True})]]
    with Impostor(path, script) as impostor, pytest.raises(Unreachable, match="no usable"):
        front.lease("one", path).__enter__()
    assert impostor.asked == [["acquire", "cancel"]]


def test_a_daemon_without_room_is_unavailable_and_says_why(front: Front, path: str) -> None:
    why = "1024 connections are open, and that is the limit; close some of yours"
    script = [[refuses("too_many_connections", why)]]
    with Impostor(path, script), pytest.raises(Unavailable) as problem:
        front.lease("one", path).__enter__()
    assert (str(problem.value), problem.value.exit_status) == (why, 69)


# --- the answer is lost -------------------------------------------------------------------------


def test_a_request_whose_answer_was_lost_is_made_again_under_the_same_id(
    front: Front, path: str
) -> None:
    requests: list[object] = []

    def note(reply: Reply) -> Reply:
        def noted(asked: dict[str, object]) -> bytes | None:
            requests.append(asked["request"])
            return reply(asked)

        return noted

    script: list[list[Reply]] = [
        [note(hangs_up)],
        [answers({}), note(grants), answers({})],
    ]
    with Impostor(path, script) as impostor, front.lease("one", path) as granted:
        assert granted.id == 42
    assert impostor.asked == [["acquire"], ["hello", "acquire", "release"]]
    first, second = requests
    assert isinstance(first, bytes)
    assert len(first) == 16
    assert first == second


def test_a_release_whose_answer_was_lost_had_worked(front: Front, path: str) -> None:
    script: list[list[Reply]] = [
        [grants, hangs_up],
        [answers({}), refuses("unknown_lease", "there is no lease 42")],
    ]
    with Impostor(path, script) as impostor, front.lease("one", path):
        pass
    assert impostor.asked == [["acquire", "release"], ["hello", "release"]]


def test_an_answer_that_comes_in_pieces_is_one(
    front: Front, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front.module, "READ_BYTES", 3)
    with front.lease("one", daemon.path) as granted:
        assert granted.params.name == "normal"
