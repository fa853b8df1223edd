"""One client's side of a connection, sans I/O: numbers requests, and sorts what comes back."""

from admission.protocol import (
    AdmissionError,
    BadFrame,
    Frame,
    Frames,
    Unreachable,
    encode,
    error_for,
)


class Disconnected(Unreachable):
    """The connection is gone. Whether the request was carried out is not known."""

    def __init__(self) -> None:
        super().__init__('the daemon closed the connection; see "admission status"')


class Dialogue:
    """One request at a time. `events` holds those that came for it and were not taken yet."""

    def __init__(self) -> None:
        self._frames = Frames()
        self._last_id = 0
        self._answer: Frame | None = None
        self.events: list[Frame] = []

    def ask(self, op: str, fields: Frame) -> bytes:
        """The bytes that ask for this. Whatever still comes for an earlier request is dropped."""
        self._last_id += 1
        self._answer = None
        self.events.clear()
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
                self.events.append(frame)

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
