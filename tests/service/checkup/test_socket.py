"""Who answers at the socket, and what to do where it is nobody, or not a daemon."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from admission.protocol import AdmissionError, encode
from admission.service import checkup
from admission.service.checkup import check_all, places, scene
from admission.service.checkup.finding import Finding, State
from admission.service.checkup.scene import Contact, Scene, look
from admission.service.place import lock
from tests.service.checkup.findings import mended, one


def leave_socket(path: Path) -> None:
    """As a daemon does that was killed."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    path.with_suffix(".lock").write_text("999999999\n")


# --- the socket ---------------------------------------------------------------------------------


def test_a_path_that_no_socket_can_have_is_a_problem() -> None:
    found = one(places.check_socket(look("/tmp/" + "x" * 110)))
    assert found.state is State.PROBLEM
    assert "103 is the most" in found.says
    assert check_all(look("/tmp/" + "x" * 110))  # and the other checks go on without one


def test_that_no_daemon_runs_is_well_unless_none_may_be_started(path: Path) -> None:
    assert one(places.check_socket(look(str(path)))).state is State.OK
    forbidden = replace(look(str(path)), environ={"ADMISSION_AUTOSTART": "0"})
    found = one(places.check_socket(forbidden))
    assert (found.state, found.mend) == (State.WARNING, None)
    assert "admission serve" in found.advice


def test_what_is_no_socket_is_left_where_it_is(path: Path) -> None:
    path.write_text("dear to somebody")
    found = one(places.check_socket(look(str(path))))
    assert (found.state, found.mend) == (State.PROBLEM, None)


def test_a_socket_that_a_killed_daemon_left_can_be_removed(path: Path) -> None:
    leave_socket(path)
    found = one(places.check_socket(look(str(path))))
    assert found.state is State.WARNING
    assert str(path) in mended(found)
    assert not path.exists()
    assert path.with_suffix(".lock").read_text() == "999999999\n"


def test_it_is_not_removed_where_a_daemon_took_the_lock_meanwhile(path: Path) -> None:
    leave_socket(path)
    found = one(places.check_socket(look(str(path))))
    with lock(path), pytest.raises(AdmissionError, match="stays"):
        mended(found)
    assert path.exists()


def test_a_lock_that_is_held_where_nobody_listens_is_a_problem(path: Path) -> None:
    leave_socket(path)
    with lock(path):
        at = look(str(path))
        assert one(places.check_socket(at)).state is State.PROBLEM
        found = one(places.check_lock(at))
    assert (found.state, found.mend) == (State.PROBLEM, None)
    assert f"process {os.getpid()}, which runs" in found.says


@contextmanager
def answering(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """Somebody who listens there, and deals with one connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as sock:
                sock.recv(65_536)
                answer(sock)

        thread = Thread(target=serve)
        thread.start()
        yield
        thread.join()


def say(data: bytes) -> Callable[[socket.socket], None]:
    return lambda sock: sock.sendall(data)


REFUSAL = {"id": 0, "ok": False, "error": {"code": "not_permitted", "message": "not you"}}


@pytest.mark.parametrize(
    ("answer", "contact", "said"),
    [
        (say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Contact.STRANGER, "is no admission daemon"),
        (say(encode({"hello": 1})), Contact.STRANGER, "is no admission daemon"),
        (lambda _: None, Contact.STRANGER, "is no admission daemon"),
        (say(encode(REFUSAL)), Contact.REFUSED, "refuses: not you"),
    ],
)
def test_what_answers_and_is_no_daemon_that_serves_us_is_told(
    path: Path, answer: Callable[[socket.socket], None], contact: Contact, said: str
) -> None:
    with answering(path, answer):
        at = look(str(path))
    assert at.contact is contact
    found = one(places.check_socket(at))
    assert found.state is State.PROBLEM
    assert said in found.says


def test_who_does_not_answer_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene, "ANSWER_S", 0.01)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        at = look(str(path))
    assert (at.contact, at.peer_pid) == (Contact.SILENT, os.getpid())
    found = one(places.check_socket(at))
    assert f"(process {os.getpid()}) has not answered" in found.says
    assert "serve --replace" in found.advice


# --- all of them --------------------------------------------------------------------------------


def test_a_check_that_breaks_is_a_problem_and_the_others_are_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(_: Scene) -> Iterator[Finding]:
        yield from ()
        raise KeyError("pid")

    others = checkup.CHECKS[1:3]
    monkeypatch.setattr(checkup, "CHECKS", (("socket", breaks), *others))
    findings = check_all(Scene(path))
    assert [found.name for found in findings] == ["socket", "folder", "lock"]
    assert findings[0].says == "this can't be checked: KeyError('pid')"
    assert findings[0].state is State.PROBLEM
