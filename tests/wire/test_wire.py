"""The golden frames are what this side of the socket says and understands."""

import msgspec
import pytest

from admission.protocol import LENGTH_BYTES, Frames, decode, encode
from admission.service.requests import OPS, message_id, parse
from tests.wire.goldens import FILES, FOLDER, Golden, load
from tests.wire.regenerate import regenerated

GOLDENS = [pytest.param(one, id=f"{name}: {one.name}") for name in FILES for one in load(name)]
REQUESTS = [pytest.param(one, id=one.name) for one in load("requests.json")]


@pytest.mark.parametrize("golden", GOLDENS)
def test_a_golden_message_gives_exactly_its_frame(golden: Golden) -> None:
    assert encode(golden.message).hex() == golden.frame.hex()


@pytest.mark.parametrize("golden", GOLDENS)
def test_a_golden_frame_gives_back_its_message_in_its_order(golden: Golden) -> None:
    (message,) = Frames().feed(golden.frame)
    assert message == golden.message
    assert list(message) == list(golden.message)


@pytest.mark.parametrize("golden", GOLDENS)
def test_another_encoder_gives_the_same_bytes(golden: Golden) -> None:
    """So that the frames are msgpack as its specification has it, and not a library's habit."""
    assert msgspec.msgpack.encode(golden.message).hex() == golden.frame[LENGTH_BYTES:].hex()


@pytest.mark.parametrize("golden", REQUESTS)
def test_every_golden_request_is_a_good_one(golden: Golden) -> None:
    assert message_id(golden.message) == golden.message["id"]
    assert type(parse(golden.message)) is OPS[str(golden.message["op"])]


def test_every_op_is_there_and_every_field_of_it() -> None:
    shown: dict[str, set[str]] = {}
    for golden in load("requests.json"):
        shown.setdefault(str(golden.message["op"]), set()).update(golden.message)
    assert shown == {op: {"id", "op", *kind.__struct_encode_fields__} for op, kind in OPS.items()}


def test_every_file_here_is_read_and_every_name_is_there_once() -> None:
    found = {path.name for path in FOLDER.glob("*.json")}
    assert found == {*FILES, "conversations.json"}
    for file_name in FILES:
        names = [one.name for one in load(file_name)]
        assert len(names) == len(set(names))


def test_an_encoder_that_changed_its_mind_can_not_change_the_frames() -> None:
    golden = load("requests.json")[0]
    assert regenerated(golden) == golden
    # The same message with its id as a number of two bytes.
    longer = bytes.fromhex("00000000") + golden.frame[LENGTH_BYTES:].replace(
        b"\x01", b"\xcc\x01", 1
    )
    assert decode(longer[LENGTH_BYTES:]) == golden.message
    with pytest.raises(SystemExit, match='"hello" has other bytes now'):
        regenerated(Golden(golden.name, golden.message, longer))
