"""One client's side of a connection, sans I/O: numbers requests, and sorts what comes back."""

import os

from admission.protocol import (
    AdmissionError,
    BadFrame,
    Frame,
    Frames,
    Unreachable,
    encode,
    error_for,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# How often a client that lost its daemon looks for it; from the last one on it stays at that. The
# daemon keeps leases and places for 10 s after its own restart.
RECONNECT_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
# So often it only looks, before it starts a daemon itself: whoever keeps one running is quicker.
TRIES_BEFORE_START = len(RECONNECT_PAUSES_S)


class Disconnected(Unreachable):
    """The connection is gone. Whether the request was carried out is not known."""

    def __init__(self) -> None:
        super().__init__('the daemon closed the connection; see "admission status"')


def nobody_answers(path: str, problem: OSError) -> Unreachable:
    """What to raise where no connection can be made."""
    why = problem.strerror or problem
    return Unreachable(f'no daemon answers at {path} ({why}); start one with "admission serve"')


def stuck(path: str) -> Unreachable:
    """What to raise where a connection is made, and nothing comes."""
    return Unreachable(f"the daemon at {path} does not answer; is it stopped?")


def pauses_s() -> "Iterator[float]":
    """How long to wait between one try and the next, without end. Each is shortened by up to a half
    by chance, or all who lost the same daemon would come back at the same moments.
    """
    tries = 0
    while True:
        longest_s = RECONNECT_PAUSES_S[min(tries, len(RECONNECT_PAUSES_S) - 1)]
        # `random` imports hashlib, and all that for a fraction.
        yield longest_s * (0.5 + os.urandom(1)[0] / 510)
        tries += 1


class Dialogue:
    """One request at a time, and the events that come for it."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._last_id = 0
        self._answer: Frame | None = None
        self._events: list[Frame] = []

    def ask(self, op: str, fields: Frame) -> bytes:
        """The bytes that ask for this. Whatever still comes for an earlier request is dropped."""
        self._last_id += 1
        self._answer = None
        self._events.clear()
        return encode({"id": self._last_id, "op": op, **fields})

    def restart(self) -> None:
        """A new connection: half a frame of the old one will never be whole."""
        self._frames = Frames()

    def take(self, data: bytes) -> None:
        """Takes what was received; nothing is the end of the connection.

        Raises:
            Disconnected: it is the end.
            Unreachable: what answers is no daemon.
        """
        if not data:
            raise Disconnected
        try:
            frames = self._frames.feed(data)
        except BadFrame as problem:
            raise Unreachable(f"what answers is no admission daemon: {problem}") from None
        for frame in frames:
            if "ok" in frame and frame.get("id") in (self._last_id, 0):
                self._answer = frame  # 0 where the daemon could not tell whose it was
            elif frame.get("id") == self._last_id:
                self._events.append(frame)

    def take_events(self) -> list[Frame]:
        """The events that came since the last call."""
        events, self._events = self._events, []
        return events

    def answer(self) -> Frame | None:
        """The answer to what was asked, once it is there.

        Raises:
            AdmissionError: it is a refusal.
        """
        answer = self._answer
        if answer is None or answer.get("ok"):
            return answer
        raise _refusal(answer)


def _refusal(answer: Frame) -> AdmissionError:
    error = answer.get("error")
    about = error if isinstance(error, dict) else {}
    return error_for(str(about.get("code", "")), str(about.get("message", "no reason given")))
