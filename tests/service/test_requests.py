"""What may cross the socket inwards."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.protocol import BadRequest, Frame
from admission.service import requests as rq
from tests.service.stage import is_one_short_line


def refusal(frame: Frame) -> tuple[str, str]:
    """The code and message by which this request is refused; it must be, in one short line."""
    with pytest.raises(BadRequest) as problem:
        rq.parse(frame)
    message = str(problem.value)
    assert is_one_short_line(message), message
    assert "  " not in message
    return problem.value.code, message


def test_an_acquire_that_says_nothing_asks_for_one_agent_on_this_connection() -> None:
    assert rq.parse({"id": 1, "op": "acquire"}) == rq.AcquireRequest(
        pool="agents",
        weight=1,
        task="",
        rank="normal",
        group="",
        pid=None,
        bound="connection",
        ttl_s=None,
        wait_s=None,
        request=None,
        parent=None,
    )


def test_an_acquire_that_says_everything_is_taken_at_its_word() -> None:
    frame: Frame = {
        "id": 1,
        "op": "acquire",
        "pool": "operations",
        "weight": 2,
        "task": "tests",
        "class": "batch",
        "group": "autopilot",
        "pid": 4711,
        "bound": "process",
        "ttl_s": 60,
        "wait_s": 0,
        "request": bytes(16),
        "parent": 41,
    }
    assert rq.parse(frame) == rq.AcquireRequest(
        "operations", 2, "tests", "batch", "autopilot", 4711, "process", 60.0, 0.0, bytes(16), 41
    )


def test_unknown_fields_are_ignored() -> None:
    plain = rq.parse({"id": 1, "op": "release", "lease": 7})
    assert rq.parse({"id": 1, "op": "release", "lease": 7, "colour": {"x": [1]}}) == plain


@pytest.mark.parametrize("op", sorted(rq.OPS))
def test_extension_types_in_unknown_fields_do_no_harm(op: str) -> None:
    frame: Frame = {
        "id": 1,
        "op": op,
        "lease": 1,
        "secret": "ab",
        "path": "/",
        "units": 1,
        "for_s": 1,
        "reservation": 1,
        "ticket": 1,
        "x": msgpack.ExtType(5, b"x"),
    }
    assert type(rq.parse(frame)) is rq.OPS[op]


@pytest.mark.parametrize(
    ("weight", "says"),
    [
        (0, "weight is 0: expected int >= 1"),
        (-1, "weight is -1: expected int >= 1"),
        (2**31, "weight is 2147483648: expected int <= 2147483647"),
        (10**30, f"weight is {10**30}: expected int <= 2147483647"),
        (1.5, "weight is 1.5: expected int, got float"),
        (float("nan"), "weight is nan: expected int, got float"),
        ("2", "weight is '2': expected int, got str"),
        (b"2", "weight is b'2': expected int, got bytes"),
        (True, "weight is True: expected int, got bool"),
        (None, "weight is None: expected int, got null"),
        ([1], "weight is [1]: expected int, got array"),
        ({"a": 1}, "weight is {'a': 1}: expected int, got object"),
        (msgpack.Timestamp(1), "expected int, got Timestamp"),
        (msgpack.ExtType(5, b"x"), "expected int, got array"),
    ],
)
def test_a_weight_is_a_whole_number_from_1_up(weight: object, says: str) -> None:
    code, message = refusal({"id": 1, "op": "acquire", "weight": weight})
    assert code == "bad_request"
    assert message.startswith("acquire: weight is ")
    assert says in message


@pytest.mark.parametrize("name", ["wait_s", "ttl_s"])
@pytest.mark.parametrize("seconds", [-0.5, float("nan"), float("inf"), 10**30, "5", None, True])
def test_a_duration_is_a_number_of_seconds_that_a_clock_can_count(
    name: str, seconds: object
) -> None:
    if seconds is None:
        assert rq.parse({"id": 1, "op": "acquire", name: None}) == rq.AcquireRequest()
        return
    code, message = refusal({"id": 1, "op": "acquire", name: seconds})
    assert code == "bad_request"
    assert message.startswith(f"acquire: {name} is {seconds!r}: expected float")


def test_a_ttl_of_nothing_is_refused_and_a_wait_of_nothing_is_not() -> None:
    assert "expected float > 0.0" in refusal({"id": 1, "op": "acquire", "ttl_s": 0})[1]
    assert rq.parse({"id": 1, "op": "acquire", "wait_s": 0}) == rq.AcquireRequest(wait_s=0.0)


@pytest.mark.parametrize("name", ["task", "group", "pool"])
def test_a_label_has_up_to_200_characters_however_many_bytes_they_take(name: str) -> None:
    fits = rq.parse({"id": 1, "op": "acquire", name: "🦆" * 200})
    assert getattr(fits, name) == "🦆" * 200
    code, message = refusal({"id": 1, "op": "acquire", name: "🦆" * 201})
    assert code == "bad_request"
    assert message.startswith(f"acquire: {name} is '🦆")
    assert message.endswith("expected str of length <= 200")


def test_a_label_of_a_megabyte_is_not_said_back() -> None:
    _, message = refusal({"id": 1, "op": "acquire", "task": "line\n" * 200_000})
    assert "(1200002 characters)" in message
    assert len(message) < 150


@pytest.mark.parametrize(
    ("field", "value", "choices"),
    [
        ("class", "urgent", "critical, normal, batch"),
        ("class", "urgent\n" * 9_000, "critical, normal, batch"),
        ("class", "Normal", "critical, normal, batch"),
        ("bound", "forever", "process, connection, tree"),
    ],
)
def test_a_word_that_is_no_choice_is_answered_with_the_choices(
    field: str, value: str, choices: str
) -> None:
    code, message = refusal({"id": 1, "op": "acquire", field: value})
    assert code == "bad_request"
    assert message.startswith(f"acquire: {field} is ")
    assert all(word in message for word in choices.split(", "))


def test_an_unknown_topic_is_answered_with_the_topics() -> None:
    _, message = refusal({"id": 1, "op": "watch", "topics": ["level", "weather" * 5000]})
    assert all(word in message for word in ("topics", "level", "lease", "queue", "sample"))


@pytest.mark.parametrize("op", ["release", "renew", "yield", "regain", "resume"])
def test_what_is_about_a_lease_says_which(op: str) -> None:
    code, message = refusal({"id": 1, "op": op, "secret": "ab"})
    assert code == "bad_request"
    assert message.startswith(f"{op}: ")
    assert '"lease"' in message
    assert "missing" in message
    for number in (0, -1, 2**63, "42", 42.0, None):
        assert (
            f"{op}: lease is {number!r}: " in refusal({"op": op, "secret": "a", "lease": number})[1]
        )


@pytest.mark.parametrize("request_id", [b"", bytes(15), bytes(17), "x" * 16, 16])
def test_a_request_id_is_16_bytes(request_id: object) -> None:
    assert "request is " in refusal({"id": 1, "op": "acquire", "request": request_id})[1]


@pytest.mark.parametrize("pid", [0, -1, 2**31, "1", 1.0])
def test_a_pid_is_one_that_a_kernel_could_give(pid: object) -> None:
    assert "pid is " in refusal({"id": 1, "op": "acquire", "pid": pid})[1]


@pytest.mark.parametrize("level", [-1, 4, "2", 1.0])
def test_a_level_is_0_to_3(level: object) -> None:
    assert f"level: set is {level!r}: " in refusal({"id": 1, "op": "level", "set": level})[1]


@pytest.mark.parametrize("after", [[], [1], [1, 2, 3], ["1", 2], 5, [1.0, 2]])
def test_a_page_begins_after_two_numbers(after: object) -> None:
    assert "leases: after is " in refusal({"id": 1, "op": "leases", "after": after})[1]


def test_an_unknown_op_is_answered_with_those_there_are() -> None:
    code, message = refusal({"id": 1, "op": "dance"})
    assert code == "unknown_op"
    assert "dance" in message
    assert all(op in message for op in rq.OPS)


@pytest.mark.parametrize("op", ["x" * 60_000, "two\nlines", "\x1b[2J", "", "acquire "])
def test_an_op_is_not_said_back_longer_or_wilder_than_a_line(op: str) -> None:
    assert refusal({"id": 1, "op": op})[0] == "unknown_op"


@pytest.mark.parametrize("frame", [{}, {"id": 1}, {"op": None}, {"op": 5}, {"op": ["acquire"]}])
def test_a_request_without_an_op_is_told_the_ops(frame: Frame) -> None:
    code, message = refusal(frame)
    assert code == "bad_request"
    assert '"op"' in message
    assert "acquire" in message


@pytest.mark.parametrize("number", [0, 1, 2**32, 2**63 - 1])
def test_an_id_is_any_number_from_0_up(number: int) -> None:
    assert rq.message_id({"id": number}) == number


@pytest.mark.parametrize("number", [None, -1, 2**63, 1.0, "1", True, b"\x01", [1]])
def test_a_request_without_a_usable_id_is_refused(number: object) -> None:
    for frame in ({"id": number}, {}):
        with pytest.raises(BadRequest, match='"id", an integer from 0 up') as problem:
            rq.message_id(frame)
        assert is_one_short_line(str(problem.value))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = sorted({name for kind in rq.OPS.values() for name in kind.__struct_encode_fields__})


@given(op=st.sampled_from(sorted(rq.OPS)), fields=st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_whatever_the_fields_hold_it_is_a_request_or_refused_in_a_line(
    op: str, fields: Frame
) -> None:
    try:
        found = rq.parse({**fields, "op": op})
    except BadRequest as refused:
        problem = refused
    else:
        assert type(found) is rq.OPS[op]
        return
    assert problem.code == "bad_request"
    assert is_one_short_line(str(problem)), str(problem)
