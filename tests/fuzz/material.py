"""What input is made of: the golden frames, values that no request expects, and bytes as dice.

Whatever is made here is made of bytes alone, so an engine that changes bytes and looks where they
lead can find its way into a grammar.
"""

import struct
from collections.abc import Sequence
from typing import TypeVar

import msgpack

from admission.protocol import LENGTH_BYTES, Frame
from tests.wire.goldens import FILES, load

T = TypeVar("T")

# Those that the golden ones don't have: about leases that are there, and the same once more.
TALK: list[Frame] = [
    {"op": "acquire", "request": b"r" * 16, "wait_s": 9},
    {"op": "acquire", "request": b"s" * 16, "bound": "process", "class": "batch"},
    {"op": "acquire", "ttl_s": 5, "wait_s": 0},
    {"op": "acquire", "parent": 1, "weight": 2},
    {"op": "cancel", "request": b"r" * 16},
    {"op": "cancel", "target": 1},
    {"op": "cancel", "ticket": 3},
    {"op": "acquire", "by_s": 3, "max_hold_s": 2, "end_after_max": True, "bound": "process"},
    {"op": "reserve", "units": 1, "for_s": 9, "class": "critical", "whole": True},
    {"op": "reserve", "units": 1, "for_s": 9, "group": "g", "from_s": 2, "pool": "operations"},
    {"op": "unreserve", "reservation": 1},
    {"op": "pause", "pool": "agents", "for_s": 3},
    {"op": "pause"},
    {"op": "unpause"},
    {"op": "move", "ticket": 3},
    {"op": "resume", "lease": 2, "secret": "00" * 16},
    {"op": "regain", "lease": 2, "wait_s": 2},
    {"op": "regain", "lease": 3, "wait_s": 0},
]
for op in ("yield", "regain", "renew", "release"):
    TALK += [{"op": op, "lease": lease} for lease in (2, 3, 4)]
REQUESTS = [golden.message for golden in load("requests.json")] + TALK
TALKS = len(TALK)
GOLDEN_FRAMES = [golden.frame for name in FILES for golden in load(name)]
FIELDS = sorted({key for message in REQUESTS for key in message})


def nested(depth: int, of: bytes = b"\x91") -> bytes:
    return of * depth + b"\xc0"


# Values as they stand in a frame, as some of them no encoder would make.
ODD_VALUES = [
    b"\xc0",
    b"\xc2",
    b"\xc3",
    b"\x00",
    b"\x01",
    b"\x05",
    b"\xff",  # -1
    b"\xce" + b"\xff" * 4,
    b"\xcf" + b"\x7f" + b"\xff" * 7,  # 2**63 - 1
    b"\xcf" + b"\xff" * 8,  # 2**64 - 1
    b"\xd3" + b"\x80" + b"\x00" * 7,  # -(2**63)
    b"\xcb" + struct.pack(">d", float("nan")),
    b"\xcb" + struct.pack(">d", float("inf")),
    b"\xcb" + struct.pack(">d", float("-inf")),
    b"\xcb" + struct.pack(">d", 5e-324),
    b"\xcb" + struct.pack(">d", 1e308),
    b"\xca" + struct.pack(">f", 0.5),
    b"\xa0",
    b"\xa1\x00",
    b"\xa3\xed\xa0\x80",  # half of a surrogate pair
    b"\xa2\xc3\x28",  # no UTF-8
    b"\xa6\xe2\x80\xae" + b"abc",  # right to left from here
    b"\xa4\x1b[2J",
    b"\xd9\xc9" + b"x" * 201,
    b"\xda\x10\x01" + b"/" * 4097,
    b"\xc4\x10" + b"r" * 16,
    b"\xc4\x00",
    b"\xd4\x05\x00",  # an extension
    b"\xd6\xff" + b"\x00" * 4,  # a timestamp
    b"\xd7\xff" + b"\xff" * 8,
    b"\xc1",  # what msgpack never is
    b"\x90",
    b"\x80",
    b"\x81\x01\x02",
    b"\x81\x90\x02",  # a key that can't be hashed
    b"\xdc\xff\xff",  # a list that is announced and not there
    b"\x92\x00\x00",
    nested(5),
    nested(7),
    nested(8),
    nested(40),
    nested(3000),
    nested(9, b"\x81\xa1k"),
]


def packed(value: object) -> bytes:
    body: bytes = msgpack.packb(value)
    return body


def raw_map(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A map of keys and values that are encoded already, keys twice where they are there twice."""
    return b"\xde" + len(pairs).to_bytes(2, "big") + b"".join(key + value for key, value in pairs)


def raw_frame(body: bytes) -> bytes:
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def pairs_of(message: Frame) -> list[tuple[bytes, bytes]]:
    return [(packed(key), packed(value)) for key, value in message.items()]


class Dice:
    """Bytes that decide. When they have run out, it is always the first choice."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_over(self) -> bool:
        return self._at >= len(self._data)

    def roll(self, sides: int) -> int:
        """One of 0 to `sides` - 1; at most 256 of them."""
        if self.is_over:
            return 0
        self._at += 1
        return self._data[self._at - 1] % sides

    def choice(self, among: Sequence[T]) -> T:
        return among[self.roll(len(among))]

    def take(self, most: int) -> bytes:
        """Some of the bytes as they are."""
        start = self._at + 1
        self._at = min(len(self._data), start + self.roll(most))
        return self._data[start : self._at]


def frame_from(dice: Dice) -> bytes:
    """A golden request, as it is or changed in up to three places, as bytes."""
    message = dict(dice.choice(REQUESTS))
    message["id"] = dice.roll(8)
    pairs = pairs_of(message)
    for _ in range(dice.roll(4)):
        _change(pairs, dice)
    body = raw_map(pairs)
    match dice.roll(16):
        case 15:
            return raw_frame(body[: dice.roll(256)])
        case 14:
            return raw_frame(body)[: dice.roll(256)]
        case 13:
            return raw_frame(body + dice.take(16))
        case _:
            return raw_frame(body)


def _change(pairs: list[tuple[bytes, bytes]], dice: Dice) -> None:
    key = packed(dice.choice(FIELDS))
    value = dice.choice(ODD_VALUES)
    match dice.roll(8):
        case 0 | 1 | 2:  # this field is another, or there twice if it was there
            index = dice.roll(len(pairs)) if pairs else 0
            pairs[index : index + 1] = [(pairs[index][0], value)] if pairs else []
        case 3 | 4:
            pairs.append((key, value))
        case 5:
            pairs.append((key, packed(dice.roll(6))))
        case 6:
            pairs.append((value, b"\xc0"))
        case _:
            index = dice.roll(len(pairs) + 1)
            del pairs[index : index + 1]
