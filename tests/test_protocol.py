"""The door: frames, and where the socket is. The golden frames are in tests/wire."""

import os
from pathlib import Path
from types import SimpleNamespace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from admission.protocol import (
    FRAME_BYTES_MAX,
    FRAME_DEPTH_MAX,
    LENGTH_BYTES,
    SOCKET_PATH_BYTES_MAX,
    AdmissionError,
    BadConfiguration,
    BadFrame,
    BadRequest,
    Frame,
    Frames,
    decode,
    encode,
    error_for,
    socket_path,
)

MESSAGES: list[Frame] = [
    {},
    {"id": 0, "op": "status"},
    {"id": 2**64 - 1, "smallest": -(2**63)},
    {"text": "naïve, 日本語, 🦆, \x00\n", "nothing": None, "yes": True, "no": False},
    {"bytes": bytes(range(256)), "half": 0.5, "inf": float("inf")},
    {"rows": [{"lease": 1, "tags": ["a", []]}, {}], "map": {"agents": 5}},
]


def framed(body: bytes) -> bytes:
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def nested(depth: int) -> Frame:
    """A map that holds a map … `depth` containers in all."""
    frame: Frame = {}
    for _ in range(depth - 1):
        frame = {"in": frame}
    return frame


# --- frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_comes_back_as_it_was(message: Frame) -> None:
    data = encode(message)

    assert int.from_bytes(data[:LENGTH_BYTES], "big") == len(data) - LENGTH_BYTES
    assert decode(data[LENGTH_BYTES:]) == message
    assert Frames().feed(data) == [message]


def test_not_a_number_comes_back_as_not_a_number() -> None:
    (frame,) = Frames().feed(encode({"wait_s": float("nan")}))
    assert frame["wait_s"] != frame["wait_s"]


def test_a_stream_cut_anywhere_gives_the_same_frames() -> None:
    data = b"".join(map(encode, MESSAGES))
    ends = [len(b"".join(map(encode, MESSAGES[:count]))) for count in range(len(MESSAGES) + 1)]
    for cut in range(len(data) + 1):
        frames = Frames()
        first = frames.feed(data[:cut])
        assert first == MESSAGES[: sum(end <= cut for end in ends) - 1]
        assert frames.is_partial is (cut not in ends)
        assert first + frames.feed(data[cut:]) == MESSAGES
        assert not frames.is_partial


def test_a_stream_of_single_bytes_gives_the_same_frames() -> None:
    frames = Frames()
    data = b"".join(map(encode, MESSAGES))
    assert [one for byte in data for one in frames.feed(bytes([byte]))] == MESSAGES


def test_many_frames_come_out_of_one_piece_in_order() -> None:
    many: list[Frame] = [{"id": number} for number in range(5000)]
    assert Frames().feed(b"".join(map(encode, many))) == many


def test_a_frame_of_the_greatest_length_passes_and_one_more_byte_does_not() -> None:
    room = FRAME_BYTES_MAX - len(msgpack.packb({"text": "x" * 60_000})) + 60_000
    data = encode({"text": "x" * room})
    assert len(data) == LENGTH_BYTES + FRAME_BYTES_MAX == 65_540
    assert Frames().feed(data) == [{"text": "x" * room}]

    with pytest.raises(BadRequest, match=r"65537 bytes is longer than a frame may be \(65536\)"):
        encode({"text": "x" * (room + 1)})


@pytest.mark.parametrize("length", [0, FRAME_BYTES_MAX + 1, 2**31, 2**32 - 1])
def test_a_bad_length_is_refused_by_its_four_bytes_alone(length: int) -> None:
    announced = length.to_bytes(LENGTH_BYTES, "big")
    frames = Frames()
    assert frames.feed(announced[:3]) == []
    with pytest.raises(BadFrame, match=f"1 to 65536 bytes long, not {length}"):
        frames.feed(announced[3:])


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\xc1", "does not hold one msgpack value"),
        (b"GET / HTTP/1.1\r\n\r\n", "does not hold one msgpack value"),
        (msgpack.packb({"id": 1})[:-1], "does not hold one msgpack value"),
        (msgpack.packb({"id": 1}) + b"\x00", "does not hold one msgpack value"),
        (b"\xdf\xff\xff\xff\xff", "does not hold one msgpack value"),  # a map of 4 billion
        (b"\xc6\xff\xff\xff\xff", "does not hold one msgpack value"),  # bytes, 4 GB of them
        (b"\x81\xa1\xff\x01", "does not hold one msgpack value"),  # a key that is not UTF-8
        (b"\x81\xa1a\xa2\xed\xa0", "does not hold one msgpack value"),  # half a surrogate
        (b"\x81\x90\x01", "does not hold one msgpack value"),  # a list for a key
        (b"\x91" * 60_000 + b"\x01", "does not hold one msgpack value"),
        (msgpack.packb([{"id": 1}]), "holds a map, not a list"),
        (msgpack.packb("status"), "holds a map, not a string"),
        (msgpack.packb(7), "holds a map, not a number"),
        (msgpack.packb(None), "holds a map, not NoneType"),
        (msgpack.packb({1: "status"}), "keys .* are strings; one is a number"),
        (msgpack.packb({b"op": "status"}), "keys .* are strings; one is bytes"),
        (msgpack.packb({"op": "status", None: 1}), "keys .* are strings; one is NoneType"),
    ],
)
def test_what_is_no_map_with_string_keys_is_a_bad_frame(body: bytes, says: str) -> None:
    with pytest.raises(BadFrame, match=says) as problem:
        Frames().feed(framed(body))
    assert problem.value.code == "bad_frame"
    assert "\n" not in str(problem.value)


def test_eight_levels_pass_and_nine_do_not() -> None:
    assert FRAME_DEPTH_MAX == 8
    assert decode(msgpack.packb(nested(8))) == nested(8)
    lists: Frame = {"in": [[[[[[[]]]]]]]}
    assert decode(msgpack.packb(lists)) == lists
    too_deep: list[Frame] = [nested(9), {"in": [[[[[[[[]]]]]]]]}, {"a": 1, "b": [{}, nested(7)]}]
    for deeper in too_deep:
        with pytest.raises(BadFrame, match="nests at most 8 deep"):
            decode(msgpack.packb(deeper))


def test_the_last_of_two_values_under_one_key_counts() -> None:
    assert decode(b"\x82\xa2id\x01\xa2id\x02") == {"id": 2}


def test_extension_types_are_values_like_any_other() -> None:
    body = msgpack.packb({"a": msgpack.ExtType(5, b"x"), "b": msgpack.Timestamp(1, 2)})
    assert decode(body) == {"a": msgpack.ExtType(5, b"x"), "b": msgpack.Timestamp(1, 2)}


@pytest.mark.parametrize(
    "value", [2**64, -(2**63) - 1, 10**30, object(), "\ud800", {1, 2}, lambda: None]
)
def test_what_a_frame_cannot_carry_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(BadRequest, match="this can't be sent"):
        encode({"id": 1, "value": value})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=15,
)
BODIES = st.binary(min_size=1, max_size=200) | VALUES.map(lambda value: bytes(msgpack.packb(value)))
STREAMS = st.lists(st.binary(max_size=100) | BODIES.map(framed), max_size=8).map(b"".join)


@given(stream=STREAMS, size=st.integers(1, 300))
def test_any_bytes_give_frames_or_bad_frame_and_nothing_else(stream: bytes, size: int) -> None:
    frames = Frames()
    for start in range(0, len(stream), size):
        try:
            found = frames.feed(stream[start : start + size])
        except BadFrame:
            return
        assert all(isinstance(key, str) for frame in found for key in frame)
        # What is kept is less than one frame, whatever was announced.
        assert len(frames._buffer) < LENGTH_BYTES + FRAME_BYTES_MAX


@given(body=BODIES)
def test_what_was_decoded_can_be_told_on_and_comes_back(body: bytes) -> None:
    """Else a value could come in that breaks the daemon on its way out again."""
    try:
        frame = decode(body)
    except BadFrame:
        return
    again = encode(frame)
    assert encode(decode(again[LENGTH_BYTES:])) == again


# --- errors -------------------------------------------------------------------------------------

# Status by code, as docs/design.md says in "On the command line".
STATUSES = {
    "bad_frame": 69,
    "bad_request": 64,
    "unknown_op": 64,
    "unknown_pool": 64,
    "unknown_node": 64,
    "impossible": 64,
    "would_deadlock": 64,
    "unreachable": 69,
    "journal_unavailable": 69,
    "shutting_down": 69,
    "too_many_connections": 69,
    "no_service_manager": 69,
    "no_fleet": 69,
    "fleet_away": 69,
    "timeout": 75,
    "queue_full": 75,
    "cancelled": 75,
    "unknown_lease": 75,
    "holder_gone": 75,
    "revoked": 75,
    "already_served": 75,
    "not_permitted": 77,
    "bad_configuration": 78,
}
# Those that a reply may carry: docs/design.md, "On the socket".
ON_THE_SOCKET = [
    "bad_frame",
    "bad_request",
    "unknown_op",
    "unknown_pool",
    "unknown_lease",
    "impossible",
    "timeout",
    "cancelled",
    "queue_full",
    "too_many_connections",
    "not_permitted",
    "holder_gone",
    "would_deadlock",
    "journal_unavailable",
    "shutting_down",
]


def test_every_code_has_one_class_and_its_exit_status() -> None:
    codes = [code for kind in AdmissionError.__subclasses__() for code in kind.codes]
    assert len(codes) == len(set(codes))
    assert {code: error_for(code, "x").exit_status for code in codes} == STATUSES


@pytest.mark.parametrize("code", ON_THE_SOCKET)
def test_every_code_of_the_socket_has_a_class_of_its_own(code: str) -> None:
    error = error_for(code, "why, and what to do")
    assert type(error) is not AdmissionError
    assert code in type(error).codes
    assert (error.code, str(error)) == (code, "why, and what to do")


def test_a_code_from_a_newer_daemon_is_a_plain_error_that_keeps_it() -> None:
    error = error_for("too_sunny", "wait for clouds")
    assert type(error) is AdmissionError
    assert (error.code, str(error), error.exit_status) == ("too_sunny", "wait for clouds", 69)


def test_an_error_raised_without_a_code_has_the_first_of_its_class() -> None:
    for kind in AdmissionError.__subclasses__():
        assert kind("x").code == kind.codes[0]


# --- where the socket is ------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any variable that matters and without /run/user."""
    monkeypatch.delenv("ADMISSION_SOCKET", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(sysname="Linux"))
    return tmp_path


def test_a_path_from_the_command_line_goes_before_everything(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADMISSION_SOCKET", "/tmp/of-the-environment")
    assert socket_path("/tmp/given") == "/tmp/given"
    assert socket_path() == "/tmp/of-the-environment"


def test_the_runtime_folder_goes_before_the_home(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    assert socket_path() == "/tmp/admission/admission.sock"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home / "nowhere"))
    assert socket_path() == f"{home}/.admission/admission.sock"


def test_the_users_run_folder_is_used_where_it_is(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert socket_path() == f"{home}/.admission/admission.sock"
    monkeypatch.setattr(os.path, "isdir", lambda folder: folder == "/run/user/4000000")
    assert socket_path() == "/run/user/4000000/admission/admission.sock"


def test_on_macos_it_is_always_in_the_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(sysname="Darwin"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/")
    monkeypatch.setenv("TMPDIR", "/")
    assert socket_path() == f"{home}/.admission/admission.sock"
    assert socket_path("/tmp/given") == "/tmp/given"


@pytest.mark.parametrize("letter", ["x", "ß"])
def test_a_path_of_103_bytes_passes_and_one_of_104_is_a_clear_error(letter: str) -> None:
    size = len(letter.encode())
    longest = "/" + "y" * (SOCKET_PATH_BYTES_MAX - 1 - 50 * size) + letter * 50
    assert len(longest.encode()) == 103
    assert socket_path(longest) == longest
    with pytest.raises(BadConfiguration, match="104 bytes long and 103 is the most") as problem:
        socket_path(longest + "z")
    assert "ADMISSION_SOCKET or --socket" in str(problem.value)
    assert problem.value.exit_status == 78


def test_a_relative_path_counts_as_long_as_it_is_from_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 103)
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(BadConfiguration, match="103 is the most"):
        socket_path("a.sock")
    monkeypatch.chdir("/")
    assert socket_path("a.sock") == "/a.sock"
