"""A client of the daemon that leaves nothing to a library, so that what it saw, and when, is known.

It speaks the protocol as any other client: one request repeated under one id until it is answered,
over as many connections as that takes; a connection-bound lease taken up again by its secret.
"""

import os
import select
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from admission.protocol import Frame, Frames, encode
from scripts.torture.records import Book, now_s

# How often one who waits looks whether it still does.
LOOK_S = 0.03
CONNECT_S = 40.0
CONNECT_PAUSE_S = 0.02
# A daemon that lives answers within this, also on a machine that has much else to do.
ANSWER_S = 40.0


class Gone(Exception):
    """The connection is gone."""


class Confused(Exception):
    """An answer that no honest daemon gives."""


class Line:
    """One connection. `verified_at`: when it was last known to be there."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._sock = self._connect()
        self._frames = Frames()
        self.verified_at = now_s()

    def _connect(self) -> socket.socket:
        give_up_at = now_s() + CONNECT_S
        while True:
            sock = socket.socket(socket.AF_UNIX)
            with suppress(OSError):
                sock.connect(self._path)
                return sock
            sock.close()
            if now_s() > give_up_at:
                raise Confused(f"nobody answers at {self._path} for {CONNECT_S:g} s")
            time.sleep(CONNECT_PAUSE_S)

    def close(self) -> None:
        self._sock.close()

    def send(self, frame: Frame) -> None:
        self.send_bytes(encode(frame))

    def send_bytes(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except OSError:
            raise Gone from None

    def flood(self, data: bytes) -> None:
        """Sends as much of it as is taken without waiting, and reads nothing."""
        self._sock.setblocking(False)
        with suppress(OSError):
            while data:
                data = data[self._sock.send(data) :]
        self._sock.setblocking(True)

    def poll(self, timeout_s: float) -> list[Frame]:
        """What has come, after at most so long; an empty list says that nothing had by then.

        Raises:
            Gone: the connection has ended, and all that came before is read.
        """
        looked_at = now_s()
        if not select.select([self._sock], [], [], timeout_s)[0]:
            self.verified_at = looked_at
            return []
        try:
            data = self._sock.recv(1 << 20)
        except OSError:
            data = b""
        if not data:
            raise Gone
        return self._frames.feed(data)

    def until_closed(self, timeout_s: float) -> bool:
        """Whether the daemon closes this connection within so long."""
        give_up_at = now_s() + timeout_s
        while now_s() < give_up_at:
            try:
                self.poll(0.1)
            except Gone:
                return True
        return False


@dataclass
class Asker:
    """One request for a lease, from the asking to the end."""

    path: str
    book: Book
    who: int
    number: int = 1
    pool: str = "agents"
    weight: int = 1
    rank: str = "normal"
    group: str = ""
    by_s: float | None = None
    max_hold_s: float | None = None
    end_after_max: bool = False
    bound: str = "process"
    wait_s: float | None = None
    request: bytes = field(default_factory=lambda: os.urandom(16))
    line: Line | None = None
    lease: int = 0
    secret: str = ""
    # Since when it may have been granted, where the same was asked before.
    free_from: float | None = None

    @property
    def name(self) -> str:
        return f"{self.who}.{self.number}"

    def note(self, kind: str, *, at: float | None = None, **facts: object) -> float:
        return self.book.note(kind, at=at, ask=self.name, **facts)

    def connect(self) -> Line:
        if self.line is None:
            self.line = Line(self.path)
        return self.line

    def drop(self) -> None:
        if self.line is not None:
            self.line.close()
            self.line = None

    # --- asking -----------------------------------------------------------------------------------

    def note_asked(self) -> None:
        self.note(
            "asked",
            who=self.who,
            pool=self.pool,
            weight=self.weight,
            rank=self.rank,
            group=self.group,
            bound=self.bound,
            by_s=self.by_s,
            max_hold_s=self.max_hold_s,
            end_after_max=self.end_after_max,
            request=self.request.hex(),
        )

    def send(self, left_s: float | None, by_s: float | None = None) -> None:
        """`left_s`, `by_s`: what is left of what it waits for, and until it must have started."""
        frame: Frame = {
            "id": self.number,
            "op": "acquire",
            "pool": self.pool,
            "weight": self.weight,
            "class": self.rank,
            "group": self.group,
            "end_after_max": self.end_after_max,
            "bound": self.bound,
            "request": self.request,
            "task": f"torture {self.name}",
        }
        if left_s is not None:
            frame["wait_s"] = max(0.0, left_s)
        if by_s is not None:
            frame["by_s"] = max(0.0, by_s)
        if self.max_hold_s is not None:
            frame["max_hold_s"] = self.max_hold_s
        self.connect().send(frame)

    def acquire(self, patience_s: float | None = None) -> bool:
        """Whether it was granted; asked again on a new connection as often as it takes.

        `patience_s`: returns False after so long without an answer; the request stands.
        """
        self.note_asked()
        return self.wait(Wait(self, patience_s))

    def wait(self, wait: "Wait") -> bool:
        while True:
            try:
                found = wait.on_one_connection()
            except Gone:
                self.drop()
                continue
            if found is not None or wait.is_over:
                return bool(found)

    # --- holding ----------------------------------------------------------------------------------

    def hold(self, for_s: float) -> bool:
        """Works for so long; False where the lease was lost meanwhile."""
        until = now_s() + for_s
        if self.bound == "process":
            time.sleep(for_s)
            return True
        while (left_s := until - now_s()) > 0:
            try:
                self._listen(min(left_s, LOOK_S))
            except Gone:
                if not self._resume():
                    return False
        return True

    def _listen(self, timeout_s: float) -> None:
        for frame in self.connect().poll(timeout_s):
            if frame.get("event") == "revoked":
                raise Confused(f"lease {self.lease} was taken away: {frame['reason']}")

    def _resume(self) -> bool:
        assert self.line is not None
        gone_at = self.line.verified_at
        self.note("gone", at=gone_at)
        while True:
            self.drop()
            try:
                asked = {"id": 0, "op": "resume", "lease": self.lease, "secret": self.secret}
                answer = request(self.connect(), asked)
            except Gone:
                continue
            away_s = now_s() - gone_at
            if answer["ok"]:
                self.note("back", gone_at=gone_at, away_s=away_s)
                return True
            self.note("lost", away_s=away_s, code=code_of(answer))
            return False

    def repeat(self) -> None:
        """The same request on another connection, while the lease is held."""
        line = Line(self.path)
        try:
            line.send({"id": 7, "op": "acquire", "pool": self.pool, "request": self.request})
            answer = answer_to(line, 7)
        except Gone:
            return
        finally:
            line.close()
        self.note("repeated", fence=answer.get("fence", 0), ok=answer["ok"])

    # --- the end ----------------------------------------------------------------------------------

    def release(self) -> None:
        """Gives it back, as often as it takes to be heard."""
        asked_at = self.note("ending", how="released")
        there_at = self.line.verified_at if self.line else asked_at
        try:
            line = self._living_line()
            answer = request(line, {"id": 0, "op": "release", "lease": self.lease})
        except Gone:
            self.drop()
            self._release_again()
            return
        if not answer["ok"]:
            self.note("lost", away_s=now_s() - there_at, code=code_of(answer))

    def _living_line(self) -> Line:
        """A connection to the daemon of this moment: what is sent on a dead one is not heard."""
        while True:
            try:
                line = self.connect()
                line.poll(0)
                return line
            except Gone:
                self.drop()

    def _release_again(self) -> None:
        """The first time may have been heard, so it need not be known any more."""
        while True:
            try:
                request(self.connect(), {"id": 0, "op": "release", "lease": self.lease})
                return
            except Gone:
                self.drop()

    def cancel(self) -> None:
        """Takes the request back, whatever became of it."""
        while True:
            try:
                request(self.connect(), {"id": 0, "op": "cancel", "request": self.request})
                return
            except Gone:
                self.drop()


class Wait:
    """One wait for an answer, over as many connections as it takes."""

    def __init__(self, asker: Asker, patience_s: float | None) -> None:
        began = now_s()
        self._asker = asker
        self._free_until = began if asker.free_from is None else asker.free_from
        self._give_up_at = None if patience_s is None else began + patience_s
        self._wait_until = None if asker.wait_s is None else began + asker.wait_s
        self._start_until = None if asker.by_s is None else began + asker.by_s
        self._is_again = asker.free_from is not None
        self._away_since = 0.0
        self.is_over = False

    def on_one_connection(self) -> bool | None:
        """Whether it was granted; None where patience ended first.

        Raises:
            Gone: the connection did, before the answer.
        """
        asker = self._asker
        line = asker.connect()
        asker.send(*(None if one is None else one - now_s() for one in self._ends()))
        # On a later connection the grant may have come before: until it says "queued".
        is_known_to_wait = not self._is_again
        try:
            while not self._is_out_of_patience():
                looked_at = now_s()
                frames = [one for one in line.poll(LOOK_S) if one.get("id") == asker.number]
                for frame in frames:
                    if "event" not in frame:
                        return self._take(frame)
                    is_known_to_wait |= self._note_queued(frame)
                if is_known_to_wait:
                    self._free_until = looked_at
        except Gone:
            self._is_again, self._away_since = True, line.verified_at
            raise
        self.is_over = True
        asker.note("refused", code="patience", free_until=self._free_until)
        return None

    def _ends(self) -> tuple[float | None, float | None]:
        return self._wait_until, self._start_until

    def _is_out_of_patience(self) -> bool:
        return self._give_up_at is not None and now_s() >= self._give_up_at

    def _note_queued(self, frame: Frame) -> bool:
        if frame["event"] != "queued":
            raise Confused(f"an answer to acquire that is none: {frame}")
        self._note_back()
        self._asker.note("queued", ticket=frame["ticket"])
        return True

    def _note_back(self) -> None:
        if self._away_since:
            self._asker.note("again", away_s=now_s() - self._away_since)
            self._away_since = 0.0

    def _take(self, frame: Frame) -> bool:
        self._note_back()
        asker = self._asker
        if frame["ok"]:
            asker.lease, asker.secret = cast(int, frame["lease"]), str(frame["secret"])
            asker.note("told", fence=frame["fence"], free_until=self._free_until)
            return True
        code = code_of(frame)
        if code not in ("timeout", "cancelled", "shutting_down"):
            raise Confused(f"{asker.name} was refused: {frame}")
        asker.note("refused", code=code, free_until=self._free_until)
        return False


def code_of(frame: Frame) -> str:
    return str(cast(dict[str, object], frame["error"])["code"])


def answer_to(line: Line, message_id: int) -> Frame:
    """The answer to this request; what else comes before it is dropped.

    Raises:
        Gone: the connection ended first.
        Confused: none came in time.
    """
    give_up_at = now_s() + ANSWER_S
    while now_s() < give_up_at:
        for frame in line.poll(0.5):
            if frame.get("id") == message_id and "event" not in frame:
                return frame
    raise Confused(f"request {message_id} was not answered within {ANSWER_S:g} s")


def request(line: Line, frame: Frame) -> Frame:
    """One request, and its answer."""
    line.send(frame)
    return answer_to(line, cast(int, frame["id"]))
