"""Plays the conversations of `conversations.json`; docs/protocol.md says how they read."""

import json
import socket
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from admission.protocol import Frame, Frames, encode
from tests.wire.goldens import FOLDER, from_json

PATIENCE_S = 60.0
Kept = dict[str, object]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Steps, each on a connection that has a name."""

    name: str
    steps: tuple[Frame, ...]


def load_conversations() -> tuple[str, list[Conversation]]:
    """The configuration of the daemon to talk to, and what is said."""
    found = json.loads((FOLDER / "conversations.json").read_text(encoding="utf-8"))
    told = [Conversation(one["name"], tuple(one["steps"])) for one in found["conversations"]]
    return "\n".join(found["configuration"]) + "\n", told


# --- what fits ------------------------------------------------------------------------------------


def misfit(wanted: object, got: object, kept: Kept, at: str = "") -> str | None:
    """What is not as it is wanted, and where; None where all is. `kept` learns what is kept."""
    match wanted:
        case {"keep": str(name)}:
            kept[name] = got
            return None
        case {"kept": str(name)}:
            return None if got == kept[name] else f"{at} is {got!r} and not {kept[name]!r}"
        case {"is": str(kinds)}:
            fits = any(is_a(kind, got) for kind in kinds.split(" or "))
            return None if fits else f"{at} is {got!r} and no {kinds}"
        case dict() if isinstance(got, dict):
            return _first(
                misfit(part, got[key], kept, f"{at}.{key}")
                if key in got
                else f"{at}.{key} is missing"
                for key, part in wanted.items()
            )
        case list() if isinstance(got, list) and len(got) == len(wanted):
            pairs = enumerate(zip(wanted, got, strict=True))
            return _first(misfit(one, other, kept, f"{at}[{n}]") for n, (one, other) in pairs)
        case _:
            same = wanted == got and isinstance(wanted, bool) == isinstance(got, bool)
            return None if same else f"{at} is {got!r} and not {wanted!r}"


def _first(problems: Iterator[str | None]) -> str | None:
    return next((one for one in problems if one), None)


def is_a(kind: str, got: object) -> bool:
    """Whether this is a value of that kind.

    Raises:
        KeyError: there is no such kind.
    """
    is_number = isinstance(got, (int, float)) and not isinstance(got, bool)
    return {
        "uint": is_number and isinstance(got, int) and got >= 0,
        "number": is_number,
        "text": isinstance(got, str),
        "bool": isinstance(got, bool),
        "list": isinstance(got, list),
        "map": isinstance(got, dict),
        "null": got is None,
    }[kind]


def filled(message: object, kept: Kept) -> object:
    """What is sent, with what was kept in its place."""
    match message:
        case {"kept": str(name)}:
            return kept[name]
        case dict():
            return {key: filled(part, kept) for key, part in message.items()}
        case _:
            return message


# --- who talks ------------------------------------------------------------------------------------


@dataclass
class Line:
    """One connection. What came of other requests than the one that is asked for waits here."""

    socket: socket.socket
    frames: Frames = field(default_factory=Frames)
    arrived: deque[Frame] = field(default_factory=deque)

    def receive(self) -> bool:
        """Whether there was more before the daemon closed."""
        data = self.socket.recv(65_536)
        self.arrived += self.frames.feed(data)
        return bool(data)

    def get(self, wanted: Frame) -> Frame:
        """The next frame under that id; news of the queue only where such are wanted."""
        while True:
            for frame in self.arrived:
                if frame["id"] != wanted["id"]:
                    continue
                self.arrived.remove(frame)
                if frame.get("event") == "queued" != wanted.get("event"):
                    break
                return frame
            else:
                assert self.receive(), f"closed before {wanted}"


def play(conversation: Conversation, path: str) -> None:
    """Says and hears all of it; fails where something else is heard."""
    lines: dict[str, Line] = {}
    kept: Kept = {}
    try:
        for step in conversation.steps:
            name = str(step["on"])
            if name not in lines:
                lines[name] = Line(_connect(path))
            _take(step, lines, name, kept)
    finally:
        for line in lines.values():
            line.socket.close()


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE_S)
    sock.connect(path)
    return sock


def _take(step: Frame, lines: dict[str, Line], name: str, kept: Kept) -> None:
    line = lines[name]
    match step:
        case {"send": dict() as message}:
            said = from_json(filled(message, kept))
            assert isinstance(said, dict)
            line.socket.sendall(encode(said))
        case {"send_hex": str(digits)}:
            line.socket.sendall(bytes.fromhex(digits))
        case {"get": dict() as wanted}:
            got = line.get(wanted)
            problem = misfit(wanted, got, kept)
            assert problem is None, f"{problem}: {got}"
        case {"closed": True}:
            while line.receive():
                pass
            assert not line.arrived
        case {"close": True}:
            lines.pop(name).socket.close()
        case _:
            raise AssertionError(f"no step: {step}")
