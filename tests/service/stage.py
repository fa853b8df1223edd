"""A whole daemon inside the test, on a clock that the test moves: no process, no socket.

Its journal is a real file, its clients are `Recorder`s that keep what they are sent, and the
test says which processes live and what the machine reads.
"""

import errno
import os
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import TypeVar, cast

import trio
from trio.testing import wait_all_tasks_blocked

from admission.core import events as ev
from admission.core.admission import Admission
from admission.core.governor import Governor
from admission.core.leases import Holder, Lease
from admission.core.sample import Sample
from admission.protocol import LENGTH_BYTES, Frame, decode, encode
from admission.service.config import Config
from admission.service.daemon import Daemon
from admission.service.dispatch import dispatch
from admission.service.following import Following
from admission.service.holders import Exit, Gone
from admission.service.journal import Journal
from admission.service.peers import Peer
from admission.service.sampler import Sampler
from admission.service.sensors import Sensors
from admission.service.trees import Trees

T = TypeVar("T")

BOOT = "the boot of this test"
SOCKET = "/nonexistent/of-this-test.sock"
# Above any PID that a kernel gives (2**22), so that no real process is meant by accident.
FIRST_PID = 50_000_000
# Of who may do all.
UID = os.getuid()


class Recorder:
    """A connection that keeps what it is sent, as it would have crossed the socket."""

    def __init__(self, number: int, holder: Holder) -> None:
        self.number = number
        self.peer = Peer(holder, UID)
        self.sent: list[Frame] = []
        self.backlog_bytes = 0

    def send(self, frame: Frame) -> None:
        self.sent.append(decode(encode(frame)[LENGTH_BYTES:]))

    def answer(self, message_id: int) -> Frame:
        """The one reply to this request; there must be one, and not two."""
        (found,) = self.answers(message_id)
        return found

    def answers(self, message_id: int) -> list[Frame]:
        return [one for one in self.sent if one["id"] == message_id and "event" not in one]

    def events(self, *names: str) -> list[Frame]:
        return [one for one in self.sent if one.get("event") in names]


class Processes:
    """Who lives: everybody, but for those the test has ended."""

    def __init__(self) -> None:
        self.ended: set[Holder] = set()
        self._waits: list[_Exit] = []

    @property
    def watched(self) -> set[Holder]:
        return {one.holder for one in self._waits}

    def watch(self, holder: Holder) -> Exit:
        if holder in self.ended:
            raise Gone
        self._waits.append(_Exit(holder, self._waits))
        return self._waits[-1]

    def end(self, holder: Holder) -> None:
        self.ended.add(holder)
        for one in self._waits:
            if one.holder == holder:
                one.has_come.set()


class _Exit:
    def __init__(self, holder: Holder, among: "list[_Exit]") -> None:
        self.holder = holder
        self.has_come = trio.Event()
        self._among = among

    async def wait(self) -> None:
        await self.has_come.wait()

    def close(self) -> None:
        self._among.remove(self)


class Readings(Sensors):
    """What the machine says, as the test sets it; `taken_at` is when it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.memory_pct: float | None = 20.0
        self.cpu_pct: float | None = 10.0
        self.failed: tuple[str, ...] = ()
        self.taken_at: list[float] = []

    def read(self, now: float, holders: frozenset[Holder] = frozenset()) -> Sample:
        self.taken_at.append(now)
        return Sample(now, self.memory_pct, self.cpu_pct, self.failed)


class BreakableJournal(Journal):
    """A journal on a disk that the test can fill."""

    is_broken = False

    def append(self, record: ev.Record) -> bool:
        if self.is_broken:
            self.close()
        return super().append(record)

    def rewrite(self, records: Iterable[ev.Record]) -> None:
        if self.is_broken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().rewrite(records)


class Forest(Trees):
    """What looks find, as the test says, and what they were asked; or why they fail."""

    def __init__(self) -> None:
        super().__init__()
        self.left: dict[int, tuple[Holder, ...]] = {}
        self.problem: Exception | None = None
        self.asked: list[tuple[int, frozenset[Holder]]] = []

    def find(self, lease: Lease, others: frozenset[Holder] = frozenset()) -> tuple[Holder, ...]:
        self.asked.append((lease.id, others))
        if self.problem is not None:
            raise self.problem
        return self.left.get(lease.id, ())


async def _at_once(read: Callable[[], T]) -> T:
    """Virtual time does not stand still for a thread."""
    return read()


class Stage:
    """A daemon, its core and all that it knows of the world."""

    def __init__(
        self,
        folder: Path,
        config: Config | None = None,
        clock: Callable[[], float] = trio.current_time,
    ) -> None:
        self.config = config or Config()
        self.processes = Processes()
        self.readings = Readings()
        self.forest = Forest()
        self.journal = BreakableJournal(folder / "admission.journal", BOOT)
        governor = Governor(throttle=self.config.throttle)
        self.core = Admission(
            self.config.pools, governor, self.config.core_limits, self.config.ageing
        )
        self.daemon = Daemon(
            self.core,
            self.journal,
            self.config,
            clock=clock,
            watch_exit=self.processes.watch,
            sampler=Sampler(self.readings.read, clock, run=_at_once),
            load_config=lambda: self.config,
            socket=SOCKET,
            following=Following(self.forest, run=_at_once),
        )
        self._numbers = count(1)
        self._ids = count(1)

    def connect(self, holder: Holder | None = None) -> Recorder:
        """A new connection, of a process of its own where none is given."""
        number = next(self._numbers)
        line = Recorder(number, holder or Holder(FIRST_PID + number, 100 + number))
        self.daemon.add_line(line)
        return line

    def send(self, line: Recorder, op: str, **fields: object) -> int:
        """One request; returns its id. `class_` stands for `class`, as Python has that word."""
        message_id = next(self._ids)
        named = {name.rstrip("_"): value for name, value in fields.items()}
        self.hear(line, {"id": message_id, "op": op, **named})
        return message_id

    def hear(self, line: Recorder, frame: Frame) -> None:
        """One frame, whatever it says."""
        dispatch(self.daemon, line, encode(frame)[LENGTH_BYTES:])

    def ask(self, line: Recorder, op: str, **fields: object) -> Frame:
        """One request that is answered at once; returns the answer."""
        return line.answer(self.send(line, op, **fields))

    def hold(self, line: Recorder, **fields: object) -> int:
        """A lease that is to be had at once; returns its number."""
        return number_of(self.ask(line, "acquire", **fields))


async def rest(seconds: float) -> None:
    """Lets time pass; comes back after everybody else who has something to do at that instant."""
    await trio.sleep(seconds)
    await wait_all_tasks_blocked()


def number_of(frame: Frame, key: str = "lease") -> int:
    number = frame[key]
    assert isinstance(number, int), frame
    return number


def error_of(frame: Frame) -> tuple[str, str]:
    """The code and the message of a reply that refuses."""
    assert frame["ok"] is False, frame
    error = cast(dict[str, str], frame["error"])
    assert set(error) == {"code", "message"}
    return error["code"], error["message"]


def code_of(frame: Frame) -> str:
    return error_of(frame)[0]


def map_of(frame: Frame, key: str) -> Frame:
    found = frame[key]
    assert isinstance(found, dict), frame
    return found


def rows_of(frame: Frame, key: str) -> list[Frame]:
    found = frame[key]
    assert isinstance(found, list), frame
    return found


def is_one_short_line(message: str) -> bool:
    """Whether a message can stand on a terminal, and be read there."""
    return message.isprintable() and message == message.strip() and 0 < len(message) <= 300
