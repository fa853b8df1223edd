"""One side of a connection, without one: what comes back, and whose it is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.protocol import (
    AdmissionError,
    BadRequest,
    Frame,
    Frames,
    LeaseLost,
    NoSlot,
    Unavailable,
    Unreachable,
    encode,
)
from admission_client.dialogue import Dialogue, Disconnected, nobody_answers, stuck


def refusal(message_id: int, code: str, message: str = "why, and what to do") -> Frame:
    return {"id": message_id, "ok": False, "error": {"code": code, "message": message}}


def test_a_request_carries_the_next_number_its_op_and_its_fields() -> None:
    dialogue = Dialogue()
    asked = dialogue.ask("status", {}) + dialogue.ask("release", {"lease": 42})
    assert Frames().feed(asked) == [
        {"id": 1, "op": "status"},
        {"id": 2, "op": "release", "lease": 42},
    ]


def test_what_no_frame_can_carry_is_refused_before_it_is_sent() -> None:
    with pytest.raises(BadRequest, match="this can't be sent"):
        Dialogue().ask("acquire", {"weight": 2**70})


def test_there_is_no_answer_until_it_has_come() -> None:
    dialogue = Dialogue()
    dialogue.ask("status", {})
    assert dialogue.answer() is None
    dialogue.take(encode({"id": 1, "ok": True, "level": 0}))
    assert dialogue.answer() == {"id": 1, "ok": True, "level": 0}


def test_events_come_in_order_and_once() -> None:
    dialogue = Dialogue()
    dialogue.ask("acquire", {})
    first: Frame = {"id": 1, "event": "queued", "position": 2}
    then: Frame = {"id": 1, "event": "queued", "position": 1}
    dialogue.take(encode(first) + encode(then) + encode({"id": 1, "ok": True, "lease": 42}))
    assert dialogue.take_events() == [first, then]
    assert dialogue.take_events() == []
    assert dialogue.answer() == {"id": 1, "ok": True, "lease": 42}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("impossible", BadRequest),
        ("timeout", NoSlot),
        ("unknown_lease", LeaseLost),
        ("journal_unavailable", Unavailable),
        ("of_a_later_version", AdmissionError),
    ],
)
def test_a_refusal_is_raised_as_what_its_code_means(code: str, kind: type[AdmissionError]) -> None:
    dialogue = Dialogue()
    dialogue.ask("acquire", {})
    dialogue.take(encode(refusal(1, code)))
    with pytest.raises(kind, match=r"^why, and what to do$") as problem:
        dialogue.answer()
    assert type(problem.value) is kind
    assert problem.value.code == code


def test_a_refusal_that_names_no_request_is_the_answer() -> None:
    """The daemon could not tell whose it was: the frame was broken, or it has no room."""
    dialogue = Dialogue()
    dialogue.ask("status", {})
    dialogue.take(encode(refusal(0, "too_many_connections")))
    with pytest.raises(Unavailable):
        dialogue.answer()


@pytest.mark.parametrize(
    "frame",
    [
        {"id": 1, "ok": False},
        {"id": 1, "ok": False, "error": None},
        {"id": 1, "ok": False, "error": "no"},
        {"id": 1, "ok": False, "error": {}},
        {"id": 1, "ok": None, "error": {"code": 5, "message": ["x"]}},
    ],
)
def test_a_refusal_without_a_reason_is_one_all_the_same(frame: Frame) -> None:
    dialogue = Dialogue()
    dialogue.ask("status", {})
    dialogue.take(encode(frame))
    with pytest.raises(AdmissionError):
        dialogue.answer()


def test_late_answers_and_events_of_an_earlier_request_are_dropped() -> None:
    dialogue = Dialogue()
    dialogue.ask("acquire", {})
    dialogue.take(encode({"id": 1, "event": "queued"}) + encode(refusal(1, "timeout")))
    dialogue.ask("status", {})
    assert dialogue.answer() is None
    assert dialogue.take_events() == []
    dialogue.take(encode({"id": 1, "event": "queued"}) + encode({"id": 1, "ok": True}))
    dialogue.take(encode({"id": 3, "ok": True}) + encode({"ok": True}) + encode({"id": "2"}))
    assert dialogue.answer() is None
    assert dialogue.take_events() == []


def test_half_a_frame_of_a_lost_connection_spoils_nothing_of_the_next() -> None:
    answer = encode({"id": 1, "ok": True})
    dialogue = Dialogue()
    dialogue.ask("status", {})
    dialogue.take(answer[:7])
    with pytest.raises(Disconnected):
        dialogue.take(b"")
    dialogue.restart()
    dialogue.take(answer)
    assert dialogue.answer() == {"id": 1, "ok": True}


@settings(max_examples=100)
@given(st.data())
def test_however_the_bytes_are_cut_the_same_is_understood(data: st.DataObject) -> None:
    frames: list[Frame] = [{"id": 1, "event": "queued", "position": at} for at in (3, 2, 1)]
    stream = b"".join(encode(frame) for frame in frames) + encode({"id": 1, "ok": True})
    dialogue = Dialogue()
    dialogue.ask("acquire", {})
    events: list[Frame] = []
    while stream:
        assert dialogue.answer() is None
        size = data.draw(st.integers(1, len(stream)))
        dialogue.take(stream[:size])
        events += dialogue.take_events()
        stream = stream[size:]
    assert events == frames
    assert dialogue.answer() == {"id": 1, "ok": True}


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n", b"\0\0\0\0", b"\0\0\0\1\xc1"])
def test_garbage_is_no_daemon(data: bytes) -> None:
    dialogue = Dialogue()
    dialogue.ask("status", {})
    with pytest.raises(Unreachable, match=r"^what answers is no admission daemon: ") as problem:
        dialogue.take(data)
    assert not isinstance(problem.value, Disconnected), "to connect again would not help"


def test_the_three_ways_to_be_unreachable_say_what_to_do() -> None:
    gone = nobody_answers("/run/a.sock", FileNotFoundError(2, "No such file or directory"))
    assert str(gone) == (
        "no daemon answers at /run/a.sock (No such file or directory); "
        'start one with "admission serve"'
    )
    assert "(timed out)" in str(nobody_answers("/run/a.sock", TimeoutError("timed out")))
    assert str(stuck("/run/a.sock")) == (
        "the daemon at /run/a.sock does not answer; is it stopped?"
    )
    assert str(Disconnected()) == ('the daemon closed the connection; see "admission status"')
    assert {gone.exit_status, stuck("").exit_status, Disconnected().exit_status} == {69}
