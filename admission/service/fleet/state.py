"""What a daemon must know of itself after a restart: a file beside its socket.

By `instance` the next daemon knows that what stands in etcd is its own, and is not refused as
another that was given the same name. `is_paused`: its pools were paused because it was ordered.
"""

import os
import secrets
from pathlib import Path

import msgspec
from msgspec import Struct

from admission.protocol import Unavailable


class State(Struct):
    """See the module."""

    instance: str
    is_paused: bool = False


def load(path: Path) -> State:
    """What was written last; where there is nothing, a new one.

    Raises:
        Unavailable: nothing can be written there.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        file = -1
    if file >= 0:
        with open(file, "rb") as stream:
            try:
                return msgspec.json.decode(stream.read(4096), type=State)
            except msgspec.DecodeError:
                pass  # torn: it counts as another daemon, until what it left has ended
    state = State(secrets.token_hex(8))
    save(path, state)
    return state


def save(path: Path, state: State) -> None:
    """Writes it as a whole.

    Raises:
        Unavailable: it can't be written.
    """
    new = path.with_suffix(".fleet.new")
    try:
        new.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(new, flags, 0o600), "wb") as stream:
            stream.write(msgspec.json.encode(state))
        os.replace(new, path)
    except OSError as problem:
        raise Unavailable(
            f"{path} can't be written: {problem}; make room in its folder", "fleet_away"
        ) from None
