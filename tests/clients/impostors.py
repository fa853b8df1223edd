"""Something at the daemon's socket that is none, or one that fails at the worst moment."""

import socket
from collections.abc import Callable, Iterable
from threading import Thread
from types import TracebackType
from typing import Self

from admission.protocol import Frame, Frames, encode
from tests.clients.answers import GRANTED

# What is sent for a request; None closes the connection instead.
Reply = Callable[[Frame], bytes | None]


class Impostor:
    """Serves one connection after the other. `script` has, for each, a reply for each request;
    behind the last one it closes. `asked` is what was asked, connection by connection.
    """

    def __init__(self, path: str, script: Iterable[list[Reply]]) -> None:
        self.asked: list[list[str]] = []
        self._script = script
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._thread = Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        for replies in self._script:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._answer(connection, replies)

    def _answer(self, connection: socket.socket, replies: list[Reply]) -> None:
        self.asked.append([])
        frames = Frames()
        for reply in replies:
            while not (found := frames.feed(data := connection.recv(4096))):
                if not data:
                    return
            self.asked[-1] += [str(frame["op"]) for frame in found]
            if (answer := reply(found[0])) is None:
                return
            connection.sendall(answer)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()


def says(data: bytes) -> Reply:
    """Says this, whatever was asked."""
    return lambda _: data


def answers(fields: Frame) -> Reply:
    """A proper answer with these fields."""
    return lambda asked: encode({"ok": True, **fields, "id": asked["id"]})


def refuses(code: str, message: str) -> Reply:
    error: Frame = {"code": code, "message": message}
    return lambda asked: encode({"id": asked["id"], "ok": False, "error": error})


def hangs_up(_: Frame) -> None:
    """Closes the connection without a word."""


def half_of(reply: Reply) -> list[Reply]:
    """Half of what that says; and then the end."""
    return [lambda asked: (reply(asked) or b"")[:9]]


grants = answers(GRANTED)
