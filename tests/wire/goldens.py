"""Reads the golden frames; see the package."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from admission.protocol import Frame

FOLDER = Path(__file__).parent
FILES = ("requests.json", "replies.json", "events.json")


@dataclass(frozen=True, slots=True)
class Golden:
    """One frame: the map it carries, and its bytes (none where they are yet to be worked out)."""

    name: str
    message: Frame
    frame: bytes


def load(file_name: str) -> list[Golden]:
    entries = json.loads((FOLDER / file_name).read_text(encoding="utf-8"))
    return [
        Golden(
            name=entry["name"],
            message=cast(Frame, from_json(entry["message"])),
            frame=bytes.fromhex(entry.get("frame", "")),
        )
        for entry in entries
    ]


def save(file_name: str, goldens: list[Golden]) -> None:
    entries = [
        {"name": one.name, "message": to_json(one.message), "frame": one.frame.hex()}
        for one in goldens
    ]
    text = json.dumps(entries, indent=1, ensure_ascii=False)
    (FOLDER / file_name).write_text(text + "\n", encoding="utf-8")


def from_json(value: object) -> object:
    """JSON has no bytes: they stand as `{"hex": "…"}`."""
    match value:
        case {"hex": str(digits)}:
            return bytes.fromhex(digits)
        case dict():
            return {key: from_json(part) for key, part in value.items()}
        case list():
            return [from_json(part) for part in value]
        case _:
            return value


def to_json(value: object) -> object:
    match value:
        case bytes():
            return {"hex": value.hex()}
        case dict():
            return {key: to_json(part) for key, part in value.items()}
        case list():
            return [to_json(part) for part in value]
        case _:
            return value
