"""A whole daemon in virtual time, whose clients say whatever one likes; and what must still hold.

The connections are the daemon's own, on socket pairs. A witness checks every step of the core. One
client behaves: nothing that the others say may change what is its own, or keep it waiting.
"""

import socket
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import trio
from trio._core import _run
from trio.testing import MockClock, wait_all_tasks_blocked

from admission.core import events as ev
from admission.core.leases import Holder
from admission.core.limits import Limits
from admission.protocol import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    AdmissionError,
    Frame,
    Frames,
    encode,
)
from admission.service.config import Config
from admission.service.connections import READ_BYTES, Connection
from admission.service.peers import Peer
from admission.service.turns import Turns
from tests.core.invariants import Witness
from tests.fuzz.material import Dice, frame_from
from tests.service.stage import FIRST_PID, UID, Stage, error_of, is_one_short_line, number_of

LINES = 3
STEPS_MAX = 30
# How often a frame is said that floods.
FLOOD = 32
# By which `steps_from` says a frame that often, and once.
FLOODING, PLAIN = 6, 7
# Beyond the grace, the deadlines and the pauses of everybody.
ALL_OVER_S = 60.0


# Limits that a short story reaches, and samples that are few.
NARROW = Config(
    core_limits=Limits(waiters_max=12, waiters_per_connection_max=5),
    interval_s=10.0,
    fast_interval_s=10.0,
    unanswered_bytes_max=20_000,
)


@dataclass(frozen=True)
class Say:
    line: int
    data: bytes


@dataclass(frozen=True)
class HangUp:
    line: int


@dataclass(frozen=True)
class End:
    """The process at the other end is over."""

    line: int


@dataclass(frozen=True)
class Read:
    """It reads what it was sent; who never does is closed some time."""

    line: int


@dataclass(frozen=True)
class Pass:
    seconds: float


Step = Say | HangUp | End | Read | Pass


def steps_from(data: bytes) -> Iterable[Step]:
    """The story that these bytes tell."""
    dice = Dice(data)
    for _ in range(STEPS_MAX):
        if dice.is_over:
            return
        line = dice.roll(LINES)
        match dice.roll(16):
            case 0:
                yield HangUp(line)
            case 1:
                yield End(line)
            case 2:
                yield Read(line)
            case 3 | 4:
                yield Pass(dice.choice([0.01, 0.6, 2.0, 11.0]))
            case 5:
                yield Say(line, dice.take(64))
            case 6:  # FLOODING
                yield Say(line, frame_from(dice) * FLOOD)
            case _:
                yield Say(line, frame_from(dice))


def story_of(indices: Iterable[int], line: int = 0, how: int = PLAIN) -> bytes:
    """The bytes that tell of these requests, each as it is: something to start from."""
    return b"".join(bytes([line, how, index, index % 8, 0, 0]) for index in indices)


class Client:
    """One end of a connection; the other is the daemon's."""

    def __init__(self, holder: Holder) -> None:
        self.holder = holder
        self.sock, self.theirs = socket.socketpair()
        # What does not fit is the daemon's to keep.
        self.theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.sock.setblocking(False)
        self.theirs.setblocking(False)
        self._frames = Frames()
        self.seen: list[Frame] = []

    def say(self, data: bytes) -> None:
        with suppress(OSError):  # closed, or nobody reads it
            self.sock.send(data)

    def read(self) -> None:
        """Everything that came; each frame is one, and each refusal one that people can read."""
        with suppress(OSError):
            while data := self.sock.recv(1 << 20):
                for frame in self._frames.feed(data):
                    _check_answer(frame)
                    self.seen.append(frame)

    def answers(self, message_id: int) -> list[Frame]:
        return [one for one in self.seen if one["id"] == message_id and "event" not in one]

    def close(self) -> None:
        self.sock.close()


def _check_answer(frame: Frame) -> None:
    assert type(frame["id"]) is int
    if "event" in frame:
        return
    if frame["ok"] is not True:
        code, message = error_of(frame)
        assert code.replace("_", "").isalpha()
        assert is_one_short_line(message), message


class Session:
    """See the module; `play` makes one."""

    def __init__(self, folder: Path, turns: Turns, nursery: trio.Nursery) -> None:
        self.stage = Stage(folder, NARROW)
        self.clients: list[Client] = []
        # Leases that somebody else gave back, renewed or yielded by their number, as one may.
        self.touched: set[int] = set()
        self._turns = turns
        self._nursery = nursery
        self._numbers = count(1)
        self._watch_the_core()
        self._keep_off_the_machine()

    def _watch_the_core(self) -> None:
        core = self.stage.core
        witness, honest = Witness(core), core.handle

        def handle(now: float, event: ev.Event) -> list[ev.Effect]:
            if isinstance(event, ev.Release | ev.Renew | ev.Yield | ev.Regain):
                self.touched.add(event.lease)
            effects = honest(now, event)
            witness.follow(core, now, event, effects)
            return effects

        core.handle = handle  # type: ignore[method-assign]

    def _keep_off_the_machine(self) -> None:
        """No kernel's alarms, which are slow to close, and no files where the input says."""
        daemon = self.stage.daemon
        daemon._sampling._open_triggers = lambda: None

        def wish(path: str, answer: Callable[[AdmissionError | None], None], **_: object) -> None:
            answer(None)

        daemon.workspaces.wish = wish  # type: ignore[method-assign]

    def connect(self) -> Client:
        number = next(self._numbers)
        client = Client(Holder(FIRST_PID + number, 100 + number))
        daemon = self.stage.daemon
        peer = Peer(client.holder, UID)
        Connection(number, client.theirs, peer, daemon, self._turns, self._nursery).begin()
        self.clients.append(client)
        return client

    async def ask(self, client: Client, op: str, **fields: object) -> Frame:
        """One request of somebody who behaves, which is answered at once."""
        client.say(encode({"id": 1000, "op": op, **fields}))
        await wait_all_tasks_blocked()
        client.seen.clear()
        client.read()
        (answer,) = client.answers(1000)
        return answer

    async def take(self, lines: list[Client], step: Step) -> None:
        match step:
            case Say(line, data):
                lines[line].say(data)
            case HangUp(line):
                lines[line].close()
                lines[line] = self.connect()
            case End(line):
                self.stage.processes.end(lines[line].holder)
                lines[line].close()
                lines[line] = self.connect()
            case Read(line):
                lines[line].read()
            case Pass(seconds):
                await trio.sleep(seconds)
        await wait_all_tasks_blocked()
        self._check_sizes()

    def _check_sizes(self) -> None:
        daemon = self.stage.daemon
        most = daemon.config.unanswered_bytes_max + FRAME_BYTES_MAX + LENGTH_BYTES
        for line in daemon.lines.values():
            assert line.backlog_bytes <= most
            if isinstance(line, Connection):
                buffered = len(line._frames._buffer)
                assert buffered <= LENGTH_BYTES + FRAME_BYTES_MAX + READ_BYTES
        assert len(daemon.core.ledger._alarms) <= 64 + 4 * 1000

    def close(self) -> None:
        """Every socket, also those that no task has come to own."""
        for client in self.clients:
            client.close()
            client.theirs.close()
        self.stage.journal.close()


async def _play(steps: Iterable[Step], folder: Path) -> None:
    async with trio.open_nursery() as nursery:
        turns = Turns()
        session = Session(folder, turns, nursery)
        try:
            nursery.start_soon(turns.run)
            await nursery.start(session.stage.daemon.run, [], frozenset())
            await _tell(session, steps)
            nursery.cancel_scope.cancel()
        finally:
            session.close()
            turns.close()


async def _tell(session: Session, steps: Iterable[Step]) -> None:
    good = session.connect()
    held = number_of(await session.ask(good, "acquire", pool="operations"))
    lines = [session.connect() for _ in range(LINES)]
    for step in steps:
        await session.take(lines, step)
    await _check_the_good_one(session, good, held)
    for line in lines:
        line.close()
    await trio.sleep(ALL_OVER_S)
    await wait_all_tasks_blocked()
    _check_what_is_left(session, good)


async def _check_the_good_one(session: Session, good: Client, held: int) -> None:
    """It has its lease, gets an answer at once, and so does a newcomer."""
    lease = session.stage.core.ledger.lease(held)
    assert held in session.touched or (lease is not None and lease.is_out)
    assert (await session.ask(good, "status"))["ok"]
    fresh = session.connect()
    assert (await session.ask(fresh, "hello"))["version"] == 1
    fresh.close()


def _check_what_is_left(session: Session, good: Client) -> None:
    """Of those who are gone nothing is kept, but for leases of processes that still live."""
    stage = session.stage
    assert [line.peer.holder for line in stage.daemon.lines.values()] == [good.holder]
    core = stage.core
    assert core.ledger.waiting == 0
    bound_to = [lease.caller for pool in core.pools.values() for lease in pool.leases.values()]
    assert len(bound_to) == core.ledger.held
    assert set(stage.daemon.watchers._watchers) <= {1}
    assert stage.processes.watched <= {good.holder, *core.ledger.holders()}


def play(steps: Iterable[Step]) -> None:
    """Plays this story, and checks it.

    Raises:
        AssertionError: something that must hold does not.
        Exception: what the daemon should have caught itself.
    """
    # The same story is to go the same way again: trio rolls dice on who comes next.
    vars(_run)["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    _run._r.seed(0)
    with tempfile.TemporaryDirectory() as folder:
        trio.run(_play, steps, Path(folder), clock=MockClock(autojump_threshold=0))
